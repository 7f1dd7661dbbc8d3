//! HTTP/2 by hand: frames as they are, right or wrong. What no client can be brought to send is made here.
//!
//! Only as much of HPACK as is needed: every field is a literal that is not indexed, and of an answer's fields only the
//! status is read, which the server puts first.

use std::io::Result;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Frame types.
pub const DATA: u8 = 0;
/// Begins a request, and an answer.
pub const HEADERS: u8 = 1;
/// Of no effect.
pub const PRIORITY: u8 = 2;
/// Ends a stream.
pub const RST_STREAM: u8 = 3;
/// Settings, or that they are in force.
pub const SETTINGS: u8 = 4;
/// A question that has to be answered.
pub const PING: u8 = 6;
/// That the connection ends, and why.
pub const GOAWAY: u8 = 7;
/// How much more may be sent.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a head.
pub const CONTINUATION: u8 = 9;

/// On SETTINGS and PING.
pub const ACK: u8 = 1;
/// On HEADERS and DATA.
pub const END_STREAM: u8 = 1;
/// On HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// Connects, and sends the preface and these settings.
pub async fn open(url: &str, settings: &[u8]) -> Result<(OwnedReadHalf, OwnedWriteHalf)> {
    begin(TcpStream::connect(url.trim_start_matches("http://")).await?, settings).await
}

/// Sends the preface and these settings over a connection.
pub async fn begin(stream: TcpStream, settings: &[u8]) -> Result<(OwnedReadHalf, OwnedWriteHalf)> {
    let (reader, mut writer) = stream.into_split();
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, settings)].concat();
    writer.write_all(&preface).await?;
    Ok((reader, writer))
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).expect("a frame of some KiB").to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The next frame.
pub async fn read(reader: &mut OwnedReadHalf) -> Result<Frame> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("24 bits")];
    reader.read_exact(&mut payload).await?;
    Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
}

/// The head of a POST, and further fields.
pub fn post(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", path)];
    fields.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// A field that is not indexed.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// A length in RFC 7541's integers of 7 bits, and the bytes.
fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len().min(127)).expect("7 bits")];
    let mut rest = text.len().checked_sub(127);
    while let Some(number) = rest {
        let more = number >= 128;
        bytes.push(u8::try_from(number % 128).expect("7 bits") | if more { 128 } else { 0 });
        rest = more.then_some(number / 128);
    }
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The status of an answer's head, of those that are known here; once on a connection, since the server refers to what it
/// has said.
pub fn status(head: &[u8]) -> Option<u16> {
    // From the static table; or a literal of the name in that, packed by Huffman.
    let known: [(u16, &[u8]); 5] = [
        (200, &[0x88]),
        (400, &[0x8c]),
        (404, &[0x8d]),
        (414, &[0x48, 0x83, 0x68, 0x2d, 0x7f]),
        (431, &[0x48, 0x83, 0x69, 0x90, 0xff]),
    ];
    known.iter().find(|(_, bytes)| head.starts_with(bytes)).map(|(status, _)| *status)
}
