//! Moves batches of requests: reads all, publishes all records and dead letters, then answers.
//!
//! A request is acknowledged only after every one of its elements is in `CANONICAL` or `DLQ`, and its files are stored. Killed anywhere before,
//! it is read again, and its records have the same ids: the broker drops those of the last two minutes, the dedup
//! worker and the persister know the rest.
//!
//! While `CANONICAL` is full or does not answer, or the files cannot be stored, the batch stays in hand. Giving it back would count as a delivery, and
//! the number of deliveries is all that tells a request whose reading ends the process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::body_ref::{CHUNK, INLINE};
use proto::envelope::{Lookup, referred_bytes};
use proto::subject::{self, SourceName, place};
use proto::{BodyRef, Channel, DeadLetterEnvelope, Millis, RawEnvelope, RecordEnvelope, header};
use providers::RawRequest;
use runtime::backoff::Backoff;
use runtime::bodies::{BodyError, Payload};
use runtime::delivery::{Delivery, Settled};
use runtime::kill_point;
use runtime::nats::Nats;
use runtime::objects::ObjectName;
use runtime::publish::{self, Outgoing, Patience, PublishError, Published};
use runtime::worker::Stage;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use crate::decide::{Decided, Unreadable, of_refused, of_stranger, of_unreadable, read};
use crate::files::Files;
use crate::metrics::{Metrics, Outcome};
use crate::sources::Sources;

/// How long `BODIES` and `DLQ` are tried before a request is given back. They are not waited for without end: the
/// requests behind it may not need them.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the broker waits before it delivers what was given back.
const AGAIN: Duration = Duration::from_secs(30);
/// After so many deliveries, the last ten of them alone, reading a request is taken to end the process.
const CRASHES: u64 = 15;
/// Bodies that do not fit into a message and are in memory at once, in the whole process.
const LARGE_BODIES: usize = 2;
/// What is read before it is published: a few requests can hold a great many records.
const READ_RECORDS: usize = 4096;
const READ_BYTES: usize = 8 * 1024 * 1024;

/// Between two tries to store files.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

static LARGE: Semaphore = Semaphore::const_new(LARGE_BODIES);

/// The stage.
#[derive(Debug)]
pub struct Normalizer {
    nats: Nats,
    sources: watch::Receiver<Arc<Sources>>,
    metrics: Arc<Metrics>,
    files: Option<Files>,
    shutdown: CancellationToken,
}

/// Headers of a delivery, for `proto` to read.
struct Headers<'a>(&'a Delivery);

impl Lookup for Headers<'_> {
    fn get(&self, name: &'static str) -> Option<&str> {
        self.0.header(name)
    }
}

/// A request on its way.
struct Moving {
    delivery: Delivery,
    channel: Channel,
    source: SourceName,
    /// The run, on a replay.
    run: Option<String>,
    plan: Plan,
    /// Why a letter that it needs cannot be published now.
    held_up: Option<String>,
}

/// What must be stored before a request is done.
#[derive(Default)]
struct Plan {
    records: Vec<Outbound>,
    letters: Vec<Letter>,
    /// Not yet stored; the records refer to them.
    files: Vec<(ObjectName, Bytes)>,
}

/// A record to publish.
struct Outbound {
    envelope: RecordEnvelope,
    /// Empty where it is in `BODIES`.
    payload: Bytes,
}

/// A dead letter to publish: what was delivered, with the reason over its headers.
struct Letter {
    envelope: DeadLetterEnvelope,
    /// Where the request's body is, if the letter is not to carry it.
    body: Option<BodyRef>,
}

/// Why a request is not on its way.
enum NotNow {
    /// Something around it is not as it must be; it comes again.
    Again(String),
    /// Its body is not to be had, and will not be.
    Never(Unreadable),
}

impl From<BodyError> for NotNow {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Missing { .. } => Self::Never(Unreadable::NoBody),
            error => Self::Again(error.to_string()),
        }
    }
}

impl Stage for Normalizer {
    async fn process(&self, batch: Vec<Delivery>) -> Vec<Settled> {
        let begun = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a histogram takes floats")]
        self.metrics.batch_messages.record(batch.len() as f64);
        let large = batch.iter().any(|delivery| delivery.header(header::BODY).is_some());
        // The semaphore is never closed, so a place always comes.
        let mut place = if large { LARGE.acquire().await.ok() } else { None };
        let sources = self.sources.borrow().clone();

        let mut settled = Vec::with_capacity(batch.len());
        let mut moving = Vec::with_capacity(batch.len());
        let (mut records, mut bytes) = (0, 0);
        for delivery in batch {
            let Some(read) = self.take(delivery, &sources, &mut settled).await else { continue };
            records += read.plan.records.len() + read.plan.letters.len();
            bytes += read.plan.bytes();
            moving.push(read);
            if records >= READ_RECORDS || bytes >= READ_BYTES {
                settled.extend(self.publish(std::mem::take(&mut moving), &mut place).await);
                (records, bytes) = (0, 0);
            }
        }
        kill_point::reached("normalizer.read");
        settled.extend(self.publish(moving, &mut place).await);
        self.metrics.batch_seconds.record(begun.elapsed().as_secs_f64());
        settled
    }

    fn weigh(&self, delivery: &Delivery) -> usize {
        delivery.payload().len().saturating_add(referred_bytes(&Headers(delivery)))
    }
}

impl Normalizer {
    /// The stage, with its connection.
    pub fn new(
        nats: Nats,
        sources: watch::Receiver<Arc<Sources>>,
        metrics: Arc<Metrics>,
        files: Option<Files>,
        shutdown: CancellationToken,
    ) -> Self {
        Self { nats, sources, metrics, files, shutdown }
    }

    /// Reads a request; one that cannot be read now is given back at once.
    async fn take(&self, delivery: Delivery, sources: &Sources, settled: &mut Vec<Settled>) -> Option<Moving> {
        let (channel, source) = place(delivery.subject());
        let run = delivery.header(header::REPLAY).map(str::to_owned);
        match self.plan(&delivery, channel, &source, sources).await {
            Ok(plan) => Some(Moving { delivery, channel, source, run, plan, held_up: None }),
            Err(why) => {
                let sequence = delivery.info().stream_sequence;
                warn!(sequence, channel = channel.as_str(), %source, why, "a request cannot be read now; again");
                self.metrics.count(channel, &source, Outcome::Retried);
                settled.push(delivery.retry(AGAIN));
                None
            }
        }
    }

    /// Stores and publishes everything that was read, and says what is to be answered for each request. While files
    /// cannot be stored, the requests that have some stay in hand, and the others of the batch go on; so does whoever waits
    /// for the `place`, since the store that is away may be none of theirs.
    async fn publish(&self, mut moving: Vec<Moving>, place: &mut Option<SemaphorePermit<'_>>) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(moving.len());
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            if let Some(files) = &self.files {
                let lists = moving.iter_mut().map(|moving| &mut moving.plan.files);
                // Cut off by shutdown, some may be stored and not be known to be: they are stored again.
                self.shutdown.run_until_cancelled(files.store(lists)).await;
                kill_point::reached("normalizer.files-stored");
            }
            let (waiting, ready): (Vec<_>, Vec<_>) =
                moving.into_iter().partition(|moving| !moving.plan.files.is_empty());
            settled.extend(self.publish_records(ready).await);
            if waiting.is_empty() {
                return settled;
            }
            drop(place.take());
            if self.shutdown.run_until_cancelled(sleep(backoff.wait())).await.is_none() {
                settled.extend(waiting.into_iter().map(|moving| moving.delivery.retry(Duration::ZERO)));
                return settled;
            }
            moving = waiting;
        }
    }

    async fn publish_records(&self, mut moving: Vec<Moving>) -> Vec<Settled> {
        let patience = Patience::UntilShutdown(&self.shutdown);
        let records: Vec<&Outbound> = moving.iter().flat_map(|moving| &moving.plan.records).collect();
        let mut stored = self.nats.publish_group(&records, |record| record.message(), patience).await.into_iter();
        kill_point::reached("normalizer.records-stored");
        let stored: Vec<Vec<_>> =
            moving.iter().map(|moving| stored.by_ref().take(moving.plan.records.len()).collect()).collect();
        for (moving, stored) in moving.iter_mut().zip(&stored) {
            moving.held_up = self.refuse(moving, stored).await.err();
        }

        let letters: Vec<(&Moving, &Letter)> =
            moving.iter().flat_map(|moving| moving.plan.letters.iter().map(move |letter| (moving, letter))).collect();
        let patience = Patience::for_at_most(LIMIT);
        let buried = self.nats.publish_all(&letters, |(moving, letter)| letter.message(moving), patience).await;
        kill_point::reached("normalizer.letters-stored");
        let mut buried = buried.into_iter();
        let buried: Vec<Vec<_>> =
            moving.iter().map(|moving| buried.by_ref().take(moving.plan.letters.len()).collect()).collect();

        let mut failures = Failures::default();
        let answers = moving.into_iter().zip(stored).zip(buried);
        let settled = answers.map(|((moving, stored), buried)| self.finish(moving, stored, &buried, &mut failures));
        let settled = settled.collect();
        failures.tell();
        settled
    }

    /// Everything that must be stored before the request is done, in document order; or why it cannot be told now.
    async fn plan(
        &self,
        delivery: &Delivery,
        channel: Channel,
        source: &SourceName,
        sources: &Sources,
    ) -> Result<Plan, String> {
        let info = delivery.info();
        let envelope = match RawEnvelope::read(&Headers(delivery)) {
            Ok(envelope) => envelope,
            Err(error) => {
                let stored_at = Millis::from_unix(info.stored_at).ok_or("the broker's time cannot be read")?;
                error!(sequence = info.stream_sequence, %error, "a message in RAW is not ours: to the DLQ");
                let letter = of_stranger(info.stream_sequence, stored_at, channel, source);
                return Ok(Plan::of(Letter { envelope: letter, body: None }));
            }
        };
        let body = match self.body(delivery, &envelope).await {
            Ok(body) => body,
            Err(NotNow::Again(why)) => return Err(why),
            Err(NotNow::Never(why)) => return Ok(unreadable(why, &envelope, channel, source)),
        };
        let raw_sequence = if envelope.replay.is_none() { info.stream_sequence } else { original_sequence(delivery) };
        let request = RawRequest { envelope, channel, source: source.clone(), body, raw_sequence };
        if info.delivered > CRASHES {
            error!(request_id = %request.envelope.id, deliveries = info.delivered, "given up on a request: to the DLQ");
            self.renew(&request).await?;
            return Ok(unreadable(Unreadable::Crash, &request.envelope, channel, source));
        }
        match self.read_guarded(&request, sources)? {
            Ok(decided) => self.plan_decided(&request, decided).await,
            Err(why) => {
                self.renew(&request).await?;
                Ok(unreadable(why, &request.envelope, channel, source))
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
        let store = self.files.as_ref().map(Files::url);
        catch_unwind(AssertUnwindSafe(|| read(request, reading, sources, store))).map_err(|_| {
            self.metrics.panics.increment(1);
            error!(request_id = %request.envelope.id, "reading a request panicked; please report this");
            "reading it panicked".to_owned()
        })
    }

    async fn plan_decided(&self, request: &RawRequest, decided: Vec<Decided>) -> Result<Plan, String> {
        let dead = decided.iter().filter(|decided| matches!(decided, Decided::Dead(_))).count();
        let mut body = request.envelope.body;
        if dead > 1 && request.body.len().saturating_mul(dead) > INLINE {
            // A letter for each of many bad elements, each with the whole request, would fill DLQ with one request.
            body = Some(BodyRef::of(&request.body));
        }
        if let (true, Some(reference)) = (dead > 0, body) {
            self.put(request.envelope.id, reference, &request.body).await?;
        }
        let mut plan = Plan::default();
        for decided in decided {
            match decided {
                Decided::Dead(envelope) => plan.letters.push(Letter { envelope, body }),
                Decided::Record { envelope, payload, files } => {
                    plan.records.push(self.record(envelope, payload).await?);
                    plan.files.extend(files);
                }
            }
        }
        Ok(plan)
    }

    /// A record as it is published; a payload that does not fit goes to `BODIES` first.
    async fn record(&self, mut envelope: RecordEnvelope, payload: Bytes) -> Result<Outbound, String> {
        if payload.len() <= INLINE {
            return Ok(Outbound { envelope, payload });
        }
        let reference = BodyRef::of(&payload);
        self.put(envelope.record, reference, &payload).await?;
        envelope.body = Some(reference);
        Ok(Outbound { envelope, payload: Bytes::new() })
    }

    async fn body(&self, delivery: &Delivery, envelope: &RawEnvelope) -> Result<Bytes, NotNow> {
        let Some(reference) = envelope.body else { return Ok(delivery.payload().clone()) };
        let body = self.nats.get_body(payload(envelope.id, reference)).await?;
        if reference.fits(&body) { Ok(body) } else { Err(NotNow::Never(Unreadable::NoBody)) }
    }

    /// A dead letter for each record that the broker will never take, with the request as it was delivered. It refers to
    /// the request's body where that is in `BODIES`, and the body was read and let go of before.
    async fn refuse(&self, moving: &mut Moving, stored: &[Result<Published, PublishError>]) -> Result<(), String> {
        let mut letters = Vec::new();
        for (record, answer) in moving.plan.records.iter().zip(stored) {
            if let Err(error @ PublishError::Unacceptable(_)) = answer {
                error!(id = %record.envelope.record, %error, "the broker will never take this record: to the DLQ");
                letters.push(Letter { envelope: of_refused(&record.envelope, &error.to_string()), body: None });
            }
        }
        let envelope = RawEnvelope::read(&Headers(&moving.delivery)).ok().filter(|_| !letters.is_empty());
        if let Some((id, reference)) = envelope.and_then(|envelope| Some((envelope.id, envelope.body?))) {
            let body = self.nats.get_body(payload(id, reference)).await.map_err(|error| error.to_string())?;
            self.put(id, reference, &body).await?;
        }
        moving.plan.letters.append(&mut letters);
        Ok(())
    }

    /// A message is never older than the last copy of the payload it refers to; so before a dead letter.
    async fn renew(&self, request: &RawRequest) -> Result<(), String> {
        match request.envelope.body {
            Some(reference) => self.put(request.envelope.id, reference, &request.body).await,
            None => Ok(()),
        }
    }

    async fn put(&self, id: Uuid, reference: BodyRef, bytes: &Bytes) -> Result<(), String> {
        let put = self.nats.put_body(payload(id, reference), bytes, CHUNK, Patience::for_at_most(LIMIT)).await;
        put.map_err(|error| error.to_string())
    }

    /// The answer for a request: done only where every message of it is stored.
    fn finish(
        &self,
        moving: Moving,
        stored: Vec<Result<Published, PublishError>>,
        buried: &[Result<Published, PublishError>],
        failures: &mut Failures,
    ) -> Settled {
        let Moving { delivery, channel, source, plan, held_up, .. } = moving;
        let records = stored.iter().filter_map(|answer| answer.as_ref().err());
        // What is refused for good has a letter instead. A letter whose subject is taken is there already.
        let records = records.filter(|error| !matches!(error, PublishError::Unacceptable(_)));
        let letters_failed = buried.iter().filter_map(|answer| answer.as_ref().err());
        let letters_failed = letters_failed.filter(|error| !matches!(error, PublishError::SubjectTaken));
        let failed = records.chain(letters_failed).next();
        if let Some(error) = held_up.or_else(|| failed.map(ToString::to_string)) {
            failures.note(error);
            self.metrics.count(channel, &source, Outcome::Retried);
            let wait = if self.shutdown.is_cancelled() { Duration::ZERO } else { AGAIN };
            return delivery.retry(wait);
        }
        for letter in plan.letters {
            self.metrics.dead_letter(channel, &source, &letter.envelope.reason);
        }
        for published in stored.into_iter().flatten() {
            let outcome = if published.repeat { Outcome::Redelivered } else { Outcome::Normalized };
            self.metrics.count(channel, &source, outcome);
        }
        delivery.ack()
    }
}

impl Plan {
    fn of(letter: Letter) -> Self {
        Self { letters: vec![letter], ..Self::default() }
    }

    /// What it holds in memory.
    fn bytes(&self) -> usize {
        let records = self.records.iter().map(|record| record.payload.len());
        records.chain(self.files.iter().map(|(_, bytes)| bytes.len())).sum()
    }
}

impl Outbound {
    fn message(&self) -> Option<Outgoing> {
        let envelope = &self.envelope;
        let message_id = in_run(envelope.replay.as_deref(), &envelope.record.to_string());
        let headers = publish::headers(&message_id, envelope.to_pairs())?;
        let subject = subject::canonical(envelope.channel, &envelope.source);
        Some(Outgoing { subject, headers, payload: self.payload.clone() })
    }
}

impl Letter {
    fn message(&self, moving: &Moving) -> Option<Outgoing> {
        let letter = &self.envelope;
        let subject = subject::dead_letter(letter.stage, letter.channel, &letter.source, letter.record);
        let message_id = in_run(moving.run.as_deref(), &letter.record.to_string());
        let mut pairs = letter.to_pairs();
        pairs.extend(self.body.map(|body| (header::BODY, body.to_string())));
        let mut message = Outgoing::again(&moving.delivery, subject, &message_id, pairs)?;
        if self.body.is_some() {
            message.payload = Bytes::new();
        }
        Some(message)
    }
}

/// Requests that are given back: one line of the log a batch.
#[derive(Default)]
struct Failures {
    requests: usize,
    first: Option<String>,
}

impl Failures {
    fn note(&mut self, error: String) {
        self.requests += 1;
        self.first.get_or_insert(error);
    }

    fn tell(self) {
        if let Some(error) = self.first {
            warn!(requests = self.requests, error, "requests could not be passed on; they come again");
        }
    }
}

fn payload(id: Uuid, BodyRef { chunks, size, hash }: BodyRef) -> Payload {
    Payload { id, chunks, size, hash }
}

fn unreadable(why: Unreadable, envelope: &RawEnvelope, channel: Channel, source: &SourceName) -> Plan {
    Plan::of(Letter { envelope: of_unreadable(why, envelope, channel, source), body: envelope.body })
}

/// The broker remembers ids over all subjects of a stream, so an id names the run as well.
fn in_run(run: Option<&str>, id: &str) -> String {
    run.map_or_else(|| id.to_owned(), |run| format!("{run}:{id}"))
}

/// The request's place in `RAW`, which a replay carries along.
fn original_sequence(delivery: &Delivery) -> u64 {
    delivery.header(header::RAW_SEQUENCE).and_then(|text| text.parse().ok()).unwrap_or(0)
}
