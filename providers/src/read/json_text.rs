//! A JSON string that is still in the body, between its quotes and with its escapes: it is read run by run into what it
//! stands for, so that a text of 100 MiB is copied once, and one that holds base64 not at all before it is decoded.

use base64::Engine as _;
use base64::engine::GeneralPurposeConfig;
use base64::engine::{DecodePaddingMode, GeneralPurpose};
use serde_json::value::RawValue;

use super::json::Notes;

/// The standard alphabet. Padding is left out before decoding; what is left over of a cut text is let go.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Characters of base64 that are decoded at once; a multiple of 4.
const PIECE: usize = 4096;

/// What is between the quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(&'a str);

/// Bytes that were written as base64.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// Something in it is no base64: the bytes may not be those that were sent.
    pub(crate) damaged: bool,
}

impl<'a> Text<'a> {
    /// The value, where it is a string with something in it.
    pub(crate) fn of(value: &'a RawValue) -> Option<Self> {
        let text = value.get().strip_prefix('"')?.strip_suffix('"')?;
        Some(Self(text)).filter(|text| !text.0.is_empty())
    }

    /// The text that it stands for. Half a surrogate pair becomes U+FFFD and is noted.
    pub(crate) fn into_text(self, notes: &mut Notes) -> String {
        // No escape is shorter than what it stands for.
        let mut text = String::with_capacity(self.0.len());
        notes.surrogate |= self.runs(|run| text.push_str(run));
        text
    }

    /// The bytes that it is the base64 of. White space is passed over.
    pub(crate) fn decode_base64(self) -> Decoded {
        let mut decoder = Decoder::new(self.0.len() / 4 * 3 + 3);
        self.runs(|run| decoder.take(run.as_bytes()));
        decoder.finish()
    }

    /// Hands over the text, in order: what stands for itself as it lies in the body, each escape as what it stands for.
    /// Says whether one of them stands for nothing.
    fn runs(self, mut take: impl FnMut(&str)) -> bool {
        let mut rest = self.0;
        let mut replaced = false;
        while let Some((before, after)) = rest.split_once('\\') {
            take(before);
            let (character, length) = unescape(after);
            replaced |= character.is_none();
            take(character.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]));
            rest = after.get(length..).unwrap_or_default();
        }
        take(rest);
        replaced
    }
}

/// What an escape stands for, and how long it is without its backslash.
fn unescape(after: &str) -> (Option<char>, usize) {
    match after.as_bytes().first() {
        Some(b'b') => (Some('\u{8}'), 1),
        Some(b'f') => (Some('\u{c}'), 1),
        Some(b'n') => (Some('\n'), 1),
        Some(b'r') => (Some('\r'), 1),
        Some(b't') => (Some('\t'), 1),
        Some(b'u') => match (unit(after, 0), after.get(5..7), unit(after, 6)) {
            (Some(high @ 0xd800..=0xdbff), Some("\\u"), Some(low @ 0xdc00..=0xdfff)) => {
                (char::from_u32(0x10000 + ((high & 0x3ff) << 10 | (low & 0x3ff))), 11)
            }
            (unit, ..) => (unit.and_then(char::from_u32), 5),
        },
        Some(other) => (Some(char::from(*other)), 1),
        None => (None, 0),
    }
}

/// The code unit of the `uXX` at `at`.
fn unit(text: &str, at: usize) -> Option<u32> {
    u32::from_str_radix(text.get(at + 1..at + 5)?, 16).ok()
}

/// Base64, decoded piece by piece.
struct Decoder {
    piece: Vec<u8>,
    decoded: Decoded,
    ended: bool,
}

impl Decoder {
    fn new(capacity: usize) -> Self {
        let decoded = Decoded { bytes: Vec::with_capacity(capacity), damaged: false };
        Self { piece: Vec::with_capacity(PIECE), decoded, ended: false }
    }

    fn take(&mut self, run: &[u8]) {
        for byte in run {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'=' => self.ended = true,
                // What follows the end is another text, or none.
                _ if self.ended => self.decoded.damaged = true,
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                    self.piece.push(*byte);
                    if self.piece.len() == PIECE {
                        self.decode();
                    }
                }
                _ => self.decoded.damaged = true,
            }
        }
    }

    fn decode(&mut self) {
        if BASE64.decode_vec(&self.piece, &mut self.decoded.bytes).is_err() {
            self.decoded.damaged = true;
        }
        self.piece.clear();
    }

    fn finish(mut self) -> Decoded {
        // A single character is six bits: of no byte.
        if self.piece.len() % 4 == 1 {
            self.piece.pop();
            self.decoded.damaged = true;
        }
        self.decode();
        self.decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn text(json: &str) -> (String, bool) {
        let mut notes = Notes::default();
        let text = Text::of(&raw(json)).unwrap().into_text(&mut notes);
        (text, notes.surrogate)
    }

    fn decoded(json: &str) -> (Vec<u8>, bool) {
        let decoded = Text::of(&raw(json)).unwrap().decode_base64();
        (decoded.bytes, decoded.damaged)
    }

    #[test]
    fn every_escape_is_read_as_serde_json_reads_it() {
        let json = r#""a\\b\"\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00\u0000\ufffdé""#;
        assert_eq!(text(json), (serde_json::from_str::<String>(json).unwrap(), false));
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        let json = r#""\ud800x\udc00\ud800\ud83d\ude00\ud83d\u0041\ud800""#;
        assert_eq!(text(json), ("\u{fffd}x\u{fffd}\u{fffd}😀\u{fffd}A\u{fffd}".to_owned(), true));
    }

    #[test]
    fn base64_is_read_however_it_is_broken_up_and_what_is_none_is_said() {
        assert_eq!(decoded(r#""aGVs\r\nbG8\u003d""#), (b"hello".to_vec(), false));
        assert_eq!(decoded(r#""\/\/79""#), (vec![0xff, 0xfe, 0xfd], false));
        assert_eq!(decoded(r#""aGVsbG8""#), (b"hello".to_vec(), false), "padding may be missing");
        assert_eq!(decoded(r#""aGV*sbG8=""#), (b"hello".to_vec(), true));
        assert_eq!(decoded(r#""aGVsb""#), (b"hel".to_vec(), true));
        assert_eq!(decoded(r#""aGVsbG8=aGVs""#), (b"hello".to_vec(), true));
        let long: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let json = format!("\"{}\"", base64::engine::general_purpose::STANDARD.encode(&long).replace('/', "\\/"));
        assert_eq!(decoded(&json), (long, false));
    }
}
