//! Encoded words (RFC 2047) in header values, and the bytes around them.
//!
//! Neighbours in one character set are joined before they are decoded: mailers cut between the bytes of a character,
//! which is forbidden and common, and a parser that takes words one by one (as `mail-parser` does) loses it. What looks
//! like a word and is none stays as it is.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::decoders::base64::base64_decode;
use memchr::{memchr, memchr2, memmem};

use super::text;

/// A run of encoded words in one character set.
struct Run<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

/// A value for people: everything decoded. The second value says whether something had to be replaced.
pub(crate) fn decode(value: &[u8]) -> (String, bool) {
    pieces(value, str::to_owned)
}

/// A value for a parser: the words of each run are one word in UTF-8, so that what they hold is not taken for syntax.
pub(super) fn tidy(value: &[u8]) -> (String, bool) {
    pieces(value, |text| format!("=?utf-8?B?{}?=", STANDARD.encode(text)))
}

/// Decodes what is plain, and writes the text of each run of words as `write` says. Bytes are looked at before they are
/// decoded: those within a word are in its character set, also where they should have been encoded and are not.
fn pieces(value: &[u8], write: impl Fn(&str) -> String) -> (String, bool) {
    let line = unfold(value);
    let mut rest: &[u8] = &line;
    let mut out = Decoded { text: String::with_capacity(line.len()), replaced: false };
    let mut run: Option<Run<'_>> = None;
    // Where the plain text begins that is not written yet.
    let mut plain = rest;
    while let Some(at) = memmem::find(rest, b"=?") {
        let candidate = rest.get(at..).unwrap_or_default();
        let Some((charset, bytes, after)) = encoded(candidate) else {
            rest = candidate.get(2..).unwrap_or_default();
            continue;
        };
        let before = plain.get(..plain.len() - candidate.len()).unwrap_or_default();
        (rest, plain) = (after, after);
        // White space between two words is there only to part them.
        let apart = run.is_none() || before.iter().any(|byte| !matches!(byte, b' ' | b'\t'));
        match &mut run {
            Some(same) if !apart && same.charset.eq_ignore_ascii_case(charset) => same.bytes.extend_from_slice(&bytes),
            _ => {
                if let Some(finished) = run.replace(Run { charset, bytes }) {
                    out.word(&finished, &write);
                }
                if apart {
                    out.plain(before);
                }
            }
        }
    }
    if let Some(finished) = run {
        out.word(&finished, &write);
    }
    out.plain(plain);
    (out.text, out.replaced)
}

/// What has been decoded.
struct Decoded {
    text: String,
    replaced: bool,
}

impl Decoded {
    fn word(&mut self, run: &Run<'_>, write: &impl Fn(&str) -> String) {
        let (text, replaced) = text::decode(&run.bytes, Some(run.charset));
        self.replaced |= replaced;
        self.text.push_str(&write(&text));
    }

    fn plain(&mut self, bytes: &[u8]) {
        let (text, replaced) = text::decode(bytes, None);
        self.replaced |= replaced;
        self.text.push_str(&text);
    }
}

/// The value as one line, without the line breaks that folded it and blanks around it.
fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr2(b'\r', b'\n', value).is_none() {
        return value.into();
    }
    value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()
}

/// Takes `=?charset?encoding?text?=` off the beginning: the character set without its language, the bytes, the rest.
fn encoded(word: &[u8]) -> Option<(&str, Vec<u8>, &[u8])> {
    let rest = word.strip_prefix(b"=?")?;
    let length = rest.iter().take_while(|byte| is_token(**byte)).count();
    let charset = std::str::from_utf8(rest.get(..length)?).ok()?;
    let charset = charset.split('*').next().filter(|charset| !charset.is_empty())?;
    let (quoted, rest) = match rest.get(length..)? {
        [b'?', b'Q' | b'q', b'?', rest @ ..] => (true, rest),
        [b'?', b'B' | b'b', b'?', rest @ ..] => (false, rest),
        _ => return None,
    };
    let mut from = 0;
    loop {
        let at = from + memchr(b'?', rest.get(from..)?)?;
        let content = rest.get(..at)?;
        if let Some(after) = rest.get(at..)?.strip_prefix(b"?=") {
            let bytes = if quoted { q(content) } else { base64_decode(content)? };
            return Some((charset, bytes, after));
        }
        // A literal question mark, which Q forbids and mailers write; but the next word begins with one, too.
        if !quoted || content.ends_with(b"=") {
            return None;
        }
        from = at + 1;
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'?' | b'=' | b'"' | b'<' | b'>' | b'(' | b')' | b'@' | b',' | b';')
}

/// The Q encoding: `_` is a space, `=XX` a byte, anything else itself.
fn q(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut bytes = content;
    while let Some((first, rest)) = bytes.split_first() {
        let escaped = match (first, rest) {
            (b'=', [high, low, after @ ..]) => super::quoted::hex(*high, *low).map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((if *first == b'_' { b' ' } else { *first }, rest));
        out.push(byte);
        bytes = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_as_mailers_write_them() {
        let written = [
            ("=?UTF-8?B?5YaN6YWN6YGU4w==?=\r\n =?utf-8?B?ga7jgZQ=?=", "再配達のご"),
            ("=?iso-8859-1*de?q?caf=E9_=80?= bar", "café € bar"),
            ("a =?utf-8?Q?b?=\t=?iso-8859-1?Q?=E9?= c", "a bé c"),
            ("=?utf-8?Q?really?yes??=!", "really?yes?!"),
            ("=?utf-8?Q?a=ZZ=?=x", "a=ZZ=x"),
            ("=?utf-8?X?a?= =?utf-8?Q?b =?utf-8?Q?c?=", "=?utf-8?X?a?= =?utf-8?Q?b c"),
            ("=?utf-8?B?@@?= =? =?=?", "=?utf-8?B?@@?= =? =?=?"),
            ("plain\r\n\tfolded", "plain\tfolded"),
        ];
        for (value, expected) in written {
            assert_eq!(decode(value.as_bytes()).0, expected, "{value}");
        }
        assert_eq!(decode(b"gr\xfc\xdfe").0, "grüße", "bytes that no label covers");
        assert_eq!(decode(b"=?iso-8859-1?Q?Fr\xf6sche?= \xc3\xb6").0, "Frösche ö", "bytes that a label covers");
    }

    #[test]
    fn for_a_parser_a_word_stays_one_word() {
        assert_eq!(tidy(b"=?iso-8859-1?Q?a,_b?= <x@y>").0, "=?utf-8?B?YSwgYg==?= <x@y>");
    }

    #[test]
    fn words_without_an_end_cost_nothing() {
        let value = "=?a?q?x".repeat(100_000);
        assert_eq!(decode(value.as_bytes()).0.len(), value.len());
    }
}
