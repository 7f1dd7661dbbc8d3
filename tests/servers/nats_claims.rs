//! One message per subject: publishing is claiming, in one step, over restarts, until the claim is purged.

use futures::future::join_all;
use serde_json::json;
use tests::servers::NatsServer;
use tests::servers::wire::{refusal, stored};

/// Rests on it: `dedup-worker/src/decide.rs` (a claim has one holder, whoever else publishes at the same time).
#[tokio::test]
async fn of_many_who_claim_at_once_exactly_one_does() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    let other = server.connect().await;
    wire.stream("UNIQUE", json!({ "max_msgs_per_subject": 1, "discard_new_per_subject": true })).await;
    for round in 0..20 {
        let subject = format!("unique.{round}");
        let ids: Vec<String> = (0..40).map(|n| format!("{round}-{n}")).collect();
        let all = ids.iter().enumerate().map(|(n, id)| {
            let (wire, subject) = (if n % 2 == 0 { &wire } else { &other }, &subject);
            async move { wire.publish(subject, &[("Nats-Msg-Id", id)], id.clone()).await }
        });
        let answers = join_all(all).await;
        let claimed = answers.iter().filter(|answer| answer.get("error").is_none()).count();
        assert_eq!(claimed, 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.get("error").is_some()) {
            assert_eq!(refusal(answer), (10_077, "maximum messages per subject exceeded"));
        }
    }
    assert_eq!(wire.messages("UNIQUE").await, 20);
}

/// Rests on it: `dedup-worker/src/decide.rs` (a claim reaches over a restart of the broker).
#[tokio::test]
async fn a_claim_holds_over_a_restart_and_over_a_kill() {
    let mut server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("UNIQUE", json!({ "max_msgs_per_subject": 1, "discard_new_per_subject": true })).await;
    stored(&wire.publish("unique.a", &[], "1").await);
    server.stop().await;
    server.again().await;
    let wire = server.connect().await;
    stored(&wire.publish("unique.b", &[], "1").await);
    server.child().kill();
    server.again().await;
    let wire = server.connect().await;
    for subject in ["unique.a", "unique.b"] {
        let answer = wire.publish(subject, &[], "2").await;
        assert_eq!(refusal(&answer), (10_077, "maximum messages per subject exceeded"));
    }
}

/// Rests on it: `runtime/src/trimmer.rs` (trimming UNIQUE frees claims), `persister/src/sql/judge.sql` (which is why
/// claims are judged once more).
#[tokio::test]
async fn a_purged_claim_is_free_for_another() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("UNIQUE", json!({ "max_msgs_per_subject": 1, "discard_new_per_subject": true })).await;
    let first = stored(&wire.publish("unique.a", &[("Nats-Msg-Id", "1")], "1").await);
    wire.api("STREAM.PURGE.UNIQUE", json!({ "seq": first + 1 })).await;
    stored(&wire.publish("unique.a", &[("Nats-Msg-Id", "2")], "2").await);
}

/// Rests on it: `runtime/src/topology.rs` (HELD holds so many messages for each source and refuses the next).
#[tokio::test]
async fn a_limit_per_subject_of_one_source_does_not_touch_another() {
    let server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("HELD", json!({ "max_msgs_per_subject": 3, "discard_new_per_subject": true })).await;
    wire.fill("held.sms.a", 3).await;
    let full = wire.publish("held.sms.a", &[], "1").await;
    assert_eq!(refusal(&full), (10_077, "maximum messages per subject exceeded"));
    stored(&wire.publish("held.sms.b", &[], "1").await);
    assert_eq!(wire.messages("HELD").await, 4);
}
