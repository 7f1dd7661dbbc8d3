//! A request as somebody captured it: the text of HTTP/1.1, as a proxy or a packet dump shows it. Pure.
//!
//! What a reader would get wrong: a capture is not the wire. Editors add a line end, tools change them; so where
//! `Content-Length` disagrees with what is there, that is noted, and never mended in silence.

use http::Method;
use proto::header::Pair;

use crate::commands::out;

/// Header lines at most.
const LINES: usize = 1000;

/// A request, and what was noticed while it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) method: Method,
    /// The target as it stands there: `/v1/sms/support?a=1`, or a whole URL.
    pub(crate) target: String,
    pub(crate) headers: Vec<Pair>,
    pub(crate) body: Vec<u8>,
    /// For the reader of the report.
    pub(crate) notes: Vec<String>,
}

/// Why a text is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRequest {
    #[error("it is empty")]
    Empty,
    #[error(
        "its first line is no request line such as `POST /v1/sms/support HTTP/1.1`; for a body alone there is --body"
    )]
    RequestLine,
    #[error("it is a trace of curl's, which does not keep the bytes of a body; --body and --header take them")]
    Trace,
    #[error("line {0} is no header (`Name: value`); an empty line stands before the body")]
    Header(usize),
    #[error("it has more than {LINES} header lines")]
    TooManyLines,
    #[error("it is not the JSON of a HAR file")]
    NotHar,
    #[error("it has no entry {0}; there are {1}")]
    NoEntry(usize, usize),
    #[error("it has several requests, so --entry N has to choose one:\n{0}")]
    ManyEntries(String),
    #[error("the body of this entry is called base64 and is not")]
    NotBase64,
}

impl Captured {
    /// Reads the text of a request.
    pub(crate) fn read(text: &[u8]) -> Result<Self, NoRequest> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if text.starts_with(b"== Info") || text.starts_with(b"=> Send header") {
            return Err(NoRequest::Trace);
        }
        let mut lines = Lines { rest: text, number: 0 };
        let first = std::iter::from_fn(|| lines.next()).find(|line| !line.is_empty()).ok_or(NoRequest::Empty)?;
        let (method, target) = request_line(first).ok_or(NoRequest::RequestLine)?;
        let mut headers: Vec<Pair> = Vec::new();
        while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
            if headers.len() >= LINES {
                return Err(NoRequest::TooManyLines);
            }
            // A line that begins with a space goes on with the one before (RFC 9112, section 5.2).
            if let (true, Some((_, value))) = (line.starts_with(b" ") || line.starts_with(b"\t"), headers.last_mut()) {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
                continue;
            }
            headers.push(header_line(line).ok_or(NoRequest::Header(lines.number))?);
        }
        let captured = Self { method, target, headers, body: lines.rest.to_vec(), notes: Vec::new() };
        Ok(captured.framed())
    }

    /// Takes the framing off the body, as the gateway would have.
    fn framed(mut self) -> Self {
        let chunked = self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked && let Some(body) = unchunked(&self.body) {
            self.body = body;
            self.notes.push("the body was in chunks; they were put together".to_owned());
            return self;
        }
        let Some(length) = self.content_length() else { return self };
        let surplus = self.body.get(length..).unwrap_or_default();
        if self.body.len() < length {
            self.notes.push(format!(
                "Content-Length says {length} bytes and the capture has {}: it is not what was on the wire",
                self.body.len()
            ));
        } else if !surplus.is_empty() && surplus.trim_ascii().is_empty() {
            self.notes.push(format!(
                "white space after the body was left out ({})",
                out::several(surplus.len(), "byte", "bytes")
            ));
            self.body.truncate(length);
        } else if !surplus.is_empty() {
            self.notes.push(format!(
                "Content-Length says {length} bytes and the capture has {}: all of it is taken for the body",
                self.body.len()
            ));
        }
        self
    }

    fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    fn content_length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }
}

/// The first header of this name, as text.
pub(crate) fn header<'h>(headers: &'h [Pair], name: &str) -> Option<&'h str> {
    let (_, value) = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok().map(str::trim_ascii)
}

/// Lines that end with LF or CRLF, and what is after them. `curl -v` puts `> ` before each.
struct Lines<'t> {
    rest: &'t [u8],
    number: usize,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> Option<&'t [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n');
        let (line, rest) = self.rest.split_at(end.map_or(self.rest.len(), |end| end + 1));
        (self.rest, self.number) = (rest, self.number + 1);
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Some(
            line.strip_prefix(b"> ").or_else(|| line.strip_prefix(b">").filter(|rest| rest.is_empty())).unwrap_or(line),
        )
    }
}

fn request_line(line: &[u8]) -> Option<(Method, String)> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let version = words.next();
    let is_target = target.starts_with('/') || target.starts_with("http://") || target.starts_with("https://");
    let fits = is_target && version.is_none_or(|version| version.starts_with("HTTP/")) && words.next().is_none();
    let method: Method = method.parse().ok().filter(|_| fits)?;
    Some((method, target.to_owned()))
}

fn header_line(line: &[u8]) -> Option<Pair> {
    let colon = line.iter().position(|byte| *byte == b':').filter(|colon| *colon > 0)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = std::str::from_utf8(name).ok()?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| (name.to_owned(), value.get(1..).unwrap_or_default().trim_ascii().to_vec()))
}

/// What chunks hold, if that is what they are.
pub(crate) fn unchunked(body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(body.len());
    let mut lines = Lines { rest: body, number: 0 };
    loop {
        let size = std::str::from_utf8(lines.next()?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        let (chunk, rest) = lines.rest.split_at_checked(size)?;
        whole.extend_from_slice(chunk);
        lines.rest = rest;
        lines.next().filter(|line| line.is_empty())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Captured {
        Captured::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_request_is_read_with_either_line_end_and_its_body_byte_by_byte() {
        for end in ["\n", "\r\n"] {
            let text = ["POST /v1/sms/a?x=1 HTTP/1.1", "Host: h", "X-A:  b: c ", " d", "", "one\r\ntwo\n"].join(end);
            let captured = read(&text);
            assert_eq!((captured.method, captured.target.as_str()), (Method::POST, "/v1/sms/a?x=1"));
            let expected = [("Host", "h"), ("X-A", "b: c d")];
            assert_eq!(captured.headers, expected.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())));
            assert_eq!(captured.body, b"one\r\ntwo\n");
        }
        assert_eq!(read("GET /x").body, b"");
        assert_eq!(read("> GET /x HTTP/2\r\n> Host: h\r\n>\r\n").headers.len(), 1);
        assert_eq!(read("\u{feff}\nPOST https://h/x HTTP/1.1\n\nb").target, "https://h/x");
    }

    #[test]
    fn what_is_no_request_says_in_which_line() {
        let error = |text: &str| Captured::read(text.as_bytes()).unwrap_err();
        assert_eq!(error(""), NoRequest::Empty);
        assert_eq!(error("{\"a\":1}"), NoRequest::RequestLine);
        assert_eq!(error("HTTP/1.1 401 Unauthorized\n\n"), NoRequest::RequestLine);
        assert_eq!(error("POST /x HTTP/1.1\nHost: h\nnone\n"), NoRequest::Header(3));
        assert_eq!(error("=> Send header, 10 bytes (0xa)\n"), NoRequest::Trace);
        let many = "A: b\n".repeat(LINES + 1);
        assert_eq!(error(&format!("POST /x HTTP/1.1\n{many}")), NoRequest::TooManyLines);
    }

    #[test]
    fn a_length_that_disagrees_is_noted_and_white_space_beyond_it_is_no_body() {
        let editor = read("POST /x HTTP/1.1\nContent-Length: 2\n\n{}\n");
        assert_eq!((editor.body.as_slice(), editor.notes.len()), (&b"{}"[..], 1));
        let short = read("POST /x HTTP/1.1\nContent-Length: 9\n\n{}");
        assert_eq!((short.body.as_slice(), short.notes.len()), (&b"{}"[..], 1));
        let long = read("POST /x HTTP/1.1\nContent-Length: 1\n\n{}");
        assert_eq!((long.body.as_slice(), long.notes.len()), (&b"{}"[..], 1));
        let right = read("POST /x HTTP/1.1\nContent-Length: 3\n\n{}\n");
        assert_eq!((right.body.as_slice(), right.notes.len()), (&b"{}\n"[..], 0));
    }

    #[test]
    fn chunks_are_put_together() {
        let chunked =
            read("POST /x HTTP/1.1\nTransfer-Encoding: chunked\n\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n");
        assert_eq!(chunked.body, b"abc0123456789");
        for broken in ["", "x", "3\r\nab", "3\r\nabcd\r\n0\r\n\r\n", "ffffffffffffffffff\r\n"] {
            assert_eq!(unchunked(broken.as_bytes()), None, "{broken:?}");
        }
    }
}
