//! Headers that are orders to the broker. A client's header never becomes one of these; where one slipped through, the
//! streams as Penstock makes them refuse it.

use serde_json::json;
use tests::servers::NatsServer;
use tests::servers::wire::{number, refusal, stored};

/// X5. Rests on it: `runtime/src/properties.rs` (`allow_rollup_hdrs` is off), `runtime/src/publish.rs` (`without_orders`:
/// a message that is published again carries none).
#[tokio::test]
async fn orders_in_headers_are_refused_and_change_nothing() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.fill("raw.a", 3).await;
    for (name, value, code) in [
        ("Nats-Rollup", "all", 10_111),
        ("Nats-Rollup", "sub", 10_111),
        ("Nats-Expected-Last-Sequence", "77", 10_071),
        ("Nats-Expected-Last-Subject-Sequence", "77", 10_071),
        ("Nats-Expected-Last-Msg-Id", "nobody", 10_070),
        ("Nats-Expected-Stream", "OTHER", 10_060),
        ("Nats-TTL", "1s", 10_166),
        ("Nats-Incr", "+1", 10_168),
        ("Nats-Schedule", "@at 2030-01-01T00:00:00Z", 10_188),
        ("Nats-Batch-Id", "b", 10_174),
    ] {
        let answer = wire.publish("raw.a", &[(name, value)], "2").await;
        assert_eq!(refusal(&answer).0, code, "{name}: {answer}");
    }
    assert_eq!(wire.messages("RAW").await, 3);
}

/// Rests on it: `runtime/src/delivery.rs` (ours are found by the exact name: one that differs in case is another).
#[tokio::test]
async fn other_headers_come_back_as_they_were_sent_and_names_keep_their_case() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    let sent = [("Penstock-Query", "a=1&b=%20:c"), ("penstock-query", "other"), ("Nats-Like", "")];
    let sequence = stored(&wire.publish("raw.a", &sent, "1").await);
    let context = async_nats::jetstream::new(wire.client.clone());
    let message = context.get_stream("RAW").await.unwrap().get_raw_message(sequence).await.unwrap();
    for (name, value) in sent {
        assert_eq!(message.headers.get(name).map(async_nats::HeaderValue::as_str), Some(value), "{name}");
    }
    assert_eq!(message.headers.iter().count(), sent.len());
}

/// Rests on it: `runtime/src/publish.rs` (a probe with an impossible sequence would not see that a stream is full, so
/// readiness asks with a real publish).
#[tokio::test]
async fn an_impossible_expectation_is_told_before_a_full_stream_is() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_msgs": 1 })).await;
    let first = stored(&wire.publish("raw.a", &[], "1").await);
    let answer = wire.publish("raw.a", &[("Nats-Expected-Last-Sequence", "99")], "2").await;
    assert_eq!(refusal(&answer), (10_071, "wrong last sequence: 1"));
    assert_eq!(number(&wire.state("RAW").await["last_seq"]), first);
}
