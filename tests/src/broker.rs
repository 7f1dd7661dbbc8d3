//! A look at the broker with an administrator's eyes, by the names of the contract.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, message::StreamMessage};
use futures::StreamExt as _;
use proto::envelope::{Lookup, Pairs};
use serde_json::{Value, json};

use crate::eventually;

/// Every durable consumer, in the order of the flow: what one has finished is with the next, or done.
pub const CONSUMERS: [(&str, &str); 11] = [
    ("RAW", "normalizer-email"),
    ("RAW", "normalizer-sms"),
    ("RAW", "normalizer-whatsapp"),
    ("RAW", "normalizer-form"),
    ("RAW", "normalizer-webhook"),
    ("REPLAY", "normalizer-replay"),
    ("CANONICAL", "dedup"),
    ("UNIQUE", "persister"),
    ("DUPLICATES", "persister-duplicates"),
    ("DLQ", "persister-dead-letters"),
    // Once more: an entry may have been put back while the others were asked.
    ("REPLAY", "normalizer-replay"),
];

/// The consumer that follows all of them: what it has finished has come to its end.
pub const AUDIT: (&str, &str) = ("RAW", "audit");

/// Longer than the acknowledgement time of a consumer: what a killed process had in hand comes again after it.
const SETTLED: Duration = Duration::from_secs(90);

/// A connection of a test's own.
#[derive(Clone, Debug)]
pub struct Broker {
    jetstream: jetstream::Context,
}

impl Broker {
    /// Connects to one of the servers with commas between, with the credentials in the first URL.
    pub async fn connect(url: &str) -> Result<Self, String> {
        let addresses: Result<Vec<async_nats::ServerAddr>, _> = url.split(',').map(str::parse).collect();
        let addresses = addresses.map_err(|error| format!("{url}: {error}"))?;
        // The client library looks past what stands in the URL.
        let address = addresses.first().ok_or("no URL")?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let options =
            async_nats::ConnectOptions::with_user_and_password(text(address.username()), text(address.password()));
        let options = options.connection_timeout(Duration::from_secs(5));
        let client = options.connect(addresses).await.map_err(|error| format!("NATS: {error}"))?;
        Ok(Self { jetstream: jetstream::new(client) })
    }

    /// Asks the `JetStream` API, and gives its answer as it is.
    pub async fn api(&self, subject: &str, request: Value) -> Result<Value, String> {
        let answer: Result<Value, _> = self.jetstream.request(subject.to_owned(), &request).await;
        let answer = answer.map_err(|error| format!("{subject}: {error}"))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => Err(format!("{subject}: {error}")),
        }
    }

    /// Configuration and state of a stream.
    pub async fn stream(&self, name: &str) -> Value {
        self.api(&format!("STREAM.INFO.{name}"), json!({})).await.unwrap()
    }

    /// Configuration and state of a consumer.
    pub async fn consumer(&self, stream: &str, name: &str) -> Result<Value, String> {
        self.api(&format!("CONSUMER.INFO.{stream}.{name}"), json!({})).await
    }

    /// How many messages wait for a consumer, or for its acknowledgement.
    pub async fn waiting(&self, stream: &str, name: &str) -> Result<u64, String> {
        let info = self.consumer(stream, name).await?;
        let number = |field: &str| info[field].as_u64().unwrap_or(0);
        Ok(number("num_pending") + number("num_ack_pending"))
    }

    /// What is pending or unacknowledged, in words; `Ok` where nothing is.
    pub async fn backlog(&self) -> Result<(), String> {
        for (stream, name) in CONSUMERS {
            let info = self.consumer(stream, name).await?;
            let (pending, unacked) = (&info["num_pending"], &info["num_ack_pending"]);
            if pending.as_u64() != Some(0) || unacked.as_u64() != Some(0) {
                return Err(format!("{stream} {name}: {pending} pending, {unacked} unacknowledged"));
            }
        }
        Ok(())
    }

    /// Waits until everything accepted so far has come to its end.
    pub async fn settled(&self) {
        eventually(SETTLED, "everything is settled", async || {
            // Twice: a message may have stepped from behind the look to before it.
            self.backlog().await?;
            self.backlog().await
        })
        .await;
    }

    /// Takes the next message of a consumer and acknowledges it, as somebody would who is none of the stages.
    pub async fn take(&self, stream: &str, consumer: &str) -> Result<u64, String> {
        use futures::StreamExt as _;
        let found: Result<jetstream::consumer::PullConsumer, _> =
            self.jetstream.get_consumer_from_stream(consumer, stream).await;
        let found = found.map_err(|error| error.to_string())?;
        let batch = found.batch().max_messages(1).expires(Duration::from_secs(5)).messages().await;
        let mut batch = batch.map_err(|error| error.to_string())?;
        let message = batch.next().await.ok_or("nothing waits")?.map_err(|error| error.to_string())?;
        message.double_ack().await.map_err(|error| error.to_string())?;
        message.info().map(|info| info.stream_sequence).map_err(|error| error.to_string())
    }

    /// A message of a stream.
    pub async fn message(&self, stream: &str, sequence: u64) -> Result<StreamMessage, String> {
        let stream = self.jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
        stream.get_raw_message(sequence).await.map_err(|error| error.to_string())
    }

    /// The last message on a subject.
    pub async fn last(&self, stream: &str, subject: &str) -> Result<StreamMessage, String> {
        let stream = self.jetstream.get_stream(stream).await.map_err(|error| error.to_string())?;
        stream.get_last_raw_message_by_subject(subject).await.map_err(|error| error.to_string())
    }

    /// How many messages a stream holds on subjects like this.
    pub async fn count(&self, stream: &str, filter: &str) -> u64 {
        let info = self.api(&format!("STREAM.INFO.{stream}"), json!({ "subjects_filter": filter })).await.unwrap();
        let subjects = info["state"]["subjects"].as_object().cloned().unwrap_or_default();
        subjects.values().filter_map(Value::as_u64).sum()
    }

    /// Removes what a stream holds on subjects like this, as trimming would. Gives how many there were.
    pub async fn purge(&self, stream: &str, filter: &str) -> u64 {
        let answer = self.api(&format!("STREAM.PURGE.{stream}"), json!({ "filter": filter })).await.unwrap();
        answer["purged"].as_u64().unwrap_or(0)
    }

    /// Takes up to so many messages of a consumer and acknowledges them, as a worker would that does nothing. Gives how
    /// many there were.
    pub async fn take_and_acknowledge(&self, stream: &str, consumer: &str, most: usize) -> Result<usize, String> {
        let consumer: jetstream::consumer::PullConsumer =
            self.jetstream.get_consumer_from_stream(consumer, stream).await.map_err(|error| error.to_string())?;
        let batch = consumer.fetch().max_messages(most).messages().await.map_err(|error| error.to_string())?;
        let messages: Vec<_> = batch.collect().await;
        for message in &messages {
            let message = message.as_ref().map_err(ToString::to_string)?;
            message.double_ack().await.map_err(|error| error.to_string())?;
        }
        Ok(messages.len())
    }

    /// Publishes with these headers, and waits until it is stored.
    pub async fn publish(&self, subject: &str, pairs: &Pairs, payload: impl Into<bytes::Bytes>) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.as_str());
        }
        let ack = self.jetstream.publish_with_headers(subject.to_owned(), headers, payload.into()).await.unwrap();
        ack.await.unwrap().sequence
    }
}

/// The headers of a message, for the envelopes of `proto`.
#[derive(Debug)]
pub struct Headers<'a>(pub &'a HeaderMap);

impl Lookup for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(async_nats::HeaderValue::as_str)
    }
}
