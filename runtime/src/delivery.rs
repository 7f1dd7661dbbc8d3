//! A message in our hands. It leaves them only as a [`Settled`]: acknowledged after its effect is durable, or given
//! back. Acknowledging is in this file and nowhere else.

use std::time::Duration;

use async_nats::header::{HeaderName, HeaderValue};
use async_nats::jetstream::{self, AckKind};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

use crate::kill_point;
use crate::nats::Nats;

/// A message that the broker delivered to us and waits to hear of.
#[must_use = "a delivery must be acknowledged or given back"]
#[derive(Debug)]
pub struct Delivery {
    message: async_nats::Message,
    info: DeliveryInfo,
}

/// What the broker says of a delivery.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryInfo {
    /// The message's sequence in its stream.
    pub stream_sequence: u64,
    /// How many times it was delivered, this one included; at least 1. A suspicion, never a verdict.
    pub delivered: u64,
    /// When the broker stored it, in milliseconds since 1970.
    pub stored_at: i64,
    /// How many messages wait behind it for this consumer.
    pub pending: u64,
}

/// A message that is not a delivery of a consumer.
#[derive(Debug, thiserror::Error)]
#[error("not a delivery: its reply subject says nothing of a stream")]
pub struct NotADelivery;

/// A message and the answer it will get.
#[must_use = "nothing reaches the broker until it is sent"]
#[derive(Debug)]
pub struct Settled {
    reply: Subject,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Done,
    Again(Duration),
}

impl Delivery {
    /// Takes over a message from a consumer.
    pub(crate) fn new(message: jetstream::Message) -> Result<Self, NotADelivery> {
        let info = message.info().map_err(|_| NotADelivery)?;
        let info = DeliveryInfo {
            stream_sequence: info.stream_sequence,
            delivered: u64::try_from(info.delivered).unwrap_or(1).max(1),
            stored_at: i64::try_from(info.published.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
            pending: info.pending,
        };
        Ok(Self { message: message.message, info })
    }

    /// The subject it was published to.
    pub fn subject(&self) -> &str {
        self.message.subject.as_str()
    }

    /// Its payload. Cheap to clone.
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// Its headers, if it has any.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.message.headers.as_ref()
    }

    /// A header's value, by its exact name. (A name that is not known when the program is built would be copied.)
    pub fn header(&self, name: &'static str) -> Option<&str> {
        self.message.headers.as_ref()?.get(HeaderName::from_static(name)).map(HeaderValue::as_str)
    }

    /// Lets go of headers and payload, for one that is kept long: what is left is some hundred bytes of its own, where
    /// before it kept the buffer alive that it was read into.
    pub fn without_content(mut self) -> Self {
        self.message.subject = Subject::from(self.message.subject.as_str().to_owned());
        self.message.reply = self.message.reply.map(|reply| Subject::from(reply.as_str().to_owned()));
        self.message.headers = None;
        self.message.payload = Bytes::new();
        self
    }

    /// What the broker says of it.
    pub fn info(&self) -> DeliveryInfo {
        self.info
    }

    /// Done: the effect is durable somewhere else.
    pub fn ack(self) -> Settled {
        self.settle(Answer::Done)
    }

    /// Not now: the cause is outside the message. It comes again after `wait`.
    pub fn retry(self, wait: Duration) -> Settled {
        self.settle(Answer::Again(wait))
    }

    fn settle(self, answer: Answer) -> Settled {
        Settled { reply: self.message.reply.unwrap_or_else(|| Subject::from_static("")), answer }
    }

    /// Where the answer goes: what [`Nats::still_working`] needs.
    pub(crate) fn reply(&self) -> Option<Subject> {
        self.message.reply.clone()
    }
}

impl Nats {
    /// Answers for all of these. An answer that is lost is a redelivery, which every stage's effect is idempotent for.
    pub async fn settle(&self, settled: Vec<Settled>) {
        for Settled { reply, answer } in settled {
            let answer: Bytes = match answer {
                Answer::Done => AckKind::Ack.into(),
                Answer::Again(wait) => AckKind::Nak(Some(wait)).into(),
            };
            self.answer(reply, answer).await;
            kill_point::reached("worker.answered-one");
        }
    }

    /// Tells the broker that these are kept in hand, so that it does not deliver them to somebody else. To be told again
    /// well before `ack_wait` is over.
    pub async fn keep<'d>(&self, deliveries: impl Iterator<Item = &'d Delivery>) {
        let replies: Vec<Subject> = deliveries.filter_map(Delivery::reply).collect();
        self.still_working(&replies).await;
    }

    /// Tells the broker that these deliveries are still being worked on, so that it does not deliver them again.
    pub(crate) async fn still_working(&self, replies: &[Subject]) {
        for reply in replies {
            self.answer(reply.clone(), AckKind::Progress.into()).await;
        }
    }

    async fn answer(&self, reply: Subject, answer: Bytes) {
        // The library only fails here when the client is closed; the message then comes again to somebody else.
        if let Err(error) = self.client().publish(reply, answer).await {
            tracing::debug!(%error, "could not answer for a delivery; it comes again");
        }
    }
}
