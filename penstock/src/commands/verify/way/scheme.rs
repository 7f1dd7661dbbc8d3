//! The settings of a scheme that fit what is in the request: which header holds the signature, what stands before it, its
//! hash and encoding, and whether a time is signed. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::header::Pair;
use providers::{Algorithm, Encoding, Scheme};

use crate::commands::verify::case::Case;
use crate::commands::verify::expected::prefix;

/// Headers looked at, and schemes tried, at most.
const HEADERS: usize = 100;
const MOST: usize = 400;

const ALGORITHMS: [Option<Algorithm>; 6] = [
    None,
    Some(Algorithm::Sha1),
    Some(Algorithm::Sha256),
    Some(Algorithm::Sha512),
    Some(Algorithm::Md5),
    Some(Algorithm::Md5Hash),
];

/// Every scheme to try: those with another hash alone, then those that the headers suggest.
pub(crate) fn candidates(case: &Case) -> Vec<Scheme> {
    let configured = &case.scheme;
    let hashes = ALGORITHMS.map(|algorithm| Scheme { algorithm, ..configured.clone() });
    let timeless = Scheme { timestamp_header: None, ..configured.clone() };
    let headers = || case.headers.iter().take(HEADERS);
    let times: Vec<Option<&String>> = [configured.timestamp_header.as_ref(), None]
        .into_iter()
        .chain(headers().filter(|pair| is_time(pair)).map(|(name, _)| Some(name)))
        .collect();
    let written = headers().flat_map(|(name, value)| {
        let value = std::str::from_utf8(value).map(str::trim_ascii).unwrap_or_default();
        written(value).into_iter().map(move |(word, algorithm, encoding)| (name, word, algorithm, encoding))
    });
    let suggested = written.flat_map(|(name, word, algorithm, encoding)| {
        times.iter().map(move |time| Scheme {
            header: Some(name.clone()),
            prefix: word.to_owned(),
            algorithm: Some(algorithm),
            encoding: Some(encoding),
            timestamp_header: time.cloned(),
            ..configured.clone()
        })
    });
    let mut schemes: Vec<Scheme> = Vec::new();
    for scheme in hashes.into_iter().chain([timeless]).chain(suggested) {
        if schemes.len() < MOST && scheme != *configured && !schemes.contains(&scheme) {
            schemes.push(scheme);
        }
    }
    schemes
}

/// Seconds or milliseconds of this century.
fn is_time((_, value): &Pair) -> bool {
    matches!(value.len(), 10 | 13) && value.iter().all(u8::is_ascii_digit)
}

/// What a value could be the MAC of: the word before it, the hash by its length, and how it is written.
fn written(value: &str) -> Vec<(&str, Algorithm, Encoding)> {
    let Some((word, mac)) = value.split_at_checked(prefix(value).len()) else { return Vec::new() };
    let hex = hex::decode(mac).ok().map(|bytes| (bytes.len(), Encoding::Hex));
    let base64 = STANDARD.decode(mac).ok().map(|bytes| (bytes.len(), Encoding::Base64));
    let read = hex.into_iter().chain(base64);
    let fits = |(length, encoding)| hashes(length).iter().map(move |algorithm| (word, *algorithm, encoding));
    read.flat_map(fits).collect()
}

fn hashes(length: usize) -> &'static [Algorithm] {
    match length {
        16 => &[Algorithm::Md5],
        20 => &[Algorithm::Sha1],
        32 => &[Algorithm::Sha256],
        64 => &[Algorithm::Sha512],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_by_its_length_what_it_may_be() {
        let sha1 = "0".repeat(40);
        assert_eq!(written(&format!("sha1={sha1}")), [("sha1=", Algorithm::Sha1, Encoding::Hex)]);
        let base64 = STANDARD.encode([0; 32]);
        assert_eq!(written(&base64), [("", Algorithm::Sha256, Encoding::Base64)]);
        // Sixty-four digits are base64 of 48 bytes too, which no hash has.
        assert_eq!(written(&"0".repeat(64)), [("", Algorithm::Sha256, Encoding::Hex)]);
        assert_eq!(written("application/json"), []);
    }
}
