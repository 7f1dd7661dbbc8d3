//! Settings of the scheme with which a signature holds, in words.

use providers::{Algorithm, Encoding, Scheme};

use super::{Context, Finding};
use crate::commands::out;

/// The finding.
pub(super) fn finding(scheme: &Scheme, context: &Context<'_>) -> Finding {
    let configured = &context.case.scheme;
    let algorithm = scheme.algorithm.map(|algorithm| match algorithm {
        Algorithm::Md5Hash => "md5hash",
        Algorithm::Md5 => "md5",
        Algorithm::Sha1 => "sha1",
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha512 => "sha512",
    });
    let encoding = scheme.encoding.map(|encoding| match encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
    });
    let settings = [
        ("header", scheme.header != configured.header, scheme.header.as_deref()),
        (
            "prefix",
            scheme.prefix != configured.prefix,
            Some(scheme.prefix.as_str()).filter(|prefix| !prefix.is_empty()),
        ),
        ("algorithm", scheme.algorithm != configured.algorithm, algorithm),
        ("encoding", scheme.encoding != configured.encoding, encoding),
        (
            "timestamp_header",
            scheme.timestamp_header != configured.timestamp_header,
            scheme.timestamp_header.as_deref(),
        ),
    ];
    let changed: Vec<String> = settings
        .into_iter()
        .filter(|(_, changed, _)| *changed)
        .map(|(name, _, value)| match value {
            Some(value) => format!("{name} = {:?}", out::shown(value)),
            None => format!("no {name}"),
        })
        .collect();
    let says = format!("It holds with other settings: {}.", changed.join(", "));
    let takes_md5 = !matches!(scheme.algorithm, Some(Algorithm::Md5 | Algorithm::Md5Hash))
        || configured.algorithm.is_some_and(|known| matches!(known, Algorithm::Md5 | Algorithm::Md5Hash));
    let next = if takes_md5 {
        format!(
            "give {} these settings, if its provider documents them; `penstock check` says which it takes",
            context.source
        )
    } else {
        "have the sender sign with SHA-256: MD5 is for providers that have nothing else".to_owned()
    };
    Finding::new("settings", says, next)
}
