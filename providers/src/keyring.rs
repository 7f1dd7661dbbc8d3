//! A source's secrets, parsed once, and the complaints about those that do not parse. Neither ever prints a secret.

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{SigningKey, VerifyingKey};
use ring::rsa;
use ring::signature::EcdsaKeyPair;

use crate::certificate::Certificate;

/// The parsed secrets of one source, in the order of its `secrets`.
#[derive(Clone, Default)]
pub struct Keyring(Vec<Key>);

/// One secret.
#[derive(Clone)]
pub(crate) enum Key {
    /// Bytes that both sides know: an HMAC key, a token, `user:password`.
    Shared(Vec<u8>),
    /// What can only verify.
    Ed25519Public(VerifyingKey),
    /// What can also sign.
    Ed25519Private(Box<SigningKey>),
    /// What can only verify: a point of P-256, uncompressed.
    P256Public([u8; 65]),
    /// What can also sign.
    P256Private(Arc<EcdsaKeyPair>),
    /// What can only verify, and has a time.
    Certificate(Certificate),
    /// What can only verify: an `RSAPublicKey` (PKCS#1).
    RsaPublic(Vec<u8>),
    /// What can also sign.
    RsaPrivate(Arc<rsa::KeyPair>),
}

/// A source whose secrets or settings do not fit its provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The provider's requests cannot be verified without one.
    #[error("`secrets` is empty; expected {expected}")]
    Missing {
        /// What a secret is here.
        expected: &'static str,
    },
    /// One of them is not what the provider gives out.
    #[error("secret {} of `secrets` does not fit; expected {expected}", .index + 1)]
    Unfit {
        /// Its place, from 0.
        index: usize,
        /// What a secret is here.
        expected: &'static str,
    },
    /// The provider needs a setting that is missing.
    #[error("`{setting}` is missing; expected {expected}")]
    Setting {
        /// The key in the source's table.
        setting: &'static str,
        /// What it is.
        expected: &'static str,
    },
    /// A setting has a value that the provider does not know.
    #[error("`{setting}` does not fit; expected {expected}")]
    UnfitSetting {
        /// The key in the source's table.
        setting: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring({} secrets)", self.0.len())
    }
}

impl Keyring {
    /// Parses each secret; there must be one at least.
    pub(crate) fn parse(
        secrets: &[&str],
        expected: &'static str,
        parse: impl Fn(&str) -> Option<Key>,
    ) -> Result<Self, KeyringError> {
        if secrets.is_empty() {
            return Err(KeyringError::Missing { expected });
        }
        Self::parse_any(secrets, expected, parse)
    }

    /// Parses each secret; there may be none.
    pub(crate) fn parse_any(
        secrets: &[&str],
        expected: &'static str,
        parse: impl Fn(&str) -> Option<Key>,
    ) -> Result<Self, KeyringError> {
        let keys = secrets.iter().enumerate().map(|(index, secret)| {
            // An empty secret is an unset variable, and would verify what anybody signs.
            let secret = Some(*secret).filter(|secret| !secret.is_empty());
            secret.and_then(&parse).ok_or(KeyringError::Unfit { index, expected })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The keys that are bytes, each with its place.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.0.iter().enumerate().filter_map(|(index, key)| match key {
            Key::Shared(bytes) => Some((index, bytes.as_slice())),
            _ => None,
        })
    }

    /// These keys and, after them, the one that was fetched for a request.
    #[must_use]
    pub fn with(&self, certificate: &Certificate) -> Self {
        let mut keys = self.0.clone();
        keys.push(Key::Certificate(certificate.clone()));
        Self(keys)
    }

    /// One secret of these very bytes, whatever a provider's secrets look like: to try what a text may have been meant
    /// as. No source is verified with it.
    pub fn of_bytes(secret: &[u8]) -> Self {
        Self(vec![Key::Shared(secret.to_vec())])
    }

    /// Whether there is nothing to verify with.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Key {
    /// The text's own bytes.
    #[expect(clippy::unnecessary_wraps, reason = "a parser of secrets, and this one takes any text")]
    pub(crate) fn text(secret: &str) -> Option<Self> {
        Some(Self::Shared(secret.as_bytes().to_vec()))
    }
}
