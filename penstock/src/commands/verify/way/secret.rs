//! What a secret may have been meant as: what copying, quoting and encoding make of one, and the secrets of the
//! configuration's other sources. Pure, and never shows one.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use percent_encoding::percent_decode_str;
use providers::Keyring;
use secrecy::ExposeSecret as _;

use crate::commands::verify::case::Case;

/// Secrets of other sources tried at most.
const OTHERS: usize = 500;

/// What providers and people put before a secret.
const PREFIXES: [&str; 9] =
    ["whsec_", "whsk_", "whpk_", "Bearer ", "bearer ", "Basic ", "Token ", "sha256=", "secret="];

/// A secret, read in some way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecretWay {
    pub(crate) whose: Whose,
    pub(crate) reading: Reading,
}

/// Whose secret, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The source's own, by its place from 0.
    Own(usize),
    /// Another source's, by its place in the case's list.
    Other(usize),
    /// Nobody's: an empty one.
    Empty,
}

/// How it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    AsItIs,
    Trimmed,
    Unquoted,
    WithLf,
    WithCrLf,
    /// Decoded, where the provider takes the bytes behind it.
    Base64Decoded,
    HexDecoded,
    /// Not decoded, where the provider takes the text itself.
    Text,
    WithoutPrefix,
    WithoutPrefixDecoded,
    Base64Encoded,
    HexEncoded,
    PercentDecoded,
    /// With `whpk_` before it: a public key that was entered as a shared secret.
    PublicKey,
    LowerCase,
    UpperCase,
}

/// The readings of one of the source's own, the likely first.
const READINGS: [Reading; 15] = [
    Reading::Trimmed,
    Reading::Unquoted,
    Reading::WithLf,
    Reading::WithCrLf,
    Reading::Base64Decoded,
    Reading::HexDecoded,
    Reading::Text,
    Reading::WithoutPrefix,
    Reading::WithoutPrefixDecoded,
    Reading::Base64Encoded,
    Reading::HexEncoded,
    Reading::PercentDecoded,
    Reading::PublicKey,
    Reading::LowerCase,
    Reading::UpperCase,
];

/// Every way to try.
pub(crate) fn ways(case: &Case) -> Vec<SecretWay> {
    let own = (0..case.secrets.len())
        .flat_map(|index| READINGS.map(|reading| SecretWay { whose: Whose::Own(index), reading }));
    let others = (0..case.others.len().min(OTHERS)).flat_map(|index| {
        [Reading::AsItIs, Reading::Trimmed].map(|reading| SecretWay { whose: Whose::Other(index), reading })
    });
    let empty = SecretWay { whose: Whose::Empty, reading: Reading::AsItIs };
    own.chain(others).chain([empty]).collect()
}

/// A secret as an adapter may take it.
enum Material {
    /// As somebody would write it into a configuration.
    Text(String),
    /// As bytes that no text may stand for.
    Bytes(Vec<u8>),
}

impl SecretWay {
    /// A keyring of it alone; `None` where this reading makes no difference.
    pub(crate) fn keyring(&self, case: &Case) -> Option<Keyring> {
        let secret = match self.whose {
            Whose::Own(index) => case.secrets.get(index)?,
            Whose::Other(index) => &case.others.get(index)?.secret,
            Whose::Empty => return Some(Keyring::of_bytes(b"")),
        };
        match material(self.reading, secret.expose_secret())? {
            Material::Text(text) => {
                let parsed = case.adapter.keyring(&[&text], &case.scheme).ok();
                parsed.or_else(|| Some(Keyring::of_bytes(text.as_bytes())))
            }
            Material::Bytes(bytes) => Some(Keyring::of_bytes(&bytes)),
        }
    }
}

fn material(reading: Reading, secret: &str) -> Option<Material> {
    let text = |text: &str| (text != secret && !text.is_empty()).then(|| Material::Text(text.to_owned()));
    // A public key is known to everybody, and what is made with it as a shared secret proves nothing.
    if secret.starts_with("whpk_") && !matches!(reading, Reading::AsItIs | Reading::Trimmed) {
        return None;
    }
    match reading {
        Reading::AsItIs => Some(Material::Text(secret.to_owned())),
        Reading::Trimmed => text(secret.trim()),
        Reading::Unquoted => text(unquoted(secret.trim())?),
        Reading::WithLf => Some(Material::Bytes(format!("{secret}\n").into_bytes())),
        Reading::WithCrLf => Some(Material::Bytes(format!("{secret}\r\n").into_bytes())),
        Reading::Base64Decoded => base64(secret.trim()).map(Material::Bytes),
        Reading::HexDecoded => hex::decode(secret.trim()).ok().filter(|bytes| !bytes.is_empty()).map(Material::Bytes),
        Reading::Text => Some(Material::Bytes(secret.as_bytes().to_vec())),
        Reading::WithoutPrefix => without_prefix(secret).map(|rest| Material::Bytes(rest.as_bytes().to_vec())),
        Reading::WithoutPrefixDecoded => base64(without_prefix(secret)?).map(Material::Bytes),
        Reading::Base64Encoded => text(&STANDARD.encode(secret)),
        Reading::HexEncoded => text(&hex::encode(secret)),
        Reading::PercentDecoded => text(&percent_decode_str(secret).decode_utf8_lossy()),
        Reading::PublicKey => text(&format!("whpk_{}", without_prefix(secret).unwrap_or(secret))),
        Reading::LowerCase => text(&secret.to_lowercase()),
        Reading::UpperCase => text(&secret.to_uppercase()),
    }
}

fn unquoted(secret: &str) -> Option<&str> {
    let inside = |quote| secret.strip_prefix(quote)?.strip_suffix(quote);
    ['"', '\'', '`'].into_iter().find_map(inside)
}

fn without_prefix(secret: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| secret.strip_prefix(prefix)).filter(|rest| !rest.is_empty())
}

/// Either alphabet, with and without padding.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engines = [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE];
    let decoded = |alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok();
    engines.into_iter().find_map(decoded).filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reading: Reading, secret: &str) -> Option<Vec<u8>> {
        Some(match material(reading, secret)? {
            Material::Text(text) => text.into_bytes(),
            Material::Bytes(bytes) => bytes,
        })
    }

    #[test]
    fn a_secret_is_read_as_it_may_have_been_meant() {
        for (reading, secret, meant) in [
            (Reading::Trimmed, " s\n", Some(&b"s"[..])),
            (Reading::Trimmed, "s", None),
            (Reading::Unquoted, "\"s\"", Some(b"s")),
            (Reading::Unquoted, "\"s'", None),
            (Reading::WithLf, "s", Some(b"s\n")),
            (Reading::Base64Decoded, "_-8", Some(b"\xff\xef")),
            (Reading::Base64Decoded, "/+8=", Some(b"\xff\xef")),
            (Reading::Base64Decoded, "%", None),
            (Reading::HexDecoded, "00Ff", Some(b"\x00\xff")),
            (Reading::WithoutPrefix, "whsec_s", Some(b"s")),
            (Reading::WithoutPrefixDecoded, "whsec_/+8=", Some(b"\xff\xef")),
            (Reading::PercentDecoded, "a%2Bb", Some(b"a+b")),
            (Reading::PublicKey, "s", Some(b"whpk_s")),
            (Reading::Text, "whpk_s", None),
        ] {
            assert_eq!(read(reading, secret).as_deref(), meant, "{reading:?} {secret:?}");
        }
    }
}
