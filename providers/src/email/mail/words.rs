//! Encoded words (RFC 2047) in header values, and the bytes around them.
//!
//! Neighbours in one character set are joined before they are decoded: mailers cut between the bytes of a character,
//! which is forbidden and common, and a parser that takes words one by one (as `mail-parser` does) loses it. What looks
//! like a word and is none stays as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::decoders::base64::base64_decode;

use super::text;

/// A run of encoded words in one character set.
struct Run<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

/// A value for people: everything decoded. The second value says whether something had to be replaced.
pub(crate) fn decode(value: &[u8]) -> (String, bool) {
    let (plain, mut replaced) = unfold(value);
    if !plain.contains("=?") {
        return (plain, replaced);
    }
    let mut out = String::with_capacity(plain.len());
    pieces(&plain, &mut out, |out, run| {
        let (text, lossy) = text::decode(&run.bytes, Some(run.charset));
        replaced |= lossy;
        out.push_str(&text);
    });
    (out, replaced)
}

/// A value for a parser: the words of each run are one word in UTF-8, so that what they hold is not taken for syntax.
pub(super) fn tidy(value: &[u8]) -> (String, bool) {
    let (plain, mut replaced) = unfold(value);
    if !plain.contains("=?") {
        return (plain, replaced);
    }
    let mut out = String::with_capacity(plain.len());
    pieces(&plain, &mut out, |out, run| {
        let (text, lossy) = text::decode(&run.bytes, Some(run.charset));
        replaced |= lossy;
        out.push_str("=?utf-8?B?");
        out.push_str(&STANDARD.encode(text));
        out.push_str("?=");
    });
    (out, replaced)
}

/// The value as one line of text: without line breaks; UTF-8, or windows-1252 where it is not.
fn unfold(value: &[u8]) -> (String, bool) {
    let (text, replaced) = text::decode(value, None);
    let text = if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], "") } else { text };
    (text.trim_matches([' ', '\t']).to_owned(), replaced)
}

/// Copies what is plain, and gives each run to `word`.
fn pieces(text: &str, out: &mut String, mut word: impl FnMut(&mut String, Run<'_>)) {
    let mut rest = text;
    let mut run: Option<Run<'_>> = None;
    while let Some(at) = rest.find("=?") {
        let (before, candidate) = rest.split_at(at);
        let Some((charset, bytes, after)) = encoded(candidate) else {
            if let Some(finished) = run.take() {
                word(out, finished);
            }
            let (literal, after) = candidate.split_at(2);
            out.push_str(before);
            out.push_str(literal);
            rest = after;
            continue;
        };
        rest = after;
        // White space between two words is there only to part them.
        let apart = run.is_none() || !before.trim_matches([' ', '\t']).is_empty();
        match &mut run {
            Some(same) if !apart && same.charset.eq_ignore_ascii_case(charset) => same.bytes.extend_from_slice(&bytes),
            _ => {
                if let Some(finished) = run.replace(Run { charset, bytes }) {
                    word(out, finished);
                }
                if apart {
                    out.push_str(before);
                }
            }
        }
    }
    if let Some(finished) = run {
        word(out, finished);
    }
    out.push_str(rest);
}

/// Takes `=?charset?encoding?text?=` off the beginning: the character set without its language, the bytes, the rest.
fn encoded(text: &str) -> Option<(&str, Vec<u8>, &str)> {
    let rest = text.strip_prefix("=?")?;
    let (charset, rest) = rest.split_at(rest.find(|character: char| !is_token(character))?);
    let rest = rest.strip_prefix('?')?;
    let charset = charset.split('*').next().filter(|charset| !charset.is_empty())?;
    let (quoted, rest) = match rest.get(..2)? {
        "Q?" | "q?" => (true, rest.get(2..)?),
        "B?" | "b?" => (false, rest.get(2..)?),
        _ => return None,
    };
    let mut from = 0;
    loop {
        let at = from + rest.get(from..)?.find('?')?;
        let (content, after) = rest.split_at(at);
        if let Some(after) = after.strip_prefix("?=") {
            let bytes = if quoted { q(content) } else { base64_decode(content.as_bytes())? };
            return Some((charset, bytes, after));
        }
        // A literal question mark, which Q forbids and mailers write; but the next word begins with one, too.
        if !quoted || content.ends_with('=') {
            return None;
        }
        from = at + 1;
    }
}

fn is_token(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '?' | '=' | '"' | '<' | '>' | '(' | ')' | '@' | ',' | ';')
}

/// The Q encoding: `_` is a space, `=XX` a byte, anything else itself.
fn q(content: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut bytes = content.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = match (first, rest) {
            (b'=', [high, low, after @ ..]) if let Some(byte) = super::quoted::hex(*high, *low) => {
                out.push(byte);
                after
            }
            (b'_', rest) => {
                out.push(b' ');
                rest
            }
            (other, rest) => {
                out.push(*other);
                rest
            }
        };
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
