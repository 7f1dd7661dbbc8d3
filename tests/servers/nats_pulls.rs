//! Pulling: how a batch ends, and with which words.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;
use tests::eventually;
use tests::eventually::ensure;
use tests::servers::NatsServer;
use tests::servers::wire::{number, stored};

/// Rests on it: `runtime/src/feed.rs` (`ENOUGH_BYTES`: with these words a batch is at its end; with others something is
/// wrong).
#[tokio::test]
async fn a_pull_of_so_many_bytes_ends_before_the_message_that_is_too_much_and_says_so() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    for size in [400, 400, 400] {
        stored(&wire.publish("raw.a", &[], vec![0; size]).await);
    }
    wire.consumer("RAW", "all", json!({})).await;
    let request = json!({ "batch": 10, "no_wait": true, "max_bytes": 1100 });
    let pulled = wire.pull("RAW", "all", request).await;
    assert_eq!(pulled.messages.len(), 2);
    assert_eq!(pulled.end, Some((409, "Message Size Exceeds MaxBytes".to_owned())));
}

/// Rests on it: `runtime/src/feed.rs` (a message over the limit of bytes is asked for alone, without one: `Ask::First`).
#[tokio::test]
async fn a_message_that_is_larger_than_all_the_bytes_of_a_pull_is_only_had_without_that_limit() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    stored(&wire.publish("raw.a", &[], vec![0; 2000]).await);
    wire.consumer("RAW", "all", json!({})).await;
    let pulled = wire.pull("RAW", "all", json!({ "batch": 10, "no_wait": true, "max_bytes": 1000 })).await;
    assert!(pulled.messages.is_empty());
    assert_eq!(pulled.end, Some((409, "Message Size Exceeds MaxBytes".to_owned())));
    let pulled = wire.pull("RAW", "all", json!({ "batch": 1, "expires": 5_000_000_000_u64 })).await;
    assert_eq!((pulled.messages.len(), pulled.messages[0].delivered), (1, 1), "it was not delivered before");
}

/// Rests on it: `runtime/src/feed.rs` (the words come through the library as the text of an error that ends the batch).
#[tokio::test]
async fn the_library_passes_the_words_on_as_an_error() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    for _ in 0..2 {
        stored(&wire.publish("raw.a", &[], vec![0; 400]).await);
    }
    wire.consumer("RAW", "all", json!({})).await;
    let context = async_nats::jetstream::new(wire.client.clone());
    let consumer: async_nats::jetstream::consumer::PullConsumer =
        context.get_consumer_from_stream("all", "RAW").await.unwrap();
    let mut batch = consumer.fetch().max_messages(10).max_bytes(600).messages().await.unwrap();
    batch.next().await.unwrap().expect("the first message");
    let error = batch.next().await.unwrap().expect_err("the end of the batch");
    assert!(error.to_string().contains("Message Size Exceeds MaxBytes"), "{error}");
}

/// Rests on it: `runtime/src/feed.rs` (`Ask::Now`: what is there comes in one batch and then it ends; nothing is waited
/// for).
#[tokio::test]
async fn a_pull_that_waits_for_nothing_ends_after_what_is_there() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    let pulled = wire.pull("RAW", "all", json!({ "batch": 10, "no_wait": true })).await;
    assert_eq!((pulled.messages.len(), pulled.end), (0, Some((404, "No Messages".to_owned()))));
    wire.fill("raw.a", 3).await;
    // A consumer hears of a message after its publisher does.
    eventually(Duration::from_secs(10), "the consumer knows of them", async || {
        let pending = number(&wire.consumer_info("RAW", "all").await["num_pending"]);
        ensure(pending == 3, || format!("{pending}"))
    })
    .await;
    let pulled = wire.pull("RAW", "all", json!({ "batch": 10, "no_wait": true })).await;
    assert_eq!(pulled.messages.iter().map(|message| message.pending).collect::<Vec<_>>(), [2, 1, 0]);
    assert_eq!(pulled.end, Some((404, "No Messages".to_owned())));
}

/// Rests on it: `runtime/src/feed.rs` (`Ask::First`: the first message comes at once, and a pull without any ends by
/// itself).
#[tokio::test]
async fn a_pull_that_waits_gets_the_first_message_that_comes_or_ends_in_time() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    let pulled = wire.pull("RAW", "all", json!({ "batch": 1, "expires": 300_000_000 })).await;
    assert_eq!((pulled.messages.len(), pulled.end), (0, Some((408, "Request Timeout".to_owned()))));
    let waiting = wire.pull("RAW", "all", json!({ "batch": 1, "expires": 8_000_000_000_u64 }));
    let publishing = async { stored(&wire.publish("raw.a", &[], "1").await) };
    let (pulled, sequence) = futures::join!(waiting, publishing);
    assert_eq!(pulled.messages[0].sequence, sequence);
}

/// Rests on it: `runtime/src/feed.rs` (a pull that waits while its consumer is deleted ends with an error).
#[tokio::test]
async fn a_pull_that_waits_while_its_consumer_is_deleted_is_told_so() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.consumer("RAW", "all", json!({})).await;
    let waiting = wire.pull("RAW", "all", json!({ "batch": 1, "expires": 8_000_000_000_u64 }));
    let deleting = async {
        eventually(Duration::from_secs(5), "the pull waits", async || {
            let waiting = number(&wire.consumer_info("RAW", "all").await["num_waiting"]);
            ensure(waiting == 1, || format!("{waiting}"))
        })
        .await;
        wire.api_bytes("CONSUMER.DELETE.RAW.all", "").await
    };
    let (pulled, deleted) = futures::join!(waiting, deleting);
    assert_eq!(deleted["success"], true);
    assert_eq!(pulled.end, Some((409, "Consumer Deleted".to_owned())));
}

/// Rests on it: `runtime/src/feed.rs` (503 is an error like any other: the handle is asked for anew).
#[tokio::test]
async fn a_pull_of_a_consumer_that_is_not_there_has_nobody_to_answer() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    let now = json!({ "batch": 1, "no_wait": true });
    assert_eq!(wire.pull("RAW", "all", now.clone()).await.end, Some((503, String::new())));
    wire.consumer("RAW", "all", json!({})).await;
    assert_eq!(wire.pull("RAW", "all", now.clone()).await.end, Some((404, "No Messages".to_owned())));
    wire.api_bytes("CONSUMER.DELETE.RAW.all", "").await;
    assert_eq!(wire.pull("RAW", "all", now).await.end, Some((503, String::new())));
}
