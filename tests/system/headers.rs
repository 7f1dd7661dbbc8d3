//! A client's headers and the broker's have the same form, and some of the broker's are orders: to purge, to expect, to
//! forget. So none of a client's ever becomes one of them.

use proto::envelope::RawEnvelope;
use tests::broker::Headers;
use tests::{Answer, Pipeline, Request};

use crate::shared;

/// Names that NATS or Penstock would act on, with values that would do harm.
const ORDERS: [(&str, &str); 20] = [
    ("Nats-Rollup", "all"),
    ("Nats-Rollup", "sub"),
    ("Nats-Msg-Id", "mine"),
    ("Nats-Expected-Stream", "DLQ"),
    ("Nats-Expected-Last-Sequence", "1"),
    ("Nats-Expected-Last-Subject-Sequence", "1"),
    ("Nats-Expected-Last-Msg-Id", "mine"),
    ("Nats-TTL", "1s"),
    ("Nats-Marker-Reason", "Purge"),
    ("Nats-Trace-Dest", "raw.webhook.other"),
    ("Nats-Trace-Only", "true"),
    ("Nats-Schedule", "@at 2000-01-01T00:00:00Z"),
    ("Nats-Schedule-Target", "raw.webhook.other"),
    ("Nats-Incr", "1"),
    ("Nats-Batch-Id", "mine"),
    ("KV-Operation", "PURGE"),
    ("Penstock-Id", "00000000-0000-7000-8000-000000000000"),
    ("Penstock-Verified", "yes"),
    ("Penstock-Replay", "00000000-0000-7000-8000-000000000000"),
    ("Penstock-Body", "1;1;00"),
];

async fn stored(pipeline: &Pipeline, answer: &Answer) -> (RawEnvelope, Vec<(String, String)>) {
    let message = pipeline.broker.message("RAW", answer.sequence()).await.unwrap();
    let all = message.headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let all = all.map(|(name, value)| (name.to_string().to_lowercase(), value.to_string()));
    let mut all: Vec<(String, String)> = all.collect();
    all.sort();
    (RawEnvelope::read(&Headers(&message.headers)).unwrap(), all)
}

#[tokio::test]
async fn no_header_of_a_client_is_an_order_to_the_broker_or_to_us() {
    let pipeline = shared::pipeline().await;
    let post = async |request: Request| pipeline.post(&request).await;
    let request = || Request::json("/v1/webhook/any-json", r#"{"message": "ordered"}"#);
    let plain = post(request()).await;
    let (_, usual) = stored(&pipeline, &plain).await;
    let names = |headers: &[(String, String)]| headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    for (name, value) in ORDERS {
        // Twice with the same value: an id that was taken would be a repeat, and the second not stored.
        let (first, second) = (post(request().header(name, value)).await, post(request().header(name, value)).await);
        assert!(first.accepted() != second.accepted() && first.sequence() != second.sequence(), "{name}: {second}");
        let (envelope, all) = stored(&pipeline, &second).await;
        assert_eq!(names(&all), names(&usual), "{name}");
        assert!(all.contains(&("nats-msg-id".to_owned(), second.id().to_string())), "{name}: {all:?}");
        assert_eq!((envelope.id, envelope.replay, envelope.body), (second.id(), None, None), "{name}");
        let kept =
            envelope.headers.iter().any(|(known, kept)| known == &name.to_lowercase() && kept == value.as_bytes());
        assert!(kept, "{name} is kept as what it is: {:?}", envelope.headers);
    }
    // What was there before is still there.
    assert_eq!(stored(&pipeline, &plain).await.1, usual);
}
