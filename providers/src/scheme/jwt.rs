//! JSON Web Tokens (RFC 7519) under an HMAC, as providers use them to sign a request: the token itself is signed, and its
//! claims hold hashes of what it stands for.
//!
//! The token's header names the algorithm, and only those that the provider documents are taken: never `none`, never one
//! that would use a public key as a secret. Claims are looked at after the signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Hmac;
use proto::Millis;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384};

use super::mac;
use crate::keyring::Keyring;
use crate::settings::Algorithm;
use crate::verdict::Flaw;

/// An algorithm of RFC 7518 that a provider signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alg {
    /// HMAC-SHA256.
    Hs256,
    /// HMAC-SHA384.
    Hs384,
    /// HMAC-SHA512.
    Hs512,
}

impl Alg {
    fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    fn mac(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        match self {
            Self::Hs256 => mac::compute(Algorithm::Sha256, key, &[text]),
            Self::Hs384 => mac::run::<Hmac<Sha384>>(key, &[text]),
            Self::Hs512 => mac::compute(Algorithm::Sha512, key, &[text]),
        }
    }
}

/// The claims of a token whose signature fits.
#[derive(Debug)]
pub(crate) struct Claims {
    map: Map<String, Value>,
    /// The place of the secret that made it.
    pub(crate) secret: usize,
}

/// Reads a token, if one of the secrets made it with one of these algorithms.
pub(crate) fn read(token: &str, keyring: &Keyring, allowed: &[Alg]) -> Result<Claims, Flaw> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Flaw::Malformed)?;
    let header = object(header)?;
    // Extensions that must be understood (RFC 7515, section 4.1.11); none are.
    if header.contains_key("crit") {
        return Err(Flaw::Malformed);
    }
    let named = header.get("alg").and_then(Value::as_str).ok_or(Flaw::Malformed)?;
    let alg = allowed.iter().find(|alg| alg.name() == named).ok_or(Flaw::Algorithm)?;
    let given = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Flaw::Malformed)?;
    let fits = |key: &[u8]| mac::equal(&alg.mac(key, signed.as_bytes()), &given);
    let (secret, _) = keyring.shared().find(|(_, key)| fits(key)).ok_or(Flaw::Mismatch)?;
    Ok(Claims { map: object(claims)?, secret })
}

/// A token with these claims under the first secret, HMAC-SHA256.
pub(crate) fn sign(claims: &Value, keyring: &Keyring) -> Option<String> {
    let (_, key) = keyring.shared().next()?;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(Alg::Hs256.mac(key, signed.as_bytes()));
    Some(format!("{signed}.{signature}"))
}

/// SHA-256 as claims have it.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// An id for a token of this moment: nothing here is random.
pub(crate) fn id(bytes: &[u8], now: Millis) -> String {
    let hash = blake3::Hasher::new().update(&now.as_unix().to_le_bytes()).update(bytes).finalize().to_hex();
    hash.chars().take(32).collect()
}

/// Whether this is a token with a claim that is the hash of these bytes, whoever made it.
pub(crate) fn states_hash(token: &str, claim: &str, bytes: &[u8]) -> bool {
    let [_, claims, _] = *token.splitn(4, '.').collect::<Vec<_>>() else { return false };
    object(claims).is_ok_and(|claims| claims.get(claim).and_then(Value::as_str) == Some(&hash(bytes)))
}

fn object(text: &str) -> Result<Map<String, Value>, Flaw> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Flaw::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Flaw::Malformed)
}

impl Claims {
    /// A claim that must be this text.
    pub(crate) fn must_be(&self, name: &str, expected: &str) -> Result<(), Flaw> {
        if self.text(name)? == Some(expected) { Ok(()) } else { Err(Flaw::Mismatch) }
    }

    /// A claim that must be the hash of these bytes. Without it the token stands for any.
    pub(crate) fn must_hash(&self, name: &str, bytes: &[u8]) -> Result<(), Flaw> {
        let stated = self.text(name)?.ok_or(Flaw::Unbound)?;
        if mac::equal(hash(bytes).as_bytes(), stated.as_bytes()) { Ok(()) } else { Err(Flaw::Mismatch) }
    }

    /// A claim that must not be there.
    pub(crate) fn must_lack(&self, name: &str) -> Result<(), Flaw> {
        if self.map.contains_key(name) { Err(Flaw::Mismatch) } else { Ok(()) }
    }

    /// `nbf` and `exp`, where they are there, with this much leeway in seconds. At `exp` itself a token has expired.
    pub(crate) fn in_force(&self, now: Millis, leeway: i64) -> Result<(), Flaw> {
        let now = now.as_unix().div_euclid(1000);
        if self.seconds("exp")?.is_some_and(|end| end <= now.saturating_sub(leeway)) {
            return Err(Flaw::Stale);
        }
        if self.seconds("nbf")?.is_some_and(|start| start > now.saturating_add(leeway)) {
            return Err(Flaw::Early);
        }
        Ok(())
    }

    /// A time (`NumericDate`), in whole seconds.
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<i64>, Flaw> {
        let Some(value) = self.map.get(name) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "a fraction is cut, and `as` keeps within the type")]
        let whole = |number: f64| number.floor() as i64;
        let seconds = value.as_i64().or_else(|| value.as_f64().map(whole));
        seconds.map(Some).ok_or(Flaw::Malformed)
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Flaw> {
        let Some(value) = self.map.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or(Flaw::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keyring::Key;

    fn keyring() -> Keyring {
        Keyring::parse(&["test-secret"], "", Key::text).unwrap()
    }

    /// A token with this header, rightly signed whatever it says.
    fn token(header: &str, claims: &str, alg: Alg) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = alg.mac(b"test-secret", signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn flaw(token: &str) -> Option<Flaw> {
        read(token, &keyring(), &[Alg::Hs256]).err()
    }

    #[test]
    fn only_the_named_algorithms_are_taken() {
        for alg in [Alg::Hs256, Alg::Hs384, Alg::Hs512] {
            let token = token(&format!(r#"{{"alg":"{}"}}"#, alg.name()), "{}", alg);
            assert_eq!(read(&token, &keyring(), &[Alg::Hs256, Alg::Hs384, Alg::Hs512]).unwrap().secret, 0);
            assert_eq!(flaw(&token), (alg != Alg::Hs256).then_some(Flaw::Algorithm));
        }
        for name in ["none", "None", "hs256", "RS256", "HS1", ""] {
            let token = token(&format!(r#"{{"alg":"{name}"}}"#), "{}", Alg::Hs256);
            assert_eq!(flaw(&token), Some(Flaw::Algorithm), "{name}");
        }
        assert_eq!(flaw(&token(r#"{"alg":"HS256"}"#, "{}", Alg::Hs512)), Some(Flaw::Mismatch));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = token(r#"{"alg":"HS256"}"#, "{}", Alg::Hs256);
        assert_eq!(flaw(&good), None);
        let none = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode("{}"));
        assert_eq!(flaw(&none), Some(Flaw::Algorithm));
        for text in ["", ".", "..", "a.b", "a.b.c", &format!("{good}="), &format!("{good}.x"), &format!(" {good}")] {
            assert_eq!(flaw(text), Some(Flaw::Malformed), "{text}");
        }
        for (header, claims) in [("{}", "{}"), (r#"{"alg":1}"#, "{}"), ("[]", "{}"), (r#"{"alg":"HS256"}"#, "[]")] {
            assert_eq!(flaw(&token(header, claims, Alg::Hs256)), Some(Flaw::Malformed), "{header} {claims}");
        }
        let critical = token(r#"{"alg":"HS256","crit":["exp"]}"#, "{}", Alg::Hs256);
        assert_eq!(flaw(&critical), Some(Flaw::Malformed));
        let (head, tail) = good.rsplit_once('.').unwrap();
        assert_eq!(flaw(&format!("{head}.{}", tail.get(2..).unwrap_or_default())), Some(Flaw::Malformed));
        assert_eq!(flaw(&format!("{head}.{}", URL_SAFE_NO_PAD.encode([0; 32]))), Some(Flaw::Mismatch));
        assert_eq!(flaw(&format!("{head}.")), Some(Flaw::Mismatch));
    }

    #[test]
    fn a_token_that_says_nothing_of_these_bytes_is_no_signature_of_them() {
        let stating = |claims: Value| sign(&claims, &keyring()).unwrap();
        let states = |token: &str| states_hash(token, "h", b"body");
        assert!(states(&stating(json!({ "h": hash(b"body") }))));
        for claims in
            [json!({}), json!({ "h": hash(b"other") }), json!({ "h": 1 }), json!([]), json!({ "i": hash(b"body") })]
        {
            assert!(!states(&stating(claims.clone())), "{claims}");
        }
        let good = stating(json!({ "h": hash(b"body") }));
        for text in ["", "a.b.c", "secret", &format!("{good}.x"), &good.replace('.', ":")] {
            assert!(!states(text), "{text}");
        }
    }

    #[test]
    fn claims_are_what_they_must_be() {
        let claims = |value: Value| {
            let token = sign(&value, &keyring()).unwrap();
            read(&token, &keyring(), &[Alg::Hs256]).unwrap()
        };
        let body_hash = "fd621823002706e24604cb868a9f4f8850d6f01fb5040d49ba050482e1472437";
        let read = claims(json!({ "iss": "a", "h": body_hash, "n": 1, "exp": 100.9, "nbf": 90 }));
        let body = "{\"a\":\"ü\"}".as_bytes();
        assert_eq!((read.must_be("iss", "a"), read.must_be("iss", "b")), (Ok(()), Err(Flaw::Mismatch)));
        assert_eq!((read.must_hash("h", body), read.must_hash("h", b"")), (Ok(()), Err(Flaw::Mismatch)));
        assert_eq!(read.must_hash("none", b""), Err(Flaw::Unbound));
        assert_eq!(read.must_be("n", "1"), Err(Flaw::Malformed));
        assert_eq!((read.must_lack("x"), read.must_lack("n")), (Ok(()), Err(Flaw::Mismatch)));
        let at = |seconds: i64, leeway| read.in_force(Millis::from_unix(seconds * 1000).unwrap(), leeway);
        assert_eq!(
            (at(99, 0), at(100, 0), at(100, 1), at(101, 1)),
            (Ok(()), Err(Flaw::Stale), Ok(()), Err(Flaw::Stale))
        );
        assert_eq!((at(90, 0), at(89, 0), at(89, 1)), (Ok(()), Err(Flaw::Early), Ok(())));
        let odd = claims(json!({ "exp": "100" })).in_force(Millis::EPOCH, 0);
        assert_eq!(odd, Err(Flaw::Malformed));
    }
}
