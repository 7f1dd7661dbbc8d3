//! Plivo's signatures: HMAC-SHA256 in base64, with a nonce of the request's own and no time.
//!
//! V3 covers the public URL, the query and the form, all names and values decoded and sorted. V2 covers the URL without
//! its query and nothing else, so it counts only where the source asks for it and no V3 is there: a request never chooses
//! the weaker one by carrying both. `Ma` is the same made with the main account's token.

use http::Method;

use crate::adapter::Signed;
use crate::keyring::Keyring;
use crate::read::{form, media};
use crate::request::Request;
use crate::scheme::mac;
use crate::settings::{Algorithm, Encoding, Scheme};
use crate::verdict::Flaw;

const V3: [&str; 2] = ["x-plivo-signature-v3", "x-plivo-signature-ma-v3"];
const V3_NONCE: &str = "x-plivo-signature-v3-nonce";
const V2: [&str; 2] = ["x-plivo-signature-v2", "x-plivo-signature-ma-v2"];
const V2_NONCE: &str = "x-plivo-signature-v2-nonce";

/// Signatures looked at in one header: there is one for each live token.
const SIGNATURES: usize = 16;

/// Which token made one of the signatures.
pub(super) fn authenticate(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme) -> Result<usize, Flaw> {
    let given = signatures(request, V3)?;
    if !given.is_empty() {
        let nonce = request.single(V3_NONCE)?;
        let signed = covered(request)?;
        return fitting(keyring, &[&signed, b".", nonce.as_bytes()], &given);
    }
    if !takes_v2(scheme) {
        return Err(Flaw::Missing);
    }
    let given = signatures(request, V2)?;
    let nonce = request.single(V2_NONCE)?;
    if given.is_empty() {
        return Err(Flaw::Missing);
    }
    fitting(keyring, &[base(request.url).as_bytes(), nonce.as_bytes()], &given)
}

/// V3 under the first token, with a nonce that follows from the request.
pub(super) fn sign(request: &Request<'_>, keyring: &Keyring) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    let signed = covered(request).ok()?;
    let digits = blake3::hash(&signed).as_bytes().iter().take(20).map(|byte| char::from(b'0' + byte % 10)).collect();
    let nonce: String = digits;
    let mac = mac::compute(Algorithm::Sha256, key, &[&signed, b".", nonce.as_bytes()]);
    let [signature, _] = V3;
    let mut headers = Signed::header(signature, mac::encode(Encoding::Base64, &mac));
    headers.headers.push((V3_NONCE.to_owned(), nonce.into_bytes()));
    Some(headers)
}

/// Whether the source names the header of V2.
fn takes_v2(scheme: &Scheme) -> bool {
    let [name, _] = V2;
    scheme.header.as_deref().is_some_and(|header| header.eq_ignore_ascii_case(name))
}

/// The signatures in these headers, each of which may be there once and hold several.
fn signatures(request: &Request<'_>, names: [&str; 2]) -> Result<Vec<Vec<u8>>, Flaw> {
    let mut found = Vec::new();
    for name in names {
        match request.single(name) {
            Ok(list) => found.extend(list.split(',').take(SIGNATURES).map(str::trim)),
            Err(Flaw::Missing) => {}
            Err(flaw) => return Err(flaw),
        }
    }
    let is_empty = found.is_empty();
    let decoded: Vec<_> = found.into_iter().filter_map(|text| mac::decode(Encoding::Base64, text).ok()).collect();
    if decoded.is_empty() && !is_empty { Err(Flaw::Malformed) } else { Ok(decoded) }
}

fn fitting(keyring: &Keyring, pieces: &[&[u8]], given: &[Vec<u8>]) -> Result<usize, Flaw> {
    let fits = |key: &[u8]| {
        let made = mac::compute(Algorithm::Sha256, key, pieces);
        given.iter().any(|given| mac::equal(&made, given))
    };
    keyring.shared().find(|(_, key)| fits(key)).map(|(index, _)| index).ok_or(Flaw::Mismatch)
}

/// The URL without query and fragment.
fn base(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// What V3 covers, up to the nonce.
fn covered(request: &Request<'_>) -> Result<Vec<u8>, Flaw> {
    let fields = if request.method == Method::GET {
        Vec::new()
    } else {
        let is_form = request.content_type().is_none_or(|value| media::is(value, media::FORM));
        if !is_form && !request.body.is_empty() {
            return Err(Flaw::Unbound);
        }
        sorted(request.body)?
    };
    let query = sorted(request.query.unwrap_or_default().as_bytes())?;
    let mut covered = base(request.url).as_bytes().to_vec();
    if !query.is_empty() || !fields.is_empty() {
        covered.push(b'?');
    }
    let pairs: Vec<Vec<u8>> = query.iter().map(|(name, value)| [name.as_slice(), b"=", value].concat()).collect();
    covered.extend_from_slice(&pairs.join(&b'&'));
    if !query.is_empty() && !fields.is_empty() {
        covered.push(b'.');
    }
    for (name, value) in fields {
        covered.extend_from_slice(&name);
        covered.extend_from_slice(&value);
    }
    Ok(covered)
}

/// A name and a value, decoded.
type Pair = (Vec<u8>, Vec<u8>);

/// Names and values, both in byte order. More than would be read are not sorted either.
fn sorted(encoded: &[u8]) -> Result<Vec<Pair>, Flaw> {
    let mut pairs: Vec<_> = form::pairs(encoded).take(form::FIELDS + 1).collect();
    if pairs.len() > form::FIELDS {
        return Err(Flaw::Malformed);
    }
    pairs.sort_unstable();
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Key;

    /// The verdict on a request with these headers.
    fn judge(url: &str, body: &str, headers: &[(&str, &str)], v2: bool) -> Result<usize, Flaw> {
        let keyring = Keyring::parse(&["test-secret"], "", Key::text).unwrap();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let query = url.split_once('?').map(|(_, query)| query);
        let request = Request { method: &Method::POST, url, query, headers: &headers, body: body.as_bytes() };
        let header = v2.then(|| "X-Plivo-Signature-V2".to_owned());
        authenticate(&request, &keyring, &Scheme { header, ..Scheme::default() })
    }

    const URL: &str = "https://hooks.example.com/in/plivo?z=2&a=1";
    const BODY: &str = "Text=H%C3%A9&From=15550001&PowerpackUUID=";
    const FITS: &str = "664VLpoNr2fa4hZv/C3OoIVP+fe3WsFo8jcGm/j/Oug=";
    const FITS_V2: &str = "dCbC6oUSL4Ggqo3VnNPPtUS+eW5YI7Q48BFtMPAvFlw=";

    #[test]
    fn the_documented_examples_verify() {
        let nonce = ("X-Plivo-Signature-V3-Nonce", "12345");
        assert_eq!(judge(URL, BODY, &[("X-Plivo-Signature-V3", FITS), nonce], false), Ok(0));
        assert_eq!(judge(URL, BODY, &[("X-Plivo-Signature-Ma-V3", FITS), nonce], false), Ok(0));
        let list = format!("x, {FITS_V2} , {FITS}");
        assert_eq!(judge(URL, BODY, &[("X-Plivo-Signature-V3", &list), nonce], false), Ok(0));
        let both = [("X-Plivo-Signature-V3", FITS_V2), ("X-Plivo-Signature-Ma-V3", FITS), nonce];
        assert_eq!(judge(URL, BODY, &both, false), Ok(0), "our token is the main account's");
        assert_eq!(judge(URL, BODY, &[("X-Plivo-Signature-V3", "x"), nonce], false), Err(Flaw::Malformed));
        assert_eq!(judge(URL, BODY, &[("X-Plivo-Signature-V3", FITS)], false), Err(Flaw::Missing));
    }

    #[test]
    fn v2_counts_only_where_it_is_asked_for_and_v3_is_missing() {
        let v2 = [("X-Plivo-Signature-V2", FITS_V2), ("X-Plivo-Signature-V2-Nonce", "12345")];
        assert_eq!(judge(URL, BODY, &v2, true), Ok(0), "whatever query and body are");
        assert_eq!(judge(URL, BODY, &v2, false), Err(Flaw::Missing));
        let main = [("X-Plivo-Signature-Ma-V2", FITS_V2), v2[1]];
        assert_eq!(judge(URL, BODY, &main, true), Ok(0));
        let wrong_v3 = [("X-Plivo-Signature-V3", FITS_V2), ("X-Plivo-Signature-V3-Nonce", "12345"), v2[0], v2[1]];
        assert_eq!(judge(URL, BODY, &wrong_v3, true), Err(Flaw::Mismatch));
        assert_eq!(judge(URL, BODY, &[v2[0]], true), Err(Flaw::Missing));
        assert_eq!(judge(URL, BODY, &[], true), Err(Flaw::Missing));
    }

    #[test]
    fn what_is_covered_is_put_together_as_plivo_does() {
        let covered = |method: &Method, url: &str, body: &str| {
            let query = url.split_once('?').map(|(_, query)| query);
            let request = Request { method, url, query, headers: &[], body: body.as_bytes() };
            String::from_utf8(covered(&request).unwrap()).unwrap()
        };
        let url = "https://a.example:8443/x";
        assert_eq!(covered(&Method::POST, url, ""), url);
        assert_eq!(covered(&Method::POST, url, "b=2&a=%C3%A9+"), format!("{url}?aé b2"));
        assert_eq!(covered(&Method::POST, &format!("{url}?c=3"), ""), format!("{url}?c=3"));
        assert_eq!(covered(&Method::POST, &format!("{url}?c=3&c=1"), "a=2&a=1"), format!("{url}?c=1&c=3.a1a2"));
        assert_eq!(covered(&Method::GET, &format!("{url}?b=%20&a="), ""), format!("{url}?a=&b= "));
    }

    #[test]
    fn a_body_that_is_no_form_is_not_covered() {
        let headers = [
            ("content-type", "application/json"),
            ("X-Plivo-Signature-V3", FITS),
            ("X-Plivo-Signature-V3-Nonce", "12345"),
        ];
        assert_eq!(judge(URL, BODY, &headers, false), Err(Flaw::Unbound));
    }
}
