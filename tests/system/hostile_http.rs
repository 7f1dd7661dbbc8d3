//! Requests that two readers could read in two ways, and requests that nobody should be able to read.
//!
//! The promise: no byte of one request's body is ever taken for another request. Each case carries a request for a source
//! of its own inside of what is, or may be, a body; that source must stay empty. And a connection is answered once for
//! each request really sent, or refused once and closed.

mod corpus;
mod framing;
mod lines;

use futures::stream::{self, StreamExt as _};
use tests::Request;
use tests::raw_http::exchange;

use self::corpus::{bytes, cases};
use crate::shared;

#[tokio::test]
async fn no_byte_of_a_body_is_taken_for_a_request_and_what_is_ambiguous_is_refused_once_and_closed() {
    let pipeline = shared::pipeline().await;
    let url = &pipeline.gateways()[0];
    let cases = cases();
    let outcomes = stream::iter(cases.iter().enumerate().map(async |(number, (name, sent, expected))| {
        let answers = exchange(url, &bytes(number, sent)).await;
        (name, answers, *expected)
    }));
    let outcomes: Vec<_> = outcomes.buffer_unordered(8).collect().await;

    let (mut stored, mut wrong) = (0, Vec::new());
    for (name, answers, expected) in outcomes {
        let statuses = answers.map(|answers| answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        stored += statuses.iter().flatten().filter(|status| **status == 200).count();
        if statuses.as_deref() != Ok(expected) {
            wrong.push(format!("{name}: {statuses:?} in the place of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert_eq!(pipeline.broker.count("RAW", "raw.webhook.smuggled").await, 0, "a body was taken for a request");
    assert_eq!(pipeline.broker.count("RAW", "raw.webhook.hostile").await, stored as u64, "each 200 is one request");

    // Sent by itself, it does arrive: the source would have shown it.
    pipeline.post(&Request::post("/v1/webhook/smuggled", "smuggled")).await.accepted();
    assert_eq!(pipeline.broker.count("RAW", "raw.webhook.smuggled").await, 1);
}
