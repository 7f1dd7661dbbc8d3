//! Moves batches of records: reads all, writes all in one transaction, then answers. A record is acknowledged only
//! after its ending is committed, or after `DLQ` acknowledged it.
//!
//! While the database does not take records, a batch waits here with its messages in hand: giving them back would only
//! make the broker deliver them again, and the stages before wait by themselves when their stream fills up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::body_ref::CHUNK;
use proto::envelope::referred_bytes;
use proto::{BodyRef, DeadLetterEnvelope, DedupRule, Millis, RecordEnvelope, Stage as StageName, id, subject};
use runtime::backoff::Backoff;
use runtime::bodies::{BodyError, Payload};
use runtime::clock::now_millis;
use runtime::delivery::{Delivery, Settled as Answered};
use runtime::error_chain::Chain;
use runtime::health::Dependency;
use runtime::nats::Nats;
use runtime::publish::{Outgoing, Patience, PublishError};
use runtime::worker::Stage;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use crate::headers::Headers;
use crate::judge::Outcome;
use crate::metrics::Metrics;
use crate::row::{Row, RowError};
use crate::store::{Settled, Store};

/// How long a dead letter tries before its record is given back.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the broker waits before it delivers what was given back.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a record of a newer shape waits for this stage's upgrade before it is looked at again.
const UPGRADE: Duration = Duration::from_secs(30);
/// Between tries while the database does not take records.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The stage.
#[derive(Debug)]
pub struct Persister {
    pub(crate) nats: Nats,
    pub(crate) store: Arc<Store>,
    pub(crate) rule: DedupRule,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) database: Dependency,
    pub(crate) shutdown: CancellationToken,
}

/// A record in hand.
struct Held {
    delivery: Delivery,
    envelope: RecordEnvelope,
    payload: Bytes,
}

/// Why a record is not in hand.
enum Missing {
    Again(Duration),
    Dead { reason: &'static str, detail: String },
}

impl Stage for Persister {
    async fn process(&self, batch: Vec<Delivery>) -> Vec<Answered> {
        let begun = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
        self.metrics.batch_messages.record(batch.len() as f64);
        let mut answers = Vec::with_capacity(batch.len());
        let mut held = Vec::with_capacity(batch.len());
        for delivery in batch {
            match self.take(&delivery).await {
                Ok((envelope, payload)) => held.push(Held { delivery, envelope, payload }),
                Err(Missing::Again(wait)) => answers.push(delivery.retry(wait)),
                Err(Missing::Dead { reason, detail }) => answers.push(self.bury(delivery, reason, detail).await),
            }
        }

        let mut rows = Vec::with_capacity(held.len());
        let mut of_rows = Vec::with_capacity(held.len());
        let mut errors = Vec::new();
        for (place, record) in held.iter().enumerate() {
            match self.row(record) {
                Ok(row) => {
                    rows.push(row);
                    of_rows.push(place);
                }
                Err(error) => errors.push((place, error)),
            }
        }
        let endings = self.write(&rows).await;
        drop(rows);

        let mut verdicts: Vec<Option<Verdict>> = held.iter().map(|_| None).collect();
        let ended = of_rows.into_iter().zip(endings).map(|(place, ending)| (place, Verdict::of(ending)));
        let failed = errors.into_iter().map(|(place, error)| (place, Verdict::from(error)));
        for (place, verdict) in ended.chain(failed) {
            if let Some(slot) = verdicts.get_mut(place) {
                *slot = Some(verdict);
            }
        }
        for (record, verdict) in held.into_iter().zip(verdicts) {
            answers.push(self.answer(record, verdict.unwrap_or(Verdict::Again(AGAIN))).await);
        }
        self.metrics.batch_seconds.record(begun.elapsed().as_secs_f64());
        answers
    }

    fn weigh(&self, delivery: &Delivery) -> usize {
        delivery.payload().len().saturating_add(referred_bytes(&Headers(delivery)))
    }
}

/// What is to be answered for a record.
enum Verdict {
    Ended(Outcome),
    Again(Duration),
    Dead { reason: &'static str, detail: String },
}

impl Verdict {
    fn of(ending: Settled) -> Self {
        match ending {
            Settled::Ended(outcome) => Self::Ended(outcome),
            Settled::Dead(refusal) => Self::Dead { reason: refusal.reason(), detail: refusal.detail() },
            Settled::Waits => Self::Again(AGAIN),
        }
    }
}

impl From<RowError> for Verdict {
    fn from(error: RowError) -> Self {
        if error.waits() {
            warn!(%error, "a record waits for this stage to be upgraded");
            Self::Again(UPGRADE)
        } else {
            Self::Dead { reason: error.reason(), detail: error.to_string() }
        }
    }
}

impl Persister {
    async fn take(&self, delivery: &Delivery) -> Result<(RecordEnvelope, Bytes), Missing> {
        let envelope = RecordEnvelope::read(&Headers(delivery)).map_err(|error| {
            error!(sequence = delivery.info().stream_sequence, %error, "a record without our headers: to the DLQ");
            Missing::Dead { reason: "no_envelope", detail: error.to_string() }
        })?;
        let Some(reference) = envelope.body else { return Ok((envelope, delivery.payload().clone())) };
        let id = envelope.record;
        match self.nats.get_body(payload(id, reference)).await {
            Ok(payload) if reference.fits(&payload) => Ok((envelope, payload)),
            Ok(_) | Err(BodyError::Missing { .. }) => {
                error!(%id, "a record's payload is not in BODIES: to the DLQ");
                Err(Missing::Dead { reason: "no_body", detail: "the payload is not in BODIES, or is another".into() })
            }
            Err(error) => {
                warn!(%id, error = %Chain(&error), "could not read a record's payload; trying again");
                Err(Missing::Again(AGAIN))
            }
        }
    }

    fn row<'a>(&self, record: &'a Held) -> Result<Row<'a>, RowError> {
        // Of two replays the one that came later through DUPLICATES is the newer.
        let replay = record.envelope.replay.as_ref().map(|_| record.delivery.info().stream_sequence);
        Row::read(&record.payload, &record.envelope, self.rule, replay)
    }

    /// Writes until the database takes the records, or until shutdown.
    async fn write(&self, rows: &[Row<'_>]) -> Vec<Settled> {
        let mut backoff = Backoff::new(WAIT.0, WAIT.1);
        loop {
            let report = self.store.write(rows).await;
            let Some(error) = report.wait else {
                self.database.ok("takes records");
                return report.rows;
            };
            self.metrics.waits.increment(1);
            warn!(records = rows.len(), error = %Chain(&error), "waiting for PostgreSQL; the records stay in hand");
            self.database.failed(Chain(&error).to_string());
            tokio::select! {
                () = self.shutdown.cancelled() => return report.rows,
                () = tokio::time::sleep(backoff.wait()) => {}
            }
        }
    }

    async fn answer(&self, record: Held, verdict: Verdict) -> Answered {
        let Held { delivery, envelope, .. } = record;
        match verdict {
            Verdict::Ended(outcome) => {
                #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
                let age = now_millis().saturating_sub(envelope.received_at.as_unix()).max(0) as f64 / 1000.0;
                self.metrics.ended(envelope.channel, &envelope.source, outcome, age);
                delivery.ack()
            }
            Verdict::Again(wait) => delivery.retry(wait),
            Verdict::Dead { reason, detail } => self.bury(delivery, reason, detail).await,
        }
    }

    /// Acknowledged only after `DLQ` has it.
    async fn bury(&self, delivery: Delivery, reason: &'static str, detail: String) -> Answered {
        let Some(letter) = letter(&delivery, reason, detail) else {
            error!(subject = delivery.subject(), "a message cannot be named, so it cannot be put aside; trying again");
            return delivery.retry(AGAIN);
        };
        match self.publish(&delivery, &letter).await {
            Ok(()) => {
                self.metrics.dead(letter.channel, &letter.source, reason);
                delivery.ack()
            }
            Err(why) => {
                warn!(id = %letter.record, why, "could not dead-letter a record; trying again");
                delivery.retry(AGAIN)
            }
        }
    }

    async fn publish(&self, delivery: &Delivery, letter: &DeadLetterEnvelope) -> Result<(), String> {
        if let Some(body) = RecordEnvelope::read(&Headers(delivery)).ok().and_then(|envelope| envelope.body) {
            self.renew(letter.record, body).await.map_err(|error| error.to_string())?;
        }
        let subject = subject::dead_letter(letter.stage, letter.channel, &letter.source, letter.record);
        let run = delivery.header(proto::header::REPLAY);
        let message_id = run.map_or_else(|| letter.record.to_string(), |run| format!("{run}:{}", letter.record));
        let message = || Outgoing::again(delivery, subject.clone(), &message_id, letter.to_pairs());
        match self.nats.publish(message, Patience::for_at_most(LIMIT)).await {
            // Taken: an earlier delivery of this record put the letter there.
            Ok(_) | Err(PublishError::SubjectTaken) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A message is never older than the last copy of the payload it refers to. A payload that is gone is the reason for
    /// some letters, so its absence does not stop one.
    async fn renew(&self, id: Uuid, reference: BodyRef) -> Result<(), BodyError> {
        let payload = payload(id, reference);
        let bytes = match self.nats.get_body(payload).await {
            Ok(bytes) => bytes,
            Err(BodyError::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.nats.put_body(payload, &bytes, CHUNK, Patience::for_at_most(LIMIT)).await
    }
}

fn payload(id: Uuid, BodyRef { chunks, size, hash }: BodyRef) -> Payload {
    Payload { id, chunks, size, hash }
}

/// The dead letter of a record; one without our headers is named after its place in the stream, so that it has the
/// same name on every delivery. `None` where the broker's time cannot be read.
fn letter(delivery: &Delivery, reason: &str, detail: String) -> Option<DeadLetterEnvelope> {
    let reason = reason.to_owned();
    if let Ok(envelope) = RecordEnvelope::read(&Headers(delivery)) {
        return Some(DeadLetterEnvelope {
            stage: StageName::Persister,
            record: envelope.record,
            part: envelope.part,
            request_id: envelope.request_id,
            received_at: envelope.received_at,
            channel: envelope.channel,
            source: envelope.source,
            reason,
            detail,
        });
    }
    let info = delivery.info();
    let received_at = Millis::from_unix(info.stored_at)?;
    let (channel, source) = subject::place(delivery.subject());
    // The streams count for themselves, so the stream is part of the name.
    let stream = delivery.subject().bytes().next().unwrap_or_default();
    let place = Uuid::from_u128(u128::from(info.stream_sequence) << 8 | u128::from(stream));
    Some(DeadLetterEnvelope {
        stage: StageName::Persister,
        record: id::record_id(received_at, place, 0),
        part: 0,
        request_id: Uuid::nil(),
        received_at,
        channel,
        source,
        reason,
        detail,
    })
}
