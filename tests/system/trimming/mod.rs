//! What is not processed is never thrown away, whatever its age and however full its stream; what is, goes.
//!
//! The one place where the harness uses a crate of the product: a purge past an unacknowledged message loses it in
//! silence, so the function that purges is tried by itself, against a real broker, and not only through its effects.

mod bodies;
mod consumers;
mod floors;
mod races;
mod reach;

use std::time::Duration;

use runtime::config::{Config, Environment, Need, Requirements};
use runtime::feed::{BatchLimits, Feed};
use runtime::health::Health;
use runtime::nats::Nats;
use runtime::publish::{Outgoing, Patience, headers};
use runtime::trim::Stopped;
use runtime::trimmer::{KeepFor, Retention};
use serde_json::{Value, json};
use tests::up::Up;

const LIMIT: Duration = Duration::from_secs(10);

/// A broker with the streams of an installation, each of at most 1 MiB.
struct Broker {
    nats: Nats,
    config: Config,
    up: Up,
}

impl Broker {
    async fn start() -> Self {
        let up = Up::start(None, &[]).await;
        let url = up.run().unwrap().nats_url;
        // A broker reserves what its streams may hold: many of these have to fit on one disk.
        let streams = ["RAW", "CANONICAL", "UNIQUE", "BODIES", "HELD", "REPLAY", "DUPLICATES", "DLQ"];
        let sizes = streams.map(|stream| (format!("PENSTOCK__STREAMS__{stream}"), "1 MiB".to_owned()));
        let environment: Environment = [("PENSTOCK__NATS__URL".to_owned(), url)].into_iter().chain(sizes).collect();
        let config = Config::load_for(None, &environment, Requirements::every(Need::Optional)).unwrap();
        let health = Health::default().dependency("nats");
        let nats = Nats::connect(&config.nats, "admin", Duration::from_secs(5), health).await.unwrap();
        nats.provision(&config).await.unwrap();
        Self { nats, config, up }
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
        let mut feed = self.feed(stream, consumer, 1);
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
        self.nats.trim(&retention(stream, keep, most_messages)).await.unwrap().trimmed
    }

    /// Why nothing may go, where it is not known what may.
    async fn stopped(&self, stream: &'static str) -> Option<Stopped> {
        let pass = self.nats.trim(&retention(stream, NO_TIME, Some(1))).await.unwrap();
        assert!(pass.stopped.is_none() || pass.trimmed == 0, "{pass:?}");
        pass.stopped
    }

    /// Asks the `JetStream` API; a refusal fails the test.
    async fn api(&self, subject: &str, request: Value) -> Value {
        let answer: Value = self.nats.jetstream().request(subject.to_owned(), &request).await.unwrap();
        assert!(answer.get("error").is_none(), "{subject}: {answer:#}");
        answer
    }

    /// Changes a stream's metadata, and leaves the rest as it is.
    async fn set_metadata(&self, stream: &str, metadata: Value) {
        let mut config = self.api(&format!("STREAM.INFO.{stream}"), json!({})).await["config"].take();
        config["metadata"] = metadata;
        self.api(&format!("STREAM.UPDATE.{stream}"), config).await;
    }

    /// Changes properties of a consumer; `None` deletes it first, which some of them need.
    async fn change_consumer(&self, stream: &str, consumer: &str, change: &Value, anew: bool) {
        let mut config = self.api(&format!("CONSUMER.INFO.{stream}.{consumer}"), json!({})).await["config"].take();
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        if anew {
            self.api(&format!("CONSUMER.DELETE.{stream}.{consumer}"), json!({})).await;
        }
        let filter = config.get("filter_subject").and_then(Value::as_str);
        let name = filter.map_or_else(|| consumer.to_owned(), |filter| format!("{consumer}.{filter}"));
        let request =
            json!({ "stream_name": stream, "config": config, "action": if anew { "create" } else { "update" } });
        self.api(&format!("CONSUMER.CREATE.{stream}.{name}"), request).await;
    }

    /// What of a stream waits for a consumer: not delivered yet, and delivered and not acknowledged.
    async fn waiting(&self, stream: &str, consumer: &str) -> u64 {
        let info = self.nats.consumer_info(stream, consumer).await.unwrap();
        info.num_pending + info.num_ack_pending
    }

    fn feed(&self, stream: &'static str, consumer: &'static str, messages: usize) -> Feed {
        let limits = BatchLimits { messages, linger: Duration::ZERO };
        Feed::new(self.nats.clone(), stream, consumer, limits, Health::default().dependency("feed"))
    }

    async fn left(&self, stream: &str) -> u64 {
        self.nats.stream_info(stream).await.unwrap().state.messages
    }
}

const NO_TIME: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_hours(24);

fn retention(stream: &'static str, keep: Duration, most_messages: Option<u64>) -> Retention {
    let every = Duration::from_mins(1);
    Retention { stream, keep: KeepFor::Age(keep), most_messages, under_pressure: true, every }
}
