//! A body with which a signature holds, in words. Whether the request or only its capture was altered is told by
//! `Content-Length`.

use super::{Context, Finding};
use crate::commands::verify::way::body::BodyWay;
use crate::commands::verify::way::json_text::{Escapes, Spacing};

/// The finding. `length`: bytes of the body with which it holds.
pub(super) fn finding(way: BodyWay, length: usize, context: &Context<'_>) -> Finding {
    let what = match way {
        BodyWay::CutLineEnd => "without the line end after it",
        BodyWay::AddLf => "with a line end (LF) after it",
        BodyWay::AddCrLf => "with a line end (CR LF) after it",
        BodyWay::Trimmed => "without the white space around it",
        BodyWay::ToCrLf => "with CR LF line ends",
        BodyWay::ToLf => "with LF line ends",
        BodyWay::Json(spacing, escapes) => return json(spacing, escapes, length, context),
        BodyWay::ToLatin1 => "as Latin-1 (windows-1252): it was turned into UTF-8",
        BodyWay::ToUtf8 => "as UTF-8: it was turned into Latin-1 (windows-1252)",
        BodyWay::CutBom => "without the byte order mark",
        BodyWay::AddBom => "with a byte order mark",
        BodyWay::Unzipped => "unpacked (gzip)",
        BodyWay::Inflated => "unpacked (deflate)",
        BodyWay::PlusTo20 => "with `%20` where `+` is",
        BodyWay::PlusFrom20 => "with `+` where `%20` is",
        BodyWay::PlusEscaped => "with `%2B` where `+` is: a plus that was not escaped is a space",
        BodyWay::EscapesLower => "with its percent escapes in lower case",
        BodyWay::EscapesUpper => "with its percent escapes in upper case",
        BodyWay::WithoutEmpty => "without the fields that have no value",
        BodyWay::Base64Decoded => "decoded from base64",
        BodyWay::Unchunked => "without the sizes of its chunks",
        BodyWay::Nothing => return empty_body(),
    };
    altered(what, length, context)
}

fn json(spacing: Spacing, escapes: Escapes, length: usize, context: &Context<'_>) -> Finding {
    let spacing = match spacing {
        Spacing::Kept => None,
        Spacing::Compact => Some("no white space".to_owned()),
        Spacing::Spaced => Some("a space after commas and colons".to_owned()),
        Spacing::Indented(by) => Some(format!("lines indented by {by}")),
    };
    let escapes = match escapes {
        Escapes::Kept => None,
        Escapes::Ascii => Some("`\\u00e9` for what is not ASCII"),
        Escapes::AsciiUpper => Some("`\\u00E9` for what is not ASCII"),
        Escapes::Utf8 => Some("UTF-8 instead of escapes"),
        Escapes::Slashes => Some("`\\/` for slashes"),
        Escapes::AsciiSlashes => Some("`\\/` for slashes and `\\u00e9` for what is not ASCII"),
        Escapes::PlainSlashes => Some("plain slashes"),
        Escapes::Html => Some("`\\u003c`, `\\u003e` and `\\u0026` for `<`, `>` and `&`"),
    };
    let how: Vec<String> = spacing.into_iter().chain(escapes.map(str::to_owned)).collect();
    altered(&format!("with its JSON written otherwise ({})", how.join(", ")), length, context)
}

fn altered(what: &str, length: usize, context: &Context<'_>) -> Finding {
    let given = context.case.body.len();
    let says = format!("It holds for the body {what} ({length} bytes; given are {given}).");
    let next = if context.content_length == Some(length) && length != given {
        "that is as many bytes as Content-Length says, so the capture was altered and not the request: capture it again \
         as bytes; the gateway may have refused it for another reason"
    } else {
        "something between the provider and the gateway (a proxy, a firewall, a framework) alters bodies: have it pass the \
         bytes on untouched; or else the capture was altered"
    };
    Finding::new("body", says, next)
}

fn empty_body() -> Finding {
    Finding::new(
        "body",
        "It holds for an empty body: the sender signed before it had one, or something on the way added this one.",
        "have the sender sign the bytes that it sends",
    )
}
