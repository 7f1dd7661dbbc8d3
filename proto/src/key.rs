//! The deduplication key: the first 16 bytes of a keyed BLAKE3 over parts, each with its length before it.
//!
//! Keyed, so that a key cannot be guessed back to a phone number; with lengths, so that `("ab", "c")` and
//! `("a", "bc")` differ. What goes in is stated by each provider's adapter; changing the bytes here makes every
//! message of the last window a new one, which the golden vectors are there to prevent.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The domain: a key made for another purpose from the same secret never equals one of these.
const CONTEXT: &str = "penstock key v1";

/// The secret `dedup.hash_key`, stretched for this one use. Every process of an installation must have the same.
#[derive(Clone)]
pub struct HashKey([u8; blake3::KEY_LEN]);

impl HashKey {
    /// Derives the key from the configured secret, of any length.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(***)")
    }
}

/// Says whether two records are the same message. Written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DedupKey([u8; 16]);

/// A text that is not 32 lower-case hex digits.
#[derive(Debug, thiserror::Error)]
#[error("a key is 32 lower-case hex digits, not {0:?}")]
pub struct NotAKey(String);

impl DedupKey {
    /// The key whose bytes these are.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the column `dedup_key` holds them.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Which of `shards` (at least 1) the key belongs to: its first 4 bytes, big-endian, modulo the count.
    pub fn shard(&self, shards: u32) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d]) % shards.max(1)
    }

    /// Reads 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let mut bytes = [0; 16];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(NotAKey(text.to_owned()));
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAKey(text.to_owned()))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupKey({self})")
    }
}

impl Serialize for DedupKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DedupKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Takes the parts of a key, one after the other.
#[derive(Clone, Debug)]
pub struct KeyHasher(blake3::Hasher);

impl KeyHasher {
    /// Starts a key under the installation's secret.
    pub fn new(key: &HashKey) -> Self {
        Self(blake3::Hasher::new_keyed(&key.0))
    }

    /// Adds a part; its length goes in before it.
    #[must_use]
    pub fn part(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a part that may be missing; missing differs from empty.
    #[must_use]
    pub fn optional(self, bytes: Option<impl AsRef<[u8]>>) -> Self {
        match bytes {
            Some(bytes) => self.part([1]).part(bytes),
            None => self.part([0]),
        }
    }

    /// The key.
    pub fn finish(self) -> DedupKey {
        let mut bytes = [0; 16];
        self.0.finalize_xof().fill(&mut bytes);
        DedupKey(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str, parts: &[&str]) -> DedupKey {
        let hasher = KeyHasher::new(&HashKey::derive(secret.as_bytes()));
        parts.iter().fold(hasher, KeyHasher::part).finish()
    }

    /// Ten vectors: a change in any of them means that repeats across an upgrade become rows.
    #[test]
    fn keys_never_change() {
        let golden: [(&str, &[&str], &str); 10] = [
            ("", &[], "dc2b9b76bf2d9f50f83c7c523212fa80"),
            ("secret", &[], "0632e9d74a276a71f64da10ce7a65abf"),
            ("secret", &[""], "d7df3681891b0f0b4aed5cbf1f3f322f"),
            ("secret", &["", ""], "c83a5bcc87181ec9058fde7f9819b48f"),
            ("secret", &["ab", "c"], "9ec707c9c786d3c16be15b9602f62889"),
            ("secret", &["a", "bc"], "990623be59022b17329cfc91c1c3a47f"),
            (
                "secret",
                &["auto", "sms", "support", "twilio", "yes", "message", "message", "SM1"],
                "fef42ca790c25f09156e48cb7e8da032",
            ),
            (
                "secret",
                &["auto", "sms", "support", "twilio", "no", "message", "message", "SM1"],
                "e0c42c6a0fea404587c14a94709262ef",
            ),
            (
                "other",
                &["auto", "sms", "support", "twilio", "yes", "message", "message", "SM1"],
                "ea709123fe457c8cadf55a3a7a66c2d4",
            ),
            ("secret", &["content", "contact", "none", "message", "привет 👋"], "dec9f5d3d1a933cbca69cbcb362f93b1"),
        ];
        for (secret, parts, expected) in golden {
            assert_eq!(key(secret, parts).to_string(), expected, "{secret:?} {parts:?}");
        }
    }

    #[test]
    fn where_one_part_ends_matters() {
        assert_ne!(key("s", &["ab", "c"]), key("s", &["a", "bc"]));
        assert_ne!(key("s", &["abc"]), key("s", &["abc", ""]));
    }

    #[test]
    fn missing_is_not_empty() {
        let hasher = || KeyHasher::new(&HashKey::derive(b"s"));
        assert_ne!(hasher().optional(None::<&str>).finish(), hasher().optional(Some("")).finish());
    }

    #[test]
    fn a_key_reads_back_as_it_is_written() {
        let key = key("s", &["x"]);
        assert_eq!(DedupKey::parse(&key.to_string()).unwrap(), key);
        assert!(DedupKey::parse(&key.to_string().to_uppercase()).is_err());
        assert!(DedupKey::parse("00").is_err());
    }

    #[test]
    fn the_secret_does_not_print() {
        assert_eq!(format!("{:?}", HashKey::derive(b"hush")), "HashKey(***)");
    }
}
