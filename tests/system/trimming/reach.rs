//! How far back a stream reaches is what its metric says, also right after messages went because there were too many.

use std::time::{Duration, Instant};

use chrono::DateTime;
use serde_json::Value;
use tests::config::{source, with_sources};
use tests::eventually::ensure;
use tests::{Pipeline, Request, Role, eventually};

const SOON: Duration = Duration::from_secs(20);
/// Between the claims that go and those that stay.
const APART: Duration = Duration::from_secs(3);

/// The age of the oldest message of a stream, by the broker's clock, in seconds.
async fn age(pipeline: &Pipeline, stream: &str) -> f64 {
    let info = pipeline.broker.stream(stream).await;
    let time = |value: &Value| DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    (time(&info["ts"]) - time(&info["state"]["first_ts"])).as_seconds_f64()
}

async fn post(pipeline: &Pipeline, numbers: std::ops::Range<u32>) {
    for number in numbers {
        pipeline.post(&Request::json("/v1/webhook/reach", format!(r#"{{"id": "{number}"}}"#))).await.accepted();
    }
}

#[tokio::test]
async fn claims_reach_back_as_far_as_the_metric_says_also_when_there_were_too_many() {
    let source = source("webhook", "none", "reach", "dedup = { policy = \"content\" }");
    // 20 claims are pressure for 25, and 17 are room again.
    let config = with_sources([source]).replace("[dedup]\n", "[dedup]\nmax_claims = 25\n");
    let mut pipeline = Pipeline::by_hand(&config, &Role::ALL).await;
    post(&pipeline, 0..8).await;
    tokio::time::sleep(APART).await;
    post(&pipeline, 8..20).await;
    pipeline.rows("reach", 20, 0).await;
    pipeline.settled().await;

    // The persister looks when it starts, and then after five minutes.
    pipeline.role(Role::Persister).stop(SOON).await;
    let (claims, begun) = (pipeline.broker.stream("UNIQUE").await["state"]["messages"].clone(), Instant::now());
    assert_eq!(claims, 20);
    pipeline.role(Role::Persister).start_again();
    pipeline.role(Role::Persister).ready().await;
    let of = [("stream", "UNIQUE"), ("why", "pressure")];
    eventually(SOON, "the oldest claims go", async || {
        let gone = pipeline.scrape(Role::Persister).await.sum("penstock_trimmed_messages_total", &of).unwrap_or(0.0);
        ensure(gone > 0.0, || format!("{gone} went"))
    })
    .await;
    let metrics = pipeline.scrape(Role::Persister).await;
    let told = metrics.sum("penstock_stream_reach_seconds", &of[..1]).unwrap();
    let truth = age(&pipeline, "UNIQUE").await;
    let since = begun.elapsed().as_secs_f64();
    assert!(told <= truth && truth <= told + since, "told {told} s, it is {truth} s, asked within {since} s");
    assert_eq!(metrics.sum("penstock_stream_keep_seconds", &of[..1]), Some(86_400.0));
    let left = pipeline.broker.stream("UNIQUE").await["state"]["messages"].as_u64().unwrap();
    assert!((15..20).contains(&left), "{left} claims are left");
}
