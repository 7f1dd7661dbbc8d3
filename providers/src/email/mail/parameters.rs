//! `Content-Type` and its relatives in a mail: parameters in pieces and in character sets (RFC 2231), and the encoded
//! words that mailers put there although RFC 2047 forbids it.
//!
//! The pieces of one parameter are put together as bytes before they are decoded: a character may lie across two, and
//! only the first says the character set. That is what `mail-parser` does not do.

use percent_encoding::percent_decode_str;

use super::{text, words};
use crate::read::media;

/// Pieces of one parameter that are put together.
const PIECES: usize = 100;

/// Bytes of a field that are read: names and boundaries are short.
pub(super) const LONGEST: usize = 64 * 1024;

/// A value with its parameters.
#[derive(Debug, Default)]
pub(super) struct Valued {
    /// The value: a media type or a disposition, in lower case.
    pub(super) value: String,
    parameters: Vec<(String, String)>,
}

impl Valued {
    /// Reads the bytes of a field, as far as [`LONGEST`].
    pub(super) fn read(field: &[u8]) -> Self {
        let (line, _) = text::decode(field.get(..LONGEST).unwrap_or(field), None);
        let line = line.replace(['\r', '\n'], "");
        let value = media::essence(&line).split(['(', ' ', '\t']).next().unwrap_or_default().to_ascii_lowercase();
        Self { value, parameters: media::parameters(&line) }
    }

    /// The parameter of this name, in whichever form; the extended form goes before the plain one.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let found = self.extended(name).or_else(|| self.pieces(name)).or_else(|| self.plain(name))?;
        Some(found.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A parameter that is one token: without the comment or whatever else follows it.
    pub(super) fn token(&self, name: &str) -> Option<String> {
        let value = self.parameter(name)?;
        value.split(['(', ' ', '\t', ';']).find(|token| !token.is_empty()).map(str::to_owned)
    }

    /// Every parameter as it was written, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn plain(&self, name: &str) -> Option<String> {
        let (_, value) = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(if value.contains("=?") { words::decode(value.as_bytes()).0 } else { value.clone() })
    }

    /// `name*=charset'language'text`.
    fn extended(&self, name: &str) -> Option<String> {
        let value = self.named(name, "*")?;
        let (charset, text) = charset_of(value);
        Some(decode(&percent_decode_str(text).collect::<Vec<u8>>(), charset))
    }

    /// `name*0*=charset'language'text`, `name*1=..`, ...
    fn pieces(&self, name: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut charset = None;
        for number in 0..PIECES {
            if let Some(value) = self.named(name, &format!("*{number}*")) {
                let text = if number == 0 {
                    let (label, text) = charset_of(value);
                    charset = label;
                    text
                } else {
                    value
                };
                bytes.extend(percent_decode_str(text));
            } else if let Some(value) = self.named(name, &format!("*{number}")) {
                bytes.extend_from_slice(value.as_bytes());
            } else {
                break;
            }
        }
        (!bytes.is_empty()).then(|| decode(&bytes, charset))
    }

    fn named(&self, name: &str, suffix: &str) -> Option<&str> {
        let fits = |key: &str| {
            key.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && key.get(name.len()..) == Some(suffix)
        };
        self.parameters.iter().find(|(key, _)| fits(key)).map(|(_, value)| value.as_str())
    }
}

fn charset_of(value: &str) -> (Option<&str>, &str) {
    let mut parts = value.splitn(3, '\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(charset), Some(_), Some(text)) => (Some(charset), text),
        _ => (None, value),
    }
}

fn decode(bytes: &[u8], charset: Option<&str>) -> String {
    let (text, _) = text::decode(bytes, charset);
    if text.contains("=?") { words::decode(text.as_bytes()).0 } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filename(field: &str) -> Option<String> {
        Valued::read(field.as_bytes()).parameter("filename")
    }

    #[test]
    fn a_name_is_read_in_every_form() {
        let written = [
            (
                "attachment;\r\n filename*0*=UTF-8''f%C3;\r\n FileName*1*=%BCr%20;\r\n filename*2=\"2026.pdf\"",
                "für 2026.pdf",
            ),
            ("attachment; filename*0*=iso-8859-1'de'%FC; filename*1*=%E4", "üä"),
            ("attachment; filename*=iso-8859-1'de'%FCber.csv", "über.csv"),
            ("attachment; filename=\"fall.jpg\"; filename*=UTF-8''%E5%86%99.jpg", "写.jpg"),
            ("attachment; filename=\"=?utf-8?B?0LDRgNGF0LjQsi56aXA=?=\"", "архив.zip"),
            ("attachment; filename=\"=?utf-8?Q?a?=\r\n =?utf-8?Q?b.txt?=\"", "ab.txt"),
            ("attachment; filename=My file (1).pdf", "My file (1).pdf"),
            ("attachment; filename*=report.txt", "report.txt"),
        ];
        for (field, expected) in written {
            assert_eq!(filename(field).unwrap(), expected, "{field}");
        }
        assert_eq!(Valued::read(b"attachment; filename=\"gr\xfcn.txt\"").parameter("filename").unwrap(), "grün.txt");
        assert_eq!(filename("attachment; filename*=UTF-8''"), None);
    }

    #[test]
    fn a_value_and_a_token_have_no_comment() {
        let valued = Valued::read(b" Text/PLAIN (plain) ; charset=us-ascii (seven bits)");
        assert_eq!((valued.value.as_str(), valued.token("CHARSET").unwrap().as_str()), ("text/plain", "us-ascii"));
    }
}
