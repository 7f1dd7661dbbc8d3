//! Standard Webhooks: `v1` (HMAC-SHA256) and `v1a` (Ed25519) over `{id}.{timestamp}.{body}`, under the names
//! `webhook-*` and Svix' `svix-*`.
//!
//! The kind of key decides which version is looked at: a `v1a` signature under `v1`, or a public key used as an HMAC
//! key (which everybody knows), never fits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use proto::Millis;
use proto::header::Pair;

use super::mac;
use crate::adapter::Signed;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::request::{Request, single};
use crate::settings::{Algorithm, Encoding, Scheme};
use crate::verdict::Flaw;

/// What a secret is, for the error.
const EXPECTED: &str = "`whsec_` and base64 of a shared secret, `whpk_` and base64 of an Ed25519 public key, or \
                        `whsk_` and base64 of a private one";

/// Signatures looked at in one header: a rotation has two.
const SIGNATURES: usize = 16;

/// The three headers of a request.
struct Headers<'a> {
    id: &'a str,
    timestamp: &'a str,
    signatures: &'a str,
}

/// Parses a source's secrets.
pub(crate) fn keyring(secrets: &[&str]) -> Result<Keyring, KeyringError> {
    Keyring::parse(secrets, EXPECTED, |secret| {
        if let Some(public) = secret.strip_prefix("whpk_") {
            let bytes = <[u8; 32]>::try_from(STANDARD.decode(public).ok()?).ok()?;
            return VerifyingKey::from_bytes(&bytes).ok().map(Key::Ed25519Public);
        }
        if let Some(private) = secret.strip_prefix("whsk_") {
            // libsodium's private key is the seed and the public key; only the seed is needed.
            let bytes = STANDARD.decode(private).ok().filter(|bytes| matches!(bytes.len(), 32 | 64))?;
            let (seed, _) = bytes.split_first_chunk::<32>()?;
            return Some(Key::Ed25519Private(Box::new(SigningKey::from_bytes(seed))));
        }
        let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?;
        Some(bytes).filter(|bytes| !bytes.is_empty()).map(Key::Shared)
    })
}

/// Which secret fits one of the signatures.
pub(crate) fn authenticate(
    request: &Request<'_>,
    keyring: &Keyring,
    scheme: &Scheme,
    now: Millis,
) -> Result<usize, Flaw> {
    let headers = Headers::read(request)?;
    let signed_at = mac::seconds(headers.timestamp)?;
    let signatures: Vec<(&str, Vec<u8>)> = headers
        .signatures
        .split_ascii_whitespace()
        .take(SIGNATURES)
        .filter_map(|entry| entry.split_once(','))
        .filter_map(|(version, text)| Some((version, STANDARD.decode(text).ok()?)))
        .collect();
    if signatures.is_empty() {
        return Err(Flaw::Malformed);
    }
    let of = |wanted| signatures.iter().filter(move |(version, _)| *version == wanted).map(|(_, bytes)| bytes);
    let fits = keyring.keys().iter().position(|key| match key {
        Key::Shared(key) => {
            let made = mac::compute(Algorithm::Sha256, key, &pieces(&headers, request.body));
            of("v1").any(|given| mac::equal(&made, given))
        }
        Key::Ed25519Public(key) => of("v1a").any(|given| verifies(key, &headers, request.body, given)),
        Key::Ed25519Private(key) => {
            of("v1a").any(|given| verifies(&key.verifying_key(), &headers, request.body, given))
        }
        _ => false,
    });
    let fits = fits.ok_or(Flaw::Mismatch)?;
    mac::in_time(signed_at, now, scheme.tolerance_ms())?;
    Ok(fits)
}

/// The three headers, under the id that the request has already, or one that follows from the body, so that a second
/// attempt of the same message carries the same.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, now: Millis) -> Option<Signed> {
    let made = format!("msg_{}", blake3::hash(request.body).to_hex().get(..27)?);
    let given = request.header("webhook-id");
    let timestamp = now.as_unix().div_euclid(1000).to_string();
    let headers = Headers { id: given.unwrap_or(&made), timestamp: &timestamp, signatures: "" };
    let signature = keyring.keys().iter().find_map(|key| match key {
        Key::Shared(key) => {
            let mac = mac::compute(Algorithm::Sha256, key, &pieces(&headers, request.body));
            Some(format!("v1,{}", mac::encode(Encoding::Base64, &mac)))
        }
        Key::Ed25519Private(key) => {
            let signature = key.sign(&pieces(&headers, request.body).concat());
            Some(format!("v1a,{}", STANDARD.encode(signature.to_bytes())))
        }
        _ => None,
    })?;
    let mut signed = Signed::header("webhook-timestamp", timestamp);
    signed.headers.push(("webhook-signature".to_owned(), signature.into_bytes()));
    if given.is_none() {
        signed.headers.push(("webhook-id".to_owned(), made.into_bytes()));
    }
    Some(signed)
}

/// The message's id: the one that [`authenticate`] verifies, never the one of the other family, which anybody may add.
pub(crate) fn id(headers: &[Pair]) -> Option<&str> {
    single(headers, Family::of(headers).id).ok()
}

/// The names of the three headers.
struct Family {
    id: &'static str,
    timestamp: &'static str,
    signatures: &'static str,
}

impl Family {
    const WEBHOOK: Self = Self { id: "webhook-id", timestamp: "webhook-timestamp", signatures: "webhook-signature" };
    const SVIX: Self = Self { id: "svix-id", timestamp: "svix-timestamp", signatures: "svix-signature" };

    /// The family whose signature is there; where nothing is signed, the one whose id is.
    fn of(headers: &[Pair]) -> Self {
        let has = |name| single(headers, name) != Err(Flaw::Missing);
        let signed = has(Self::WEBHOOK.signatures);
        if signed || (!has(Self::SVIX.signatures) && has(Self::WEBHOOK.id)) { Self::WEBHOOK } else { Self::SVIX }
    }
}

impl<'a> Headers<'a> {
    fn read(request: &Request<'a>) -> Result<Self, Flaw> {
        let family = Family::of(request.headers);
        let (id, timestamp) = (request.single(family.id)?, request.single(family.timestamp)?);
        Ok(Self { id, timestamp, signatures: request.single(family.signatures)? })
    }
}

fn pieces<'a>(headers: &Headers<'a>, body: &'a [u8]) -> [&'a [u8]; 5] {
    [headers.id.as_bytes(), b".", headers.timestamp.as_bytes(), b".", body]
}

fn verifies(key: &VerifyingKey, headers: &Headers<'_>, body: &[u8], given: &[u8]) -> bool {
    let Ok(signature) = Signature::from_slice(given) else { return false };
    key.verify_strict(&pieces(headers, body).concat(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_does_not_parse_is_named_and_not_shown() {
        for secret in ["whsec_%%", "whsec_", "whpk_c2hvcnQ=", "whsk_c2hvcnQ=", "not base64"] {
            let error = keyring(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", secret]).unwrap_err();
            assert!(error.to_string().starts_with("secret 2 "), "{error}");
            assert!(!error.to_string().contains("c2hvcnQ"), "{error}");
        }
    }

    #[test]
    fn a_public_key_is_never_an_hmac_key() {
        let public = "1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
        let keys = keyring(&[&format!("whpk_{public}")]).unwrap();
        let now = Millis::from_unix(1_614_265_330_000).unwrap();
        let forged = mac::compute(Algorithm::Sha256, &STANDARD.decode(public).unwrap(), &[b"m.1614265330.{}"]);
        let headers: Vec<_> = [
            ("webhook-id", "m".to_owned()),
            ("webhook-timestamp", "1614265330".to_owned()),
            ("webhook-signature", format!("v1,{}", STANDARD.encode(forged))),
        ]
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .to_vec();
        let request = Request { method: &http::Method::POST, url: "", query: None, headers: &headers, body: b"{}" };
        assert_eq!(authenticate(&request, &keys, &Scheme::default(), now), Err(Flaw::Mismatch));
    }
}
