//! Floods of HTTP/2 frames that cost their sender next to nothing.
//!
//! Each is sent over several connections at once. The gateway either ends such a connection or still answers a PING on it;
//! its memory stays within what it had and a bound, and an honest client is answered all the while.

use std::sync::Arc;
use std::time::Duration;

use tests::child::{most_resident, resident};
use tests::eventually::ensure;
use tests::raw_http2::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame,
};
use tests::{Pipeline, Request, Role, config, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);
const FRAMES: u32 = 10_000;
/// Connections that attack at once.
const ATTACKERS: usize = 4;
/// What the gateway's memory may grow by.
const GROWTH: u64 = 32 * 1024 * 1024;

/// What one address may have, connections and requests in hand.
const SHARE: u32 = 50;
/// As the tests have it: what comes from this machine comes through a proxy, which has no share.
const PROXIES: &str = "trusted_proxies = [\"127.0.0.1\"]";

/// A flood: what it is, the settings it begins with, and its frames.
struct Flood {
    name: &'static str,
    settings: &'static [u8],
    frames: Vec<u8>,
    end: End,
}

/// What became of an attacker's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With the code of GOAWAY, where there was one.
    Ended(Option<u8>),
    Served,
}

fn head() -> Vec<u8> {
    raw_http2::post("/v1/webhook/floods", &[("content-type", "application/json")])
}

/// So many times what is made of a stream's number.
fn streams(make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..FRAMES).flat_map(|number| make(2 * number + 1)).collect()
}

fn times(frame: &[u8]) -> Vec<u8> {
    frame.repeat(usize::try_from(FRAMES).unwrap())
}

fn floods() -> Vec<Flood> {
    let head = head();
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
async fn attack(url: &str, settings: &[u8], frames: &[u8]) -> End {
    let question = *b"question";
    let (mut reader, mut writer) = raw_http2::open(url, settings).await.unwrap();
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

/// One that is answered, without a word of the flood's.
async fn honest(pipeline: &Pipeline, over_http2: bool) {
    let request = Request::json("/v1/webhook/floods", r#"{"honest": true}"#);
    let request = if over_http2 { request.over_http2() } else { request };
    pipeline.post(&request).await.accepted();
}

/// A gateway without limits of requests, so that they do not help it.
async fn gateway(proxies: &str) -> Pipeline {
    let limits = "limits = { address = { per_second = 100000, burst = 100000 }";
    let common = config::COMMON.replace("limits = { address = { per_second = 1, burst = 20 }", limits);
    let limits = format!("header_timeout = \"1s\"\nmax_connections_per_address = {SHARE}\n{proxies}");
    let common = common.replace(PROXIES, &limits);
    let source = config::source("webhook", "none", "floods", config::UNLIMITED);
    let mut pipeline = Pipeline::by_hand(&config::with(&common, [source]), &[Role::Gateway]).await;
    // No other role runs.
    pipeline.may_be_unsettled();
    pipeline
}

/// Has several attack at once, and an honest client ask until all of them have ended.
async fn under<F>(pipeline: &Pipeline, attack: impl Fn() -> F) -> Vec<End>
where
    F: Future<Output = End> + Send + 'static,
{
    let (mut attackers, mut ends, mut served) = (JoinSet::new(), Vec::new(), 0);
    for _ in 0..ATTACKERS {
        attackers.spawn(attack());
    }
    while !attackers.is_empty() {
        honest(pipeline, served % 2 == 0).await;
        served += 1;
        ends.extend(std::iter::from_fn(|| attackers.try_join_next()).map(Result::unwrap));
    }
    ends
}

#[tokio::test]
async fn a_flood_of_http2_frames_is_contained_in_memory_and_to_its_own_connection() {
    let mut pipeline = gateway(PROXIES).await;
    let (url, pid) = (pipeline.gateways()[0].clone(), pipeline.role(Role::Gateway).child().pid());
    for number in 0..100 {
        honest(&pipeline, number % 2 == 0).await;
    }
    let before = resident(pid);
    for Flood { name, settings, frames, end } in floods() {
        let frames = Arc::new(frames);
        let ends = under(&pipeline, || {
            let (url, frames) = (url.clone(), Arc::clone(&frames));
            async move { attack(&url, settings, &frames).await }
        });
        let (ends, most) = (ends.await, most_resident(pid));
        println!("{name}: {ends:?}, at most {} KiB more", most.saturating_sub(before) / 1024);
        assert!(ends.iter().all(|ended| *ended == end), "{name}: {ends:?}");
        assert!(before > 0 && most <= before + GROWTH, "{name}: from {before} to {most} bytes");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_ever_and_reads_no_answer_loses_its_connection() {
    let mut pipeline = gateway(PROXIES).await;
    let (url, pid) = (pipeline.gateways()[0].clone(), pipeline.role(Role::Gateway).child().pid());
    honest(&pipeline, true).await;
    let before = resident(pid);
    let pings = Arc::new(times(&frame(PING, 0, 0, &[7; 8])));
    let ends = under(&pipeline, || {
        let (url, pings) = (url.clone(), Arc::clone(&pings));
        async move {
            let (unread, mut writer) = raw_http2::open(&url, &[]).await.unwrap();
            let sent = async { while writer.write_all(&pings).await.is_ok() {} };
            timeout(PATIENCE, sent).await.expect("the connection ends");
            drop(unread);
            End::Ended(None)
        }
    });
    assert_eq!(ends.await.len(), ATTACKERS);
    assert!(most_resident(pid) <= before + GROWTH);
}

#[tokio::test]
async fn one_address_has_no_more_requests_in_hand_over_http2_than_it_may_have_connections() {
    // Nobody is a proxy here, so that this address has no more than its share.
    let pipeline = gateway("trusted_proxies = []").await;
    let url = pipeline.gateways()[0].clone();
    let refused = async || pipeline.scrape(Role::Gateway).await.sum("penstock_http_requests_refused_total", &[]);
    assert_eq!(refused().await, Some(0.0));

    let begun = (0..100).flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &head())).collect::<Vec<_>>();
    assert_eq!(attack(&url, &[], &begun).await, End::Served);
    assert_eq!(refused().await, Some(100.0 - f64::from(SHARE)));
    // Those in hand end by themselves, or with their connection, and leave their places to others.
    eventually(PATIENCE, "there is room again", async || {
        let request = Request::json("/v1/webhook/floods", "{}").over_http2();
        let status = pipeline.post(&request).await.status;
        ensure(status == 200, || status.to_string())
    })
    .await;
}
