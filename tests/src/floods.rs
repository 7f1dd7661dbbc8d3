//! Floods of HTTP/2 frames that cost their sender next to nothing, and what becomes of a connection that sends one.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw_http2::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame,
};

const PATIENCE: Duration = Duration::from_mins(1);
/// Of a flood.
const FRAMES: u32 = 10_000;

/// A flood: what it is, the settings it begins with, and its frames.
#[derive(Clone, Debug)]
pub struct Flood {
    /// What it is.
    pub name: &'static str,
    /// The settings that it begins with.
    pub settings: &'static [u8],
    /// Its frames.
    pub frames: Vec<u8>,
    /// What is to become of its connection.
    pub end: End,
}

/// What became of an attacker's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the code of GOAWAY, where there was one.
    Ended(Option<u8>),
    /// It is served on.
    Served,
}

/// The head of a POST to a source of webhooks.
pub fn head(source: &str) -> Vec<u8> {
    raw_http2::post(&format!("/v1/webhook/{source}"), &[("content-type", "application/json")])
}

/// So many times what is made of a stream's number.
fn streams(make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..FRAMES).flat_map(|number| make(2 * number + 1)).collect()
}

/// A frame again and again.
pub fn times(frame: &[u8]) -> Vec<u8> {
    frame.repeat(usize::try_from(FRAMES).unwrap())
}

/// All floods, of requests for a source of webhooks.
pub fn all(source: &str) -> Vec<Flood> {
    let head = head(source);
    let begun = |stream| frame(HEADERS, END_HEADERS, stream, &head);
    let behind = |stream: u32, kind, payload: &[u8]| [begun(stream), frame(kind, 0, stream, payload)].concat();
    let unfinished = frame(HEADERS, 0, 1, &head);
    // Into the table once, and then named by one byte each time.
    let bomb = [&[0x40][..], &raw_http2::field("x", &"x".repeat(3_000))[1..], &[0xbe; 13_000]].concat();
    let flood = |name, end, frames| Flood { name, settings: &[], frames, end };
    let (protocol_error, calm) = (End::Ended(Some(1)), End::Ended(Some(11)));
    let priority = |stream: u32| [&stream.to_be_bytes()[..], &[0]].concat();
    let zero = (0..100).flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &head));
    let self_reference = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&head[..], &bomb].concat());
    vec![
        flood("rapid reset", calm, streams(|stream| behind(stream, RST_STREAM, &[0, 0, 0, 8]))),
        flood("a window of nothing more", protocol_error, streams(|stream| behind(stream, WINDOW_UPDATE, &[0; 4]))),
        flood("a window of too much", calm, streams(|stream| behind(stream, WINDOW_UPDATE, &[0x7f, 255, 255, 255]))),
        flood("a stream before itself", calm, streams(|stream| behind(stream, PRIORITY, &priority(stream)))),
        flood(
            "1 MB of a head",
            calm,
            [unfinished.clone(), frame(CONTINUATION, 0, 1, &fields_of_16_kib()).repeat(64)].concat(),
        ),
        flood("a head that goes on with nothing", calm, [unfinished, times(&frame(CONTINUATION, 0, 1, &[]))].concat()),
        flood("one field named 13,000 times", calm, self_reference),
        flood("empty data", calm, [begun(1), times(&frame(DATA, 0, 1, &[]))].concat()),
        flood("settings", End::Served, times(&frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]))),
        flood("pings", End::Served, times(&frame(PING, 0, 0, &[7; 8]))),
        flood("priorities", End::Served, times(&frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]))),
        flood("windows of a byte more", End::Served, times(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        flood("streams that nobody ends", calm, streams(begun)),
        Flood { settings: &[0, 4, 0, 0, 0, 0], ..flood("a window of zero", End::Served, zero.collect()) },
    ]
}

/// Whole fields that are no end of a head.
fn fields_of_16_kib() -> Vec<u8> {
    raw_http2::field("x", &"x".repeat(1_000)).repeat(16)
}

/// Sends it, reading what comes, and tells what became of the connection.
pub async fn send(stream: TcpStream, settings: &[u8], frames: &[u8]) -> End {
    let question = *b"question";
    let Ok((mut reader, mut writer)) = raw_http2::begin(stream, settings).await else { return End::Ended(None) };
    let sent = async {
        // A failure is an end, which the reader sees too.
        writer.write_all(frames).await.is_ok() && writer.write_all(&frame(PING, 0, 0, &question)).await.is_ok()
    };
    let answered = async {
        let mut reason = None;
        loop {
            match raw_http2::read(&mut reader).await {
                Err(_) => return End::Ended(reason),
                Ok(frame) if frame.kind == GOAWAY => reason = frame.payload.get(7).copied(),
                Ok(frame) if frame.kind == PING && frame.flags & ACK != 0 && frame.payload == question => {
                    return End::Served;
                }
                Ok(_) => {}
            }
        }
    };
    let both = timeout(PATIENCE, async { tokio::join!(sent, answered) });
    both.await.expect("the connection ends, or is served").1
}
