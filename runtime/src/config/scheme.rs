//! Keys of a source that only some schemes of signing need.
//!
//! Which scheme needs which is known to the adapters, not here.

use std::time::Duration;

use super::format::{duration, header_name, one_of, text};
use super::reader::Reader;
use super::requirements::Need;
use super::secret::Secret;

/// How a provider's signature is made, as far as it can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheme {
    /// The header that holds the signature or key, in lower case. Default the provider's.
    pub header: Option<String>,
    /// The hash under the HMAC. Default the provider's.
    pub algorithm: Option<Algorithm>,
    /// How the signature is written. Default the provider's.
    pub encoding: Option<Encoding>,
    /// What stands before the signature, such as `sha256=`. Default the provider's.
    pub prefix: Option<String>,
    /// The header that holds the signed time in Unix seconds, in lower case. Default the provider's.
    pub timestamp_header: Option<String>,
    /// How old or new a signed time may be. 1 s to 7 d, default the provider's.
    pub tolerance: Option<Duration>,
    /// What the provider's handshake has to show. Default none.
    pub verify_token: Option<Secret>,
    /// The topics that may deliver here. Default none.
    pub topics: Vec<String>,
}

/// The hash under an HMAC; `md5hash` and `md5` are for providers that have nothing better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the hashes")]
pub enum Algorithm {
    Md5Hash,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two hexadecimal digits a byte.
    Hex,
    /// The standard alphabet, with padding.
    Base64,
}

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("md5hash", Algorithm::Md5Hash),
    ("md5", Algorithm::Md5),
    ("sha1", Algorithm::Sha1),
    ("sha256", Algorithm::Sha256),
    ("sha512", Algorithm::Sha512),
];

const ENCODINGS: &[(&str, Encoding)] = &[("hex", Encoding::Hex), ("base64", Encoding::Base64)];

impl Scheme {
    pub(super) fn read(reader: &mut Reader<'_, '_>, secrets: Need) -> Self {
        // A token may be absent: whether it is needed is known where the provider is.
        let optional = if secrets == Need::Unused { Need::Unused } else { Need::Optional };
        Self {
            header: reader.optional("header", &header_name()),
            algorithm: reader.optional("algorithm", &one_of(ALGORITHMS)),
            encoding: reader.optional("encoding", &one_of(ENCODINGS)),
            prefix: reader.optional("prefix", &text()),
            timestamp_header: reader.optional("timestamp_header", &header_name()),
            tolerance: reader.optional("tolerance", &duration("1s", "7d")),
            verify_token: reader.secret("verify_token", optional),
            topics: reader.list("topics", &text()),
        }
    }
}
