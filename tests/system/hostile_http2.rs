//! Floods of HTTP/2 frames that cost their sender next to nothing.
//!
//! Each is sent over several connections at once. The gateway either ends such a connection or still answers a PING on it;
//! its memory stays within what it had and a bound, and an honest client is answered all the while.

use std::sync::Arc;
use std::time::Duration;

use tests::child::{most_resident, resident};
use tests::eventually::ensure;
use tests::floods::{self, End, Flood};
use tests::raw_http2::{self, END_HEADERS, HEADERS, PING, frame};
use tests::{Pipeline, Request, Role, config, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);
/// Connections that attack at once.
const ATTACKERS: usize = 4;
/// What the gateway's memory may grow by.
const GROWTH: u64 = 32 * 1024 * 1024;

/// What one address may have, connections and requests in hand.
const SHARE: u32 = 20;
/// As the tests have it: what comes from this machine comes through a proxy, which has no share.
const PROXIES: &str = "trusted_proxies = [\"127.0.0.1\"]";

/// Floods a gateway, over a connection of its own.
async fn attack(url: &str, settings: &[u8], frames: &[u8]) -> End {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    floods::send(stream, settings, frames).await
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
    for Flood { name, settings, frames, end } in floods::all("floods") {
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
    let pings = Arc::new(floods::times(&frame(PING, 0, 0, &[7; 8])));
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

    let begun = (0..30)
        .flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &floods::head("floods")))
        .collect::<Vec<_>>();
    assert_eq!(attack(&url, &[], &begun).await, End::Served);
    assert_eq!(refused().await, Some(30.0 - f64::from(SHARE)));
    // Begun and not ended, they hold their places; what comes meanwhile is answered as any other request. Those of the
    // connection before may have theirs still, so that the next one's are refused: then another connection tries.
    let mut holding = Vec::new();
    let refusal = eventually(PATIENCE, "there is no room", async || {
        let (reader, mut writer) = raw_http2::open(&url, &[]).await.unwrap();
        writer.write_all(&begun).await.unwrap();
        holding.push((reader, writer));
        // Without an answer where the refusals before it are not read yet.
        let answer = Request::json("/v1/webhook/floods", "{}").over_http2().send(&url).await;
        let answer = answer.map_err(|error| error.to_string())?;
        ensure(answer.status == 503, || answer.to_string()).map(|()| answer)
    })
    .await;
    assert!(refusal.problem(503).header("Retry-After").is_some_and(|wait| wait != "0"), "{refusal}");
    for (reader, _) in &mut holding {
        assert!(raw_http2::read(reader).await.is_ok());
    }
    drop(holding);
    // Those in hand end by themselves, or with their connection, and leave their places to others.
    eventually(PATIENCE, "there is room again", async || {
        let answer = Request::json("/v1/webhook/floods", "{}").over_http2().send(&url).await;
        let status = answer.map_err(|error| error.to_string())?.status;
        ensure(status == 200, || status.to_string())
    })
    .await;
}
