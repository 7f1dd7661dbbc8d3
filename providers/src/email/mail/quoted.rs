//! Transfer encodings, undone in a way that keeps what is broken: a decoder that stops at the first fault (as those of
//! `mail-parser` do) loses the rest of the file.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use memchr::memchr;

use super::uuencode;

/// What undoing a transfer encoding gives.
pub(super) struct Decoded<'a> {
    /// The bytes; borrowed where they are as they were sent.
    pub(super) bytes: Cow<'a, [u8]>,
    /// What was wrong with them: a word for a note.
    pub(super) fault: Option<&'static str>,
}

/// Undoes `encoding`, the value of `Content-Transfer-Encoding`.
pub(super) fn decode<'a>(bytes: &'a [u8], encoding: &str) -> Decoded<'a> {
    let name = encoding.split(['(', ';', ' ', '\t']).next().unwrap_or_default();
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is(&["", "7bit", "8bit", "binary"]) {
        return Decoded { bytes: bytes.into(), fault: None };
    }
    if is(&["quoted-printable"]) {
        return Decoded { bytes: quoted_printable(bytes).into(), fault: None };
    }
    if is(&["base64"]) {
        return match base64_decode(bytes) {
            Some(decoded) => Decoded { bytes: decoded.into(), fault: None },
            None => Decoded { bytes: base64_without_foreign(bytes).into(), fault: Some("base64") },
        };
    }
    if is(&["x-uuencode", "uuencode", "x-uue"])
        && let Some(decoded) = uuencode::decode(bytes)
    {
        return Decoded { bytes: decoded.into(), fault: None };
    }
    Decoded { bytes: bytes.into(), fault: Some("encoding") }
}

/// Base64 in which characters of no meaning stand, which are ignored (RFC 2045, section 6.8).
fn base64_without_foreign(bytes: &[u8]) -> Vec<u8> {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let kept: Vec<u8> = bytes.iter().copied().filter(known).collect();
    base64_decode(&kept).unwrap_or_default()
}

/// Quoted-printable. An `=` that escapes nothing stays; blanks at the end of a line were added on the way.
fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut from = 0;
    while from < bytes.len() {
        let (end, next) = super::lines::end(bytes, from);
        let line = bytes.get(from..end).unwrap_or_default();
        let trimmed = trim_blanks(line);
        let (content, soft) = match trimmed {
            [content @ .., b'='] => (content, true),
            content => (content, false),
        };
        unescape(content, &mut out);
        if !soft {
            out.extend_from_slice(bytes.get(end..next).unwrap_or_default());
        }
        from = next;
    }
    out
}

fn unescape(mut content: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'=', content) {
        let (plain, escape) = content.split_at(at);
        out.extend_from_slice(plain);
        let byte = match escape {
            [_, high, low, ..] => hex(*high, *low),
            _ => None,
        };
        out.push(byte.unwrap_or(b'='));
        content = escape.get(if byte.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
    out.extend_from_slice(content);
}

/// The byte of two hex digits in either case.
pub(super) fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn trim_blanks(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str, encoding: &str) -> (String, Option<&'static str>) {
        let decoded = decode(text.as_bytes(), encoding);
        (String::from_utf8_lossy(&decoded.bytes).into_owned(), decoded.fault)
    }

    #[test]
    fn what_is_broken_loses_nothing_else() {
        let written = [
            (
                "100=25 =ZZ and =\r\nsoft =  \r\nend =c3=BC \t\r\nx=",
                "Quoted-Printable ",
                "100% =ZZ and soft end ü\r\nx",
            ),
            ("=", "quoted-printable", ""),
            ("==41=4", "quoted-printable", "=A=4"),
            ("aGVsbG8", "BASE64", "hello"),
            ("aGVs\r\nbG8=aGVsbG8=", "base64 (x)", "hellohello"),
            ("as it\r\n is", "8BIT", "as it\r\n is"),
        ];
        for (text, encoding, expected) in written {
            assert_eq!(decoded(text, encoding), (expected.to_owned(), None), "{text}");
        }
        assert_eq!(decoded("aG!Vs\n??bG8", "base64"), ("hello".to_owned(), Some("base64")));
        assert_eq!(decoded("x", "x-yenc"), ("x".to_owned(), Some("encoding")));
    }
}
