//! What is not processed is never thrown away, whatever its age and however full its stream; what is, goes.
//!
//! The one place where the harness uses a crate of the product: a purge past an unacknowledged message loses it in
//! silence, so the function that purges is tried by itself, against a real broker, and not only through its effects.

use std::time::Duration;

use runtime::config::{Config, Environment, Need, Requirements};
use runtime::feed::{BatchLimits, Feed};
use runtime::health::Health;
use runtime::nats::Nats;
use runtime::publish::{Outgoing, Patience, headers};
use runtime::trimmer::{KeepFor, Retention};
use tests::up::Up;

const LIMIT: Duration = Duration::from_secs(10);

/// A broker with the streams of an installation, each of at most 1 MiB.
struct Broker {
    nats: Nats,
    config: Config,
    _up: Up,
}

impl Broker {
    async fn start() -> Self {
        let up = Up::start(None, &[]).await;
        let url = up.run().unwrap().nats_url;
        let sizes =
            ["RAW", "CANONICAL", "UNIQUE"].map(|stream| (format!("PENSTOCK__STREAMS__{stream}"), "1 MiB".to_owned()));
        let environment: Environment = [("PENSTOCK__NATS__URL".to_owned(), url)].into_iter().chain(sizes).collect();
        let config = Config::load_for(None, &environment, Requirements::every(Need::Optional)).unwrap();
        let health = Health::default().dependency("nats");
        let nats = Nats::connect(&config.nats, "admin", Duration::from_secs(5), health).await.unwrap();
        nats.provision(&config).await.unwrap();
        Self { nats, config, _up: up }
    }

    async fn publish(&self, subject: &str, messages: usize, bytes: usize) {
        let message = |number: usize| Outgoing {
            subject: subject.replace('#', &number.to_string()),
            headers: headers(&format!("{subject}-{number}"), []).unwrap(),
            payload: vec![b'x'; bytes].into(),
        };
        let (numbers, patience) = ((0..messages).collect::<Vec<_>>(), Patience::for_at_most(LIMIT));
        for result in self.nats.publish_all(&numbers, |number| Some(message(*number)), patience).await {
            result.unwrap();
        }
    }

    /// Acknowledges so many messages of a consumer, and waits until the broker knows.
    async fn process(&self, stream: &'static str, consumer: &'static str, messages: u64) {
        let limits = BatchLimits { messages: 1, linger: Duration::ZERO };
        let mut feed = Feed::new(self.nats.clone(), stream, consumer, limits, Health::default().dependency("feed"));
        let floor = async || self.nats.consumer_info(stream, consumer).await.unwrap().ack_floor.consumer_seq;
        let target = floor().await + messages;
        for _ in 0..messages {
            let batch = feed.next_batch().await;
            self.nats.settle(batch.into_iter().map(runtime::delivery::Delivery::ack).collect()).await;
        }
        tests::eventually(LIMIT, "the acknowledgements arrive", async || {
            let floor = floor().await;
            if floor >= target { Ok(()) } else { Err(format!("the floor is {floor}, not {target}")) }
        })
        .await;
    }

    async fn trim(&self, stream: &'static str, keep: Duration, most_messages: Option<u64>) -> u64 {
        let retention = Retention {
            stream,
            keep: KeepFor::Age(keep),
            most_messages,
            under_pressure: true,
            every: Duration::from_mins(1),
        };
        self.nats.trim(&retention).await.unwrap().trimmed
    }

    async fn left(&self, stream: &str) -> u64 {
        self.nats.stream_info(stream).await.unwrap().state.messages
    }
}

const NO_TIME: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_hours(24);

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
    let mut config: serde_json::Value =
        broker.nats.jetstream().request("STREAM.INFO.CANONICAL", &serde_json::json!({})).await.unwrap();
    let mut config = config["config"].take();
    config["metadata"] = serde_json::json!({});
    let answer: serde_json::Value = broker.nats.jetstream().request("STREAM.UPDATE.CANONICAL", &config).await.unwrap();
    assert!(answer.get("error").is_none(), "{answer:#}");
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
    let retention = Retention {
        stream: "CANONICAL",
        keep: KeepFor::Age(NO_TIME),
        most_messages: None,
        under_pressure: true,
        every: Duration::from_mins(1),
    };
    let pass = broker.nats.trim(&retention).await.unwrap();
    assert_eq!(pass.stopped, Some(runtime::trim::Stopped::ConsumerMissing));
}

#[tokio::test]
async fn a_consumer_with_another_filter_than_its_own_holds_everything_after_its_floor() {
    let broker = Broker::start().await;
    broker.publish("raw.email.inbox", 1, 100).await;
    broker.process("RAW", "normalizer-email", 1).await;
    broker.publish("raw.sms.support", 20, 100).await;
    broker.process("RAW", "normalizer-sms", 20).await;
    let jetstream = broker.nats.jetstream();
    let mut info: serde_json::Value =
        jetstream.request("CONSUMER.INFO.RAW.normalizer-email", &serde_json::json!({})).await.unwrap();
    info["config"]["filter_subject"] = "raw.email.nobody".into();
    let change = serde_json::json!({ "stream_name": "RAW", "config": info["config"].take(), "action": "update" });
    let answer: serde_json::Value =
        jetstream.request("CONSUMER.CREATE.RAW.normalizer-email.raw.email.nobody", &change).await.unwrap();
    assert!(answer.get("error").is_none(), "{answer:#}");
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

#[tokio::test]
async fn a_body_stays_as_long_as_the_oldest_message_that_may_refer_to_it() {
    let broker = Broker::start().await;
    let margin = Duration::from_secs(1);
    let bodies = Retention {
        stream: "BODIES",
        keep: KeepFor::ReferredTo(&["RAW", "UNIQUE", "DLQ"], margin),
        most_messages: None,
        under_pressure: false,
        every: Duration::from_mins(1),
    };
    let trim = async || broker.nats.trim(&bodies).await.unwrap().trimmed;
    for (stream, subject) in [("RAW", "raw.sms.support"), ("UNIQUE", "unique.0.a"), ("DLQ", "dlq.dedup.sms.support.a")]
    {
        let id = uuid::Uuid::new_v4();
        broker.publish(&format!("body.{id}"), 1, 100).await;
        broker.publish(subject, 1, 100).await;
        // Older than the margin, and still there: what counts is how old the message is.
        tokio::time::sleep(2 * margin).await;
        assert_eq!(trim().await, 0, "a message in {stream} may refer to it");
        broker.nats.jetstream().get_stream(stream).await.unwrap().purge().await.unwrap();
        tests::eventually(LIMIT, "it goes when nothing refers to it any more", async || {
            if trim().await == 1 { Ok(()) } else { Err("it is still there".to_owned()) }
        })
        .await;
    }
}
