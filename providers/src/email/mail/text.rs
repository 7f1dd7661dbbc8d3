//! Bytes to text by the character set that a mail declares, or by what the bytes look like where it declares none, an
//! unknown one, or US-ASCII, which is what mailers write that do not know.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

use crate::read::charset;

/// What mailers call a character set, and what browsers do.
const ALIASES: [(&str, &str); 12] = [
    ("cp874", "windows-874"),
    ("cp932", "shift_jis"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("cp51932", "euc-jp"),
    ("cp65001", "utf-8"),
    ("eucjp-ms", "euc-jp"),
    ("big5-eten", "big5"),
    ("iso-2022-jp-1", "iso-2022-jp"),
    ("iso-2022-jp-2", "iso-2022-jp"),
    ("iso-2022-jp-3", "iso-2022-jp"),
    ("iso-2022-jp-ms", "iso-2022-jp"),
];

/// Decodes; the second value says whether something had to be replaced by U+FFFD.
pub(crate) fn decode(bytes: &[u8], label: Option<&str>) -> (String, bool) {
    let label = label.map(str::trim).filter(|label| !label.is_empty() && !is_ascii_label(label));
    let alias =
        |label| ALIASES.iter().find(|(name, _)| name.eq_ignore_ascii_case(label)).map_or(label, |(_, same)| same);
    let label = label.map(alias);
    match label.and_then(charset::by_label) {
        Some(encoding) => charset::decode(bytes, encoding),
        None => match label.and_then(of_mail) {
            Some(decode) => {
                let text = decode(bytes);
                let replaced = text.contains(char::REPLACEMENT_CHARACTER);
                (text, replaced)
            }
            // A text of a mail is whole: what ends in the middle of a character of UTF-8 is none.
            None if std::str::from_utf8(bytes).is_ok() => charset::decode(bytes, UTF_8),
            None => charset::decode(bytes, WINDOWS_1252),
        },
    }
}

/// What browsers have no name for and mails are written in: UTF-7, cp850 and their like.
fn of_mail(label: &str) -> Option<fn(&[u8]) -> String> {
    // A name that browsers know only to refuse it (`iso-2022-kr`) would give one U+FFFD for the whole text.
    Encoding::for_label(label.as_bytes()).is_none().then(|| charset_decoder(label.as_bytes())).flatten()
}

fn is_ascii_label(label: &str) -> bool {
    ["us-ascii", "ascii", "ansi_x3.4-1968"].iter().any(|name| name.eq_ignore_ascii_case(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_read_as_mailers_mean_it() {
        let written: [(&[u8], Option<&str>, &str); 11] = [
            (b"caf\xe9 \x80", Some("ISO-8859-1"), "café €"),
            ("é".as_bytes(), Some("us-ascii"), "é"),
            (b"\xe9", Some("us-ascii"), "é"),
            ("é".as_bytes(), Some("x-unknown"), "é"),
            (b"\xe9", None, "é"),
            (b"+AOk-", Some("utf-7"), "é"),
            (b"\x82", Some("cp850"), "é"),
            (b"\x87\x40", Some("CP932"), "①"),
            (b"\xbe\xc8", Some("ks_c_5601-1987"), "안"),
            (b"\x1b$B3NG'\x1b(B", Some("iso-2022-jp"), "確認"),
            ("안".as_bytes(), Some("iso-2022-kr"), "안"),
        ];
        for (bytes, label, expected) in written {
            assert_eq!(decode(bytes, label), (expected.to_owned(), false), "{label:?}");
        }
        assert_eq!(decode(b"gr\xfc", Some("utf-8")), ("gr\u{fffd}".to_owned(), true));
    }
}
