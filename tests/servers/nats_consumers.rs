//! What a consumer says of itself, and what becomes of its place: trimming throws away by it.

use serde_json::json;
use tests::servers::NatsServer;
use tests::servers::wire::{number, refusal, stored};

/// Rests on it: `runtime/src/trim.rs` (`Reads::Filtered`: the floor of a filtered consumer says nothing about what it
/// does not read).
#[tokio::test]
async fn the_floor_of_an_idle_filtered_consumer_does_not_move() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "sms", json!({ "filter_subject": "raw.sms.>" })).await;
    let own = stored(&wire.publish("raw.sms.a", &[], "1").await);
    let delivered = wire.pull_now("RAW", "sms", 1).await;
    wire.answer(&delivered[0], "+ACK").await;
    wire.fill("raw.email.a", 10).await;
    assert!(wire.pull_now("RAW", "sms", 1).await.is_empty());
    let info = wire.consumer_info("RAW", "sms").await;
    assert_eq!(number(&info["ack_floor"]["stream_seq"]), own);
    assert_eq!((number(&info["num_pending"]), number(&info["num_ack_pending"])), (0, 0));
    assert_eq!(number(&wire.state("RAW").await["last_seq"]), own + 10);
}

/// Rests on it: `runtime/src/trim.rs` (`Reads::Everything`: nothing after the floor may go).
#[tokio::test]
async fn the_floor_stays_below_the_first_message_that_is_not_acknowledged() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    wire.fill("raw.a", 5).await;
    let delivered = wire.pull_now("RAW", "all", 5).await;
    for place in [0, 2, 3, 4] {
        wire.answer(&delivered[place], "+ACK").await;
    }
    let info = wire.consumer_info("RAW", "all").await;
    assert_eq!(number(&info["ack_floor"]["stream_seq"]), 1);
    assert_eq!((number(&info["num_pending"]), number(&info["num_ack_pending"])), (0, 1));
    wire.answer(&delivered[1], "+ACK").await;
    assert_eq!(number(&wire.consumer_info("RAW", "all").await["ack_floor"]["stream_seq"]), 5);
}

/// Rests on it: `runtime/src/provision.rs` (a consumer is never deleted; one that was is made anew and reads again,
/// without harm), `runtime/src/trim.rs` (`Stopped::ConsumerMissing`).
#[tokio::test]
async fn a_consumer_that_is_deleted_and_made_again_reads_everything_again() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    wire.fill("raw.a", 3).await;
    wire.api("STREAM.PURGE.RAW", json!({ "seq": 2 })).await;
    wire.acknowledge("RAW", "all", 2).await;
    assert_eq!(wire.api_bytes("CONSUMER.DELETE.RAW.all", "").await["success"], true);
    assert_eq!(refusal(&wire.consumer_info("RAW", "all").await), (10_014, "consumer not found"));
    wire.consumer("RAW", "all", json!({})).await;
    let info = wire.consumer_info("RAW", "all").await;
    assert_eq!(number(&info["ack_floor"]["stream_seq"]), 1, "one before the first that is there");
    assert_eq!(number(&info["num_pending"]), 2);
    let again: Vec<u64> = wire.pull_now("RAW", "all", 3).await.iter().map(|delivered| delivered.sequence).collect();
    assert_eq!(again, [2, 3]);
}

/// Rests on it: `runtime/src/provision.rs` (`updated`: these can be mended, and mending keeps the place).
#[tokio::test]
async fn an_updated_consumer_keeps_its_place() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({ "max_deliver": 3, "max_ack_pending": 10, "ack_wait": 1_000_000_000 })).await;
    wire.fill("raw.a", 3).await;
    wire.acknowledge("RAW", "all", 2).await;
    wire.consumer("RAW", "all", json!({ "filter_subject": "raw.>" })).await;
    let info = wire.consumer_info("RAW", "all").await;
    assert_eq!(number(&info["ack_floor"]["stream_seq"]), 2);
    let config = &info["config"];
    assert_eq!((&config["max_deliver"], &config["max_ack_pending"]), (&json!(-1), &json!(10_000)));
    assert_eq!((&config["ack_wait"], &config["filter_subject"]), (&json!(30_000_000_000_u64), &json!("raw.>")));
    let left: Vec<u64> = wire.pull_now("RAW", "all", 3).await.iter().map(|delivered| delivered.sequence).collect();
    assert_eq!(left, [3]);
}

/// Rests on it: `runtime/src/properties.rs` (`UNCHANGEABLE`: two policies can only be had by a new consumer).
#[tokio::test]
async fn the_two_policies_of_a_consumer_cannot_be_changed() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    for (name, value) in [("deliver_policy", "new"), ("ack_policy", "none")] {
        let mut config = wire.consumer_info("RAW", "all").await["config"].clone();
        config[name] = json!(value);
        let request = json!({ "stream_name": "RAW", "config": config });
        let answer = wire.api("CONSUMER.DURABLE.CREATE.RAW.all", request).await;
        assert_eq!(refusal(&answer).0, 10_012, "{name}: {answer}");
        let kept = wire.consumer_info("RAW", "all").await;
        assert_ne!(kept["config"][name], value, "{kept}");
    }
}

/// Rests on it: `runtime/src/delivery.rs` (an acknowledgement is not waited for: one that is lost is a redelivery).
#[tokio::test]
async fn what_was_acknowledged_does_not_come_again_after_an_orderly_restart() {
    let mut server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    wire.fill("raw.a", 3).await;
    wire.acknowledge("RAW", "all", 2).await;
    server.stop().await;
    server.again().await;
    let wire = server.connect().await;
    let info = wire.consumer_info("RAW", "all").await;
    assert_eq!(number(&info["ack_floor"]["stream_seq"]), 2);
    let left: Vec<u64> = wire.pull_now("RAW", "all", 3).await.iter().map(|delivered| delivered.sequence).collect();
    assert_eq!(left, [3]);
}
