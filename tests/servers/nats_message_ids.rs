//! `Nats-Msg-Id`: what `duplicate: true` says, and what it does not. A publisher's retry is safe by it; nothing else is.

use std::time::Duration;

use serde_json::json;
use tests::servers::NatsServer;
use tests::servers::wire::{number, refusal, stored};
use tests::{eventually, eventually::ensure};

const ID: [(&str, &str); 1] = [("Nats-Msg-Id", "p1")];

/// X4. Rests on it: `runtime/src/bodies.rs` (ids of chunks differ by subject and content),
/// `runtime/src/publish.rs` (`repeat` does not say that it is still there).
#[tokio::test]
async fn an_id_is_a_duplicate_on_every_subject_of_its_stream_and_is_not_stored() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    wire.stream("HELD", json!({})).await;
    let first = stored(&wire.publish("raw.a", &ID, "1").await);
    for subject in ["raw.a", "raw.b"] {
        let answer = wire.publish(subject, &ID, "another").await;
        assert_eq!(answer["duplicate"], true, "{answer}");
        assert_eq!(number(&answer["seq"]), first);
    }
    assert_eq!(wire.messages("RAW").await, 1);
    stored(&wire.publish("held.a", &ID, "1").await);
}

/// Rests on it: `runtime/src/publish.rs` (`repeat` is no proof of a message), `normalizer/src/decide.rs` (a replay
/// publishes under ids of its own run).
#[tokio::test]
async fn an_id_is_a_duplicate_also_when_its_message_is_purged_or_deleted() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("REPLAY", json!({})).await;
    let purged = stored(&wire.publish("replay.a", &ID, "1").await);
    wire.api("STREAM.PURGE.REPLAY", json!({ "seq": purged + 1 })).await;
    let deleted = stored(&wire.publish("replay.a", &[("Nats-Msg-Id", "p2")], "2").await);
    wire.api("STREAM.MSG.DELETE.REPLAY", json!({ "seq": deleted })).await;
    for (id, sequence) in [("p1", purged), ("p2", deleted)] {
        let answer = wire.publish("replay.a", &[("Nats-Msg-Id", id)], "again").await;
        assert_eq!((&answer["duplicate"], number(&answer["seq"])), (&json!(true), sequence));
        let read = wire.api("STREAM.MSG.GET.REPLAY", json!({ "seq": sequence })).await;
        assert_eq!(refusal(&read), (10_037, "no message found"));
    }
    assert_eq!(wire.messages("REPLAY").await, 0);
}

/// Rests on it: `runtime/src/publish.rs` (what was refused is tried again under the same id).
#[tokio::test]
async fn a_refused_publish_leaves_no_id_behind() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_msgs": 1 })).await;
    let first = stored(&wire.publish("raw.a", &[], "1").await);
    assert_eq!(refusal(&wire.publish("raw.a", &ID, "2").await).0, 10_077);
    wire.api("STREAM.PURGE.RAW", json!({ "seq": first + 1 })).await;
    stored(&wire.publish("raw.a", &ID, "2").await);
}

/// Rests on it: `runtime/src/publish.rs` (a retry over a restart of the broker is still known).
#[tokio::test]
async fn ids_are_remembered_over_a_restart_and_over_a_kill() {
    let mut server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({})).await;
    let first = stored(&wire.publish("raw.a", &ID, "1").await);
    server.stop().await;
    server.again().await;
    let wire = server.connect().await;
    assert_eq!(wire.publish("raw.a", &ID, "1").await["duplicate"], true);
    let second = stored(&wire.publish("raw.a", &[("Nats-Msg-Id", "p2")], "2").await);
    server.child().kill();
    server.again().await;
    let wire = server.connect().await;
    for (id, sequence) in [("p1", first), ("p2", second)] {
        let answer = wire.publish("raw.a", &[("Nats-Msg-Id", id)], "again").await;
        assert_eq!((&answer["duplicate"], number(&answer["seq"])), (&json!(true), sequence));
    }
}

/// Rests on it: `runtime/src/publish.rs` (the memory reaches back for the window only, so nothing but a retry may rest
/// on it), `runtime/src/properties.rs`.
#[tokio::test]
async fn an_id_is_forgotten_after_the_window() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "duplicate_window": 500_000_000 })).await;
    stored(&wire.publish("raw.a", &ID, "1").await);
    assert_eq!(wire.publish("raw.a", &ID, "1").await["duplicate"], true);
    eventually(Duration::from_secs(10), "the id is forgotten", async || {
        let answer = wire.publish("raw.a", &ID, "1").await;
        ensure(answer.get("duplicate").is_none(), || answer.to_string())
    })
    .await;
    assert_eq!(wire.messages("RAW").await, 2);
}

/// Rests on it: `dedup-worker/src/decide.rs` (its own claim, published again, is told from somebody else's).
#[tokio::test]
async fn the_holder_of_a_claim_is_told_duplicate_and_another_is_told_taken() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("UNIQUE", json!({ "max_msgs_per_subject": 1, "discard_new_per_subject": true })).await;
    let first = stored(&wire.publish("unique.a", &ID, "1").await);
    let own = wire.publish("unique.a", &ID, "1").await;
    assert_eq!((&own["duplicate"], number(&own["seq"])), (&json!(true), first));
    let other = wire.publish("unique.a", &[("Nats-Msg-Id", "p2")], "2").await;
    assert_eq!(refusal(&other), (10_077, "maximum messages per subject exceeded"));
}
