//! RSA signatures, PKCS#1 v1.5 (RFC 8017), with keys from 2048 to 8192 bits: what a secret may be, verifying, signing.

use std::sync::Arc;

use proto::Millis;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::certificate::{Certificate, rsa_key};
use crate::keyring::{Key, Keyring};

/// What a PEM block begins with.
pub(crate) const PEM: &str = "-----BEGIN ";

/// The hash under a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    /// Only where a provider has nothing better: making two texts with one SHA-1 is in reach, finding one for a text that
    /// the provider wrote is not.
    Sha1,
    Sha256,
}

/// A certificate, a public key, or a private key that can also sign, from its PEM.
pub(crate) fn from_pem(pem: &str) -> Option<Key> {
    let pem = pem.as_bytes();
    if let Some(certificate) = Certificate::from_pem(pem) {
        return Some(Key::Certificate(certificate));
    }
    if let Ok(info) = SubjectPublicKeyInfoDer::from_pem_slice(pem) {
        return rsa_key(&SubjectPublicKeyInfoOwned::from_der(&info).ok()?).map(Key::RsaPublic);
    }
    let pair = match PrivateKeyDer::from_pem_slice(pem).ok()? {
        PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
        _ => return None,
    };
    pair.ok().map(|pair| Key::RsaPrivate(Arc::new(pair)))
}

/// Which of the keys that are in force at `now` made the signature; `None` where none did. The error is that there is no
/// key to ask.
pub(crate) fn fitting(
    keyring: &Keyring,
    hash: Hash,
    text: &[u8],
    signature: &[u8],
    now: Millis,
) -> Result<Option<usize>, NoKey> {
    let algorithm = match hash {
        Hash::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    let keys: Vec<(usize, &[u8])> = keyring
        .keys()
        .iter()
        .enumerate()
        .filter_map(|(index, key)| match key {
            Key::Certificate(certificate) => certificate.in_force(now).then(|| (index, certificate.key())),
            Key::RsaPublic(key) => Some((index, key.as_slice())),
            Key::RsaPrivate(pair) => Some((index, pair.public_key().as_ref())),
            _ => None,
        })
        .collect();
    if keys.is_empty() {
        return Err(NoKey);
    }
    let fits = |key: &[u8]| UnparsedPublicKey::new(algorithm, key).verify(text, signature).is_ok();
    Ok(keys.into_iter().find(|(_, key)| fits(key)).map(|(index, _)| index))
}

/// There is no RSA key, or none that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoKey;

/// The SHA-256 signature of the first private key.
pub(crate) fn sign(keyring: &Keyring, text: &[u8]) -> Option<Vec<u8>> {
    let pair = keyring.keys().iter().find_map(|key| match key {
        Key::RsaPrivate(pair) => Some(pair),
        _ => None,
    })?;
    let mut signature = vec![0; pair.public().modulus_len()];
    // PKCS#1 v1.5 draws nothing: the random numbers only blind the computation.
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
    Some(signature)
}
