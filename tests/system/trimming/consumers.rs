//! A consumer's place is believed only where it means that messages were processed: consumers that are frozen, behind,
//! deleted, made anew, or made in a way in which their floor says nothing.

use std::time::Duration;

use nix::sys::signal::Signal;
use runtime::delivery::Delivery;
use runtime::trim::Stopped;
use serde_json::json;
use tests::child::send;
use tests::eventually;
use tests::eventually::ensure;

use super::{Broker, LIMIT, NO_TIME};

/// Acknowledges those deliveries whose places in the stream are named, and forgets the others, as one who is frozen does.
async fn acknowledge(broker: &Broker, deliveries: Vec<Delivery>, places: impl Fn(u64) -> bool) {
    let done = deliveries.into_iter().filter(|delivery| places(delivery.info().stream_sequence));
    broker.nats.settle(done.map(Delivery::ack).collect()).await;
}

async fn in_hand(broker: &Broker, stream: &str, consumer: &str, expected: u64) {
    eventually(LIMIT, "the acknowledgements arrive", async || {
        let info = broker.nats.consumer_info(stream, consumer).await.unwrap();
        ensure(info.num_ack_pending == expected, || format!("{} in hand", info.num_ack_pending))
    })
    .await;
}

#[tokio::test]
async fn what_a_frozen_worker_has_in_hand_stays_and_so_does_all_after_it() {
    let broker = Broker::start().await;
    // The other way to read: everything, and with a filter.
    for (stream, subject, consumer) in
        [("CANONICAL", "canonical.sms.support", "dedup"), ("RAW", "raw.sms.support", "normalizer-sms")]
    {
        broker.change_consumer(stream, consumer, &json!({ "ack_wait": 1_000_000_000 }), false).await;
        broker.publish(subject, 20, 100).await;
        let mut feed = broker.feed(stream, consumer, 20);
        let batch = feed.next_batch().await;
        acknowledge(&broker, batch, |place| !(6..=10).contains(&place)).await;
        in_hand(&broker, stream, consumer, 5).await;
        assert_eq!(broker.trim(stream, NO_TIME, Some(1)).await, 5, "up to the first that is in hand, of {stream}");
        assert_eq!(broker.trim(stream, NO_TIME, Some(1)).await, 0);
        // They come again, to somebody else.
        let mut again = Vec::new();
        while again.len() < 5 {
            again.extend(feed.next_batch().await);
        }
        let mut places: Vec<u64> = again.iter().map(|delivery| delivery.info().stream_sequence).collect();
        places.sort_unstable();
        assert_eq!(places, [6, 7, 8, 9, 10], "none of {stream} is lost");
        acknowledge(&broker, again, |_| true).await;
        in_hand(&broker, stream, consumer, 0).await;
        assert_eq!(broker.trim(stream, NO_TIME, Some(1)).await, 15);
    }
}

#[tokio::test]
async fn a_consumer_that_gives_up_after_some_tries_has_not_processed_what_it_gave_up_on() {
    let broker = Broker::start().await;
    let gives_up = json!({ "max_deliver": 1, "ack_wait": 200_000_000 });
    broker.change_consumer("CANONICAL", "dedup", &gives_up, false).await;
    broker.publish("canonical.sms.support", 20, 100).await;
    let batch = broker.feed("CANONICAL", "dedup", 20).next_batch().await;
    acknowledge(&broker, batch, |place| place > 10).await;
    // To the broker nothing waits any more, though nobody acknowledged the first ten.
    eventually(LIMIT, "the broker gives up on them", async || {
        let waiting = broker.waiting("CANONICAL", "dedup").await;
        ensure(waiting == 0, || format!("{waiting} wait"))
    })
    .await;
    assert_eq!(broker.trim("CANONICAL", NO_TIME, Some(1)).await, 0);
    assert_eq!(broker.left("CANONICAL").await, 20);
    assert_eq!(broker.stopped("CANONICAL").await, Some(Stopped::ConsumerUnfit));
    // Mended and made anew, it reads them all.
    broker.api("CONSUMER.DELETE.CANONICAL.dedup", json!({})).await;
    broker.nats.provision(&broker.config).await.unwrap();
    assert_eq!(broker.waiting("CANONICAL", "dedup").await, 20);
}

#[tokio::test]
async fn a_consumer_made_to_skip_what_is_there_has_not_processed_it() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 20, 100).await;
    broker.change_consumer("CANONICAL", "dedup", &json!({ "deliver_policy": "new" }), true).await;
    assert_eq!(broker.waiting("CANONICAL", "dedup").await, 0, "to the broker it is at the end");
    let stopped = broker.stopped("CANONICAL").await;
    assert_eq!(broker.left("CANONICAL").await, 20);
    assert_eq!(stopped, Some(Stopped::ConsumerUnfit));
}

#[tokio::test]
async fn a_consumer_that_need_not_acknowledge_has_not_processed_what_was_delivered() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 20, 100).await;
    broker.change_consumer("CANONICAL", "dedup", &json!({ "ack_policy": "none" }), true).await;
    let request = json!({ "batch": 20, "no_wait": true });
    broker
        .nats
        .client()
        .publish("$JS.API.CONSUMER.MSG.NEXT.CANONICAL.dedup", request.to_string().into())
        .await
        .unwrap();
    let stopped = broker.stopped("CANONICAL").await;
    assert_eq!(broker.left("CANONICAL").await, 20);
    assert_eq!(stopped, Some(Stopped::ConsumerUnfit));
}

#[tokio::test]
async fn a_consumer_that_only_the_metadata_names_is_waited_for() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 20, 100).await;
    broker.process("CANONICAL", "dedup", 20).await;
    broker.set_metadata("CANONICAL", json!({ "penstock.layout": "1", "penstock.consumers": "dedup,audit" })).await;
    assert_eq!(broker.stopped("CANONICAL").await, Some(Stopped::ConsumerMissing));
    // Made, it counts like any other.
    let audit =
        json!({ "durable_name": "audit", "deliver_policy": "all", "ack_policy": "explicit", "max_deliver": -1 });
    broker.api("CONSUMER.CREATE.CANONICAL.audit", json!({ "stream_name": "CANONICAL", "config": audit })).await;
    assert_eq!(broker.trim("CANONICAL", NO_TIME, Some(1)).await, 0);
    broker.process("CANONICAL", "audit", 7).await;
    assert_eq!(broker.trim("CANONICAL", NO_TIME, Some(1)).await, 7);
}

#[tokio::test]
async fn a_stream_of_another_layout_is_not_trimmed() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 20, 100).await;
    broker.process("CANONICAL", "dedup", 20).await;
    broker.set_metadata("CANONICAL", json!({ "penstock.layout": "2", "penstock.consumers": "dedup" })).await;
    assert_eq!(broker.stopped("CANONICAL").await, Some(Stopped::UnknownLayout));
    assert_eq!(broker.left("CANONICAL").await, 20);
}

#[tokio::test]
async fn a_broker_that_was_killed_between_acknowledgements_and_trimming_has_forgotten_no_message() {
    let broker = Broker::start().await;
    broker.publish("canonical.sms.support", 30, 100).await;
    let mut feed = broker.feed("CANONICAL", "dedup", 30);
    let batch = feed.next_batch().await;
    acknowledge(&broker, batch, |place| place <= 12).await;
    in_hand(&broker, "CANONICAL", "dedup", 18).await;
    let old = broker.up.run().unwrap().pids.nats;
    send(old.unwrap(), Signal::SIGKILL);
    eventually(Duration::from_secs(30), "it is started again", async || {
        ensure(broker.up.run()?.pids.nats.is_some_and(|pid| Some(pid) != old), || "not yet".to_owned())?;
        broker.nats.stream_info("CANONICAL").await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    // It may have forgotten acknowledgements, so that less goes; never more.
    let gone = broker.trim("CANONICAL", NO_TIME, Some(1)).await;
    assert!(gone <= 12, "{gone} went");
    assert_eq!(broker.left("CANONICAL").await, 30 - gone);
    let info = broker.nats.stream_info("CANONICAL").await.unwrap();
    assert!(info.state.first_seq <= 13, "{info:?}");
}
