//! Publishing: pipelined, acknowledged by the broker, retried with the same id, and with every refusal told apart.
//!
//! Two awaits of the library are one function here: nobody outside sees a publish that was sent and not acknowledged.
//! A retry is safe because it carries the same `Nats-Msg-Id`, which the broker remembers for two minutes.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue, NATS_MESSAGE_ID};
use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError as NatsPublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use crate::backoff::Backoff;
use crate::delivery::Delivery;
use crate::nats::Nats;

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
    /// No answer, or one that may pass: the message may or may not be stored.
    #[error("the broker did not confirm the message: {0}")]
    Unconfirmed(String),
}

impl PublishError {
    /// Whether another try can succeed without anything else happening.
    fn is_transient(&self) -> bool {
        matches!(self, Self::Unconfirmed(_))
    }
}

/// Makes the headers of a message: its id for the broker's memory, then `pairs`.
///
/// `None` where a value cannot be a header, which values from one visible line of ASCII always can.
pub fn headers<'a>(message_id: &str, pairs: impl IntoIterator<Item = (&'static str, &'a str)>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, message_id.parse::<HeaderValue>().ok()?);
    for (name, value) in pairs {
        headers.insert(HeaderName::from_static(name), value.parse::<HeaderValue>().ok()?);
    }
    Some(headers)
}

impl Outgoing {
    /// A delivered message to be published again: its payload and its headers, without those that the broker or its
    /// client put there, under a new id for the broker's memory. `more` replaces headers of the same name.
    pub fn again<'a>(
        delivery: &Delivery,
        subject: String,
        message_id: &str,
        more: impl IntoIterator<Item = (&'static str, &'a str)>,
    ) -> Option<Self> {
        let mut headers = headers(message_id, [])?;
        for (name, values) in delivery.headers().into_iter().flat_map(HeaderMap::iter) {
            let name_text: &str = name.as_ref();
            if name_text.starts_with("Nats-") {
                continue;
            }
            if let Some(value) = values.first() {
                headers.insert(name.clone(), value.clone());
            }
        }
        for (name, value) in more {
            headers.insert(HeaderName::from_static(name), value.parse::<HeaderValue>().ok()?);
        }
        Some(Self { subject, headers, payload: delivery.payload().clone() })
    }
}

impl Nats {
    /// Publishes one message, trying again until `limit` from now.
    pub async fn publish(&self, message: Outgoing, limit: Duration) -> Result<Published, PublishError> {
        let deadline = Instant::now() + limit;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match tokio::time::timeout(left, self.publish_once(&message)).await {
                Ok(Ok(published)) => return Ok(published),
                Ok(Err(error)) => error,
                Err(_) => {
                    self.unanswered().await;
                    PublishError::Unconfirmed("no answer in time".into())
                }
            };
            let wait = backoff.wait();
            if !error.is_transient() || Instant::now() + wait >= deadline {
                return Err(error);
            }
            sleep(wait).await;
        }
    }

    /// Publishes all, in this order on the wire, without waiting for one before the next; results in the same order.
    ///
    /// What was not confirmed is tried again until `limit` from now.
    pub async fn publish_all(&self, messages: Vec<Outgoing>, limit: Duration) -> Vec<Result<Published, PublishError>> {
        let deadline = Instant::now() + limit;
        let mut sent = Vec::with_capacity(messages.len());
        for message in &messages {
            sent.push(timeout_at(deadline, self.send(message)).await);
        }
        let first = join_all(sent.into_iter().map(|sent| async {
            match sent {
                Ok(Ok(ack)) => self.confirm(ack).await,
                Ok(Err(error)) => self.judge(&error).await,
                Err(_) => Err(PublishError::Unconfirmed("no place among the publishes in flight".into())),
            }
        }))
        .await;

        let retries = first.into_iter().zip(messages).map(|(result, message)| async {
            match result {
                Err(error) if error.is_transient() => {
                    self.publish(message, deadline.saturating_duration_since(Instant::now())).await
                }
                settled => settled,
            }
        });
        join_all(retries).await
    }

    async fn publish_once(&self, message: &Outgoing) -> Result<Published, PublishError> {
        match self.send(message).await {
            Ok(ack) => self.confirm(ack).await,
            Err(error) => self.judge(&error).await,
        }
    }

    async fn send(&self, message: &Outgoing) -> Result<jetstream::context::PublishAckFuture, NatsPublishError> {
        self.jetstream()
            .publish_with_headers(message.subject.clone(), message.headers.clone(), message.payload.clone())
            .await
    }

    async fn confirm(&self, ack: jetstream::context::PublishAckFuture) -> Result<Published, PublishError> {
        match ack.await {
            Ok(PublishAck { sequence, duplicate, .. }) => {
                self.answered();
                Ok(Published { sequence, repeat: duplicate })
            }
            Err(error) => self.judge(&error).await,
        }
    }

    async fn judge(&self, error: &NatsPublishError) -> Result<Published, PublishError> {
        if error.kind() == PublishErrorKind::TimedOut {
            self.unanswered().await;
        } else {
            self.answered();
        }
        Err(classify(error))
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
        _ => PublishError::Unconfirmed(text()),
    }
}

/// The library shows the description only as the start of the error's text, before ` (code `.
fn describes(error: &jetstream::Error, text: &str) -> bool {
    error.to_string().strip_prefix(text).is_some_and(|rest| rest.starts_with(" (code "))
}
