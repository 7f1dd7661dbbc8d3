//! What stays and what goes, one promise after the other, with nothing else going on.

use runtime::publish::{Outgoing, Patience, headers};
use runtime::trim::Stopped;
use serde_json::json;

use super::{Broker, LIMIT, LONG, NO_TIME};

#[tokio::test]
async fn what_nobody_has_processed_stays_at_any_age_and_any_pressure() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 90, 10_000).await;
    assert_eq!(broker.trim("CANONICAL", NO_TIME, Some(1)).await, 0);
    assert_eq!(broker.left("CANONICAL").await, 90);
}

#[tokio::test]
async fn what_is_processed_goes_up_to_the_first_message_that_is_not() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 30, 100).await;
    broker.process("CANONICAL", "dedup", 20).await;
    assert_eq!(broker.trim("CANONICAL", NO_TIME, None).await, 20);
    assert_eq!(broker.trim("CANONICAL", NO_TIME, None).await, 0);
    assert_eq!(broker.left("CANONICAL").await, 10);
}

#[tokio::test]
async fn what_is_processed_stays_as_long_as_its_stream_is_kept() {
    let broker = Broker::start().await;
    broker.publish("raw.sms.support", 20, 100).await;
    broker.process("RAW", "normalizer-sms", 20).await;
    assert_eq!(broker.trim("RAW", LONG, None).await, 0);
    assert_eq!(broker.left("RAW").await, 20);
}

#[tokio::test]
async fn an_idle_consumer_does_not_hold_what_is_not_its_own() {
    let broker = Broker::start().await;
    broker.publish("raw.email.inbox", 1, 100).await;
    broker.process("RAW", "normalizer-email", 1).await;
    broker.publish("raw.sms.support", 20, 100).await;
    broker.process("RAW", "normalizer-sms", 20).await;
    assert_eq!(broker.trim("RAW", NO_TIME, None).await, 21);
}

#[tokio::test]
async fn a_second_consumer_that_is_behind_holds_everything_after_its_place() {
    let broker = Broker::start().await;
    broker.publish("raw.email.inbox", 1, 100).await;
    broker.publish("raw.sms.support", 20, 100).await;
    broker.process("RAW", "normalizer-sms", 20).await;
    assert_eq!(broker.trim("RAW", NO_TIME, None).await, 0, "the e-mail before them is not processed");
    broker.process("RAW", "normalizer-email", 1).await;
    assert_eq!(broker.trim("RAW", NO_TIME, None).await, 21);
}

#[tokio::test]
async fn a_consumer_that_is_missing_stops_trimming() {
    let broker = Broker::start().await;
    broker.publish("raw.sms.support", 20, 100).await;
    broker.process("RAW", "normalizer-sms", 20).await;
    broker.nats.jetstream().delete_consumer_from_stream("normalizer-form", "RAW").await.unwrap();
    assert_eq!(broker.trim("RAW", NO_TIME, None).await, 0);
}

#[tokio::test]
async fn a_stream_whose_metadata_was_lost_is_not_trimmed() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 20, 100).await;
    broker.set_metadata("CANONICAL", json!({})).await;
    assert_eq!(broker.trim("CANONICAL", NO_TIME, Some(1)).await, 0);
    assert_eq!(broker.left("CANONICAL").await, 20);
    // Mended, it is trimmed again.
    broker.process("CANONICAL", "dedup", 20).await;
    assert_eq!(broker.trim("CANONICAL", NO_TIME, Some(1)).await, 0);
    broker.nats.provision(&broker.config).await.unwrap();
    assert_eq!(broker.trim("CANONICAL", NO_TIME, None).await, 20);
}

#[tokio::test]
async fn a_pass_that_could_not_decide_says_why() {
    let broker = Broker::start().await;
    broker.nats.jetstream().delete_consumer_from_stream("dedup", "CANONICAL").await.unwrap();
    assert_eq!(broker.stopped("CANONICAL").await, Some(Stopped::ConsumerMissing));
}

#[tokio::test]
async fn a_consumer_with_another_filter_than_its_own_holds_everything_after_its_floor() {
    let broker = Broker::start().await;
    broker.publish("raw.email.inbox", 1, 100).await;
    broker.process("RAW", "normalizer-email", 1).await;
    broker.publish("raw.sms.support", 20, 100).await;
    broker.process("RAW", "normalizer-sms", 20).await;
    let other = json!({ "filter_subject": "raw.email.nobody" });
    broker.change_consumer("RAW", "normalizer-email", &other, false).await;
    assert!(broker.trim("RAW", NO_TIME, None).await <= 1, "which messages are its own is not known");
}

#[tokio::test]
async fn a_consumer_made_anew_has_processed_nothing() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 20, 100).await;
    broker.process("CANONICAL", "dedup", 20).await;
    broker.nats.jetstream().delete_consumer_from_stream("dedup", "CANONICAL").await.unwrap();
    broker.nats.provision(&broker.config).await.unwrap();
    assert_eq!(broker.trim("CANONICAL", NO_TIME, None).await, 0);
    assert_eq!(broker.left("CANONICAL").await, 20);
}

#[tokio::test]
async fn a_nearly_full_stream_loses_the_oldest_of_what_is_processed_before_its_time() {
    let broker = Broker::start().await;
    broker.publish("raw.sms.support", 90, 10_000).await;
    broker.process("RAW", "normalizer-sms", 90).await;
    let gone = broker.trim("RAW", LONG, None).await;
    assert!((10..60).contains(&gone), "{gone} of 90 went");
    assert_eq!(broker.trim("RAW", LONG, None).await, 0, "there is room again");
}

#[tokio::test]
async fn too_many_claims_go_oldest_first_and_a_freed_claim_can_be_taken_again() {
    let broker = Broker::start().await;
    broker.publish("unique.0.#", 100, 10).await;
    broker.process("UNIQUE", "persister", 100).await;
    assert_eq!(broker.trim("UNIQUE", LONG, Some(100)).await, 30);
    let again = |number: usize| Outgoing {
        subject: format!("unique.0.{number}"),
        headers: headers(&format!("another-{number}"), []).unwrap(),
        payload: "x".into(),
    };
    let results = broker.nats.publish_all(&[0, 99], |number| Some(again(*number)), Patience::for_at_most(LIMIT)).await;
    assert!(results[0].is_ok(), "the oldest claim was freed: {results:?}");
    assert!(results[1].is_err(), "the youngest claim still stands: {results:?}");
}
