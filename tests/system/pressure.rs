//! What a stage does when the one behind it does not keep up: it waits with the messages in its hands. Nothing is given
//! up on, nothing is given back to be counted as another failure, and a message under suspicion is tried alone.
//!
//! Three of these try `runtime` by itself against a real broker, as `trimming` does and for the same reason: what they
//! hold cannot be brought about from outside at will.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::bodies::Payload;
use runtime::config::{Config, Environment, Need, Requirements};
use runtime::delivery::{Delivery, Settled};
use runtime::feed::{BatchLimits, Feed};
use runtime::health::Health;
use runtime::nats::Nats;
use runtime::publish::{Outgoing, Patience, headers};
use runtime::worker::{self, Stage};
use tests::eventually::ensure;
use tests::up::Up;
use tests::{Pipeline, Request, Role, config, eventually};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_full_stream_makes_the_stages_before_it_wait_and_gives_up_on_nothing() {
    let small = config::COMMON.replace("canonical = \"256 MiB\"", "canonical = \"1 MiB\"");
    let source = config::source("webhook", "none", "pressure", config::UNLIMITED);
    let text = config::with(&small, [source]);
    let mut pipeline = Pipeline::by_hand(&text, &[Role::Gateway, Role::Normalizer]).await;
    let accepted = 100;
    for number in 0..accepted {
        let body = format!(r#"{{"number": {number}, "filling": "{}"}}"#, "x".repeat(16_000));
        pipeline.post(&Request::json("/v1/webhook/pressure", body)).await.accepted();
    }

    // Long enough for every message in hand to have been tried again many times over.
    eventually(SOON, "the normalizer waits for CANONICAL", async || {
        let waits = pipeline.scrape(Role::Normalizer).await.sum("penstock_publish_waits_total", &[]).unwrap_or(0.0);
        ensure(waits >= 60.0, || format!("{waits} waits"))
    })
    .await;
    let consumer = pipeline.broker.consumer("RAW", "normalizer-webhook").await.unwrap();
    assert_eq!(consumer["num_redelivered"], 0, "what is in hand stays in hand: {consumer:#}");
    assert_eq!(pipeline.broker.count("DLQ", "dlq.>").await, 0, "waiting is no reason to give up");

    pipeline.start_role(Role::Dedup).await;
    pipeline.start_role(Role::Persister).await;
    pipeline.rows("pressure", accepted, 0).await;
    assert_eq!(pipeline.broker.count("DLQ", "dlq.>").await, 0);
}

/// A broker with the streams of an installation, and a connection to it.
struct Broker {
    nats: Nats,
    _up: Up,
}

impl Broker {
    async fn start() -> Self {
        let up = Up::start(None, &[]).await;
        let url = [("PENSTOCK__NATS__URL".to_owned(), up.run().unwrap().nats_url)];
        let sizes = ["RAW", "BODIES", "REPLAY", "CANONICAL", "UNIQUE", "DUPLICATES"];
        let sizes = sizes.map(|stream| (format!("PENSTOCK__STREAMS__{stream}"), "256 MiB".to_owned()));
        let environment: Environment = url.into_iter().chain(sizes).collect();
        let config = Config::load_for(None, &environment, Requirements::every(Need::Optional)).unwrap();
        let health = Health::default().dependency("nats");
        let nats = Nats::connect(&config.nats, "admin", Duration::from_secs(5), health).await.unwrap();
        nats.provision(&config).await.unwrap();
        Self { nats, _up: up }
    }

    async fn publish(&self, messages: usize) {
        let message = |number: &usize| {
            let headers = headers(&format!("message-{number}"), [])?;
            Some(Outgoing { subject: "canonical.sms.support".to_owned(), headers, payload: "x".into() })
        };
        let numbers: Vec<usize> = (0..messages).collect();
        for result in self.nats.publish_all(&numbers, message, Patience::for_at_most(SOON)).await {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn a_batch_may_have_more_messages_than_may_be_on_their_way() {
    let broker = Broker::start().await;
    broker.publish(20_000).await;
}

#[tokio::test]
async fn another_payload_under_the_same_id_is_another_payload() {
    let (broker, id) = (Broker::start().await, Uuid::from_u128(7));
    let payloads = [b'a', b'b'].map(|byte| bytes::Bytes::from(vec![byte; 700_000]));
    let name = |bytes: &bytes::Bytes| Payload { id, chunks: 2, size: 700_000, hash: blake3::hash(bytes) };
    for bytes in &payloads {
        broker.nats.put_body(name(bytes), bytes, 512 * 1024, Patience::for_at_most(SOON)).await.unwrap();
    }
    for bytes in &payloads {
        assert!(broker.nats.get_body(name(bytes)).await.unwrap() == *bytes);
    }
}

/// Gives everything back until it is suspicious, and writes down in what company it was then.
struct Suspicious {
    together: Arc<Mutex<Vec<usize>>>,
}

impl Stage for Suspicious {
    async fn process(&self, batch: Vec<Delivery>) -> Vec<Settled> {
        let size = batch.len();
        let answer = |delivery: Delivery| {
            if delivery.info().delivered <= 5 {
                return delivery.retry(Duration::ZERO);
            }
            self.together.lock().unwrap().push(size);
            delivery.ack()
        };
        batch.into_iter().map(answer).collect()
    }
}

#[tokio::test]
async fn a_message_that_was_delivered_too_often_is_tried_alone() {
    let (broker, messages) = (Broker::start().await, 30);
    broker.publish(messages).await;
    let limits = BatchLimits { messages: 10, linger: Duration::ZERO };
    let feed = Feed::new(broker.nats.clone(), "CANONICAL", "dedup", limits, Health::default().dependency("feed"));
    let (stop, together) = (CancellationToken::new(), Arc::default());
    let stage = Suspicious { together: Arc::clone(&together) };
    let done = async {
        eventually(SOON, "all are done", async || {
            let done = together.lock().unwrap().len();
            ensure(done == messages, || format!("{done} done"))
        })
        .await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(worker::run(broker.nats.clone(), feed, stage, stop.clone()), done);
    ended.unwrap();
    let together: Vec<usize> = together.lock().unwrap().clone();
    assert_eq!(together, vec![1; messages], "each was alone");
}
