//! The cases, each with the statuses of the answers that it may have; after the last of them the connection is closed.
//!
//! `{post}` begins a request for the source that takes these, `{last}` is a whole one that ends the connection by its own
//! wish, so it is answered only where what is before it was read to its end. `{smuggled}` is what must never be a request,
//! `{length}` its length, `{long}` 100 KB, `{from}` the host and a client's address.

use super::framing::{CHUNKS, CODINGS, LENGTHS};
use super::lines::{LINES, REQUESTS};

const POST: &str = "POST /v1/webhook/hostile HTTP/1.1\r\n{from}";
const LAST: &str = "{post}Connection: close\r\nContent-Length: 4\r\n\r\nlast";
const SMUGGLED: &str = "POST /v1/webhook/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nsmuggled";

/// Its name, what is sent, and the statuses of the answers.
pub(super) type Row = (&'static str, &'static str, &'static [u16]);

/// All of them.
pub(super) fn cases() -> Vec<Row> {
    [LENGTHS, CODINGS, CHUNKS, LINES, REQUESTS].concat()
}

/// What is sent, in bytes. Each case comes from an address of its own, so that none spends another's budget.
pub(super) fn bytes(number: usize, sent: &str) -> Vec<u8> {
    let from = format!("Host: x\r\nX-Forwarded-For: 10.66.0.{number}\r\n");
    let (length, long) = (SMUGGLED.len().to_string(), "x".repeat(100_000));
    let words =
        [("last", LAST), ("post", POST), ("from", &from), ("smuggled", SMUGGLED), ("length", &length), ("long", &long)];
    let filled = words.iter().fold(sent.to_owned(), |text, (word, value)| text.replace(&format!("{{{word}}}"), value));
    filled.into_bytes()
}
