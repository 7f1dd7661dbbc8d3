//! The three signatures of MessageBird, which is Bird now.
//!
//! Classic MessageBird signs a token with the hashes of the URL and the body. Before that it signed time, sorted query
//! and body; what still sends that is verified where there is no token, though it does not cover the path. Bird signs
//! time, URL and body. In the last two, the body's hash goes in as 32 raw bytes, not as text.

use proto::Millis;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::jwt::{self, Alg};
use super::mac;
use crate::adapter::Signed;
use crate::keyring::Keyring;
use crate::request::Request;
use crate::settings::{Algorithm, Encoding, Scheme};
use crate::verdict::Flaw;

const TOKEN: &str = "messagebird-signature-jwt";
const SIGNATURE: &str = "messagebird-signature";
const TIMESTAMP: &str = "messagebird-request-timestamp";

/// Who issues the tokens.
const ISSUER: &str = "MessageBird";
/// How wrong a clock may be where the source does not say, in seconds: as in MessageBird's own library for Node.
const LEEWAY: u64 = 5;
/// How old a signature of Bird may be where the source does not say, in seconds: Bird tries for 8 hours, and does not say
/// that it signs anew.
const TOLERANCE: u64 = 9 * 60 * 60;
/// The same for the signature that came before tokens.
const LEGACY_TOLERANCE: u64 = 300;

/// Which signing key made the token, or else the signature that came before tokens.
pub(crate) fn authenticate_classic(
    request: &Request<'_>,
    keyring: &Keyring,
    scheme: &Scheme,
    now: Millis,
) -> Result<usize, Flaw> {
    let token = match request.single(TOKEN) {
        Ok(token) => token,
        Err(Flaw::Missing) if request.header(SIGNATURE).is_some() => {
            let query = sorted(request.query.unwrap_or_default());
            let tolerance = scheme.tolerance_s.unwrap_or(LEGACY_TOLERANCE);
            return fitting(request, keyring, &query, now, tolerance);
        }
        Err(flaw) => return Err(flaw),
    };
    let claims = jwt::read(token, keyring, &[Alg::Hs256, Alg::Hs384, Alg::Hs512])?;
    claims.must_be("iss", ISSUER)?;
    claims.must_hash("url_hash", without_fragment(request.url).as_bytes())?;
    if request.body.is_empty() {
        claims.must_lack("payload_hash")?;
    } else {
        claims.must_hash("payload_hash", request.body)?;
    }
    if claims.seconds("nbf")?.is_none() || claims.seconds("exp")?.is_none() {
        return Err(Flaw::Missing);
    }
    claims.in_force(now, i64::try_from(scheme.tolerance_s.unwrap_or(LEEWAY)).unwrap_or(i64::MAX))?;
    Ok(claims.secret)
}

/// A token for a minute, as MessageBird makes them.
pub(crate) fn sign_classic(request: &Request<'_>, keyring: &Keyring, now: Millis) -> Option<Signed> {
    let seconds = now.as_unix().div_euclid(1000);
    let url = without_fragment(request.url);
    let mut claims = json!({
        "iss": ISSUER,
        "nbf": seconds,
        "exp": seconds + 60,
        "jti": jwt::id(&[url.as_bytes(), request.body].concat(), now),
        "url_hash": jwt::hash(url.as_bytes()),
    });
    if let Some(claims) = claims.as_object_mut().filter(|_| !request.body.is_empty()) {
        claims.insert("payload_hash".to_owned(), jwt::hash(request.body).into());
    }
    Some(Signed::header(TOKEN, jwt::sign(&claims, keyring)?))
}

/// Which signing key made Bird's signature.
pub(crate) fn authenticate_bird(
    request: &Request<'_>,
    keyring: &Keyring,
    scheme: &Scheme,
    now: Millis,
) -> Result<usize, Flaw> {
    fitting(request, keyring, without_fragment(request.url), now, scheme.tolerance_s.unwrap_or(TOLERANCE))
}

/// Bird's headers under the first signing key.
pub(crate) fn sign_bird(request: &Request<'_>, keyring: &Keyring, now: Millis) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    let timestamp = now.as_unix().div_euclid(1000).to_string();
    let text = signed_text(&timestamp, without_fragment(request.url), request.body);
    let signature = mac::encode(Encoding::Base64, &mac::compute(Algorithm::Sha256, key, &[&text]));
    let mut signed = Signed::header(SIGNATURE, signature);
    signed.headers.push((TIMESTAMP.to_owned(), timestamp.into_bytes()));
    Some(signed)
}

fn fitting(request: &Request<'_>, keyring: &Keyring, middle: &str, now: Millis, tolerance: u64) -> Result<usize, Flaw> {
    let given = mac::decode(Encoding::Base64, request.single(SIGNATURE)?)?;
    let timestamp = request.single(TIMESTAMP)?;
    let signed_at = mac::seconds(timestamp)?;
    let text = signed_text(timestamp, middle, request.body);
    let fits = mac::fitting(keyring, Algorithm::Sha256, &[&text], &given)?;
    mac::in_time(signed_at, now, tolerance.saturating_mul(1000))?;
    Ok(fits)
}

fn signed_text(timestamp: &str, middle: &str, body: &[u8]) -> Vec<u8> {
    [timestamp.as_bytes(), b"\n", middle.as_bytes(), b"\n", &Sha256::digest(body)].concat()
}

/// A fragment is never sent, so it is never signed.
fn without_fragment(url: &str) -> &str {
    url.split_once('#').map_or(url, |(before, _)| before)
}

/// The query with its pieces in the order of their names, each as it came.
fn sorted(query: &str) -> String {
    let mut pieces: Vec<&str> = query.split('&').filter(|piece| !piece.is_empty()).collect();
    pieces.sort_by_key(|piece| piece.split('=').next());
    pieces.join("&")
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::keyring::Key;

    const NOW: i64 = 1_785_499_200;

    fn keyring() -> Keyring {
        Keyring::parse(&["test-secret"], "", Key::text).unwrap()
    }

    fn at(seconds: i64) -> Millis {
        Millis::from_unix(seconds * 1000).unwrap()
    }

    fn classic(claims: &serde_json::Value, url: &str, body: &[u8], now: i64) -> Result<usize, Flaw> {
        let token = jwt::sign(claims, &keyring()).unwrap();
        let headers = [(TOKEN.to_owned(), token.into_bytes())];
        let request = Request { method: &Method::POST, url, query: None, headers: &headers, body };
        authenticate_classic(&request, &keyring(), &Scheme::default(), at(now))
    }

    #[test]
    fn bird_s_worked_example_is_signed_alike() {
        let url = "https://hooks.example.com/in/bird";
        let body = "{\"a\":\"ü\"}".as_bytes();
        let request = Request { method: &Method::POST, url, query: None, headers: &[], body };
        let signed = sign_bird(&request, &keyring(), at(NOW)).unwrap();
        assert_eq!(signed.headers[0].1, b"WtcLb2a4OedMa6F7/VajYV7Cjhs1Bgi7p2ZGGJ02QIE=");
        let request = Request { headers: &signed.headers, ..request };
        let judge = |hours: i64| authenticate_bird(&request, &keyring(), &Scheme::default(), at(NOW + hours * 3600));
        assert_eq!((judge(8), judge(10), judge(-10)), (Ok(0), Err(Flaw::Stale), Err(Flaw::Early)));
    }

    #[test]
    fn a_token_must_say_everything() {
        let url = "https://hooks.example.com/in/bird";
        let body = "{\"a\":\"ü\"}".as_bytes();
        let claims = json!({
            "iss": "MessageBird", "nbf": NOW, "exp": NOW + 60, "jti": "1",
            "url_hash": "5c35a0edf36cf3a9b04ee5719c474005f699ac0fbddade692aae6a835775e271",
            "payload_hash": "fd621823002706e24604cb868a9f4f8850d6f01fb5040d49ba050482e1472437",
        });
        assert_eq!(classic(&claims, url, body, NOW), Ok(0));
        assert_eq!(classic(&claims, &format!("{url}#fragment"), body, NOW), Ok(0));
        assert_eq!(classic(&claims, &format!("{url}?"), body, NOW), Err(Flaw::Mismatch));
        assert_eq!(classic(&claims, url, b"", NOW), Err(Flaw::Mismatch));
        for (now, verdict) in [(-5, Ok(0)), (-6, Err(Flaw::Early)), (64, Ok(0)), (65, Err(Flaw::Stale))] {
            assert_eq!(classic(&claims, url, body, NOW + now), verdict, "{now}");
        }
        let without = [
            ("iss", Flaw::Mismatch),
            ("nbf", Flaw::Missing),
            ("exp", Flaw::Missing),
            ("url_hash", Flaw::Unbound),
            ("payload_hash", Flaw::Unbound),
        ];
        for (name, flaw) in without {
            let mut claims = claims.clone();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(classic(&claims, url, body, NOW), Err(flaw), "{name}");
        }
    }

    #[test]
    fn a_query_is_sorted_by_name_and_kept_as_it_came() {
        assert_eq!(sorted("b=2&a=%2B+&&ab=1&a=0"), "a=%2B+&a=0&ab=1&b=2");
        assert_eq!(sorted(""), "");
    }
}
