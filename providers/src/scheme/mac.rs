//! HMAC over pieces, its spelling in a header, and timestamps.
//!
//! The computed MAC is compared as bytes, in constant time; only the lengths may be told from the time it takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use md5::{Digest as _, Md5};
use proto::Millis;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use crate::keyring::{Keyring, KeyringError};
use crate::settings::{Algorithm, Encoding, Scheme};
use crate::verdict::Flaw;

/// The MAC of the pieces, one after the other.
pub(crate) fn compute(algorithm: Algorithm, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        Algorithm::Md5Hash => {
            let hash = pieces.iter().fold(Md5::new(), Md5::chain_update);
            hash.chain_update(key).finalize().to_vec()
        }
        Algorithm::Md5 => run::<Hmac<Md5>>(key, pieces),
        Algorithm::Sha1 => run::<Hmac<Sha1>>(key, pieces),
        Algorithm::Sha256 => run::<Hmac<Sha256>>(key, pieces),
        Algorithm::Sha512 => run::<Hmac<Sha512>>(key, pieces),
    }
}

/// The same for any HMAC.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
pub(crate) fn run<M: Mac + KeyInit>(key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key of any length");
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Refuses the algorithms that only the oldest schemes have: nobody should choose them.
pub(crate) fn no_md5(scheme: &Scheme) -> Result<(), KeyringError> {
    match scheme.algorithm {
        Some(Algorithm::Md5Hash | Algorithm::Md5) => {
            Err(KeyringError::UnfitSetting { setting: "algorithm", expected: "`sha1`, `sha256` or `sha512`" })
        }
        _ => Ok(()),
    }
}

/// Which of the shared secrets makes this MAC of the pieces.
pub(crate) fn fitting(keyring: &Keyring, algorithm: Algorithm, pieces: &[&[u8]], given: &[u8]) -> Result<usize, Flaw> {
    let fits = |key: &[u8]| equal(&compute(algorithm, key, pieces), given);
    keyring.shared().find(|(_, key)| fits(key)).map(|(index, _)| index).ok_or(Flaw::Mismatch)
}

/// Whether two byte strings are equal, without telling by time where they differ.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// Reads bytes from a header: lower-case hex, or base64 with padding, and nothing looser.
pub(crate) fn decode(encoding: Encoding, text: &str) -> Result<Vec<u8>, Flaw> {
    match encoding {
        Encoding::Hex if text.bytes().any(|byte| byte.is_ascii_uppercase()) => Err(Flaw::Malformed),
        Encoding::Hex => hex::decode(text).map_err(|_| Flaw::Malformed),
        Encoding::Base64 => STANDARD.decode(text).map_err(|_| Flaw::Malformed),
    }
}

/// Writes bytes for a header.
pub(crate) fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
    }
}

/// Reads Unix seconds: digits and nothing else. A sign, a space or a letter is somebody probing a laxer reader.
pub(crate) fn seconds(text: &str) -> Result<i64, Flaw> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Flaw::Malformed);
    }
    text.parse().map_err(|_| Flaw::Malformed)
}

/// Whether a signature's time is near enough to `now`, in whole seconds; the tolerance itself is.
pub(crate) fn in_time(signed_at: i64, now: Millis, tolerance_ms: u64) -> Result<(), Flaw> {
    let now = now.as_unix().div_euclid(1000);
    if now.abs_diff(signed_at) <= tolerance_ms / 1000 {
        Ok(())
    } else if signed_at < now {
        Err(Flaw::Stale)
    } else {
        Err(Flaw::Early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_that_of_the_joined_pieces() {
        let joined = compute(Algorithm::Sha256, b"test-secret", &[b"ab", b"", b"c"]);
        assert_eq!(joined, compute(Algorithm::Sha256, b"test-secret", &[b"abc"]));
        let example = compute(Algorithm::Sha256, b"test-secret", &[br#"{"text":"caf\u00e9 \ud83d\ude00 1\/2"}"#]);
        assert_eq!(hex::encode(example), "5b22e047587be8432dcae01b79c751ddc21f22b2a5011648d89bfc6e2db2571c");
    }

    #[test]
    fn the_tolerance_itself_is_in_time() {
        let now = Millis::from_unix(1_000_999).unwrap();
        assert_eq!(in_time(700, now, 300_000), Ok(()));
        assert_eq!(in_time(1300, now, 300_000), Ok(()));
        assert_eq!(in_time(699, now, 300_000), Err(Flaw::Stale));
        assert_eq!(in_time(1301, now, 300_000), Err(Flaw::Early));
    }

    #[test]
    fn only_digits_are_seconds() {
        assert_eq!(seconds("0123"), Ok(123));
        for text in ["", "+1", "-1", " 1", "1.0", "1e3", "1785516810abc", "99999999999999999999"] {
            assert_eq!(seconds(text), Err(Flaw::Malformed), "{text:?}");
        }
    }
}
