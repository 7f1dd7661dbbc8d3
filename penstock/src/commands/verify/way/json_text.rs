//! The same JSON in the ways in which libraries write it: white space, and escapes in strings. Pure.
//!
//! It works on the text and not on the values: order, repeated names and the spelling of numbers stay, since a signature
//! is over all of them. There is no recursion, and what would grow out of bounds is not made.

use std::fmt::Write as _;

/// White space between the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spacing {
    Kept,
    /// None, as in JavaScript.
    Compact,
    /// After commas and colons, as in Python.
    Spaced,
    /// Lines, indented by so many spaces.
    Indented(u8),
}

/// Escapes in strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    Kept,
    /// `\u00e9` for what is not ASCII, as in Python.
    Ascii,
    /// The same in upper case, as in .NET.
    AsciiUpper,
    /// No escape that is not needed.
    Utf8,
    /// `\/`, as in PHP.
    Slashes,
    /// `\/` and `\u00e9`, as in PHP.
    AsciiSlashes,
    /// `/`, where it was `\/`.
    PlainSlashes,
    /// `\u003c` for `<`, `>` and `&`, as in Go.
    Html,
}

/// The text, written so; `None` where it is no JSON object or array, or would be written as it is.
pub(crate) fn rewritten(body: &[u8], spacing: Spacing, escapes: Escapes) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let limit = text.len().saturating_mul(6).saturating_add(4096);
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let (mut rest, mut depth) = (text, 0_usize);
    while let Some(character) = rest.chars().next() {
        if out.len() > limit {
            return None;
        }
        let after = rest.get(character.len_utf8()..)?;
        if character == '"' {
            let length = string_length(after)?;
            write_string(&mut out, after.get(..length)?, escapes);
            rest = after.get(length + 1..)?;
            continue;
        }
        rest = after;
        if spacing == Spacing::Kept {
            out.push(character);
        } else if !character.is_ascii_whitespace() {
            depth = write_token(&mut out, character, rest, spacing, depth)?;
        }
    }
    let out = out.into_bytes();
    (out != body).then_some(out)
}

/// Bytes up to the quote that ends a string.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Writes what is outside of strings, and gives the depth after it.
fn write_token(out: &mut String, token: char, rest: &str, spacing: Spacing, depth: usize) -> Option<usize> {
    let new_line = |out: &mut String, depth: usize| {
        if let Spacing::Indented(by) = spacing {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', usize::from(by).saturating_mul(depth.min(4096))));
        }
    };
    let is_empty = rest.trim_start().starts_with(if token == '{' { '}' } else { ']' });
    let was_empty = out.ends_with(if token == '}' { '{' } else { '[' });
    match token {
        '{' | '[' => {
            out.push(token);
            if !is_empty {
                new_line(out, depth + 1);
            }
            return Some(depth + 1);
        }
        '}' | ']' => {
            let depth = depth.checked_sub(1)?;
            if !was_empty {
                new_line(out, depth);
            }
            out.push(token);
            return Some(depth);
        }
        ',' => {
            out.push(',');
            if spacing == Spacing::Spaced {
                out.push(' ');
            }
            new_line(out, depth);
        }
        ':' => out.push_str(if spacing == Spacing::Compact { ":" } else { ": " }),
        other => out.push(other),
    }
    Some(depth)
}

fn write_string(out: &mut String, text: &str, escapes: Escapes) {
    out.push('"');
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '\\' => write_escape(out, rest, escapes),
            plain => {
                write_plain(out, plain, escapes);
                plain.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    out.push('"');
}

fn write_plain(out: &mut String, character: char, escapes: Escapes) {
    let units = |out: &mut String| {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let written = if escapes == Escapes::AsciiUpper {
                write!(out, "\\u{unit:04X}")
            } else {
                write!(out, "\\u{unit:04x}")
            };
            written.unwrap_or_default();
        }
    };
    match (character, escapes) {
        ('/', Escapes::Slashes | Escapes::AsciiSlashes) => out.push_str("\\/"),
        ('<' | '>' | '&', Escapes::Html) => units(out),
        (character, Escapes::Ascii | Escapes::AsciiUpper | Escapes::AsciiSlashes) if !character.is_ascii() => {
            units(out);
        }
        (character, _) => out.push(character),
    }
}

/// Writes the escape that `rest` begins with, and gives its length.
fn write_escape(out: &mut String, rest: &str, escapes: Escapes) -> usize {
    let kept = |out: &mut String, length: usize| {
        out.push_str(rest.get(..length).unwrap_or(rest));
        length
    };
    match rest.as_bytes().get(1) {
        Some(b'/') if matches!(escapes, Escapes::Utf8 | Escapes::PlainSlashes) => {
            out.push('/');
            2
        }
        Some(b'u') if escapes == Escapes::Utf8 => match unescaped(rest) {
            Some((character, length)) => {
                out.push(character);
                length
            }
            None => kept(out, 6),
        },
        Some(byte) if byte.is_ascii() => kept(out, 2),
        _ => kept(out, 1),
    }
}

/// The character of a `\uXXXX` or of two that belong together, if it may stand in a string as it is.
fn unescaped(rest: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = rest.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(0)?;
    let units = if (0xd800..0xdc00).contains(&first) { vec![first, unit(6)?] } else { vec![first] };
    let character = char::decode_utf16(units.iter().copied()).next()?.ok()?;
    let may_stand = character >= ' ' && !matches!(character, '"' | '\\');
    may_stand.then_some((character, units.len() * 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, spacing: Spacing, escapes: Escapes) -> Option<String> {
        rewritten(text.as_bytes(), spacing, escapes).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn white_space_is_written_as_libraries_do() {
        let text = r#"{"a": [1.0,  2], "b c": {}, "d": [ ], "e": "x, y: {"}"#;
        let of = |spacing| written(text, spacing, Escapes::Kept).unwrap();
        assert_eq!(of(Spacing::Compact), r#"{"a":[1.0,2],"b c":{},"d":[],"e":"x, y: {"}"#);
        assert_eq!(of(Spacing::Spaced), r#"{"a": [1.0, 2], "b c": {}, "d": [], "e": "x, y: {"}"#);
        let lines = "{\n  \"a\": [\n    1.0,\n    2\n  ],\n  \"b c\": {},\n  \"d\": [],\n  \"e\": \"x, y: {\"\n}";
        assert_eq!(of(Spacing::Indented(2)), lines);
        assert_eq!(written(lines, Spacing::Indented(2), Escapes::Kept), None, "it is written so already");
    }

    #[test]
    fn strings_are_escaped_as_libraries_do() {
        let plain = r#"{"a":"é/😀<\"\\ü"}"#;
        for (escapes, text) in [
            (Escapes::Ascii, r#"{"a":"\u00e9/\ud83d\ude00<\"\\\u00fc"}"#),
            (Escapes::AsciiUpper, r#"{"a":"\u00E9/\uD83D\uDE00<\"\\\u00FC"}"#),
            (Escapes::Slashes, r#"{"a":"é\/😀<\"\\ü"}"#),
            (Escapes::AsciiSlashes, r#"{"a":"\u00e9\/\ud83d\ude00<\"\\\u00fc"}"#),
            (Escapes::Html, r#"{"a":"é/😀\u003c\"\\ü"}"#),
        ] {
            assert_eq!(written(plain, Spacing::Kept, escapes).as_deref(), Some(text));
            assert_eq!(written(text, Spacing::Kept, Escapes::Utf8).as_deref(), Some(plain));
        }
        let needed = r#"["\u0000\u0022\u005c\ud83d x\n"]"#;
        assert_eq!(written(needed, Spacing::Kept, Escapes::Utf8), None);
    }

    #[test]
    fn what_is_no_json_or_would_grow_out_of_bounds_is_left() {
        for text in ["", "a=1", "\"a\"", "{\"a", "}", "{\"a\\\"}", "[\"\u{e9}\\"] {
            written(text, Spacing::Compact, Escapes::Utf8);
            assert_eq!(written(text, Spacing::Indented(4), Escapes::Ascii), None, "{text}");
        }
        let deep = format!("{}{}", "[1,".repeat(50_000), "]".repeat(50_000));
        assert_eq!(written(&deep, Spacing::Indented(4), Escapes::Kept), None);
    }
}
