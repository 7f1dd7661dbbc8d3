//! Heads at their limits, over HTTP/1 and HTTP/2, and requests that do not wait for the answer to the one before.
//!
//! A role's own limits are kept with an answer, and the connection goes on; the server's, which are there before a role
//! sees anything, with an answer and the end of an HTTP/1 connection.

use std::fmt::Write as _;
use std::time::Duration;

use tests::raw_http::exchange;
use tests::raw_http2::{self, END_HEADERS, END_STREAM, HEADERS};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::shared;

/// What every head here has beside what it is about, with an address of its own.
fn always(address: &str) -> [(String, String); 4] {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    [
        pair("host", "x"),
        pair("x-forwarded-for", address),
        pair("content-length", "4"),
        pair("content-type", "text/plain"),
    ]
}

fn post(target: &str, headers: &[(String, String)]) -> String {
    let lines = headers.iter().fold(String::new(), |mut lines, (name, value)| {
        write!(lines, "{name}: {value}\r\n").unwrap();
        lines
    });
    format!("POST {target} HTTP/1.1\r\n{lines}\r\nbody")
}

/// What one head is answered with, and a plain one behind it on the same connection.
async fn answered(url: &str, head: &str) -> Vec<u16> {
    let mut last = always("10.67.0.99").to_vec();
    last.push(("connection".to_owned(), "close".to_owned()));
    let both = head.to_owned() + &post("/v1/webhook/heads", &last);
    exchange(url, both.as_bytes()).await.unwrap().iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn requests_that_wait_for_no_answer_are_answered_in_order_and_each_once() {
    let pipeline = shared::pipeline().await;
    let requests: Vec<String> = (0..50)
        .map(|number| {
            let source = if number % 7 == 3 { "nobody" } else { "heads" };
            let close = if number == 49 { "Connection: close\r\n" } else { "" };
            let body = format!("request {number:2}");
            format!(
                "POST /v1/webhook/{source} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.67.1.{number}\r\n{close}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        })
        .collect();
    let answers = exchange(&pipeline.gateways()[0], requests.concat().as_bytes()).await.unwrap();
    assert_eq!(answers.len(), 50, "{answers:?}");
    for (number, answer) in answers.iter().enumerate() {
        if number % 7 == 3 {
            assert_eq!(answer.status, 404, "{number}: {answer:?}");
            continue;
        }
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
        let sequence = answer.head.lines().find_map(|line| line.strip_prefix("penstock-stored: raw/")?.parse().ok());
        let stored = pipeline.broker.message("RAW", sequence.unwrap()).await.unwrap();
        assert_eq!(stored.payload, format!("request {number:2}"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_head_is_taken_up_to_its_limits_and_refused_beyond_them_with_the_connection_still_served() {
    let pipeline = shared::pipeline().await;
    let url = &pipeline.gateways()[0];
    let path = "/v1/webhook/heads";

    let headers = |number: usize| {
        let mut headers = always("10.67.0.1").to_vec();
        headers.extend((headers.len()..number).map(|number| (format!("x-{number}"), String::new())));
        post(path, &headers)
    };
    assert_eq!(answered(url, &headers(100)).await, [200, 200], "100 headers");
    assert_eq!(answered(url, &headers(101)).await, [431], "101 headers");
    assert_eq!(answered(url, &headers(5_000)).await, [431], "5,000 headers");

    let bytes = |number: usize| {
        let mut headers = always("10.67.0.2").to_vec();
        let there: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        headers.push(("x".to_owned(), "x".repeat(number - there - 1)));
        post(path, &headers)
    };
    assert_eq!(answered(url, &bytes(16 * 1024)).await, [200, 200], "headers of 16 KiB");
    assert_eq!(answered(url, &bytes(16 * 1024 + 1)).await, [431, 200], "headers of a byte more");
    assert_eq!(answered(url, &bytes(40 * 1024)).await, [431], "headers of 40 KiB");

    let target = |number: usize| {
        let query = "x".repeat(number - path.len() - 1);
        post(&format!("{path}?{query}"), &always("10.67.0.3"))
    };
    assert_eq!(answered(url, &target(8 * 1024)).await, [200, 200], "a target of 8 KiB");
    assert_eq!(answered(url, &target(8 * 1024 + 1)).await, [414, 200], "a target of a byte more");
    let huge = answered(url, &target(70 * 1024)).await;
    assert!(huge == [414] || huge == [431], "a target of 70 KiB: {huge:?}");
}

/// What the heads are answered with, one after the other on one connection.
async fn answered_over_http2(url: &str, heads: &[Vec<u8>]) -> Vec<Option<u16>> {
    let (mut reader, mut writer) = raw_http2::open(url, &[]).await.unwrap();
    let mut statuses = Vec::new();
    for (head, stream) in heads.iter().zip((1..).step_by(2)) {
        // A head of more than a frame goes on in others.
        let mut pieces = head.chunks(16 * 1024).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let begin = if kind == HEADERS { END_STREAM } else { 0 };
            writer.write_all(&raw_http2::frame(kind, begin | end, stream, piece)).await.unwrap();
            kind = raw_http2::CONTINUATION;
        }
        let answer = async {
            loop {
                let frame = raw_http2::read(&mut reader).await.unwrap();
                if frame.kind == HEADERS && frame.stream == stream {
                    return raw_http2::status(&frame.payload);
                }
            }
        };
        statuses.push(timeout(Duration::from_secs(20), answer).await.expect("an answer"));
    }
    statuses
}

#[tokio::test]
async fn an_http2_head_is_taken_up_to_its_limits_and_refused_beyond_them_with_the_connection_still_served() {
    let pipeline = shared::pipeline().await;
    let url = &pipeline.gateways()[0];
    // Nothing is stored: there is no such source, which is told from a head that is refused.
    let path = "/v1/webhook/nobody";
    let long = |bytes: usize| raw_http2::post(path, &[("x", &"x".repeat(bytes))]);
    let many = |number: usize| raw_http2::post(path, &vec![("x", ""); number]);
    let target = |bytes: usize| raw_http2::post(&format!("/v1/webhook/heads?{}", "x".repeat(bytes - 18)), &[]);
    let plain = raw_http2::post(path, &[("x-forwarded-for", "10.67.0.4")]);
    let cases = [
        ("15 KB", long(15_000), 404),
        ("17 KB", long(17_000), 431),
        ("100 headers", many(100), 404),
        ("101 headers", many(101), 431),
        ("600 headers", many(600), 431),
        ("a target of 8 KiB and a byte", target(8 * 1024 + 1), 414),
    ];
    for (what, head, status) in cases {
        let answers = answered_over_http2(url, &[head, plain.clone()]).await;
        assert_eq!(answers, [Some(status), Some(404)], "{what}");
    }
}
