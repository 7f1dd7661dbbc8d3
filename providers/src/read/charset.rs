//! Bytes to text, by the label the sender gives or by what the bytes look like.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The character set of this label, as browsers know it (`iso-8859-1` is windows-1252); `None` for an unknown label, and
/// for one that browsers know only to refuse it (`hz-gb-2312`, `iso-2022-kr`).
pub(crate) fn by_label(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.trim().as_bytes())
}

/// The character set that the values of a form with this label are in: nobody submits a form in UTF-16, so such a label
/// stands for UTF-8 (WHATWG, "get an output encoding").
pub(crate) fn of_form(label: &str) -> Option<&'static Encoding> {
    by_label(label).map(Encoding::output_encoding)
}

/// UTF-8 where these all are UTF-8, up to a last character that was cut off; windows-1252 otherwise, which is what old
/// forms send without saying so.
pub(crate) fn guess<'a>(mut pieces: impl Iterator<Item = &'a [u8]>) -> &'static Encoding {
    if pieces.all(is_utf8) { UTF_8 } else { WINDOWS_1252 }
}

/// Decodes a whole document; the second value says whether something had to be replaced by U+FFFD. A byte order mark
/// goes before the label, and is taken off.
pub(crate) fn decode(bytes: &[u8], encoding: &'static Encoding) -> (String, bool) {
    let (text, _, replaced) = encoding.decode(bytes);
    (text.into_owned(), replaced)
}

/// Decodes one value of many, which has no byte order mark: what looks like one was written by somebody.
pub(crate) fn decode_value(bytes: &[u8], encoding: &'static Encoding) -> (String, bool) {
    let (text, replaced) = encoding.decode_without_bom_handling(bytes);
    (text.into_owned(), replaced)
}

/// A lone lead byte at the end is a Latin letter; one with something after it is a character that was cut off.
fn is_utf8(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && bytes.len() - error.valid_up_to() > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_begins_like_a_byte_order_mark_is_kept() {
        assert_eq!(decode_value("\u{feff}a".as_bytes(), UTF_8), ("\u{feff}a".to_owned(), false));
        assert_eq!(decode_value(b"\xff\xfea", WINDOWS_1252), ("ÿþa".to_owned(), false));
        assert_eq!(decode("\u{feff}a".as_bytes(), WINDOWS_1252), ("a".to_owned(), false));
    }

    #[test]
    fn what_is_not_utf8_is_windows_1252() {
        let guessed = |bytes: &'static [u8]| decode(bytes, guess(std::iter::once(bytes))).0;
        assert_eq!(guessed("é€".as_bytes()), "é€");
        assert_eq!(guessed(b"caf\xe9"), "café");
        assert_eq!(guessed(b"\x80 fee"), "€ fee");
        assert_eq!(guessed(b"cut \xe2\x82"), "cut \u{fffd}");
    }
}
