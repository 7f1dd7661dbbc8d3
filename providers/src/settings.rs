//! The part of a source's configuration that adapters look at. Times and limits belong to the stages.

use serde::Deserialize;

/// How to verify, where the provider leaves it open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheme {
    /// The header with the signature or key.
    pub header: Option<String>,
    /// The hash of an HMAC; SHA-256 where it is not said.
    pub algorithm: Option<Algorithm>,
    /// How the MAC is written; hex where it is not said.
    pub encoding: Option<Encoding>,
    /// What stands before the MAC in the header: `sha256=`.
    pub prefix: String,
    /// The header with Unix seconds. Where it is set, the signed bytes are `{timestamp}.{body}`.
    pub timestamp_header: Option<String>,
    /// How far the timestamp may be from the arrival, in seconds, either way, this far included; 300 where it is not
    /// said.
    pub tolerance_s: Option<u64>,
    /// The topics that may deliver, where a provider's signature does not say whose it is.
    pub topics: Vec<String>,
}

impl Scheme {
    /// The tolerance, in milliseconds.
    pub fn tolerance_ms(&self) -> u64 {
        self.tolerance_s.unwrap_or(300).saturating_mul(1000)
    }
}

/// The hash of an HMAC, or for the oldest schemes of something like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// MD5 over the text and then the secret: what Vonage calls `md5hash`, and nobody else uses.
    Md5Hash,
    /// HMAC-MD5: only where a provider has nothing better.
    Md5,
    /// HMAC-SHA1: still sound as a MAC.
    Sha1,
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

/// How bytes are written in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Lower-case hex.
    Hex,
    /// The standard alphabet, padded.
    #[serde(alias = "b64")]
    Base64,
}

/// How to read a payload whose fields the operator knows and we do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceSettings {
    /// The fields that may hold the text, the first that is there and not empty wins; empty: `message`, `text`, `body`,
    /// `comment`. `a.b` reaches into objects.
    pub text_fields: Vec<String>,
    /// The field with the sender's own id of the message, which then is its identity. `a.b` reaches into objects.
    pub id_field: Option<String>,
    /// The header with the sender's own id, likewise. It goes before `id_field`.
    pub id_header: Option<String>,
    /// Bytes of a body, as it came and unpacked, that the source takes now. What the gateway has taken is read even where
    /// this was lowered since, as long as it unpacks to no more than 16 MiB.
    pub max_body: u64,
}
