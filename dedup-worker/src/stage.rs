//! Moves batches of records: claims for all, then the second look for those whose key was taken, then the answers.
//!
//! Killed anywhere, the record comes again: its claim is then answered with `duplicate: true` or, after two minutes,
//! refused by the record's own claim, and the persister finds that the holder is this same id. A record is
//! acknowledged only after `UNIQUE`, `DUPLICATES` or `DLQ` acknowledged it; while these are full or do not answer, it
//! stays in hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::body_ref::CHUNK;
use proto::envelope::{Lookup, referred_bytes};
use proto::{BodyRef, RecordEnvelope, subject};
use runtime::bodies::{BodyError, Payload};
use runtime::delivery::{Delivery, Settled};
use runtime::kill_point;
use runtime::nats::Nats;
use runtime::publish::{Outgoing, Patience, PublishError};
use runtime::worker::Stage;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::decide::{Claims, Routed, Why, letter_of, letter_of_stranger, route};
use crate::metrics::{Metrics, Outcome};

/// How long `BODIES` and `DLQ` are tried before a record is given back. They are not waited for without end: the
/// records behind it may not need them.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the broker waits before it delivers what was given back.
const AGAIN: Duration = Duration::from_secs(30);

/// The stage.
#[derive(Debug)]
pub struct Dedup {
    nats: Nats,
    claims: Claims,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

/// Headers of a delivery, for `proto` to read.
struct Headers<'a>(&'a Delivery);

impl Lookup for Headers<'_> {
    fn get(&self, name: &'static str) -> Option<&str> {
        self.0.header(name)
    }
}

/// A record on its way.
struct Moving {
    delivery: Delivery,
    routed: Routed,
}

impl Stage for Dedup {
    async fn process(&self, batch: Vec<Delivery>) -> Vec<Settled> {
        let begun = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
        self.metrics.batch_messages.record(batch.len() as f64);
        let mut settled = Vec::with_capacity(batch.len());
        let (mut claiming, mut judged) = (Vec::with_capacity(batch.len()), Vec::new());

        // Decide everything first: no I/O in this loop but for payloads that live elsewhere, which are rare.
        for delivery in batch {
            match route(&Headers(&delivery), self.claims) {
                Ok(routed) => match self.renew_body(&routed).await {
                    Ok(()) if routed.claim.is_some() => claiming.push(Moving { delivery, routed }),
                    Ok(()) => judged.push(Moving { delivery, routed }),
                    Err(error) => settled.push(self.without_body(delivery, &routed, &error).await),
                },
                Err(error) => settled.push(self.bury_stranger(delivery, &error.to_string()).await),
            }
        }

        // Full streams are waited for with the messages in hand, so these come back only when each has its answer.
        let patience = Patience::UntilShutdown(&self.shutdown);
        let answers = self.nats.publish_all(&claiming, Moving::claim, patience).await;
        kill_point::reached("dedup.claimed");
        for (moving, answer) in claiming.into_iter().zip(answers) {
            match answer {
                Ok(published) => {
                    let outcome = if published.repeat { Outcome::Redelivered } else { Outcome::Unique };
                    settled.push(self.done(moving, outcome));
                }
                Err(PublishError::SubjectTaken) => judged.push(moving),
                Err(error) => settled.push(self.failed(moving, error).await),
            }
        }

        let answers = self.nats.publish_all(&judged, Moving::second_look, patience).await;
        kill_point::reached("dedup.passed-on");
        for (moving, answer) in judged.into_iter().zip(answers) {
            match answer {
                Ok(_) => settled.push(self.done(moving, Outcome::Duplicate)),
                Err(error) => settled.push(self.failed(moving, error).await),
            }
        }
        self.metrics.batch_seconds.record(begun.elapsed().as_secs_f64());
        settled
    }

    fn weigh(&self, delivery: &Delivery) -> usize {
        delivery.payload().len().saturating_add(referred_bytes(&Headers(delivery)))
    }
}

impl Moving {
    /// Publishing this claims the key.
    fn claim(&self) -> Option<Outgoing> {
        Outgoing::again(&self.delivery, self.routed.claim.clone()?, &self.routed.message_id, [])
    }

    fn second_look(&self) -> Option<Outgoing> {
        Outgoing::again(&self.delivery, self.routed.duplicate.clone(), &self.routed.message_id, [])
    }
}

impl Dedup {
    /// The stage, with its connection.
    pub fn new(nats: Nats, claims: Claims, metrics: Arc<Metrics>, shutdown: CancellationToken) -> Self {
        Self { nats, claims, metrics, shutdown }
    }

    /// A message is never older than the last copy of the payload it refers to: whoever publishes it puts the payload
    /// again first. Trimming `BODIES` relies on it.
    async fn renew_body(&self, routed: &Routed) -> Result<(), BodyError> {
        let Some(BodyRef { chunks, size, hash }) = routed.body else { return Ok(()) };
        let payload = Payload { id: routed.record, chunks, size, hash };
        let bytes = self.nats.get_body(payload).await?;
        self.nats.put_body(payload, &bytes, CHUNK, Patience::for_at_most(LIMIT)).await
    }

    /// A payload that is gone does not come back: waiting for it would stop every record behind this one.
    async fn without_body(&self, delivery: Delivery, routed: &Routed, error: &BodyError) -> Settled {
        if matches!(error, BodyError::Missing { .. }) {
            error!(id = %routed.record, %error, "a record's payload is not in BODIES: to the DLQ");
            return self.bury(delivery, Why::NoBody, &error.to_string()).await;
        }
        warn!(id = %routed.record, %error, "could not renew a record's payload; trying again");
        self.give_back(delivery)
    }

    fn done(&self, moving: Moving, outcome: Outcome) -> Settled {
        self.metrics.count(moving.routed.channel, &moving.routed.source, outcome);
        moving.delivery.ack()
    }

    fn give_back(&self, delivery: Delivery) -> Settled {
        self.metrics.retries.increment(1);
        delivery.retry(if self.shutdown.is_cancelled() { Duration::ZERO } else { AGAIN })
    }

    async fn failed(&self, moving: Moving, error: PublishError) -> Settled {
        if let PublishError::Unacceptable(_) = error {
            error!(id = %moving.routed.record, %error, "the broker will never take this record: to the DLQ");
            return self.bury(moving.delivery, Why::Refused, &error.to_string()).await;
        }
        warn!(id = %moving.routed.record, %error, "could not pass a record on; trying again");
        self.give_back(moving.delivery)
    }

    async fn bury_stranger(&self, delivery: Delivery, detail: &str) -> Settled {
        let sequence = delivery.info().stream_sequence;
        error!(sequence, detail, "a message in CANONICAL is not ours: to the DLQ");
        self.bury(delivery, Why::NoEnvelope, detail).await
    }

    /// Acknowledged only after `DLQ` has it.
    async fn bury(&self, delivery: Delivery, why: Why, detail: &str) -> Settled {
        let info = delivery.info();
        let letter = match RecordEnvelope::read(&Headers(&delivery)) {
            Ok(record) => Some(letter_of(record, why, detail)),
            Err(_) => letter_of_stranger(delivery.subject(), info.stream_sequence, info.stored_at, detail),
        };
        let Some(letter) = letter else {
            error!(sequence = info.stream_sequence, "the broker's time cannot be read; trying again");
            return self.give_back(delivery);
        };
        let subject = subject::dead_letter(letter.stage, letter.channel, &letter.source, letter.record);
        let message_id = letter.record.to_string();
        let message = || Outgoing::again(&delivery, subject.clone(), &message_id, letter.to_pairs());
        match self.nats.publish(message, Patience::for_at_most(LIMIT)).await {
            // Taken: an earlier delivery of this message is there already.
            Ok(_) | Err(PublishError::SubjectTaken) => {
                self.metrics.dead(why);
                delivery.ack()
            }
            Err(error) => {
                warn!(id = %letter.record, %error, "could not dead-letter a message; trying again");
                self.give_back(delivery)
            }
        }
    }
}
