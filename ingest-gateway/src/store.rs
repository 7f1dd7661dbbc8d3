//! Puts requests into `RAW` and `HELD`: the body first where it is large, then the message that refers to it, all of it
//! within one time limit.
//!
//! Success is the broker's acknowledgement and nothing else. A retry carries the same `Nats-Msg-Id`, so the broker
//! stores a request once however often its acknowledgement is lost.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use bytes::Bytes;
use proto::body_ref::{CHUNK, INLINE};
use proto::{BodyRef, RawEnvelope};
use runtime::bodies::{BodyError, Payload};
use runtime::nats::Nats;
use runtime::publish::{Outgoing, Patience, PublishError, headers};
use tokio::time::{Instant, sleep};

use crate::group::Group;
use crate::pulse::Pulse;

/// How often a lost connection is looked at while a request waits for it.
const LOOK: Duration = Duration::from_millis(25);

/// What a message that refers to its body counts as, which is all in its headers.
const REFERRING: usize = 4 * 1024;

/// Why a request is not stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The streams were not found to be what they must be; nothing is trusted to them.
    #[error("the streams are not known to be as they must be")]
    Unknown,
    /// There is no connection.
    #[error("there is no connection to NATS")]
    Disconnected,
    /// The body is not known to be stored.
    #[error("the body is not stored")]
    Body(#[source] BodyError),
    /// The message is not known to be stored.
    #[error("the message is not stored")]
    Message(#[source] PublishError),
    /// `HELD` has no room for this source.
    #[error("no more requests of this source are held")]
    NoRoom,
}

/// The way to the broker.
#[derive(Clone, Debug)]
pub struct Store {
    nats: Nats,
    pulse: Arc<Pulse>,
    group: Option<Group>,
}

impl Store {
    /// Over this connection, or together with others through `group`; what it hears of `RAW` goes to `pulse`.
    pub fn new(nats: Nats, pulse: Arc<Pulse>, group: Option<Group>) -> Self {
        Self { nats, pulse, group }
    }

    /// Stores a request in `RAW`; its sequence there.
    pub async fn raw(
        &self,
        subject: &str,
        mut envelope: RawEnvelope,
        body: Bytes,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let deadline = Instant::now() + limit;
        self.connected(deadline).await?;
        let is_large = body.len() > INLINE;
        let payload = if is_large {
            // Each try of its sender would leave a body behind that nothing refers to, until BODIES is full as well: then
            // the normalizer cannot go on, and RAW stays full.
            if self.pulse.is_full() {
                return Err(StoreError::Message(PublishError::Full("RAW has refused what came before".into())));
            }
            let reference = BodyRef::of(&body);
            let BodyRef { chunks, size, hash } = reference;
            let payload = Payload { id: envelope.id, chunks, size, hash };
            let put = self.nats.put_body(payload, &body, CHUNK, Patience::Until(deadline)).await;
            put.map_err(StoreError::Body)?;
            envelope.body = Some(reference);
            Bytes::new()
        } else {
            body
        };
        let bytes = if is_large { REFERRING } else { payload.len() };
        let published = match &self.group {
            Some(group) => match message(subject, &envelope, &payload) {
                Some(message) => group.publish(message, deadline).await.map(|published| published.sequence),
                None => Err(unwritable()),
            },
            None => self.publish(subject, &envelope, payload, deadline).await,
        };
        match &published {
            Ok(_) => self.pulse.acknowledged(bytes, std::time::Instant::now()),
            Err(PublishError::Full(_)) => self.pulse.full(bytes),
            Err(_) => {}
        }
        published.map_err(StoreError::Message)
    }

    /// Stores a request in `HELD`; its sequence there. The body travels in the message: the caller sees to its size.
    pub async fn held(
        &self,
        subject: &str,
        envelope: &RawEnvelope,
        body: Bytes,
        limit: Duration,
    ) -> Result<u64, StoreError> {
        let deadline = Instant::now() + limit;
        self.connected(deadline).await?;
        self.publish(subject, envelope, body, deadline).await.map_err(|error| match error {
            PublishError::SubjectTaken | PublishError::Full(_) => StoreError::NoRoom,
            other => StoreError::Message(other),
        })
    }

    /// Publishes a message of `bytes` zeros that nothing reads, to see whether `RAW` takes it.
    pub async fn probe(&self, subject: &str, bytes: usize, limit: Duration) -> Result<(), StoreError> {
        if self.nats.client().connection_state() != State::Connected {
            return Err(StoreError::Disconnected);
        }
        let bytes = bytes.min(INLINE);
        let payload = Bytes::from(vec![0; bytes]);
        let message = || {
            let headers = async_nats::HeaderMap::new();
            Some(Outgoing { subject: subject.to_owned(), headers, payload: payload.clone() })
        };
        match self.nats.publish(message, Patience::for_at_most(limit)).await {
            Ok(_) => self.pulse.acknowledged(bytes, std::time::Instant::now()),
            Err(error) => {
                if matches!(error, PublishError::Full(_)) {
                    self.pulse.full(bytes);
                }
                return Err(StoreError::Message(error));
            }
        }
        Ok(())
    }

    /// Waits for a connection that was there a moment ago. One that has been away is not waited for: every request
    /// would hold its body for the whole time limit, and hear the same in the end.
    async fn connected(&self, deadline: Instant) -> Result<(), StoreError> {
        if !self.pulse.is_sound() {
            return Err(StoreError::Unknown);
        }
        while self.nats.client().connection_state() != State::Connected {
            if !self.pulse.is_fresh(std::time::Instant::now()) || left(deadline) <= LOOK {
                return Err(StoreError::Disconnected);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn publish(
        &self,
        subject: &str,
        envelope: &RawEnvelope,
        payload: Bytes,
        deadline: Instant,
    ) -> Result<u64, PublishError> {
        let make = || message(subject, envelope, &payload);
        self.nats.publish(make, Patience::Until(deadline)).await.map(|published| published.sequence)
    }
}

fn message(subject: &str, envelope: &RawEnvelope, payload: &Bytes) -> Option<Outgoing> {
    let headers = headers(&envelope.id.to_string(), envelope.to_pairs())?;
    Some(Outgoing { subject: subject.to_owned(), headers, payload: payload.clone() })
}

fn unwritable() -> PublishError {
    PublishError::Unacceptable("one of its headers cannot be written".into())
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
