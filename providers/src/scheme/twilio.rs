//! Twilio's signature: HMAC-SHA1 over the public URL and, for a form, every distinct name and value, sorted.
//!
//! What is read must be what was signed: a GET's parameters are in the URL, a form's in the body, and a JSON body is
//! bound by `bodySHA256` in the URL or not at all. With Twilio's shared keys (`algorithm` in the source's settings) the
//! request names its algorithm in a header, which must be the configured one: a request never chooses.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use sha2::{Digest as _, Sha256};

use super::mac;
use crate::adapter::Signed;
use crate::keyring::{Keyring, KeyringError};
use crate::read::parameters::Place;
use crate::read::{form, media};
use crate::request::Request;
use crate::settings::{Algorithm, Encoding, Scheme};
use crate::verdict::Flaw;

const SIGNATURE: &str = "x-twilio-signature";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";
const BODY_HASH: &str = "bodySHA256";

/// Which auth token (or shared key) made the signature.
pub(crate) fn authenticate(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme) -> Result<usize, Flaw> {
    let given = mac::decode(Encoding::Base64, request.single(SIGNATURE)?)?;
    let algorithm = algorithm(request, scheme)?;
    let suffix = match place_of(request).ok_or(Flaw::Unbound)? {
        Place::Query => Vec::new(),
        Place::Form => parameters(request.body)?,
        Place::Json => {
            body_is_bound(request)?;
            Vec::new()
        }
    };
    let mut candidates = urls(request.url).into_iter();
    let fits = candidates.find_map(|url| mac::fitting(keyring, algorithm, &[url.as_bytes(), &suffix], &given).ok());
    fits.ok_or(Flaw::Mismatch)
}

/// The signature header under the first token; for JSON, also the piece of the query that binds the body.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    let mut url = without_fragment(request.url).to_owned();
    let mut query = None;
    let mut suffix = Vec::new();
    match place_of(request)? {
        Place::Form => suffix = parameters(request.body).ok()?,
        Place::Json if body_hash(request).is_none() => {
            let piece = format!("{BODY_HASH}={}", hex::encode(Sha256::digest(request.body)));
            url = format!("{url}{}{piece}", if url.contains('?') { '&' } else { '?' });
            query = Some(piece);
        }
        Place::Query | Place::Json => {}
    }
    let algorithm = scheme.algorithm.unwrap_or(Algorithm::Sha1);
    let mac = mac::compute(algorithm, key, &[url.as_bytes(), &suffix]);
    let mut signed = Signed::header(SIGNATURE, mac::encode(Encoding::Base64, &mac));
    if scheme.algorithm.is_some() {
        signed.headers.push((SETTINGS.to_owned(), format!("algorithm={}", word(algorithm)?).into_bytes()));
    }
    signed.query = query;
    Some(signed)
}

/// Where the parameters of a request are, by method and media type; `None` where nothing binds them. The reading of
/// records follows it, so that nothing unsigned is read.
pub(crate) fn place(method: &str, content_type: Option<&str>) -> Option<Place> {
    if method == Method::GET.as_str() {
        return Some(Place::Query);
    }
    match content_type {
        None => Some(Place::Form),
        Some(value) if media::is(value, media::FORM) => Some(Place::Form),
        Some(value) if media::is(value, media::JSON) => Some(Place::Json),
        Some(_) => None,
    }
}

fn place_of(request: &Request<'_>) -> Option<Place> {
    place(request.method.as_str(), request.content_type())
}

/// Refuses the algorithms that Twilio does not have.
pub(crate) fn known_algorithm(scheme: &Scheme) -> Result<(), KeyringError> {
    match scheme.algorithm.map(word) {
        Some(None) => Err(KeyringError::UnfitSetting { setting: "algorithm", expected: "`sha1` or `sha256`" }),
        Some(Some(_)) | None => Ok(()),
    }
}

fn word(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Sha1 => Some("HMAC_SHA1"),
        Algorithm::Sha256 => Some("HMAC_SHA256"),
        Algorithm::Md5Hash | Algorithm::Md5 | Algorithm::Sha512 => None,
    }
}

fn algorithm(request: &Request<'_>, scheme: &Scheme) -> Result<Algorithm, Flaw> {
    let named = match request.single(SETTINGS) {
        Ok(settings) => settings.split(',').find_map(|piece| piece.trim().strip_prefix("algorithm=")),
        Err(Flaw::Missing) => None,
        Err(flaw) => return Err(flaw),
    };
    match (scheme.algorithm, named) {
        (None, None) => Ok(Algorithm::Sha1),
        (Some(configured), Some(named)) if Some(named) == word(configured) => Ok(configured),
        _ => Err(Flaw::Algorithm),
    }
}

/// Every name with each of its distinct values, both in byte order, without separators. A form that would not be read
/// is not sorted either: nobody has proved anything yet.
fn parameters(body: &[u8]) -> Result<Vec<u8>, Flaw> {
    let mut sorted: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (place, (name, value)) in form::pairs(body).enumerate() {
        if place == form::FIELDS {
            return Err(Flaw::Malformed);
        }
        sorted.entry(name).or_default().insert(value);
    }
    let mut joined = Vec::with_capacity(body.len());
    for (name, values) in sorted {
        for value in values {
            joined.extend_from_slice(&name);
            joined.extend_from_slice(&value);
        }
    }
    Ok(joined)
}

fn body_hash(request: &Request<'_>) -> Option<Vec<u8>> {
    let mut pairs = form::pairs(request.query?.as_bytes());
    pairs.find(|(name, _)| name == BODY_HASH.as_bytes()).map(|(_, value)| value)
}

fn body_is_bound(request: &Request<'_>) -> Result<(), Flaw> {
    let stated = body_hash(request).ok_or(Flaw::Unbound)?;
    let actual = hex::encode(Sha256::digest(request.body));
    if mac::equal(actual.as_bytes(), &stated) { Ok(()) } else { Err(Flaw::Mismatch) }
}

fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(before, _)| before)
}

/// The URLs that Twilio may have signed: its back ends differ in whether they put the port in, and one of them writes
/// `'` as `%27`.
fn urls(url: &str) -> Vec<String> {
    let url = without_fragment(url);
    let mut candidates = vec![url.to_owned()];
    if let Some((scheme, rest)) = url.split_once("://") {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = authority.rfind('@').map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
        let colon = host.rfind(':').filter(|colon| !host.get(*colon..).unwrap_or_default().contains(']'));
        candidates.push(match colon {
            Some(colon) => {
                let end = authority.len() - host.len() + colon;
                format!("{scheme}://{}{path}", authority.get(..end).unwrap_or_default())
            }
            None => format!("{scheme}://{authority}:{}{path}", if scheme == "http" { 80 } else { 443 }),
        });
    }
    let escaped: Vec<String> = candidates.iter().filter_map(|url| with_escaped_quotes(url)).collect();
    candidates.extend(escaped);
    candidates
}

fn with_escaped_quotes(url: &str) -> Option<String> {
    let (path, query) = url.split_once('?').filter(|(_, query)| query.contains('\''))?;
    Some(format!("{path}?{}", query.replace('\'', "%27")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_tried_with_and_without_its_port() {
        assert_eq!(urls("https://a.example/x?y#rc=2"), ["https://a.example/x?y", "https://a.example:443/x?y"]);
        assert_eq!(urls("http://a.example/x"), ["http://a.example/x", "http://a.example:80/x"]);
        assert_eq!(urls("https://u:p@a.example:8443"), ["https://u:p@a.example:8443", "https://u:p@a.example"]);
        assert_eq!(urls("https://[::1]/x"), ["https://[::1]/x", "https://[::1]:443/x"]);
        assert_eq!(urls("https://[::1]:1/x"), ["https://[::1]:1/x", "https://[::1]/x"]);
        assert_eq!(urls("https://a.example/'?b='").len(), 4);
    }

    #[test]
    fn the_documented_example_is_signed_alike() {
        let keyring = Keyring::parse(&["test-secret"], "", crate::keyring::Key::text).unwrap();
        let url = "https://hooks.example.com/in/x?t=1";
        let body = b"Body=H%C3%A9+%26+bye&From=%2B15550001&MediaUrl0=&To=%2B15550002";
        let request = Request { method: &Method::POST, url, query: Some("t=1"), headers: &[], body };
        let signed = sign(&request, &keyring, &Scheme::default()).unwrap();
        assert_eq!(signed.headers[0].1, b"UA2wsCMcmQ+V0/10UH2f3npYEqU=");

        let headers = [("Content-Type".to_owned(), b"application/json".to_vec())];
        let request = Request { headers: &headers, body: "{\"a\":\"ü\"}".as_bytes(), ..request };
        let signed = sign(&request, &keyring, &Scheme::default()).unwrap();
        assert_eq!(signed.headers[0].1, b"OxRUVsXCzTwLJWePigG5C+l01oQ=");
        assert!(signed.query.unwrap().starts_with("bodySHA256=fd621823002706e2"));
    }
}
