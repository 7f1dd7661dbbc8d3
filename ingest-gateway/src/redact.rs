//! Replaces credentials by a keyed fingerprint before anything is stored: two requests with the same credential can be
//! told to have had it, and a held one can be checked against today's secrets, and nobody can read it back.
//!
//! Signatures stay as they are: they are no secrets, and a held request is judged by them again. Where one is in a header
//! that usually holds a credential, its adapter says so, request by request.

use std::borrow::Cow;

use proto::header::Pair;

/// The domain: a fingerprint never equals a value made for another purpose from the same secret.
const CONTEXT: &str = "penstock credential fingerprint v1";
/// What every source's requests may carry a credential in.
const ALWAYS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Makes fingerprints. Keyed by `dedup.hash_key`, so every process of an installation makes the same.
#[derive(Clone)]
pub struct Fingerprints([u8; blake3::KEY_LEN]);

impl std::fmt::Debug for Fingerprints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprints(***)")
    }
}

impl Fingerprints {
    /// From the configured secret.
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }

    /// What stands for `value`: `fp:` and 16 hex digits.
    pub fn of(&self, value: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.0, value);
        format!("fp:{}", hash.to_hex().get(..16).unwrap_or_default())
    }

    /// Replaces the values of credential headers: `secret` and the well-known ones, but for those of the latter that are
    /// `signatures`. Names are compared without case.
    pub fn redact_headers(&self, headers: &mut [Pair], secret: &[String], signatures: &[&str]) {
        for (name, value) in headers {
            let named = |known: &str| name.eq_ignore_ascii_case(known);
            let well_known = ALWAYS.iter().any(|known| named(known)) && !signatures.iter().any(|known| named(known));
            if well_known || secret.iter().any(|known| named(known)) {
                *value = self.of(value).into_bytes();
            }
        }
    }

    /// The query with the values of `secret` parameters replaced; everything else verbatim.
    pub fn redact_query<'q>(&self, query: &'q str, secret: &[&str]) -> Cow<'q, str> {
        let names = |piece: &str| {
            form_urlencoded::parse(piece.as_bytes()).next().is_some_and(|(name, _)| secret.contains(&&*name))
        };
        if !query.split('&').any(names) {
            return Cow::Borrowed(query);
        }
        let pieces: Vec<Cow<'_, str>> = query
            .split('&')
            .map(|piece| match piece.split_once('=') {
                Some((name, value)) if names(piece) => format!("{name}={}", self.of(&decoded(value))).into(),
                _ => piece.into(),
            })
            .collect();
        pieces.join("&").into()
    }
}

/// The value itself, so that two ways to write it have one fingerprint.
fn decoded(value: &str) -> Vec<u8> {
    let padded = format!("v={value}");
    form_urlencoded::parse(padded.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned().into_bytes())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprints() -> Fingerprints {
        Fingerprints::derive(b"test-key")
    }

    #[test]
    fn a_fingerprint_is_keyed_and_never_changes() {
        assert_eq!(fingerprints().of(b"Bearer token"), "fp:894f08be19242967");
        assert_ne!(Fingerprints::derive(b"other").of(b"Bearer token"), fingerprints().of(b"Bearer token"));
        assert!(!format!("{:?}", fingerprints()).contains("test-key"));
    }

    #[test]
    fn credentials_are_replaced_and_the_rest_is_kept() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let mut headers = vec![
            pair("Authorization", "Bearer canary"),
            pair("cookie", "session=canary"),
            pair("Proxy-Authorization", "Basic canary"),
            pair("x-api-key", "canary"),
            pair("X-Hub-Signature-256", "sha256=abc"),
            pair("authorization", "Bearer canary again"),
        ];
        fingerprints().redact_headers(&mut headers, &["x-api-key".to_owned()], &[]);
        let text = format!("{:?}", headers.iter().map(|(_, value)| String::from_utf8_lossy(value)).collect::<Vec<_>>());
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("sha256=abc"));
        assert_eq!(headers.iter().filter(|(_, value)| value.starts_with(b"fp:")).count(), 5);
    }

    #[test]
    fn a_signature_is_kept_where_a_credential_usually_is_and_no_other_header_is() {
        let headers = ["Authorization", "Cookie", "x-api-key"].map(|name| (name.to_owned(), b"canary".to_vec()));
        let redact = |signatures: &[&str]| {
            let mut headers = headers.clone();
            fingerprints().redact_headers(&mut headers, &["x-api-key".to_owned()], signatures);
            headers.map(|(_, value)| value == b"canary")
        };
        assert_eq!(redact(&["authorization"]), [true, false, false]);
        // What is named a secret is none the less one.
        assert_eq!(redact(&["x-api-key"]), [false, false, false]);
    }

    #[test]
    fn a_secret_in_the_url_is_replaced_and_the_rest_is_verbatim() {
        let redact = |query| fingerprints().redact_query(query, &["key"]).into_owned();
        let print = fingerprints().of(b"s ecret");
        for (query, expected) in [
            ("", String::new()),
            ("a=%2B&b", "a=%2B&b".to_owned()),
            ("key=s%20ecret", format!("key={print}")),
            ("a=1&key=s+ecret&b=2", format!("a=1&key={print}&b=2")),
            // However the name is written, and as often as it is there.
            ("%6bey=s%20ecret&key=s+ecret", format!("%6bey={print}&key={print}")),
            ("monkey=1&keys=2&key", "monkey=1&keys=2&key".to_owned()),
        ] {
            assert_eq!(redact(query), expected, "{query:?}");
        }
    }
}
