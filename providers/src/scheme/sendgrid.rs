//! What a request of SendGrid shows: the signature of its security policy, or what the operator wrote into the URL.
//!
//! The signature is over the bytes of the timestamp header and the body as it came. SendGrid's own libraries read the
//! body as UTF-8 first and refuse every mail with other bytes in it; nothing is decoded here.
//!
//! How the secrets are written decides: a P-256 key verifies signatures; any other text is a credential of the URL,
//! `user:password` before the host or `?key=`. With both, either is enough, so that one can follow the other.

use proto::Millis;

use super::{mac, p256, token, url_key};
use crate::adapter::Signed;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::request::Request;
use crate::settings::{Encoding, Scheme};
use crate::verdict::{Flaw, Verdict};

const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// Parses a source's secrets, if it has any. What is meant to be a key and is none is no password either.
pub(crate) fn keyring(secrets: &[&str]) -> Result<Keyring, KeyringError> {
    let parse = |secret: &str| match p256::key(secret) {
        None if p256::looks_like_a_key(secret) => None,
        None => Key::text(secret),
        key => key,
    };
    let expected = "the public key of the security policy (base64 or PEM), `user:password`, or the text of `?key=`";
    Keyring::parse_any(secrets, expected, parse)
}

/// The verdict.
pub(crate) fn authenticate(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
    if keyring.is_empty() {
        return Verdict::NothingToVerify;
    }
    let has_keys = keyring.shared().count() < keyring.keys().len();
    let signed = if has_keys { signature(request, keyring, scheme, now) } else { Err(Flaw::Missing) };
    match signed {
        Err(Flaw::Missing) if keyring.shared().next().is_some() => credential(request, keyring).into(),
        judged => judged.into(),
    }
}

fn signature(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Result<usize, Flaw> {
    let given = mac::decode(Encoding::Base64, request.single(SIGNATURE)?)?;
    let timestamp = request.single(TIMESTAMP)?;
    let signed_at = mac::seconds(timestamp)?;
    // One copy of the body: what verifies wants one piece.
    let fits = p256::fitting(keyring, &[timestamp.as_bytes(), request.body].concat(), &given)?;
    // SendGrid tries for 3 days and does not say that it signs anew: without a tolerance, any age is right.
    if let Some(seconds) = scheme.tolerance_s {
        mac::in_time(signed_at, now, seconds.saturating_mul(1000))?;
    }
    Ok(fits)
}

/// Which secret is in `Authorization`, where HTTP clients put what a URL has before its host, or in the query.
fn credential(request: &Request<'_>, keyring: &Keyring) -> Result<usize, Flaw> {
    match token::basic(request, keyring) {
        Err(Flaw::Missing) => url_key::authenticate(request, keyring),
        judged => judged,
    }
}

/// What makes the request verify with the first secret: nothing, where nothing is asked.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, now: Millis) -> Option<Signed> {
    match keyring.keys().first() {
        None => Some(Signed::default()),
        // No key of the URL needs a colon, and no user has one.
        Some(Key::Shared(text)) if text.contains(&b':') => token::sign_basic(keyring),
        Some(Key::Shared(_)) => url_key::sign(keyring),
        Some(_) => {
            let timestamp = now.as_unix().div_euclid(1000).to_string();
            let signature = p256::sign(keyring, &[timestamp.as_bytes(), request.body].concat())?;
            let mut signed = Signed::header(SIGNATURE, mac::encode(Encoding::Base64, &signature));
            signed.headers.push((TIMESTAMP.to_owned(), timestamp.into_bytes()));
            Some(signed)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proto::header::Pair;

    use super::*;

    const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";

    fn judge(secrets: &[&str], headers: &[Pair], query: Option<&str>) -> Verdict {
        let request = Request { method: &Method::POST, url: "", query, headers, body: b"" };
        let now = Millis::from_unix(1_785_499_200_000).unwrap();
        authenticate(&request, &keyring(secrets).unwrap(), &Scheme::default(), now)
    }

    #[test]
    fn without_a_signature_what_stands_in_the_url_counts() {
        let basic = [("Authorization".to_owned(), b"Basic dXNlcjpwYXNz".to_vec())];
        assert_eq!(judge(&[], &[], None), Verdict::NothingToVerify);
        assert_eq!(judge(&["user:pass"], &basic, None), Verdict::Fits { secret: 0 });
        assert_eq!(judge(&[KEY, "other", "user:pass"], &basic, None), Verdict::Fits { secret: 2 });
        assert_eq!(judge(&["s3cret"], &[], Some("key=s3cret")), Verdict::Fits { secret: 0 });
        assert_eq!(judge(&["s3cret"], &basic, Some("key=s3cret")), Verdict::Wrong(Flaw::Mismatch));
        assert_eq!(judge(&["s3cret"], &[], None), Verdict::Wrong(Flaw::Missing));
        assert_eq!(judge(&[KEY], &basic, Some("key=s3cret")), Verdict::Wrong(Flaw::Missing));
    }

    #[test]
    fn a_wrong_signature_is_not_made_good_by_anything_else() {
        let headers = [
            (SIGNATURE.to_owned(), b"MAA=".to_vec()),
            (TIMESTAMP.to_owned(), b"1785499200".to_vec()),
            ("Authorization".to_owned(), b"Basic dXNlcjpwYXNz".to_vec()),
        ];
        assert_eq!(judge(&[KEY, "user:pass"], &headers, None), Verdict::Wrong(Flaw::Mismatch));
    }

    #[test]
    fn a_key_that_cannot_be_read_is_no_password() {
        let unfit = |secret: &str| matches!(keyring(&[secret]), Err(KeyringError::Unfit { index: 0, .. }));
        assert!(unfit(&KEY[..KEY.len() - 4]) && unfit("-----BEGIN PUBLIC KEY-----") && unfit(""));
    }
}
