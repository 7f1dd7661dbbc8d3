//! What comes again, when, and what stops it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::servers::NatsServer;
use tests::servers::wire::{Delivered, Wire, number, stored};

/// One message, and a consumer that waits for this long.
async fn one(wire: &Wire, ack_wait_ms: u64) -> Delivered {
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({ "ack_wait": ack_wait_ms * 1_000_000 })).await;
    stored(&wire.publish("raw.a", &[], "1").await);
    let mut delivered = wire.pull_now("RAW", "all", 1).await;
    delivered.remove(0)
}

fn wait(limit: Duration) -> Value {
    json!({ "batch": 1, "expires": u64::try_from(limit.as_nanos()).unwrap() })
}

/// Rests on it: `runtime/src/delivery.rs` (a process that dies with messages in hand loses none: they come again after
/// `ack_wait`, and the count of deliveries says so), `runtime/src/worker.rs`.
#[tokio::test]
async fn what_is_not_answered_comes_again_after_ack_wait_with_a_higher_count() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let first = one(&wire, 1000).await;
    let begun = Instant::now();
    assert_eq!(first.delivered, 1);
    for count in 2..4 {
        let again = wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages;
        assert_eq!((again[0].sequence, again[0].delivered), (first.sequence, count));
    }
    assert!(begun.elapsed() > Duration::from_millis(1800), "{:?}", begun.elapsed());
    assert_eq!(number(&wire.consumer_info("RAW", "all").await["num_redelivered"]), 1);
}

/// Rests on it: `runtime/src/properties.rs` (`max_deliver` must be -1: with a number the broker gives up in silence).
#[tokio::test]
async fn without_an_end_of_deliveries_a_message_comes_every_time_and_with_one_it_is_left_behind() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let first = one(&wire, 30_000).await;
    wire.consumer("RAW", "three", json!({ "max_deliver": 3 })).await;
    wire.answer(&first, "-NAK").await;
    for count in 2..30 {
        let again = wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages;
        assert_eq!(again[0].delivered, count);
        wire.answer(&again[0], "-NAK").await;
    }
    for _ in 0..3 {
        let again = wire.pull("RAW", "three", wait(Duration::from_secs(5))).await.messages;
        wire.answer(&again[0], "-NAK").await;
    }
    assert!(wire.pull("RAW", "three", wait(Duration::from_millis(500))).await.messages.is_empty());
    assert_eq!(wire.messages("RAW").await, 1, "it is still in the stream, and nobody is told");
}

/// Rests on it: `runtime/src/delivery.rs` (`retry(wait)`: what is given back comes again after the wait, and at once
/// without one).
#[tokio::test]
async fn what_is_given_back_comes_again_after_the_delay_it_was_given_back_with() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let first = one(&wire, 30_000).await;
    let begun = Instant::now();
    wire.answer(&first, "-NAK {\"delay\": 700000000}").await;
    assert!(wire.pull("RAW", "all", wait(Duration::from_millis(200))).await.messages.is_empty());
    let again = wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages;
    let after = begun.elapsed();
    assert_eq!(again[0].delivered, 2);
    assert!(after >= Duration::from_millis(650) && after < Duration::from_secs(4), "{after:?}");
    wire.answer(&again[0], "-NAK").await;
    let begun = Instant::now();
    assert_eq!(wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages[0].delivered, 3);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

/// Rests on it: `runtime/src/delivery.rs` (a wait of zero is written as a delay of zero by the library).
#[tokio::test]
async fn a_delay_of_zero_is_none() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let first = one(&wire, 30_000).await;
    let word: bytes::Bytes = async_nats::jetstream::AckKind::Nak(Some(Duration::ZERO)).into();
    let begun = Instant::now();
    wire.client.request(first.reply.clone(), word).await.unwrap();
    assert_eq!(wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages[0].delivered, 2);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// Rests on it: `runtime/src/worker.rs` (a batch that takes long is told of every 10 s, and is not given to another).
#[tokio::test]
async fn saying_that_it_is_in_progress_starts_ack_wait_anew() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let first = one(&wire, 1500).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        wire.answer(&first, "+WPI").await;
        assert!(wire.pull("RAW", "all", wait(Duration::from_millis(400))).await.messages.is_empty());
    }
    assert_eq!(wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages[0].delivered, 2);
}

/// Rests on it: `runtime/src/delivery.rs` (an answer that comes late is about the message, whoever has it now, so a
/// stage acknowledges only what is durable).
#[tokio::test]
async fn an_acknowledgement_of_an_earlier_delivery_counts() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let first = one(&wire, 500).await;
    let second = wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages.remove(0);
    assert_eq!(second.delivered, 2);
    wire.answer(&first, "+ACK").await;
    let info = wire.consumer_info("RAW", "all").await;
    assert_eq!((number(&info["num_ack_pending"]), number(&info["ack_floor"]["stream_seq"])), (0, first.sequence));
    assert!(wire.pull("RAW", "all", wait(Duration::from_millis(800))).await.messages.is_empty());
    wire.answer(&second, "+ACK").await;
}

/// Rests on it: `runtime/src/properties.rs` (`max_ack_pending` must be large: beyond it nothing is delivered, whoever asks).
#[tokio::test]
async fn beyond_max_ack_pending_nothing_more_is_delivered() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({ "max_ack_pending": 2 })).await;
    wire.fill("raw.a", 4).await;
    let delivered = wire.pull("RAW", "all", json!({ "batch": 4, "expires": 500_000_000 })).await.messages;
    assert_eq!(delivered.len(), 2);
    assert!(wire.pull("RAW", "all", wait(Duration::from_millis(300))).await.messages.is_empty());
    wire.answer(&delivered[0], "+ACK").await;
    assert_eq!(wire.pull("RAW", "all", wait(Duration::from_secs(5))).await.messages[0].sequence, 3);
}
