//! The signature of Vonage's SMS API: `sig`, itself one of the parameters, over all the others.
//!
//! The signed text is `&name=value` for each, sorted by name, every `&` and `=` in a value as `_`. Names are not escaped,
//! so one with a `&` or `=` in it could stand for several others, and a repeated one for either of its values: such a
//! request is refused, because what is read would not be what was signed. In values the scheme itself does not tell
//! `&`, `=` and `_` apart.

use proto::Millis;
use serde_json::{Map, Value};

use super::mac;
use crate::adapter::Signed;
use crate::keyring::Keyring;
use crate::read::parameters::{self, Place};
use crate::read::{form, json};
use crate::request::Request;
use crate::settings::{Algorithm, Scheme};
use crate::verdict::Flaw;

/// The parameter with the signature.
pub(crate) const SIGNATURE: &str = "sig";
/// The parameter with its time.
pub(crate) const TIMESTAMP: &str = "timestamp";
/// The parameter that makes it unique.
pub(crate) const NONCE: &str = "nonce";

/// How old a signature may be where the source does not say, in seconds: Vonage tries for 24 hours, and does not say
/// that it signs anew.
pub(crate) const TOLERANCE: u64 = 25 * 60 * 60;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Which secret made the signature.
pub(crate) fn authenticate(
    request: &Request<'_>,
    keyring: &Keyring,
    scheme: &Scheme,
    now: Millis,
) -> Result<usize, Flaw> {
    let mut pairs = pairs(request)?;
    let given = take(&mut pairs, SIGNATURE).filter(|value| !value.is_empty()).ok_or(Flaw::Missing)?;
    let given = hex::decode(given).map_err(|_| Flaw::Malformed)?;
    let fits = mac::fitting(keyring, algorithm(scheme), &[&signed_text(&pairs)], &given)?;
    let timestamp = take(&mut pairs, TIMESTAMP).ok_or(Flaw::Missing)?;
    let signed_at = mac::seconds(std::str::from_utf8(&timestamp).map_err(|_| Flaw::Malformed)?)?;
    mac::in_time(signed_at, now, scheme.tolerance_s.unwrap_or(TOLERANCE).saturating_mul(1000))?;
    Ok(fits)
}

/// The three parameters of a signature under the first secret: in the query of a GET, else in the body.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    let mut pairs = pairs(request).ok()?;
    for name in [SIGNATURE, TIMESTAMP, NONCE] {
        take(&mut pairs, name);
    }
    let timestamp = now.as_unix().div_euclid(1000).to_string();
    let nonce = blake3::hash(&[request.body, timestamp.as_bytes()].concat()).to_hex().get(..32)?.to_owned();
    let mut added = vec![(TIMESTAMP, timestamp), (NONCE, nonce)];
    pairs.extend(added.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone().into_bytes())));
    pairs.sort();
    added.push((SIGNATURE, hex::encode(mac::compute(algorithm(scheme), key, &[&signed_text(&pairs)]))));
    let mut signed = Signed::default();
    match place(request) {
        Place::Query => signed.query = Some(encoded(&added)),
        Place::Form => signed.body = Some([request.body, b"&", encoded(&added).as_bytes()].concat()),
        Place::Json => {
            let mut map = object(request.body).ok()?;
            map.extend(added.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))));
            signed.body = Some(serde_json::to_vec(&map).ok()?);
        }
    }
    Some(signed)
}

fn encoded(pairs: &[(&str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn algorithm(scheme: &Scheme) -> Algorithm {
    scheme.algorithm.unwrap_or(Algorithm::Md5Hash)
}

fn place(request: &Request<'_>) -> Place {
    parameters::place(request.method.as_str(), request.content_type())
}

/// Every parameter once, sorted by name.
fn pairs(request: &Request<'_>) -> Result<Pairs, Flaw> {
    let of_form = |bytes: &[u8]| form::pairs(bytes).take(form::FIELDS + 1).collect::<Pairs>();
    let mut pairs = match place(request) {
        Place::Query => of_form(request.query.unwrap_or_default().as_bytes()),
        Place::Form => of_form(request.body),
        Place::Json => {
            let map = object(request.body)?;
            map.into_iter().map(|(name, value)| (name.into_bytes(), parameters::text(value).into_bytes())).collect()
        }
    };
    let ambiguous = |(name, _): &(Vec<u8>, Vec<u8>)| name.iter().any(|byte| matches!(byte, b'&' | b'='));
    if pairs.len() > form::FIELDS || pairs.iter().any(ambiguous) {
        return Err(Flaw::Malformed);
    }
    pairs.sort();
    if pairs.is_sorted_by(|(one, _), (other, _)| one < other) { Ok(pairs) } else { Err(Flaw::Repeated) }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Flaw> {
    match json::read(body).map_err(|_| Flaw::Malformed)?.value {
        Value::Object(map) => Ok(map),
        _ => Err(Flaw::Malformed),
    }
}

fn take(pairs: &mut Pairs, name: &str) -> Option<Vec<u8>> {
    let at = pairs.iter().position(|(key, _)| key == name.as_bytes())?;
    Some(pairs.remove(at).1)
}

fn signed_text(pairs: &Pairs) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in pairs {
        text.push(b'&');
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend(value.iter().map(|byte| if matches!(byte, b'&' | b'=') { b'_' } else { *byte }));
    }
    text
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::keyring::Key;

    const NOW: i64 = 1_785_499_200_000;

    fn judge(
        method: &Method,
        query: &str,
        body: &str,
        json: bool,
        algorithm: Option<Algorithm>,
    ) -> Result<usize, Flaw> {
        let keyring = Keyring::parse(&["old", "test-secret"], "", Key::text).unwrap();
        let content_type = if json { "application/json" } else { "application/x-www-form-urlencoded" };
        let headers = [("Content-Type".to_owned(), content_type.as_bytes().to_vec())];
        let request = Request { method, url: "", query: Some(query), headers: &headers, body: body.as_bytes() };
        let scheme = Scheme { algorithm, ..Scheme::default() };
        authenticate(&request, &keyring, &scheme, Millis::from_unix(NOW).unwrap())
    }

    const FORM: &str =
        "to=447700900000&timestamp=1785499200&text=a%26b%3Dc+%C3%A9&nonce=n1&msisdn=447700900001&messageId=0A1B";
    const MD5HASH: &str = "7034438f1eb4a1d8e715a99013275189";

    #[test]
    fn the_worked_example_fits_in_every_method_and_place() {
        let methods = [
            (Some(Algorithm::Md5Hash), MD5HASH),
            (None, MD5HASH),
            (Some(Algorithm::Md5), "ad0901d7d1acdf111eca138addc91f0b"),
            (Some(Algorithm::Sha1), "7c78248e1a9a3e812aab6fec8f74a397261ab258"),
            (Some(Algorithm::Sha256), "33b0c2ca08fde2af415b8827a208d39794d73c960dee897c1a6c2146bc06c41d"),
            (
                Some(Algorithm::Sha512),
                "ebd3da76095d1ff6b4024e279ff39915248dafeb772264f2962e2ebcc685beae44c2809e76f2d1c871869a268e742d3df03af3aed04b8091c95dadf5cab1eacb",
            ),
        ];
        for (algorithm, sig) in methods {
            let form = format!("{FORM}&sig={sig}");
            let json = format!(
                r#"{{"sig":"{sig}","messageId":"0A1B","msisdn":"447700900001","nonce":"n1","text":"a&b=c é","timestamp":1785499200,"to":"447700900000"}}"#
            );
            assert_eq!(judge(&Method::POST, "", &form, false, algorithm), Ok(1), "{algorithm:?}");
            assert_eq!(judge(&Method::POST, "", &json, true, algorithm), Ok(1), "{algorithm:?}");
            assert_eq!(judge(&Method::GET, &form, "", false, algorithm), Ok(1), "{algorithm:?}");
            assert_eq!(judge(&Method::GET, "", &form, false, algorithm), Err(Flaw::Missing), "{algorithm:?}");
            assert_eq!(judge(&Method::POST, &form, "a=1", false, algorithm), Err(Flaw::Missing), "{algorithm:?}");
        }
        let other = format!("{FORM}&sig={MD5HASH}");
        assert_eq!(judge(&Method::POST, "", &other, false, Some(Algorithm::Md5)), Err(Flaw::Mismatch));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let joined = format!(
            "messageId=0A1B&msisdn%3D447700900001%26nonce=n1&text=a_b_c+%C3%A9&timestamp=1785499200&to=447700900000&sig={MD5HASH}"
        );
        assert_eq!(judge(&Method::POST, "", &joined, false, None), Err(Flaw::Malformed));
        let repeated = format!("{FORM}&sig={MD5HASH}&sig={MD5HASH}");
        assert_eq!(judge(&Method::POST, "", &repeated, false, None), Err(Flaw::Repeated));
        assert_eq!(judge(&Method::POST, "", &format!("{FORM}&sig="), false, None), Err(Flaw::Missing));
        assert_eq!(judge(&Method::POST, "", &format!("{FORM}&sig=xyz"), false, None), Err(Flaw::Malformed));
        assert_eq!(judge(&Method::POST, "", "[1]", true, None), Err(Flaw::Malformed));
    }

    #[test]
    fn a_signature_lives_for_a_day_of_retries_and_no_longer() {
        let keyring = Keyring::parse(&["k"], "", Key::text).unwrap();
        let request = Request { method: &Method::GET, url: "", query: Some("text=x"), headers: &[], body: b"" };
        let signed = sign(&request, &keyring, &Scheme::default(), Millis::from_unix(NOW).unwrap()).unwrap();
        let query = format!("text=x&{}", signed.query.unwrap());
        let request = Request { query: Some(&query), ..request };
        let judge = |hours: i64| {
            let now = Millis::from_unix(NOW + hours * 3_600_000).unwrap();
            authenticate(&request, &keyring, &Scheme::default(), now)
        };
        assert_eq!((judge(24), judge(26), judge(-26)), (Ok(0), Err(Flaw::Stale), Err(Flaw::Early)));
    }
}
