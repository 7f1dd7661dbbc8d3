//! ECDSA over P-256 with SHA-256: the keys as providers and `openssl` write them, and the signature in ASN.1 DER.
//!
//! A key is compared byte for byte with the one form that a P-256 key has, instead of being taken apart by a reader of
//! ASN.1: compressed points and spelled-out curves are nobody's. Whether the point is on the curve is looked at with each
//! signature.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};

use crate::keyring::{Key, Keyring};
use crate::verdict::Flaw;

/// What stands before the point in the DER of a `SubjectPublicKeyInfo` (RFC 5480): the algorithm, the curve, and that
/// 65 bytes follow, of which the first says that the point is not compressed.
const SPKI: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// Reads a public key (`SubjectPublicKeyInfo`) or a private one (PKCS #8), as PEM or as its base64 alone.
pub(crate) fn key(text: &str) -> Option<Key> {
    let der = der(text)?;
    if der.starts_with(&SPKI) {
        return der.get(SPKI.len() - 1..)?.try_into().ok().map(Key::P256Public);
    }
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &SystemRandom::new());
    pair.ok().map(|pair| Key::P256Private(Arc::new(pair)))
}

/// Whether a text is meant to be a key of this kind or another, and not a word that two sides agreed on.
pub(crate) fn looks_like_a_key(text: &str) -> bool {
    text.contains("-----BEGIN") || der(text).is_some_and(|der| der.len() > 32 && der.starts_with(&[0x30]))
}

/// The bytes between PEM's lines, or of a base64 that may be broken into lines.
fn der(text: &str) -> Option<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let base64: String = lines.flat_map(|line| line.chars().filter(|character| !character.is_whitespace())).collect();
    STANDARD.decode(base64).ok()
}

/// Which key made this signature of `message`.
pub(crate) fn fitting(keyring: &Keyring, message: &[u8], signature: &[u8]) -> Result<usize, Flaw> {
    let fits = |key: &Key| {
        let point = match key {
            Key::P256Public(point) => point.as_slice(),
            Key::P256Private(pair) => pair.public_key().as_ref(),
            _ => return false,
        };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
    };
    keyring.keys().iter().position(fits).ok_or(Flaw::Mismatch)
}

/// A signature by the first secret, where that is a private key. The one use of randomness in this crate: what is signed
/// with a number that was used before gives the key away. No verdict and no record comes of it.
pub(crate) fn sign(keyring: &Keyring, message: &[u8]) -> Option<Vec<u8>> {
    let Key::P256Private(pair) = keyring.keys().first()? else { return None };
    pair.sign(&SystemRandom::new(), message).ok().map(|signature| signature.as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";

    #[test]
    fn a_key_is_read_as_it_is_given_out() {
        let (first, rest) = PUBLIC.split_at(64);
        let pem = format!("-----BEGIN PUBLIC KEY-----\r\n{first}\r\n{rest}\r\n-----END PUBLIC KEY-----\r\n");
        for text in [PUBLIC, &pem, &format!(" {first}\n{rest} "), &pem.replace("\r\n", "\n")] {
            assert!(matches!(key(text), Some(Key::P256Public([4, ..]))), "{text}");
            assert!(looks_like_a_key(text));
        }
    }

    #[test]
    fn what_is_no_p256_key_is_told_from_a_password() {
        let ed25519 = "MCowBQYDK2VwAyEA1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
        for text in [ed25519, &PUBLIC[..120], "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"] {
            assert!(key(text).is_none() && looks_like_a_key(text), "{text}");
        }
        for text in ["parse:correct horse", "a-key-for-the-url", "c2VjcmV0", ""] {
            assert!(key(text).is_none() && !looks_like_a_key(text), "{text}");
        }
    }

    /// Made with `openssl`, for this test; the lines of PEM around the first taken off.
    const PEM: [&str; 2] = [
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3ju7uk6M6j6cgoYX\nOM2tbh6tOAvPU5wlEFrSVQPwy4uhRANCAAT2FPa3PHBYmoxHTPZekbQeddGedBHR\nD2mwvBOsEC0whaEXZ2nzENc5rRHhhkroGnw2UdBHbPRj/Hv0MZv5XLEO",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9hT2tzxwWJqMR0z2XpG0HnXRnnQR\n0Q9psLwTrBAtMIWhF2dp8xDXOa0R4YZK6Bp8NlHQR2z0Y/x79DGb+VyxDg==\n-----END PUBLIC KEY-----",
    ];

    #[test]
    fn keys_that_openssl_wrote_belong_together() {
        let [private, public] = PEM.map(|pem| Keyring::parse(&[pem], "", key).unwrap());
        let signature = sign(&private, b"message").unwrap();
        assert_eq!((fitting(&public, b"message", &signature), sign(&public, b"")), (Ok(0), None));
    }

    #[test]
    fn what_a_private_key_signs_its_public_one_verifies() {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let private = Keyring::parse(&[&STANDARD.encode(&document)], "", key).unwrap();
        let Key::P256Private(pair) = &private.keys()[0] else { panic!("not a private key") };
        let spki = [&SPKI[..26], pair.public_key().as_ref()].concat();
        let public = Keyring::parse(&[PUBLIC, &STANDARD.encode(spki)], "", key).unwrap();
        let signature = sign(&private, b"message").unwrap();
        assert_eq!(fitting(&public, b"message", &signature), Ok(1));
        assert_eq!(fitting(&private, b"message", &signature), Ok(0));
        assert_eq!(fitting(&public, b"messages", &signature), Err(Flaw::Mismatch));
        assert_eq!(sign(&public, b"message"), None);
    }
}
