//! Atomic batches: all of it or none, and one acknowledgement for all.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::future::join_all;
use serde_json::{Value, json};
use tests::servers::NatsServer;
use tests::servers::wire::{Wire, map, number, refusal, stored};

/// Publishes messages (subject, id) as one batch, and gives the answer of the last one.
async fn batch(wire: &Wire, name: &str, messages: &[(&str, &str)]) -> Value {
    for (number, (subject, id)) in (1..).zip(&messages[..messages.len() - 1]) {
        let number = format!("{number}");
        let headers = map(&[("Nats-Batch-Id", name), ("Nats-Batch-Sequence", &number), ("Nats-Msg-Id", id)]);
        wire.client.publish_with_headers((*subject).to_owned(), headers, (*id).to_owned().into()).await.unwrap();
    }
    let (subject, id) = messages[messages.len() - 1];
    let size = messages.len().to_string();
    let headers =
        [("Nats-Batch-Id", name), ("Nats-Batch-Sequence", &size), ("Nats-Batch-Commit", "1"), ("Nats-Msg-Id", id)];
    wire.publish(subject, &headers, id.to_owned()).await
}

/// Rests on it: `runtime/src/group_commit.rs` (the batch lies in one piece, and what is acknowledged is its end).
#[tokio::test]
async fn a_batch_lies_in_one_piece_and_its_acknowledgement_is_its_end() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "allow_atomic": true })).await;
    let other = server.connect().await;
    for round in 0..10 {
        let name = format!("b{round}");
        let ids: Vec<String> = (0..20).map(|n| format!("{round}-{n}")).collect();
        let messages: Vec<(&str, &str)> = ids.iter().map(|id| ("raw.a", id.as_str())).collect();
        let beside = join_all((0..20).map(|_| other.publish("raw.beside", &[], "beside")));
        let (answer, beside) = futures::join!(batch(&wire, &name, &messages), beside);
        assert!(beside.iter().all(|answer| stored(answer) > 0));
        assert_eq!((&answer["batch"], number(&answer["count"])), (&json!(name), 20), "{answer}");
        let last = stored(&answer);
        for (sequence, id) in (last - 19..=last).zip(&ids) {
            let found = wire.api("STREAM.MSG.GET.RAW", json!({ "seq": sequence })).await;
            let payload = found["message"]["data"].as_str().unwrap();
            let payload = BASE64_STANDARD.decode(payload).unwrap();
            assert_eq!(payload, id.as_bytes(), "at {sequence}");
        }
    }
}

/// Rests on it: `runtime/src/group_commit.rs` (a refusal says nothing about the messages: each is published alone).
#[tokio::test]
async fn one_message_that_was_stored_before_is_enough_for_none() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "allow_atomic": true })).await;
    stored(&wire.publish("raw.a", &[("Nats-Msg-Id", "known")], "1").await);
    let answer = batch(&wire, "b", &[("raw.a", "new-1"), ("raw.a", "known"), ("raw.a", "new-2")]).await;
    assert_eq!(refusal(&answer), (10_201, "atomic publish batch contains duplicate message id"));
    assert_eq!(wire.messages("RAW").await, 1);
    for id in ["new-1", "new-2"] {
        stored(&wire.publish("raw.a", &[("Nats-Msg-Id", id)], "1").await);
    }
    // The same id twice in one batch.
    let answer = batch(&wire, "c", &[("raw.a", "x"), ("raw.a", "x")]).await;
    assert_eq!(refusal(&answer).0, 10_201);
}

/// Rests on it: `runtime/src/group_commit.rs` (a batch whose acknowledgement was lost is published message by message,
/// and each is a duplicate).
#[tokio::test]
async fn the_ids_of_a_batch_are_remembered_like_any_other() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "allow_atomic": true })).await;
    let last = stored(&batch(&wire, "b", &[("raw.a", "1"), ("raw.a", "2")]).await);
    for (id, sequence) in [("1", last - 1), ("2", last)] {
        let answer = wire.publish("raw.a", &[("Nats-Msg-Id", id)], "again").await;
        assert_eq!((&answer["duplicate"], number(&answer["seq"])), (&json!(true), sequence));
    }
}

/// Rests on it: `runtime/src/group_commit.rs` (a full stream takes none of a batch, not a part of it).
#[tokio::test]
async fn a_batch_that_does_not_fit_is_refused_as_a_whole() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "allow_atomic": true, "max_msgs": 3 })).await;
    let answer = batch(&wire, "b", &[("raw.a", "1"), ("raw.a", "2"), ("raw.a", "3"), ("raw.a", "4")]).await;
    assert_eq!(refusal(&answer).0, 10_077, "{answer}");
    assert_eq!(wire.messages("RAW").await, 0);
    stored(&batch(&wire, "c", &[("raw.a", "1"), ("raw.a", "2"), ("raw.a", "3")]).await);
}

/// Rests on it: `runtime/src/group_commit.rs` (a process that dies in a batch has stored nothing of it).
#[tokio::test]
async fn a_batch_without_its_end_stores_nothing() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "allow_atomic": true })).await;
    for number in ["1", "2", "3"] {
        let headers = map(&[("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", number), ("Nats-Msg-Id", number)]);
        wire.client.publish_with_headers("raw.a", headers, "1".into()).await.unwrap();
    }
    wire.client.flush().await.unwrap();
    assert_eq!(wire.messages("RAW").await, 0);
    assert_eq!(stored(&wire.publish("raw.a", &[("Nats-Msg-Id", "1")], "1").await), 1);
}

/// Rests on it: `runtime/src/group_commit.rs` (`MOST` is below this).
#[tokio::test]
async fn a_batch_has_at_most_a_thousand_messages() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "allow_atomic": true })).await;
    let ids: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let messages: Vec<(&str, &str)> = ids.iter().map(|id| ("raw.a", id.as_str())).collect();
    let answer = batch(&wire, "b", &messages[..1000]).await;
    assert_eq!(stored(&answer), 1000);
    wire.api("STREAM.PURGE.RAW", json!({})).await;
    let ids: Vec<String> = (2000..3001).map(|n| n.to_string()).collect();
    let messages: Vec<(&str, &str)> = ids.iter().map(|id| ("raw.a", id.as_str())).collect();
    assert_eq!(refusal(&batch(&wire, "c", &messages).await).0, 10_199);
    assert_eq!(wire.messages("RAW").await, 0);
}

/// Rests on it: `runtime/src/provision.rs` (`allow_atomic_publish` is set where batches are published).
#[tokio::test]
async fn a_stream_that_does_not_allow_batches_says_so() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("UNIQUE", json!({})).await;
    let answer = batch(&wire, "b", &[("unique.a", "1"), ("unique.a", "2")]).await;
    assert_eq!(refusal(&answer), (10_174, "atomic publish is disabled"));
    assert_eq!(wire.messages("UNIQUE").await, 0);
}
