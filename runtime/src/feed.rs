//! From a durable consumer to batches: what is there now, or the first that comes.
//!
//! Nothing is fetched ahead of its processing: what was delivered is in hand. So while a batch is worked on, messages
//! gather in the stream, and the server sends the next batch in one piece instead of each message by itself. And what
//! the broker counts as delivered was really looked at, which the verdict about a message that ends the process needs.
//!
//! A pull can fail, go quiet or end; every such case becomes a new one after a wait, and the dependency that this feed
//! reports to says so. The end of a pull is never taken for the end of the messages.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Batch as Pull;
use futures::StreamExt as _;
use metrics::{Counter, counter, describe_counter};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::warn;

use crate::backoff::Backoff;
use crate::delivery::Delivery;
use crate::error_chain::Chain;
use crate::health::Dependency;
use crate::nats::Nats;

/// How long the server is asked to wait for a first message. Short, because a server that restarts forgets about us.
const EXPIRES: Duration = Duration::from_secs(5);
/// Longest wait for what the server has at hand.
const SILENCE: Duration = Duration::from_secs(5);
/// How often it is looked at whether the connection that a pull was sent over is still the same.
const LOOK: Duration = Duration::from_millis(500);
/// Most bytes of one batch, so that memory does not depend on what people send. A process has up to a dozen feeds over
/// one connection, and the server drops a client that has 64 MB waiting.
const BYTES: usize = 4 * 1024 * 1024;
/// The server's words for a batch that ends because the next message would be too much.
const ENOUGH_BYTES: &str = "Message Size Exceeds MaxBytes";

/// How a feed batches.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Most messages in a batch.
    pub messages: usize,
    /// How long more are waited for where the first one had to be waited for.
    pub linger: Duration,
}

/// Batches from one durable consumer.
pub struct Feed {
    nats: Nats,
    stream: &'static str,
    consumer: &'static str,
    limits: BatchLimits,
    health: Dependency,
    handle: Option<PullConsumer>,
    /// A pull that is not at its end, with the number of the connection that it was sent over.
    pull: Option<(Pull, u64)>,
    batch: Vec<Delivery>,
    backoff: Backoff,
    restarts: Counter,
    redelivered: Counter,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("stream", &self.stream).field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

/// What the server is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// A batch of what is there.
    Now,
    /// One message, whatever its size, once there is one.
    First,
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
        describe_counter!("penstock_redelivered_total", "Messages that a consumer was given not for the first time.");
        describe_counter!("penstock_feed_restarts_total", "Times a consumer had to be asked anew for its messages.");
        Self {
            nats,
            stream,
            consumer,
            limits,
            health,
            handle: None,
            pull: None,
            batch: Vec::new(),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            restarts: counter!("penstock_feed_restarts_total", "consumer" => consumer),
            redelivered: counter!("penstock_redelivered_total", "consumer" => consumer),
        }
    }

    /// The next batch, at least one message; waits for as long as there is none.
    ///
    /// Cancelling it loses nothing: what it had taken so far is in the next batch, or given back by [`Self::close`]. Only
    /// what answers a pull that was just being sent comes again after `ack_wait`.
    pub async fn next_batch(&mut self) -> Vec<Delivery> {
        loop {
            self.gather(Ask::Now).await;
            if self.batch.is_empty() {
                self.gather(Ask::First).await;
                if !self.batch.is_empty() {
                    sleep(self.limits.linger).await;
                    self.gather(Ask::Now).await;
                }
            }
            if !self.batch.is_empty() {
                return std::mem::take(&mut self.batch);
            }
        }
    }

    /// Gives back what was delivered and nobody has taken, so that others have it at once.
    pub async fn close(mut self) {
        let deadline = Instant::now() + Duration::from_millis(50);
        if let Some((mut pull, _)) = self.pull.take() {
            while let Ok(Some(Ok(message))) = timeout_at(deadline, pull.next()).await {
                self.batch.extend(Delivery::new(message));
            }
        }
        self.nats.settle(self.batch.drain(..).map(|delivery| delivery.retry(Duration::ZERO)).collect()).await;
    }

    /// Adds to the batch what the server sends, until it has sent all that it was asked for.
    async fn gather(&mut self, ask: Ask) {
        if self.pull.is_none() {
            match self.ask(ask).await {
                Ok(pull) => self.pull = Some((pull, self.connection())),
                Err(error) => return self.failed(&error).await,
            }
        }
        let mut silent = Duration::ZERO;
        while let Some((pull, sent_over)) = &mut self.pull {
            let sent_over = *sent_over;
            match timeout(LOOK, pull.next()).await {
                Ok(Some(Ok(message))) => match Delivery::new(message) {
                    Ok(delivery) => {
                        self.redelivered.increment(u64::from(delivery.info().delivered > 1));
                        self.batch.push(delivery);
                    }
                    Err(error) => return self.failed(&error.to_string()).await,
                },
                Ok(Some(Err(error))) => {
                    let error = error.to_string();
                    if !error.contains(ENOUGH_BYTES) {
                        return self.failed(&error).await;
                    }
                    self.pull = None;
                }
                Ok(None) => self.pull = None,
                Err(_) => {
                    silent += LOOK;
                    if self.connection() != sent_over {
                        return self.failed("the connection is another one").await;
                    }
                    if ask == Ask::Now && silent >= SILENCE {
                        return self.failed("no answer in time").await;
                    }
                }
            }
        }
        self.backoff.reset();
        self.nats.answered();
        self.health.ok(format!("reading {}/{}", self.stream, self.consumer));
    }

    async fn ask(&mut self, ask: Ask) -> Result<Pull, String> {
        if self.handle.is_none() {
            let handle = self.nats.jetstream().get_consumer_from_stream(self.consumer, self.stream).await;
            self.handle = Some(handle.map_err(|error| Chain(&error).to_string())?);
        }
        let Some(handle) = &self.handle else { return Err("no consumer".into()) };
        let left = self.limits.messages.saturating_sub(self.batch.len()).max(1);
        let pull = match ask {
            Ask::Now => handle.fetch().max_messages(left).max_bytes(BYTES).messages().await,
            Ask::First => handle.batch().max_messages(1).expires(EXPIRES).messages().await,
        };
        pull.map_err(|error| Chain(&error).to_string())
    }

    /// Which connection this is, counted from the start of the process.
    fn connection(&self) -> u64 {
        self.nats.client().statistics().connects.load(Ordering::Relaxed)
    }

    /// Everything is asked anew after a wait. What is in the batch is still in hand.
    async fn failed(&mut self, error: &str) {
        self.pull = None;
        self.handle = None;
        self.restarts.increment(1);
        warn!(stream = self.stream, consumer = self.consumer, error, "reading from the consumer anew");
        self.health.failed(format!("could not read {}/{}: {error}", self.stream, self.consumer));
        self.nats.nobody_there().await;
        if self.batch.is_empty() {
            sleep(self.backoff.wait()).await;
        }
    }
}
