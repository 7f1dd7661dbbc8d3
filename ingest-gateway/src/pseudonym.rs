//! What a log calls a client, in the place of its address: the same client is called the same at every gateway, and nobody
//! can tell who it is without `dedup.hash_key`.
//!
//! What a reader would get wrong: whoever has the key can try all addresses of IPv4 in an hour. So it is a pseudonym, and
//! the key a secret; docs/configuration.md says how to make the pseudonym of an address by hand.

use std::fmt;
use std::net::IpAddr;

use crate::address::limited_as;

/// The domain: nothing that is made of the same secret for another purpose looks like this.
const CONTEXT: &str = "penstock client pseudonym v1";

/// Makes pseudonyms. Keyed by `dedup.hash_key`.
#[derive(Clone)]
pub struct Pseudonyms([u8; blake3::KEY_LEN]);

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(***)")
    }
}

impl Pseudonyms {
    /// From the configured secret.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }

    /// Of whoever is limited as one: an IPv4 address, or the first address of an IPv6 address's /64, as text. `p:` and 16
    /// hex digits.
    pub fn of(&self, address: IpAddr) -> String {
        let hash = blake3::keyed_hash(&self.0, limited_as(address).to_string().as_bytes());
        format!("p:{}", hash.to_hex().get(..16).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> String {
        Pseudonyms::derive(b"test-key").of(address.parse().unwrap())
    }

    #[test]
    fn a_pseudonym_is_keyed_and_never_changes_and_a_customer_has_one() {
        assert_eq!(of("192.0.2.1"), "p:4135e31816bf8c6d");
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::7"), of("2001:db8:1:2:3::4"));
        assert_ne!(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
        let other = Pseudonyms::derive(b"other");
        assert_ne!(other.of("192.0.2.1".parse().unwrap()), of("192.0.2.1"));
        assert!(!format!("{other:?}").contains("other"));
    }
}
