//! What happens to bodies on their way: line ends, JSON that is read and written again, charsets, compression, forms that
//! are decoded and encoded again. Each way takes one of these back. Pure.

use std::io::Read as _;

use encoding_rs::WINDOWS_1252;
use flate2::read::{GzDecoder, ZlibDecoder};

use super::json_text::{self, Escapes, Spacing};
use super::secret::base64;
use crate::commands::verify::captured::unchunked;

/// A change of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyWay {
    /// The last line end cut.
    CutLineEnd,
    AddLf,
    AddCrLf,
    /// All white space at both ends cut.
    Trimmed,
    /// CRLF for each LF.
    ToCrLf,
    /// LF for each CRLF.
    ToLf,
    /// The JSON written otherwise.
    Json(Spacing, Escapes),
    /// Text that was turned into UTF-8, as Latin-1 again.
    ToLatin1,
    /// Latin-1, as UTF-8.
    ToUtf8,
    CutBom,
    AddBom,
    Unzipped,
    Inflated,
    /// `%20` for `+`.
    PlusTo20,
    /// `+` for `%20`.
    PlusFrom20,
    /// `%2B` for `+`: the sender meant a plus.
    PlusEscaped,
    /// `%2b` for `%2B`.
    EscapesLower,
    /// `%2B` for `%2b`.
    EscapesUpper,
    /// Fields without a value left out.
    WithoutEmpty,
    Base64Decoded,
    Unchunked,
    Nothing,
}

const PLAIN: [BodyWay; 21] = [
    BodyWay::CutLineEnd,
    BodyWay::AddLf,
    BodyWay::AddCrLf,
    BodyWay::ToCrLf,
    BodyWay::ToLf,
    BodyWay::Trimmed,
    BodyWay::CutBom,
    BodyWay::AddBom,
    BodyWay::Unzipped,
    BodyWay::Inflated,
    BodyWay::ToLatin1,
    BodyWay::ToUtf8,
    BodyWay::PlusEscaped,
    BodyWay::PlusTo20,
    BodyWay::PlusFrom20,
    BodyWay::EscapesUpper,
    BodyWay::EscapesLower,
    BodyWay::WithoutEmpty,
    BodyWay::Base64Decoded,
    BodyWay::Unchunked,
    BodyWay::Nothing,
];
const SPACINGS: [Spacing; 5] =
    [Spacing::Kept, Spacing::Compact, Spacing::Spaced, Spacing::Indented(2), Spacing::Indented(4)];
const ESCAPES: [Escapes; 8] = [
    Escapes::Kept,
    Escapes::Ascii,
    Escapes::Utf8,
    Escapes::Slashes,
    Escapes::PlainSlashes,
    Escapes::AsciiSlashes,
    Escapes::AsciiUpper,
    Escapes::Html,
];

impl BodyWay {
    /// Every change, the likely first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let json = ESCAPES.into_iter().flat_map(|escapes| SPACINGS.map(|spacing| Self::Json(spacing, escapes)));
        PLAIN.into_iter().chain(json)
    }

    /// The body, changed; `None` where that changes nothing or cannot be done. `most`: bytes that it may unpack to.
    pub(crate) fn apply(self, body: &[u8], most: u64) -> Option<Vec<u8>> {
        let changed = match self {
            Self::CutLineEnd => {
                let cut = body.strip_suffix(b"\n")?;
                cut.strip_suffix(b"\r").unwrap_or(cut).to_vec()
            }
            Self::AddLf => [body, b"\n"].concat(),
            Self::AddCrLf => [body, b"\r\n"].concat(),
            Self::Trimmed => body.trim_ascii().to_vec(),
            Self::ToCrLf => replaced(&replaced(body, b"\r\n", b"\n"), b"\n", b"\r\n"),
            Self::ToLf => replaced(body, b"\r\n", b"\n"),
            Self::Json(spacing, escapes) => json_text::rewritten(body, spacing, escapes)?,
            Self::ToLatin1 => to_latin1(body)?,
            Self::ToUtf8 => WINDOWS_1252.decode_without_bom_handling(body).0.into_owned().into_bytes(),
            Self::CutBom => body.strip_prefix(BOM)?.to_vec(),
            Self::AddBom => [BOM, body].concat(),
            Self::Unzipped => unpacked(GzDecoder::new(body), most)?,
            Self::Inflated => unpacked(ZlibDecoder::new(body), most)?,
            Self::PlusTo20 => replaced(body, b"+", b"%20"),
            Self::PlusFrom20 => replaced(body, b"%20", b"+"),
            Self::PlusEscaped => replaced(body, b"+", b"%2B"),
            Self::EscapesLower => escapes(body, u8::to_ascii_lowercase),
            Self::EscapesUpper => escapes(body, u8::to_ascii_uppercase),
            Self::WithoutEmpty => without_empty(body)?,
            Self::Base64Decoded => base64(std::str::from_utf8(body).ok()?.trim())?,
            Self::Unchunked => unchunked(body)?,
            Self::Nothing => Vec::new(),
        };
        (changed != body).then_some(changed)
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 8);
    let mut rest = body;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

fn to_latin1(body: &[u8]) -> Option<Vec<u8>> {
    let (bytes, _, unmappable) = WINDOWS_1252.encode(std::str::from_utf8(body).ok()?);
    (!unmappable).then(|| bytes.into_owned())
}

fn unpacked(reader: impl std::io::Read, most: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(most.saturating_add(1)).read_to_end(&mut out).ok()?;
    (out.len() as u64 <= most).then_some(out)
}

/// The digits of each percent escape changed.
fn escapes(body: &[u8], change: fn(&u8) -> u8) -> Vec<u8> {
    let mut out = body.to_vec();
    let mut left = 0;
    for byte in &mut out {
        if *byte == b'%' {
            left = 2;
        } else if left > 0 && byte.is_ascii_hexdigit() {
            *byte = change(byte);
            left -= 1;
        } else {
            left = 0;
        }
    }
    out
}

fn without_empty(body: &[u8]) -> Option<Vec<u8>> {
    // Only a form has fields, and a form is text on one line.
    if !body.contains(&b'=') || body.iter().any(|byte| !byte.is_ascii_graphic()) {
        return None;
    }
    let pieces = body.split(|byte| *byte == b'&').filter(|piece| !piece.ends_with(b"=") && piece.contains(&b'='));
    Some(pieces.collect::<Vec<_>>().join(&b'&'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_takes_back_what_was_done() {
        for (way, sent, arrived) in [
            (BodyWay::CutLineEnd, &b"{}"[..], &b"{}\r\n"[..]),
            (BodyWay::AddLf, b"{}\n", b"{}"),
            (BodyWay::ToCrLf, b"a\r\nb\r\n", b"a\nb\n"),
            (BodyWay::ToLf, b"a\nb\n", b"a\r\nb\r\n"),
            (BodyWay::ToLatin1, b"caf\xe9", "café".as_bytes()),
            (BodyWay::ToUtf8, "café".as_bytes(), b"caf\xe9"),
            (BodyWay::ToLatin1, "café".as_bytes(), "cafÃ©".as_bytes()),
            (BodyWay::CutBom, b"{}", b"\xef\xbb\xbf{}"),
            (BodyWay::PlusEscaped, b"From=%2B1555", b"From=+1555"),
            (BodyWay::PlusTo20, b"a=b%20c", b"a=b+c"),
            (BodyWay::PlusFrom20, b"a=b+c", b"a=b%20c"),
            (BodyWay::EscapesLower, b"a=%2b%c3BA", b"a=%2B%C3BA"),
            (BodyWay::WithoutEmpty, b"a=1&c=2", b"a=1&b=&c=2&d"),
            (BodyWay::Base64Decoded, b"{}", b"e30=\n"),
            (BodyWay::Unchunked, b"{}", b"2\r\n{}\r\n0\r\n\r\n"),
            (BodyWay::Inflated, b"{}", b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9"),
        ] {
            assert_eq!(way.apply(arrived, 100).as_deref(), Some(sent), "{way:?}");
        }
    }

    #[test]
    fn what_makes_no_difference_is_not_tried() {
        for way in BodyWay::all().filter(|way| !matches!(way, BodyWay::AddLf | BodyWay::AddCrLf | BodyWay::AddBom)) {
            assert_eq!(way.apply(b"", 100), None, "{way:?}");
        }
    }

    #[test]
    fn a_body_is_not_unpacked_beyond_its_bound() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b'a'; 100_000]).unwrap();
        let zipped = encoder.finish().unwrap();
        assert_eq!(BodyWay::Unzipped.apply(&zipped, 99_999), None);
        assert_eq!(BodyWay::Unzipped.apply(&zipped, 100_000).unwrap().len(), 100_000);
    }
}
