//! Moves batches of requests: reads all, publishes all records and dead letters, then answers.
//!
//! A request is acknowledged only after every one of its elements is in `CANONICAL` or `DLQ`. Killed anywhere before,
//! it is read again, and its records have the same ids: the broker drops those of the last two minutes, the dedup
//! worker and the persister know the rest.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::body_ref::{CHUNK, INLINE};
use proto::envelope::Lookup;
use proto::subject::{self, SourceName, channel_and_source};
use proto::{BodyRef, Channel, DeadLetterEnvelope, Millis, RawEnvelope, RecordEnvelope, header};
use providers::RawRequest;
use runtime::bodies::BodyError;
use runtime::delivery::{Delivery, Settled};
use runtime::nats::Nats;
use runtime::publish::{self, Outgoing, PublishError, Published};
use runtime::worker::Stage;
use tokio::sync::{Semaphore, watch};
use tracing::{error, warn};

use crate::decide::{Decided, Unreadable, of_stranger, of_unreadable, read};
use crate::metrics::{Metrics, Outcome};
use crate::sources::Sources;

/// How long a batch tries before its messages are given back.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the broker waits before it delivers what was given back.
const AGAIN: Duration = Duration::from_secs(2);
/// After so many deliveries, the last ten of them alone, reading a request is taken to end the process.
const CRASHES: u64 = 15;
/// Bodies that do not fit into a message and are in memory at once, in the whole process.
const LARGE_BODIES: usize = 2;

static LARGE: Semaphore = Semaphore::const_new(LARGE_BODIES);

/// The stage.
#[derive(Debug)]
pub struct Normalizer {
    nats: Nats,
    sources: watch::Receiver<Arc<Sources>>,
    metrics: Arc<Metrics>,
}

/// Headers of a delivery, for `proto` to read.
struct Headers<'a>(&'a Delivery);

impl Lookup for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }
}

/// A request on its way, with the messages that must be stored before it is done.
struct Moving {
    delivery: Delivery,
    channel: Channel,
    source: SourceName,
    outgoing: Vec<Planned>,
}

/// A message to publish, and what it means.
struct Planned {
    message: Outgoing,
    /// The reason, where it is a dead letter.
    dead: Option<String>,
}

/// Why a request is not on its way.
enum NotNow {
    /// Something around it is not as it must be; it comes again.
    Again(String),
    /// Its body is not to be had, and will not be.
    Never(Unreadable),
}

impl Stage for Normalizer {
    async fn process(&self, batch: Vec<Delivery>) -> Vec<Settled> {
        let begun = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
        self.metrics.batch_messages.record(batch.len() as f64);
        let sources = self.sources.borrow().clone();
        let (large, small): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|delivery| delivery.header(header::BODY).is_some());
        let mut settled = self.process_together(small, &sources).await;
        for delivery in large {
            // The semaphore is never closed, so a place always comes.
            let _place = LARGE.acquire().await;
            settled.extend(self.process_together(vec![delivery], &sources).await);
        }
        self.metrics.batch_seconds.record(begun.elapsed().as_secs_f64());
        settled
    }
}

impl Normalizer {
    /// The stage, with its connection.
    pub fn new(nats: Nats, sources: watch::Receiver<Arc<Sources>>, metrics: Arc<Metrics>) -> Self {
        Self { nats, sources, metrics }
    }

    async fn process_together(&self, batch: Vec<Delivery>, sources: &Sources) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(batch.len());
        let mut moving = Vec::with_capacity(batch.len());
        for delivery in batch {
            let Some((channel, source)) = channel_and_source(delivery.subject()) else {
                // Only the gateway may publish here, and it builds subjects from checked names.
                error!(subject = delivery.subject(), "a message in RAW is on a subject that is not ours; left there");
                settled.push(delivery.ack());
                continue;
            };
            match self.plan(&delivery, channel, &source, sources).await {
                Ok(outgoing) => moving.push(Moving { delivery, channel, source, outgoing }),
                Err(why) => {
                    warn!(sequence = delivery.info().stream_sequence, why, "a request could not be read now; again");
                    self.metrics.count(channel, &source, Outcome::Retried);
                    settled.push(delivery.retry(AGAIN));
                }
            }
        }

        let messages =
            moving.iter().flat_map(|moving| &moving.outgoing).map(|planned| planned.message.clone()).collect();
        let mut answers = self.nats.publish_all(messages, LIMIT).await.into_iter();
        for moving in moving {
            let own: Vec<_> = answers.by_ref().take(moving.outgoing.len()).collect();
            settled.push(self.finish(moving, own));
        }
        settled
    }

    /// Everything that must be stored before the request is done, in document order; or why it cannot be told now.
    async fn plan(
        &self,
        delivery: &Delivery,
        channel: Channel,
        source: &SourceName,
        sources: &Sources,
    ) -> Result<Vec<Planned>, String> {
        let info = delivery.info();
        let envelope = match RawEnvelope::read(&Headers(delivery)) {
            Ok(envelope) => envelope,
            Err(error) => {
                let stored_at = Millis::from_unix(info.stored_at).ok_or("the broker's time cannot be read")?;
                error!(sequence = info.stream_sequence, %error, "a message in RAW is not ours: to the DLQ");
                let letter = of_stranger(info.stream_sequence, stored_at, channel, source);
                return bury(delivery, &letter, None).map(|planned| vec![planned]);
            }
        };
        let unreadable = |why| of_unreadable(why, &envelope, channel, source);
        if info.delivered > CRASHES {
            error!(id = %envelope.id, deliveries = info.delivered, "given up on a request: to the DLQ");
            return bury(delivery, &unreadable(Unreadable::Crash), envelope.replay.as_deref())
                .map(|planned| vec![planned]);
        }
        let body = match self.body(delivery, &envelope).await {
            Ok(body) => body,
            Err(NotNow::Again(why)) => return Err(why),
            Err(NotNow::Never(why)) => {
                return bury(delivery, &unreadable(why), envelope.replay.as_deref()).map(|planned| vec![planned]);
            }
        };
        let raw_sequence = if envelope.replay.is_none() { info.stream_sequence } else { original_sequence(delivery) };
        let request = RawRequest { envelope, channel, source: source.clone(), body, raw_sequence };
        match self.read_guarded(&request, sources)? {
            Ok(decided) => self.plan_decided(delivery, &request, decided).await,
            Err(why) => {
                let letter = of_unreadable(why, &request.envelope, channel, source);
                bury(delivery, &letter, request.envelope.replay.as_deref()).map(|planned| vec![planned])
            }
        }
    }

    /// Reads a request; a panic is a fault of the program that must not take the requests beside it along.
    fn read_guarded(
        &self,
        request: &RawRequest,
        sources: &Sources,
    ) -> Result<Result<Vec<Decided>, Unreadable>, String> {
        let reading = sources.reading(request.source.as_str());
        catch_unwind(AssertUnwindSafe(|| read(request, reading, sources))).map_err(|_| {
            self.metrics.panics.increment(1);
            error!(id = %request.envelope.id, "reading a request panicked; please report this");
            "reading it panicked".to_owned()
        })
    }

    async fn plan_decided(
        &self,
        delivery: &Delivery,
        request: &RawRequest,
        decided: Vec<Decided>,
    ) -> Result<Vec<Planned>, String> {
        let mut outgoing = Vec::with_capacity(decided.len());
        let buries = decided.iter().any(|decided| matches!(decided, Decided::Dead(_)));
        if let (true, Some(_)) = (buries, request.envelope.body) {
            // A message is never older than the last copy of the payload it refers to.
            let id = request.envelope.id.to_string();
            self.nats.put_body(&id, &request.body, CHUNK, LIMIT).await.map_err(|error| error.to_string())?;
        }
        for decided in decided {
            outgoing.push(match decided {
                Decided::Dead(letter) => bury(delivery, &letter, request.envelope.replay.as_deref())?,
                Decided::Record { envelope, payload } => self.record(envelope, payload).await?,
            });
        }
        Ok(outgoing)
    }

    /// A record as a message; a payload that does not fit goes to `BODIES` first.
    async fn record(&self, mut envelope: RecordEnvelope, payload: Bytes) -> Result<Planned, String> {
        let id = envelope.record.to_string();
        let payload = if payload.len() > INLINE {
            self.nats.put_body(&id, &payload, CHUNK, LIMIT).await.map_err(|error| error.to_string())?;
            envelope.body = Some(BodyRef::of(&payload));
            Bytes::new()
        } else {
            payload
        };
        let message_id = in_run(envelope.replay.as_deref(), &id);
        let pairs = envelope.to_pairs();
        let headers = publish::headers(&message_id, pairs.iter().map(|(name, value)| (*name, value.as_str())))
            .ok_or("a header of the record cannot be written")?;
        let subject = subject::canonical(envelope.channel, &envelope.source);
        Ok(Planned { message: Outgoing { subject, headers, payload }, dead: None })
    }

    async fn body(&self, delivery: &Delivery, envelope: &RawEnvelope) -> Result<Bytes, NotNow> {
        let Some(reference) = envelope.body else { return Ok(delivery.payload().clone()) };
        let body = match self.nats.get_body(&envelope.id.to_string(), reference.chunks, reference.size).await {
            Ok(body) => body,
            Err(BodyError::Missing { .. }) => return Err(NotNow::Never(Unreadable::NoBody)),
            Err(error) => return Err(NotNow::Again(error.to_string())),
        };
        if reference.fits(&body) { Ok(body) } else { Err(NotNow::Never(Unreadable::NoBody)) }
    }

    /// The answer for a request: done only where every message of it is stored.
    fn finish(&self, moving: Moving, answers: Vec<Result<Published, PublishError>>) -> Settled {
        let Moving { delivery, channel, source, outgoing } = moving;
        for (planned, answer) in outgoing.iter().zip(&answers) {
            let stored = match answer {
                Ok(_) => true,
                // Taken: an earlier delivery of this request put the letter there.
                Err(PublishError::SubjectTaken) => planned.dead.is_some(),
                Err(_) => false,
            };
            if let (false, Err(error)) = (stored, answer) {
                warn!(sequence = delivery.info().stream_sequence, %error, "could not pass a request on; trying again");
                self.metrics.count(channel, &source, Outcome::Retried);
                return delivery.retry(AGAIN);
            }
        }
        for (planned, answer) in outgoing.iter().zip(answers) {
            match (&planned.dead, answer) {
                (Some(reason), _) => self.metrics.dead_letter(channel, &source, reason),
                (None, Ok(Published { repeat: true, .. })) => {
                    self.metrics.count(channel, &source, Outcome::Redelivered);
                }
                (None, _) => self.metrics.count(channel, &source, Outcome::Normalized),
            }
        }
        delivery.ack()
    }
}

/// A dead letter: what was delivered, with the reason over its headers.
fn bury(delivery: &Delivery, letter: &DeadLetterEnvelope, run: Option<&str>) -> Result<Planned, String> {
    let subject = subject::dead_letter(letter.stage, letter.channel, &letter.source, letter.record);
    let pairs = letter.to_pairs();
    let more = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    let message = Outgoing::again(delivery, subject, &in_run(run, &letter.record.to_string()), more)
        .ok_or("a header of the dead letter cannot be written")?;
    Ok(Planned { message, dead: Some(letter.reason.clone()) })
}

/// The broker remembers ids over all subjects of a stream, so an id names the run as well.
fn in_run(run: Option<&str>, id: &str) -> String {
    run.map_or_else(|| id.to_owned(), |run| format!("{run}:{id}"))
}

/// The request's place in `RAW`, which a replay carries along.
fn original_sequence(delivery: &Delivery) -> u64 {
    delivery.header(header::RAW_SEQUENCE).and_then(|text| text.parse().ok()).unwrap_or(0)
}
