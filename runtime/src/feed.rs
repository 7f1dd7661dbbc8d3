//! From a durable consumer to batches: as many messages as are there, and no waiting for more than a linger.
//!
//! The library's stream of messages can fail, go quiet or end; every such case becomes a new stream after a wait, and
//! the dependency that this feed reports to says so. A stream's end is never taken for "no more messages".

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Stream as Messages;
use futures::StreamExt as _;
use metrics::{Counter, counter, describe_counter};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use crate::backoff::Backoff;
use crate::delivery::Delivery;
use crate::error_chain::Chain;
use crate::health::Dependency;
use crate::nats::Nats;

/// A missed heartbeat means that the server forgot about us.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long one pull stays open at the server.
const EXPIRES: Duration = Duration::from_secs(30);
/// Most bytes on their way to one feed at once. A process has up to a dozen of them over one connection, and the server
/// drops a client that has 64 MB waiting.
const BYTES_ON_THE_WAY: usize = 4 * 1024 * 1024;
/// Most bytes in one batch, so that memory does not depend on what people send.
const BYTES_IN_A_BATCH: usize = 4 * 1024 * 1024;

/// How a feed batches.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Most messages in a batch.
    pub messages: usize,
    /// How long to wait for more once there is one.
    pub linger: Duration,
    /// The bytes that a message will take in memory, which may be more than it has itself: it may refer to some.
    pub weigh: fn(&Delivery) -> usize,
}

/// Batches from one durable consumer.
pub struct Feed {
    nats: Nats,
    stream: &'static str,
    consumer: &'static str,
    limits: BatchLimits,
    health: Dependency,
    messages: Option<Box<Messages>>,
    backoff: Backoff,
    restarts: Counter,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("stream", &self.stream).field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl Feed {
    /// Nothing is asked of the server before the first batch.
    pub fn new(
        nats: Nats,
        stream: &'static str,
        consumer: &'static str,
        limits: BatchLimits,
        health: Dependency,
    ) -> Self {
        describe_counter!("penstock_feed_restarts_total", "Times a consumer's stream of messages had to be made anew.");
        Self {
            nats,
            stream,
            consumer,
            limits,
            health,
            messages: None,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            restarts: counter!("penstock_feed_restarts_total", "consumer" => consumer),
        }
    }

    /// The next batch, at least one message; waits for as long as there is none.
    ///
    /// Cancelling it loses nothing: what it had taken so far comes again after `ack_wait`.
    pub async fn next_batch(&mut self) -> Vec<Delivery> {
        let mut batch = Vec::new();
        let first = self.next().await;
        let mut bytes = (self.limits.weigh)(&first);
        batch.push(first);
        let deadline = Instant::now() + self.limits.linger;
        while batch.len() < self.limits.messages && bytes < BYTES_IN_A_BATCH {
            let Some(messages) = &mut self.messages else { break };
            let Ok(next) = timeout_at(deadline, messages.next()).await else { break };
            match self.take(next) {
                Some(delivery) => {
                    bytes = bytes.saturating_add((self.limits.weigh)(&delivery));
                    batch.push(delivery);
                }
                None => break,
            }
        }
        batch
    }

    /// How it batches.
    pub(crate) fn limits(&self) -> BatchLimits {
        self.limits
    }

    /// Gives back what the library holds and nobody has taken, so that others have it at once.
    pub async fn close(mut self) {
        let Some(mut messages) = self.messages.take() else { return };
        let mut left = Vec::new();
        let deadline = Instant::now() + Duration::from_millis(50);
        while let Ok(Some(Ok(message))) = timeout_at(deadline, messages.next()).await {
            if let Ok(delivery) = Delivery::new(message) {
                left.push(delivery.retry(Duration::ZERO));
            }
        }
        self.nats.settle(left).await;
    }

    async fn next(&mut self) -> Delivery {
        loop {
            if self.messages.is_none() {
                self.open().await;
            }
            let next = match &mut self.messages {
                Some(messages) => messages.next().await,
                None => None,
            };
            if let Some(delivery) = self.take(next) {
                self.backoff.reset();
                return delivery;
            }
            sleep(self.backoff.wait()).await;
        }
    }

    async fn open(&mut self) {
        let consumer: Result<PullConsumer, _> =
            self.nats.jetstream().get_consumer_from_stream(self.consumer, self.stream).await;
        let opened = match consumer {
            Ok(consumer) => consumer
                .stream()
                .max_messages_per_batch(self.limits.messages.max(1) * 2)
                .max_bytes_per_batch(BYTES_ON_THE_WAY)
                .heartbeat(HEARTBEAT)
                .expires(EXPIRES)
                .messages()
                .await
                .map_err(|error| Chain(&error).to_string()),
            Err(error) => Err(Chain(&error).to_string()),
        };
        match opened {
            Ok(messages) => {
                self.health.ok(format!("reading {}/{}", self.stream, self.consumer));
                self.messages = Some(Box::new(messages));
            }
            Err(error) => {
                warn!(stream = self.stream, consumer = self.consumer, error, "could not read from the consumer");
                self.health.failed(format!("could not read {}/{}: {error}", self.stream, self.consumer));
            }
        }
    }

    /// The delivery in what the library gave; `None` after it failed or ended, with the stream put aside.
    fn take(
        &mut self,
        next: Option<Result<async_nats::jetstream::Message, async_nats::jetstream::consumer::pull::MessagesError>>,
    ) -> Option<Delivery> {
        let error = match next {
            Some(Ok(message)) => match Delivery::new(message) {
                Ok(delivery) => return Some(delivery),
                Err(error) => error.to_string(),
            },
            Some(Err(error)) => Chain(&error).to_string(),
            None => "the stream of messages ended".to_owned(),
        };
        self.restarts.increment(1);
        warn!(stream = self.stream, consumer = self.consumer, error, "reading from the consumer anew");
        self.health.failed(format!("{}/{}: {error}", self.stream, self.consumer));
        self.messages = None;
        None
    }
}
