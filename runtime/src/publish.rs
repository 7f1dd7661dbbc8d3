//! Publishing: pipelined, acknowledged by the broker, retried with the same id, and with every refusal told apart.
//!
//! Two awaits of the library are one function here: nobody outside sees a publish that was sent and not acknowledged.
//! A retry is safe because it carries the same `Nats-Msg-Id`, which the broker remembers for two minutes.
//!
//! A message is made anew for every try. The library takes it by value, and copying a map of headers for the rare
//! retry would cost as much as making it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::connection::State;
use async_nats::header::{HeaderName, HeaderValue, NATS_MESSAGE_ID};
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError as NatsPublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::delivery::Delivery;
use crate::kill_point;
use crate::nats::Nats;

/// Publishes of one batch that wait for their acknowledgement at once. What all batches of a process have on the way
/// together is bounded by [`Nats`].
const IN_FLIGHT: usize = 1024;
/// A wait shorter than this says nothing about the broker.
const TELLING: Duration = Duration::from_secs(1);
/// Between tries.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often a lost connection is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Answers that this version does not know are asked for again so many times by who would wait for ever.
const UNKNOWN_ANSWERS: u32 = 5;

/// A message to publish.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Built from configured names and ids only.
    pub subject: String,
    /// Its headers, with the `Nats-Msg-Id`.
    pub headers: HeaderMap,
    /// Its payload.
    pub payload: Bytes,
}

/// What the broker did with a message it did not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it is stored in the stream.
    pub sequence: u64,
    /// The broker had this `Nats-Msg-Id` within the last two minutes and stored nothing; `sequence` is where the
    /// first one was put. It does not say that it is still there.
    pub repeat: bool,
}

/// Why a message is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The subject holds as many messages as it may: the claim is taken. Only for this exact answer.
    #[error("the subject is taken")]
    SubjectTaken,
    /// The stream is full. Publishing succeeds again when it was trimmed.
    #[error("the stream is full ({0})")]
    Full(String),
    /// The broker will refuse this message every time: too large, or its headers are.
    #[error("the broker refuses the message itself: {0}")]
    Unacceptable(String),
    /// No answer, or one that is known to pass: the message may or may not be stored.
    #[error("the broker did not confirm the message: {0}")]
    Unconfirmed(String),
    /// An answer that this version does not know. It may be about this message alone, and it may pass.
    #[error("the broker answered in a way that this version does not know: {0}")]
    Unknown(String),
}

/// How long a publisher goes on trying.
#[derive(Clone, Copy, Debug)]
pub enum Patience<'a> {
    /// Until then, and not at all where the stream is full: somebody waits for the answer.
    Until(Instant),
    /// For as long as it takes, also for room in a full stream, or until shutdown: the message stays in hand, so the
    /// stage before fills up and waits too. An answer that is not known ends it after some tries, because it may be
    /// about this one message, and others wait behind it.
    UntilShutdown(&'a CancellationToken),
}

impl Patience<'_> {
    /// Until `limit` from now.
    pub fn for_at_most(limit: Duration) -> Self {
        Self::Until(Instant::now() + limit)
    }

    /// Waits before the next try; false where there is none.
    async fn waits(self, error: &PublishError, tried: u32, wait: Duration) -> bool {
        match (error, self) {
            (PublishError::SubjectTaken | PublishError::Unacceptable(_), _)
            | (PublishError::Full(_), Self::Until(_)) => false,
            (_, Self::Until(deadline)) => {
                let in_time = Instant::now() + wait < deadline;
                if in_time {
                    sleep(wait).await;
                }
                in_time
            }
            (PublishError::Unknown(_), Self::UntilShutdown(_)) if tried >= UNKNOWN_ANSWERS => false,
            (_, Self::UntilShutdown(shutdown)) => shutdown.run_until_cancelled(sleep(wait)).await.is_some(),
        }
    }
}

/// Makes the headers of a message: its id for the broker's memory, then `pairs`.
///
/// `None` where a value cannot be a header, which values from one visible line of ASCII always can.
pub fn headers(message_id: &str, pairs: impl IntoIterator<Item = (&'static str, String)>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, value(message_id.to_owned())?);
    for (name, text) in pairs {
        headers.insert(HeaderName::from_static(name), value(text)?);
    }
    Some(headers)
}

/// The library panics on a line break, so it is looked for first.
fn value(text: String) -> Option<HeaderValue> {
    let line = !text.contains(['\r', '\n']);
    line.then(|| HeaderValue::from(text))
}

impl Outgoing {
    /// A delivered message to be published again: its payload and its headers, without those that are orders to the
    /// broker, under a new id for the broker's memory. `more` replaces headers of the same name.
    pub fn again(
        delivery: &Delivery,
        subject: String,
        message_id: &str,
        more: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Option<Self> {
        let mut headers = delivery.headers().map(without_orders).unwrap_or_default();
        headers.insert(NATS_MESSAGE_ID, value(message_id.to_owned())?);
        for (name, text) in more {
            headers.insert(HeaderName::from_static(name), value(text)?);
        }
        Some(Self { subject, headers, payload: delivery.payload().clone() })
    }
}

/// A copy of headers without those whose names begin with `Nats-`, but for the message id, which its taker replaces.
fn without_orders(headers: &HeaderMap) -> HeaderMap {
    let is_order = |name: &HeaderName| *name != NATS_MESSAGE_ID && AsRef::<str>::as_ref(name).starts_with("Nats-");
    if !headers.iter().any(|(name, _)| is_order(name)) {
        return headers.clone();
    }
    let kept = headers.iter().filter(|(name, _)| !is_order(name));
    kept.filter_map(|(name, values)| Some((name.clone(), values.first()?.clone()))).collect()
}

impl Nats {
    /// Publishes the message that `make` makes of each item, in this order on the wire, without waiting for one before
    /// the next; results in the same order. See [`Self::publish`].
    pub async fn publish_all<T: Sync>(
        &self,
        items: &[T],
        make: impl Fn(&T) -> Option<Outgoing> + Sync,
        patience: Patience<'_>,
    ) -> Vec<Result<Published, PublishError>> {
        let make = &make;
        // Each is sent and waited for in one future, so its place among those in flight is free again as soon as its
        // acknowledgement is there, however many more there are to send.
        let published = stream::iter(0..items.len())
            .map(|place| self.publish(move || make(items.get(place)?), patience))
            .buffered(IN_FLIGHT)
            .collect();
        // Tokio would interrupt a task after some steps, and with it one of these between its place and its send: it
        // would be sent after all others. What waits for the broker gives way often enough.
        unconstrained(published).await
    }

    /// Publishes one message. `make` is asked again for every try, and gives `None` where the message cannot be made,
    /// which is [`PublishError::Unacceptable`].
    pub async fn publish(
        &self,
        make: impl Fn() -> Option<Outgoing>,
        patience: Patience<'_>,
    ) -> Result<Published, PublishError> {
        // Made when it is needed, which is rare: it asks the system for a random number.
        let mut backoff = None;
        let mut tried = 0;
        loop {
            let Some(message) = make() else {
                return Err(PublishError::Unacceptable("a header of it cannot be written".into()));
            };
            let error = match self.publish_once(message, patience).await {
                Ok(published) => return Ok(published),
                Err(error) => error,
            };
            tried += 1;
            if let (Patience::UntilShutdown(_), PublishError::Full(_) | PublishError::Unconfirmed(_)) =
                (patience, &error)
            {
                self.tell_waiting(&error);
            }
            let backoff = backoff.get_or_insert_with(|| Backoff::new(FIRST_WAIT, LONGEST_WAIT));
            if !patience.waits(&error, tried, backoff.wait()).await || !self.connected(patience).await {
                return Err(error);
            }
        }
    }

    /// Waits for a connection where there is time without end; false after shutdown. Every publish without an answer
    /// leaves an entry behind in the library (nats.rs#1617), so none is tried that cannot have one.
    async fn connected(&self, patience: Patience<'_>) -> bool {
        let Patience::UntilShutdown(shutdown) = patience else { return true };
        while self.client().connection_state() != State::Connected {
            if shutdown.run_until_cancelled(sleep(LOOK)).await.is_none() {
                return false;
            }
        }
        true
    }

    async fn publish_once(&self, message: Outgoing, patience: Patience<'_>) -> Result<Published, PublishError> {
        let begun = Instant::now();
        kill_point::reached("publish.ready");
        let exchange = async {
            let acknowledgement = self.send(message).await?;
            kill_point::reached("publish.sent");
            acknowledgement.await
        };
        let answer = match patience {
            Patience::Until(deadline) => timeout_at(deadline, exchange).await,
            Patience::UntilShutdown(_) => Ok(exchange.await),
        };
        match answer {
            Ok(Ok(PublishAck { sequence, duplicate, .. })) => {
                kill_point::reached("publish.stored");
                self.answered();
                Ok(Published { sequence, repeat: duplicate })
            }
            Ok(Err(error)) if error.kind() == PublishErrorKind::TimedOut => {
                self.unanswered().await;
                Err(PublishError::Unconfirmed("no answer in time".into()))
            }
            // "No responders".
            Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => {
                self.nobody_there().await;
                Err(classify(&error))
            }
            Ok(Err(error)) => {
                self.answered();
                Err(classify(&error))
            }
            Err(_) => {
                if begun.elapsed() >= TELLING {
                    self.unanswered().await;
                }
                Err(PublishError::Unconfirmed("no answer in time".into()))
            }
        }
    }

    async fn send(&self, message: Outgoing) -> Result<jetstream::context::PublishAckFuture, NatsPublishError> {
        self.jetstream().publish_with_headers(message.subject, message.headers, message.payload).await
    }
}

/// "maximum messages per subject exceeded" is the only text of error 10077 that means a taken claim; the same number
/// is used for a full stream and for failures of the store.
const TAKEN: &str = "maximum messages per subject exceeded";
const STORE_FAILED: u64 = 10_077;
const INSUFFICIENT_RESOURCES: u64 = 10_023;
const STORAGE_EXCEEDED: u64 = 10_047;
const MESSAGE_TOO_LARGE: u64 = 10_054;
const HEADERS_TOO_LARGE: u64 = 10_097;
/// These pass: the cluster has no leader for the moment, another try of this message is under way, the server is busy.
const NOT_AVAILABLE: u64 = 10_008;
const NO_LEADER: u64 = 10_009;
const MESSAGE_ID_IN_PROCESS: u64 = 10_158;
const SEQUENCE_IN_PROCESS: u64 = 10_164;
const TOO_MANY_REQUESTS: u64 = 10_167;

fn classify(error: &NatsPublishError) -> PublishError {
    let broker = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    let Some(broker) = broker else {
        return match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => PublishError::Unacceptable(error.to_string()),
            // 503 comes as StreamNotFound, also during every election and restart: it may pass.
            _ => PublishError::Unconfirmed(error.to_string()),
        };
    };
    let text = || broker.to_string();
    match broker.error_code().0 {
        STORE_FAILED if describes(broker, TAKEN) => PublishError::SubjectTaken,
        STORE_FAILED
            if describes(broker, "maximum bytes exceeded") || describes(broker, "maximum messages exceeded") =>
        {
            PublishError::Full(text())
        }
        INSUFFICIENT_RESOURCES | STORAGE_EXCEEDED => PublishError::Full(text()),
        MESSAGE_TOO_LARGE | HEADERS_TOO_LARGE => PublishError::Unacceptable(text()),
        NOT_AVAILABLE | NO_LEADER | MESSAGE_ID_IN_PROCESS | SEQUENCE_IN_PROCESS | TOO_MANY_REQUESTS | STORE_FAILED => {
            PublishError::Unconfirmed(text())
        }
        _ => PublishError::Unknown(text()),
    }
}

/// The library shows the description only as the start of the error's text, before ` (code `.
fn describes(error: &jetstream::Error, text: &str) -> bool {
    error.to_string().strip_prefix(text).is_some_and(|rest| rest.starts_with(" (code "))
}
