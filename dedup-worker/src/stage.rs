//! Moves batches of records: claims for all, then the second look for those whose key was taken, then the answers.
//!
//! Killed anywhere, the record comes again: its claim is then answered with `duplicate: true` or, after two minutes,
//! refused by the record's own claim, and the persister finds that the holder is this same id. A record is
//! acknowledged only after `UNIQUE`, `DUPLICATES` or `DLQ` acknowledged it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::body_ref::CHUNK;
use proto::envelope::{Lookup, Stage as StageName};
use proto::{DeadLetterEnvelope, subject};
use runtime::bodies::BodyError;
use runtime::delivery::{Delivery, Settled};
use runtime::nats::Nats;
use runtime::publish::{Outgoing, PublishError};
use runtime::worker::Stage;
use tracing::{error, warn};
use uuid::Uuid;

use crate::decide::{Claims, Routed, name_of_stranger, route};
use crate::metrics::{Metrics, Outcome};

/// How long a batch tries before its messages are given back.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the broker waits before it delivers what was given back.
const AGAIN: Duration = Duration::from_secs(2);

/// The stage.
#[derive(Debug)]
pub struct Dedup {
    nats: Nats,
    claims: Claims,
    metrics: Arc<Metrics>,
}

/// Headers of a delivery, for `proto` to read.
struct Headers<'a>(&'a Delivery);

impl Lookup for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
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
                    Err(error) => {
                        warn!(id = %routed.record, %error, "could not renew a record's payload; trying again");
                        settled.push(self.give_back(delivery));
                    }
                },
                Err(error) => settled.push(self.bury_stranger(delivery, &error.to_string()).await),
            }
        }

        let claims: Vec<Outgoing> = claiming.iter().filter_map(Moving::claim).collect();
        let answers = self.nats.publish_all(claims, LIMIT).await;
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

        let looks: Vec<Outgoing> = judged.iter().filter_map(Moving::second_look).collect();
        let answers = self.nats.publish_all(looks, LIMIT).await;
        for (moving, answer) in judged.into_iter().zip(answers) {
            match answer {
                Ok(_) => settled.push(self.done(moving, Outcome::Duplicate)),
                Err(error) => settled.push(self.failed(moving, error).await),
            }
        }
        self.metrics.batch_seconds.record(begun.elapsed().as_secs_f64());
        settled
    }
}

impl Moving {
    /// Publishing this claims the key. The headers were read a moment ago, so they can be written again.
    fn claim(&self) -> Option<Outgoing> {
        Outgoing::again(&self.delivery, self.routed.claim.clone()?, &self.routed.message_id, [])
    }

    fn second_look(&self) -> Option<Outgoing> {
        Outgoing::again(&self.delivery, self.routed.duplicate.clone(), &self.routed.message_id, [])
    }
}

impl Dedup {
    /// The stage, with its connection.
    pub fn new(nats: Nats, claims: Claims, metrics: Arc<Metrics>) -> Self {
        Self { nats, claims, metrics }
    }

    /// A message is never older than the last copy of the payload it refers to: whoever publishes it puts the payload
    /// again first. Trimming `BODIES` relies on it.
    async fn renew_body(&self, routed: &Routed) -> Result<(), BodyError> {
        let Some(body) = routed.body else { return Ok(()) };
        let id = routed.record.to_string();
        let payload = self.nats.get_body(&id, body.chunks, body.size).await?;
        self.nats.put_body(&id, &payload, CHUNK, LIMIT).await
    }

    fn done(&self, moving: Moving, outcome: Outcome) -> Settled {
        self.metrics.count(moving.routed.channel, &moving.routed.source, outcome);
        moving.delivery.ack()
    }

    fn give_back(&self, delivery: Delivery) -> Settled {
        self.metrics.retries.increment(1);
        delivery.retry(AGAIN)
    }

    async fn failed(&self, moving: Moving, error: PublishError) -> Settled {
        match error {
            PublishError::Unacceptable(_) => {
                error!(id = %moving.routed.record, %error, "the broker will never take this record: to the DLQ");
                let Routed { channel, source, record, .. } = moving.routed;
                let headers = Headers(&moving.delivery);
                let letter = proto::RecordEnvelope::read(&headers).ok().map(|envelope| DeadLetterEnvelope {
                    stage: StageName::Dedup,
                    record,
                    part: envelope.part,
                    request_id: envelope.request_id,
                    received_at: envelope.received_at,
                    channel,
                    source,
                    reason: "refused".into(),
                    detail: error.to_string(),
                });
                self.metrics.refused.increment(1);
                self.bury(moving.delivery, letter).await
            }
            error => {
                warn!(id = %moving.routed.record, %error, "could not pass a record on; trying again");
                self.give_back(moving.delivery)
            }
        }
    }

    async fn bury_stranger(&self, delivery: Delivery, why: &str) -> Settled {
        let info = delivery.info();
        let stranger = name_of_stranger(delivery.subject(), info.stream_sequence, info.stored_at);
        error!(sequence = info.stream_sequence, why, "a message in CANONICAL is not ours: to the DLQ");
        self.metrics.strangers.increment(1);
        let letter = stranger.map(|stranger| DeadLetterEnvelope {
            stage: StageName::Dedup,
            record: stranger.record,
            part: 0,
            request_id: Uuid::nil(),
            received_at: stranger.received_at,
            channel: stranger.channel,
            source: stranger.source,
            reason: "no_envelope".into(),
            detail: why.to_owned(),
        });
        self.bury(delivery, letter).await
    }

    /// Acknowledged only after `DLQ` has it. What not even a place in `DLQ` can be made for is not ours at all; it is
    /// logged with its sequence, and stays in the stream until that is trimmed.
    async fn bury(&self, delivery: Delivery, letter: Option<DeadLetterEnvelope>) -> Settled {
        let Some(letter) = letter else { return delivery.ack() };
        let subject = subject::dead_letter(letter.stage, letter.channel, &letter.source, letter.record);
        let pairs = letter.to_pairs();
        let more = pairs.iter().map(|(name, value)| (*name, value.as_str()));
        let Some(outgoing) = Outgoing::again(&delivery, subject, &letter.record.to_string(), more) else {
            return self.give_back(delivery);
        };
        match self.nats.publish(outgoing, LIMIT).await {
            // Taken: an earlier delivery of this message is there already.
            Ok(_) | Err(PublishError::SubjectTaken) => delivery.ack(),
            Err(error) => {
                warn!(id = %letter.record, %error, "could not dead-letter a message; trying again");
                self.give_back(delivery)
            }
        }
    }
}
