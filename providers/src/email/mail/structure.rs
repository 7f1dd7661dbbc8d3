//! A body, cut into its parts: what each is, and where its bytes lie. Nothing is decoded and nothing copied.
//!
//! `mail-parser` does this too, but takes `--outer` for the start of `--outer-1` and finds boundaries in the middle of a
//! line, looks for a boundary that never comes to the end of the message once per part, and nests as deep as anybody
//! likes. Here a delimiter is a whole line, the message is looked through once, and what lies deeper or comes later than
//! the limits stays whole, as one part.

use super::fields::{self, Fields};
use super::lines;
use super::parameters::{LONGEST, Valued};

/// Multiparts within multiparts.
const DEPTH: usize = 100;
/// Parts, multiparts among them.
const PARTS: usize = 1_000;
/// RFC 2046 allows 70 characters.
const BOUNDARY: usize = 1_000;

/// A part that is no multipart.
pub(super) struct Leaf<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) content_type: Valued,
    pub(super) body: &'a [u8],
    /// Which of the [`Body::multiparts`] it is directly in.
    pub(super) parent: Option<usize>,
}

/// A multipart: `alternative`, `mixed`, ...
pub(super) struct Multipart {
    pub(super) content_type: Valued,
    pub(super) parent: Option<usize>,
}

/// The parts of a body, in order.
#[derive(Default)]
pub(super) struct Body<'a> {
    pub(super) leaves: Vec<Leaf<'a>>,
    pub(super) multiparts: Vec<Multipart>,
    /// What could not be taken apart: words for notes.
    pub(super) faults: Vec<&'static str>,
}

/// A multipart whose parts are being read.
struct Open {
    delimiter: Vec<u8>,
    multipart: usize,
    /// Where what comes before its first part begins; `None` once a part has begun.
    preamble: Option<usize>,
}

/// A line that begins or ends a part.
struct Delimiter {
    /// Where the line begins.
    at: usize,
    /// Where the next line begins.
    next: usize,
    /// Which of the open multiparts it belongs to.
    level: usize,
    closes: bool,
}

/// Reads a whole message: `top` are its fields, and `from` is where its body begins.
pub(super) fn read<'a>(bytes: &'a [u8], top: &Fields<'a>, from: usize) -> Body<'a> {
    let mut body = Body::default();
    let mut open: Vec<Open> = Vec::new();
    let mut parts = 0;
    let mut fields = only_content(top);
    let mut start = from;
    loop {
        if fields.list.iter().any(|field| field.value.len() > LONGEST) {
            body.faults.push("length");
        }
        let mut content_type = content_type(&fields, parent_is_digest(&body, &open));
        let boundary = boundary(&content_type);
        if boundary.is_none() && content_type.value.starts_with("multipart/") {
            // Nobody can say where its parts are, so it is shown as it is.
            body.faults.push("boundary");
            content_type = Valued::read(b"text/plain");
        }
        let too_deep = boundary.is_some() && open.len() == DEPTH;
        let parent = open.last().map(|open| open.multipart);
        let delimiter = if let Some(boundary) = boundary.filter(|_| !too_deep) {
            open.push(Open { delimiter: boundary, multipart: body.multiparts.len(), preamble: Some(start) });
            body.multiparts.push(Multipart { content_type, parent });
            next(bytes, start, &open)
        } else {
            if too_deep {
                body.faults.push("depth");
            }
            let delimiter = next(bytes, start, &open);
            let body_of = match &delimiter {
                Some(found) => lines::without_break(bytes, start, found.at),
                None => bytes.get(start..).unwrap_or_default(),
            };
            body.leaves.push(Leaf { fields, content_type, body: body_of, parent });
            delimiter
        };
        let Some(found) = to_next_part(bytes, delimiter, &mut open, &mut body) else { return body };
        parts += 1;
        if parts >= PARTS {
            body.faults.push("parts");
            body.leaves.push(rest(bytes.get(found.at..).unwrap_or_default()));
            return body;
        }
        let is_delimiter = |line: &[u8]| open.iter().any(|open| matches(line, &open.delimiter).is_some());
        let (read, at) = fields::read(bytes, found.next, fields::OF_PART, is_content, is_delimiter);
        (fields, start) = (read, at);
    }
}

/// From a delimiter to the one that begins the next part; multiparts that end on the way are closed.
fn to_next_part<'a>(
    bytes: &'a [u8],
    mut delimiter: Option<Delimiter>,
    open: &mut Vec<Open>,
    body: &mut Body<'a>,
) -> Option<Delimiter> {
    loop {
        let Some(found) = delimiter else {
            close(bytes, bytes.len(), 0, open, body);
            return None;
        };
        // What is open within the multipart that goes on has no end of its own.
        close(bytes, found.at, found.level + 1, open, body);
        if !found.closes {
            if let Some(open) = open.last_mut() {
                open.preamble = None;
            }
            return Some(found);
        }
        close(bytes, found.at, found.level, open, body);
        if open.is_empty() {
            return None;
        }
        delimiter = next(bytes, found.next, open);
    }
}

/// Closes the multiparts beyond `keep`. One in which no part ever began is kept as one part: its boundary never came.
fn close<'a>(bytes: &'a [u8], end: usize, keep: usize, open: &mut Vec<Open>, body: &mut Body<'a>) {
    while open.len() > keep {
        let Some(closed) = open.pop() else { return };
        let Some(start) = closed.preamble else { continue };
        let piece = bytes.get(start..end).unwrap_or_default();
        if !piece.trim_ascii().is_empty() {
            body.faults.push("boundary");
            let parent = body.multiparts.get(closed.multipart).and_then(|multipart| multipart.parent);
            let content_type = Valued::read(b"text/plain");
            body.leaves.push(Leaf { fields: Fields::default(), content_type, body: piece, parent });
        }
    }
}

/// The next line at or after `from` that is a delimiter of an open multipart, of the innermost where several fit.
fn next(bytes: &[u8], mut from: usize, open: &[Open]) -> Option<Delimiter> {
    if open.is_empty() {
        return None;
    }
    loop {
        let (at, end, next) = lines::dashed(bytes, from)?;
        let line = bytes.get(at..end).unwrap_or_default();
        let found =
            open.iter().enumerate().rev().find_map(|(level, open)| Some((level, matches(line, &open.delimiter)?)));
        if let Some((level, closes)) = found {
            return Some(Delimiter { at, next, level, closes });
        }
        from = next;
    }
}

/// Whether the line is this delimiter, and if so whether it is the last one. Only blanks may follow.
fn matches(line: &[u8], delimiter: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(delimiter)?;
    let blank = |rest: &[u8]| rest.iter().all(|byte| matches!(byte, b' ' | b'\t'));
    match rest.strip_prefix(b"--") {
        Some(after) if blank(after) => Some(true),
        _ => blank(rest).then_some(false),
    }
}

/// `--boundary`, where this is a multipart that has one.
fn boundary(content_type: &Valued) -> Option<Vec<u8>> {
    if !content_type.value.starts_with("multipart/") {
        return None;
    }
    let boundary = content_type.parameter("boundary")?;
    (boundary.len() <= BOUNDARY).then(|| [b"--", boundary.trim_end().as_bytes()].concat())
}

fn parent_is_digest(body: &Body<'_>, open: &[Open]) -> bool {
    let parent = open.last().and_then(|open| body.multiparts.get(open.multipart));
    parent.is_some_and(|parent| parent.content_type.value == "multipart/digest")
}

fn content_type(fields: &Fields<'_>, in_digest: bool) -> Valued {
    let default: &[u8] = if in_digest { b"message/rfc822" } else { b"text/plain" };
    let read = fields.first("content-type").map(Valued::read);
    match read {
        Some(read) if read.value.contains('/') => read,
        // `Content-Type: text`, from before MIME was agreed on, and values that are no type.
        Some(read) if read.value == "text" || read.value.is_empty() => Valued::read(default),
        Some(_) => Valued::read(b"application/octet-stream"),
        None => Valued::read(default),
    }
}

/// What the parts are that are no longer taken apart.
fn rest(bytes: &[u8]) -> Leaf<'_> {
    let content_type = Valued::read(b"application/octet-stream");
    Leaf { fields: Fields::default(), content_type, body: bytes, parent: None }
}

fn is_content(name: &str) -> bool {
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("content-"))
}

fn only_content<'a>(top: &Fields<'a>) -> Fields<'a> {
    let list = top.list.iter().filter(|field| is_content(field.name));
    Fields { list: list.map(|field| fields::Field { name: field.name, value: field.value }).collect(), cut: false }
}
