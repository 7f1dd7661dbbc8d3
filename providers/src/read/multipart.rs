//! `multipart/form-data` (RFC 7578), from a body that is all there. Written for what clients really send: any case,
//! bare line feeds, boundaries that other boundaries begin with, `%22` and `\"` in names, `filename*`.
//!
//! Bytes of a file are borrowed and never changed; `Content-Transfer-Encoding` is not undone, because RFC 7578 forbids
//! it and browsers never wrote it.

use memchr::memmem;

use super::{charset, media};
use crate::record::BadReason;

/// Parts taken at most.
pub(crate) const PARTS: usize = 1_000;
/// Bytes of one part's headers taken at most.
const HEADERS: usize = 16 * 1024;
/// Bytes of a boundary: RFC 2046 allows 70.
const BOUNDARY: usize = 256;

/// One part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The field's name.
    pub(crate) name: String,
    /// The file's name, without directories; `Some("")` where the browser had no file to send.
    pub(crate) filename: Option<String>,
    /// The media type.
    pub(crate) content_type: Option<String>,
    /// The bytes.
    pub(crate) body: &'a [u8],
}

/// Why a body cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It ends before its last boundary.
    Truncated,
    /// A part's headers do not end, or are too long.
    Headers,
    /// Too many parts.
    TooMany,
}

impl From<Broken> for BadReason {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooMany => Self::TooMany,
            Broken::Truncated | Broken::Headers => Self::BadMultipart,
        }
    }
}

/// The boundary of a `Content-Type`, if it is usable.
pub(crate) fn boundary(content_type: &str) -> Option<String> {
    media::parameter(content_type, "boundary").filter(|boundary| (1..=BOUNDARY).contains(&boundary.len()))
}

/// Whether the last boundary is there; cheap, and looks at nothing else.
pub(crate) fn is_closed(body: &[u8], boundary: &str) -> bool {
    Delimiters::new(body, boundary).any(|delimiter| delimiter.last)
}

/// Takes the body apart, into this many parts at most.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &str, most: usize) -> Result<Vec<Part<'a>>, Broken> {
    let mut parts = Vec::new();
    for part in each(body, boundary) {
        if parts.len() == most {
            return Err(Broken::TooMany);
        }
        parts.push(part?);
    }
    Ok(parts)
}

/// The parts one at a time, for whoever looks for one of them. After an error there are no more.
pub(crate) fn each<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = Result<Part<'a>, Broken>> {
    let mut delimiters = Delimiters::new(body, boundary);
    // Where the next part begins; `None` behind the last one.
    let mut start = delimiters.next().filter(|first| !first.last).map(|first| first.end);
    let mut broken = start.is_none() && !is_closed(body, boundary);
    std::iter::from_fn(move || {
        if std::mem::take(&mut broken) {
            return Some(Err(Broken::Truncated));
        }
        let begin = start.take()?;
        let Some(delimiter) = delimiters.next() else { return Some(Err(Broken::Truncated)) };
        // Where two delimiters share a line break, the part between them has not even headers.
        let part = part(body.get(begin..delimiter.start).unwrap_or_default());
        if part.is_ok() && !delimiter.last {
            start = Some(delimiter.end);
        }
        Some(part)
    })
}

/// The body without the parts of these names.
pub(crate) fn without(body: &[u8], boundary: &str, unwanted: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    let mut from = 0;
    let mut before: Option<Delimiter> = None;
    for delimiter in Delimiters::new(body, boundary) {
        let part = before.and_then(|before| part(body.get(before.end..delimiter.start).unwrap_or_default()).ok());
        if !part.is_some_and(|part| unwanted(&part.name)) {
            kept.extend_from_slice(body.get(from..delimiter.start).unwrap_or_default());
        }
        from = delimiter.start;
        before = Some(delimiter);
    }
    kept.extend_from_slice(body.get(from..).unwrap_or_default());
    kept
}

/// A line that is nothing but a boundary.
struct Delimiter {
    /// Where the line break before it begins.
    start: usize,
    /// Where the line after it begins.
    end: usize,
    /// Whether it is the last.
    last: bool,
}

struct Delimiters<'a> {
    body: &'a [u8],
    finder: memmem::Finder<'static>,
    length: usize,
    from: usize,
}

impl<'a> Delimiters<'a> {
    fn new(body: &'a [u8], boundary: &str) -> Self {
        let needle = format!("--{boundary}");
        Self { body, finder: memmem::Finder::new(&needle).into_owned(), length: needle.len(), from: 0 }
    }

    /// The delimiter whose dashes are at `at`, if it stands on a line of its own.
    fn at(&self, at: usize) -> Option<Delimiter> {
        let before = self.body.get(..at)?;
        let start = match before {
            [] => at,
            [.., b'\r', b'\n'] => at - 2,
            [.., b'\n'] => at - 1,
            _ => return None,
        };
        let after = self.body.get(at + self.length..)?;
        let (last, after) = after.strip_prefix(b"--").map_or((false, after), |rest| (true, rest));
        let padding = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line_break = match after.get(padding..)? {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            [] if last => 0,
            _ => return None,
        };
        Some(Delimiter { start, end: self.body.len() - after.len() + padding + line_break, last })
    }
}

impl Iterator for Delimiters<'_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        loop {
            let at = self.from + self.finder.find(self.body.get(self.from..)?)?;
            self.from = at + 1;
            if let Some(delimiter) = self.at(at) {
                self.from = delimiter.end.max(at + 1);
                return Some(delimiter);
            }
        }
    }
}

/// One part: headers, an empty line, bytes.
fn part(bytes: &[u8]) -> Result<Part<'_>, Broken> {
    let mut part = Part::default();
    let mut rest = bytes;
    loop {
        let end = memchr::memchr(b'\n', rest.get(..rest.len().min(HEADERS)).unwrap_or_default());
        let (line, after) = match end {
            Some(end) => rest.split_at(end + 1),
            // A part of headers alone, as in a field without a value that was written by hand.
            None if rest.len() < HEADERS => (rest, &[][..]),
            None => return Err(Broken::Headers),
        };
        if bytes.len() - after.len() > HEADERS && !line.trim_ascii().is_empty() {
            return Err(Broken::Headers);
        }
        rest = after;
        if line.trim_ascii().is_empty() {
            part.body = rest;
            return Ok(part);
        }
        header(&mut part, line);
    }
}

fn header(part: &mut Part<'_>, line: &[u8]) {
    let (line, _) = charset::decode_value(line, charset::guess(std::iter::once(line)));
    let Some((name, value)) = line.split_once(':') else { return };
    match name.trim().to_ascii_lowercase().as_str() {
        "content-disposition" => {
            let mut extended = None;
            for (name, value) in media::parameters(value) {
                match name.to_ascii_lowercase().as_str() {
                    "name" => part.name = unescape(&value),
                    "filename" => part.filename = Some(file_name(&unescape(&value))),
                    "filename*" => extended = extended_value(&value),
                    _ => {}
                }
            }
            if let Some(value) = extended {
                part.filename = Some(file_name(&value));
            }
        }
        "content-type" => part.content_type = Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
        _ => {}
    }
}

/// Undoes what browsers do to a name, and nothing more: a `%41` is what the user typed.
fn unescape(value: &str) -> String {
    value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// `UTF-8''%E2%82%AC` (RFC 8187).
fn extended_value(value: &str) -> Option<String> {
    let mut pieces = value.splitn(3, '\'');
    let (label, _, escaped) = (pieces.next()?, pieces.next()?, pieces.next()?);
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(escaped).collect();
    let encoding = charset::by_label(label).unwrap_or_else(|| charset::guess(std::iter::once(bytes.as_slice())));
    Some(charset::decode_value(&bytes, encoding).0)
}

/// The last component: a name is never a path.
pub(crate) fn file_name(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str) -> Result<Vec<(String, String)>, Broken> {
        let parts = parts(body.as_bytes(), "b", PARTS)?;
        Ok(parts.into_iter().map(|part| (part.name, String::from_utf8_lossy(part.body).into_owned())).collect())
    }

    #[test]
    fn bytes_are_kept_up_to_the_line_break_before_the_boundary() {
        let body =
            "preamble\r\n--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n1\r\n\r\n--b--\r\nepilogue\r\n--b";
        assert_eq!(names(body).unwrap(), [("x".to_owned(), "\r\n1\r\n".to_owned())]);
    }

    #[test]
    fn a_boundary_that_begins_with_another_is_content() {
        let body = "--b\ncontent-disposition: form-data; name=\"x\"\n\n--bb\n--b x\n--b \t\n\nno header\n--b--";
        let expected = [("x".to_owned(), "--bb\n--b x".to_owned()), (String::new(), "no header".to_owned())];
        assert_eq!(names(body).unwrap(), expected);
    }

    #[test]
    fn a_body_that_was_cut_off_is_told() {
        assert_eq!(names("--b\r\n\r\n1\r\n--b\r\n\r\n2"), Err(Broken::Truncated));
        assert_eq!(names("--b"), Err(Broken::Truncated));
        assert_eq!(names(""), Err(Broken::Truncated));
        assert!(is_closed(b"--b\r\n\r\n1\r\n--b--", "b"));
        assert!(!is_closed(b"--b\r\n\r\n1\r\n--b", "b"));
        assert_eq!(names("--b--").unwrap(), []);
    }

    #[test]
    fn a_part_is_taken_out_without_a_trace() {
        let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{name}\r\n");
        let body = [part("x"), part("y"), part("x"), part("z"), "--b--\r\n".to_owned()].concat();
        let named = |unwanted: &str| {
            let kept = without(body.as_bytes(), "b", |name| name == unwanted);
            names(&String::from_utf8(kept).unwrap()).unwrap().into_iter().map(|(name, _)| name).collect::<String>()
        };
        assert_eq!([named("x"), named("z"), named("none")], ["yz", "xyx", "xyxz"]);
    }

    #[test]
    fn parts_and_headers_are_bounded() {
        let many = format!("{}--b--", "--b\r\n\r\n".repeat(PARTS + 1));
        assert_eq!(names(&many), Err(Broken::TooMany));
        let long = format!("--b\r\nx: {}\r\n\r\n1\r\n--b--", "y".repeat(HEADERS));
        assert_eq!(names(&long), Err(Broken::Headers));
        let lines = format!("--b\r\n{}\r\n1\r\n--b--", "x: y\r\n".repeat(HEADERS));
        assert_eq!(names(&lines), Err(Broken::Headers));
    }

    #[test]
    fn a_file_name_is_no_path_and_its_extended_form_wins() {
        let file = |value: &str| {
            let body = format!("--b\r\nContent-Disposition: form-data; name=\"n%22\"; {value}\r\n\r\n\r\n--b--");
            parts(body.as_bytes(), "b", PARTS).unwrap()[0].filename.clone()
        };
        assert_eq!(file(r#"filename="C:\new\x.txt""#).unwrap(), "x.txt");
        assert_eq!(file(r#"filename="../../etc/passwd""#).unwrap(), "passwd");
        assert_eq!(file(r#"filename*=UTF-8''%E5%86%99%20%22a%22.jpg; filename="f""#).unwrap(), "写 \"a\".jpg");
        assert_eq!(file("filename*=iso-2022-kr''caf%E9.jpg").unwrap(), "café.jpg");
        assert_eq!(file(r#"filename="q\"uote 100%.txt""#).unwrap(), "q\"uote 100%.txt");
        assert_eq!(file(r#"filename="""#).unwrap(), "");
        assert_eq!(file("x=y"), None);
    }
}
