//! What is odd before the body: lines, names, methods, targets, versions; and bodies that nobody reads. What the words in
//! braces stand for is in [`super::corpus`].

use super::corpus::Row;

/// Line ends, folds and names of headers.
pub(super) const LINES: &[Row] = &[
    ("a space before a colon", "{post}Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    ("a tab before a colon", "{post}Transfer-Encoding\t: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    ("NUL before a colon", "{post}Transfer-Encoding\0: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    (
        "a vertical tab before a colon",
        "{post}Transfer-Encoding\x0b: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    ("a folded value", "{post}Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    (
        "a header folded into another",
        "{post}X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "a header behind a bare CR",
        "{post}X: a\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    ("NUL in a value", "{post}X: a\0b\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    ("a name of nothing", "{post}: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    ("a line without a colon", "{post}chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    ("a name with a space", "{post}X Y: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    (
        "a name with letters beyond ASCII",
        "{post}Transfer-Encodin\u{e9}: chunked\r\nContent-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "a fold before the first header",
        "POST /v1/webhook/hostile HTTP/1.1\r\n Host: x\r\nContent-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    ("a bare CR as the end of a head", "{post}Content-Length: 5\r\n\r\rhello{smuggled}", &[400]),
    ("two hosts", "{post}Host: y\r\nContent-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    (
        "bare LF in a head: each ends a line",
        "POST /v1/webhook/hostile HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello{last}",
        &[200, 200],
    ),
    ("a bare LF, and a length behind it", "{post}X: a\nContent-Length: 5\r\n\r\nhello{last}", &[200, 200]),
    ("empty lines before a request", "\r\n\r\n{post}Content-Length: 5\r\n\r\nhello{last}", &[200, 200]),
];

/// Methods, targets, versions, and bodies that nobody reads.
pub(super) const REQUESTS: &[Row] = &[
    (
        "a method in small letters",
        "post /v1/webhook/hostile HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[405, 200],
    ),
    (
        "a method in some capitals",
        "PoSt /v1/webhook/hostile HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[405, 200],
    ),
    (
        "a method that nobody knows",
        "SMUGGLE /v1/webhook/hostile HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[405, 200],
    ),
    (
        "a target on another host",
        "POST http://other.example/v1/webhook/hostile HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[200, 200],
    ),
    (
        "dots in the target",
        "POST /v1/webhook/hostile/../smuggled HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[404, 200],
    ),
    (
        "packed dots in the target",
        "POST /v1/webhook/hostile/%2e%2e/smuggled HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[404, 200],
    ),
    (
        "a packed letter in the target",
        "POST /v1/webhook/%73muggled HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[404, 200],
    ),
    (
        "a packed NUL in the target",
        "POST /v1/webhook/smuggled%00 HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[404, 200],
    ),
    (
        "a packed line end in the target",
        "POST /v1/webhook/smuggled%0d%0aX:y HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[404, 200],
    ),
    (
        "a target with two slashes",
        "POST //v1/webhook/smuggled HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{last}",
        &[404, 200],
    ),
    (
        "a method with NUL",
        "PO\0ST /v1/webhook/hostile HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "NUL in the target",
        "POST /v1/webhook/smuggled\0 HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "two targets",
        "POST /v1/webhook/hostile /v1/webhook/smuggled HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "a tab behind the target",
        "POST /v1/webhook/smuggled\tHTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "a bare CR in the target",
        "POST /v1/webhook/smuggled\rX HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "a space before the method",
        " POST /v1/webhook/smuggled HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    ("HTTP/0.9", "POST /v1/webhook/smuggled\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    ("HTTP/1.2", "POST /v1/webhook/smuggled HTTP/1.2\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    ("HTTP/2.0", "POST /v1/webhook/smuggled HTTP/2.0\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}", &[400]),
    (
        "HTTP in small letters",
        "POST /v1/webhook/smuggled http/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "a space behind the version",
        "POST /v1/webhook/smuggled HTTP/1.1 \r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    (
        "a backslash for a slash",
        "POST \\v1\\webhook\\smuggled HTTP/1.1\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[400],
    ),
    ("half of the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n{smuggled}", &[400]),
    (
        "a GET with a body",
        "GET /v1/webhook/hostile HTTP/1.1\r\n{from}Content-Length: {length}\r\n\r\n{smuggled}{last}",
        &[405, 200],
    ),
    (
        "a body for a source that is not there",
        "POST /v1/webhook/nobody HTTP/1.1\r\n{from}Content-Length: {length}\r\n\r\n{smuggled}{last}",
        &[404, 200],
    ),
    (
        "a body sent without waiting to be asked for it",
        "POST /v1/webhook/nobody HTTP/1.1\r\n{from}Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n{smuggled}",
        &[404],
    ),
    ("a tunnel", "CONNECT x:80 HTTP/1.1\r\n{from}Content-Length: {length}\r\n\r\n{smuggled}", &[404]),
    (
        "an upgrade to HTTP/2",
        "{post}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello{last}",
        &[200, 200],
    ),
    (
        "a length that the connection is to forget",
        "{post}Connection: close, Content-Length\r\nContent-Length: {length}\r\n\r\n{smuggled}",
        &[200],
    ),
    (
        "HTTP/1.0 has one request",
        "POST /v1/webhook/hostile HTTP/1.0\r\n{from}Content-Length: 5\r\n\r\nhello{smuggled}",
        &[200],
    ),
];
