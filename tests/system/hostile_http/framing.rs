//! Where a body ends, said twice or in odd ways: lengths, transfer codings, chunks. What the words in braces stand for is
//! in [`super::corpus`].

use super::corpus::Row;

/// A length said twice, or in a way that is no number.
pub(super) const LENGTHS: &[Row] = &[
    (
        "a length and chunks: chunks count, and nothing after them",
        "{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[200],
    ),
    (
        "chunks and a length",
        "{post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[200],
    ),
    (
        "chunks and a length of nothing",
        "{post}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[200],
    ),
    ("two lengths that differ", "{post}Content-Length: 5\r\nContent-Length: {length}\r\n\r\n{smuggled}", &[400]),
    ("two lengths that agree", "{post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello{last}", &[200, 200]),
    ("a length with a plus", "{post}Content-Length: +5\r\n\r\nhello{smuggled}", &[400]),
    ("a length twice in one", "{post}Content-Length: 5, 5\r\n\r\nhello{smuggled}", &[400]),
    ("a length below zero", "{post}Content-Length: -5\r\n\r\nhello{smuggled}", &[400]),
    ("a length in hexadecimal", "{post}Content-Length: 0x5\r\n\r\nhello{smuggled}", &[400]),
    ("a length that is empty", "{post}Content-Length: \r\n\r\nhello{smuggled}", &[400]),
    ("a length with a space inside", "{post}Content-Length: 5 5\r\n\r\nhello{smuggled}", &[400]),
    ("a length with a parameter", "{post}Content-Length: 5;x=1\r\n\r\nhello{smuggled}", &[400]),
    ("a length with a fraction", "{post}Content-Length: 5.0\r\n\r\nhello{smuggled}", &[400]),
    ("a length in quotes", "{post}Content-Length: \"5\"\r\n\r\nhello{smuggled}", &[400]),
    ("a length with a vertical tab", "{post}Content-Length: \x0b5\r\n\r\nhello{smuggled}", &[400]),
    ("a length beyond 64 bits", "{post}Content-Length: 99999999999999999999\r\n\r\n{smuggled}", &[400]),
    ("a length of all bits", "{post}Content-Length: 18446744073709551615\r\n\r\n{smuggled}", &[431]),
    ("a length above the limit", "{post}Content-Length: 2000000\r\n\r\n{smuggled}", &[413]),
    ("a length with white space around it", "{post}Content-Length: \t 5 \t\r\n\r\nhello{last}", &[200, 200]),
    ("a length with zeros before it", "{post}Content-Length: 0005\r\n\r\nhello{last}", &[200, 200]),
    ("no length and no chunks: no body, which this source does not take", "{post}\r\n{last}", &[400, 200]),
    ("a name that only looks like a length", "{post}Content_Length: {length}\r\n\r\n{last}", &[400, 200]),
];

/// A transfer coding other than chunked, or chunked in other words.
pub(super) const CODINGS: &[Row] = &[
    (
        "a coding with identity after chunked",
        "{post}Transfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    ("a coding that is unknown", "{post}Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    ("a coding of identity", "{post}Transfer-Encoding: identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    (
        "a coding of chunked twice",
        "{post}Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a coding under the chunks",
        "{post}Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a coding that is unknown under the chunks",
        "{post}Transfer-Encoding: x, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a coding with a parameter",
        "{post}Transfer-Encoding: chunked;q=1\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    ("a coding in quotes", "{post}Transfer-Encoding: \"chunked\"\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    (
        "a coding with a vertical tab before",
        "{post}Transfer-Encoding: \x0bchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a coding with a vertical tab behind",
        "{post}Transfer-Encoding: chunked\x0b\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    ("a coding with NUL", "{post}Transfer-Encoding: chunked\0\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    ("a coding that is empty", "{post}Transfer-Encoding: \r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    (
        "a coding with an empty element",
        "{post}Transfer-Encoding: ,chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a coding with an element missing",
        "{post}Transfer-Encoding: chunked,\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a coding in other letters",
        "{post}Transfer-Encoding: chunke\u{17f}d\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "chunked on two lines",
        "{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "identity, then chunked on a line of its own",
        "{post}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "chunked, then identity on a line of its own",
        "{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "chunked in capitals, with a tab before it",
        "{post}Transfer-Encoding:\tCHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n{last}",
        &[200, 200],
    ),
    (
        "a name that only looks like a coding",
        "{post}Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello{last}",
        &[200, 200],
    ),
    (
        "chunks in HTTP/1.0",
        "POST /v1/webhook/hostile HTTP/1.0\r\n{from}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
];

/// Chunks with odd sizes and odd ends.
pub(super) const CHUNKS: &[Row] = &[
    ("a size with a plus", "{post}Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    ("a size with a prefix", "{post}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    (
        "a size with a space before it",
        "{post}Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    ("a size with a minus", "{post}Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    ("a size with nothing in it", "{post}Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n{smuggled}", &[400]),
    (
        "a size with 17 digits",
        "{post}Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a size with a letter too far",
        "{post}Transfer-Encoding: chunked\r\n\r\ng\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a size with an underscore",
        "{post}Transfer-Encoding: chunked\r\n\r\n0_5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a size with a space in it",
        "{post}Transfer-Encoding: chunked\r\n\r\n0 5\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    ("a size of all bits", "{post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello{smuggled}", &[408]),
    ("a size above the limit", "{post}Transfer-Encoding: chunked\r\n\r\n200000\r\nhello{smuggled}", &[408]),
    (
        "a size with a space behind it",
        "{post}Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n{last}",
        &[200, 200],
    ),
    (
        "a size with an extension",
        "{post}Transfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0\r\n\r\n{last}",
        &[200, 200],
    ),
    (
        "an extension of 100 KB",
        "{post}Transfer-Encoding: chunked\r\n\r\n5;{long}\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "an extension with a bare LF",
        "{post}Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "an extension with a bare CR",
        "{post}Transfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    ("bare LF behind sizes", "{post}Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n{smuggled}", &[400]),
    ("a bare LF behind a chunk", "{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n{smuggled}", &[400]),
    ("a bare LF behind the last size", "{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\n\n{smuggled}", &[400]),
    (
        "a chunk longer than its size",
        "{post}Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a chunk shorter than its size",
        "{post}Transfer-Encoding: chunked\r\n\r\n9\r\nhello\r\n0\r\n\r\n{smuggled}",
        &[400],
    ),
    ("no end behind the last chunk", "{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{smuggled}", &[400]),
    (
        "a bare LF in the place of the end: what follows is read as trailers",
        "{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n{smuggled}",
        &[200],
    ),
    (
        "trailers",
        "{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\nContent-Length: {length}\r\n\r\n{last}",
        &[200, 200],
    ),
    (
        "a trailer of 100 KB",
        "{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: {long}\r\n\r\n{smuggled}",
        &[400],
    ),
    (
        "a trailer without a colon",
        "{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX\r\n\r\n{smuggled}",
        &[400],
    ),
];
