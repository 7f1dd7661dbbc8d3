//! Looks for somebody in the streams. Every message is read as its stage reads it; only what cannot be read is searched for
//! his addresses.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use normalizer::sources::Sources;
use proto::subject::channel_and_source;
use proto::{CanonicalMessage, Channel, DeadLetterEnvelope, RawEnvelope, RecordEnvelope, Stage};
use providers::RawRequest;
use runtime::nats::Nats;
use runtime::topology::{DLQ, HELD, RAW, REPLAY};
use uuid::Uuid;

use super::whom::Person;
use crate::commands::error::CommandError;
use crate::commands::resend::{self, ResendError};
use crate::commands::stream::{Begin, Scan, Stored};
use crate::commands::{out, stream};

/// A message that somebody is in.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) stream: &'static str,
    pub(crate) sequence: u64,
    /// Where it came in, if it says so.
    pub(crate) channel: Option<Channel>,
    /// Its request, if it says which.
    pub(crate) request: Option<Uuid>,
    /// Whose chunks in `BODIES` it refers to.
    pub(crate) body: Option<Uuid>,
    /// The record that was given up on, of a message of `DLQ`.
    pub(crate) letter: Option<Uuid>,
    /// Whether the whole of it is his. A request can bring records of several people.
    pub(crate) whole: bool,
}

impl Hit {
    /// Whether it holds a request, and not a record made of one.
    pub(crate) fn holds_requests(&self) -> bool {
        [RAW, HELD, REPLAY, DLQ].contains(&self.stream)
    }
}

/// Who is looked for, where, and by which adapters.
pub(crate) struct Search<'a> {
    pub(crate) nats: &'a Nats,
    pub(crate) sources: &'a Sources,
    pub(crate) person: &'a Person,
    /// Requests that rows of his come from.
    pub(crate) requests: HashSet<Uuid>,
}

/// How much of a message is about somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    None,
    Part,
    Whole,
}

impl Search<'_> {
    /// Everything of him in these streams.
    pub(crate) async fn through(&self, streams: &[&'static str]) -> Result<Vec<Hit>, CommandError> {
        let mut hits = Vec::new();
        for stream in streams {
            let scan = Scan { stream, subjects: Vec::new(), begin: Begin::Sequence(1), headers_only: false };
            let mut scanner = scan.start(self.nats).await?;
            let bar = out::progress(scanner.total(), "messages");
            bar.set_message(format!("messages of {stream}"));
            while let Some(message) = scanner.next().await? {
                bar.inc(1);
                hits.extend(self.look_at(stream, &message).await?);
            }
            bar.finish_and_clear();
        }
        Ok(hits)
    }

    /// The message of `RAW` that a row says it comes from, if it is there.
    pub(crate) async fn request_at(&self, request: Uuid, sequence: u64) -> Result<Option<Hit>, CommandError> {
        if sequence == 0 {
            return Ok(None);
        }
        let found = stream::first(self.nats, RAW, ">", sequence).await?;
        let Some(message) = found.filter(|message| message.sequence == sequence) else { return Ok(None) };
        match RawEnvelope::read(&message) {
            Ok(envelope) if envelope.id == request => self.look_at(RAW, &message).await,
            _ => Ok(None),
        }
    }

    async fn look_at(&self, stream: &'static str, message: &Stored) -> Result<Option<Hit>, CommandError> {
        let letter = (stream == DLQ).then(|| DeadLetterEnvelope::read(message).ok()).flatten();
        let is_request = match &letter {
            Some(letter) => letter.stage == Stage::Normalizer,
            None => [RAW, HELD, REPLAY].contains(&stream),
        };
        let hit = Hit {
            stream,
            sequence: message.sequence,
            channel: channel_and_source(&message.subject).map(|(channel, _)| channel),
            request: letter.as_ref().map(|letter| letter.request_id),
            body: None,
            letter: letter.map(|letter| letter.record),
            whole: true,
        };
        if is_request { self.request(hit, message).await } else { self.record(hit, message).await }
    }

    async fn request(&self, hit: Hit, message: &Stored) -> Result<Option<Hit>, CommandError> {
        let (Ok(envelope), Some((channel, source))) =
            (RawEnvelope::read(message), channel_and_source(&message.subject))
        else {
            return Ok(self.person.is_mentioned_in(&message.payload).then_some(hit));
        };
        let id = envelope.id;
        let hit = Hit { request: Some(id), body: envelope.body.map(|_| id), ..hit };
        let known = self.requests.contains(&id);
        let Some(body) = self.payload(id, envelope.body, &message.payload).await? else {
            return Ok(known.then_some(Hit { whole: false, ..hit }));
        };
        let request = RawRequest { envelope, channel, source, body, raw_sequence: message.sequence };
        let share = match self.share(&request) {
            Share::None if known => Share::Part,
            share => share,
        };
        Ok((share != Share::None).then_some(Hit { whole: share == Share::Whole, ..hit }))
    }

    fn share(&self, request: &RawRequest) -> Share {
        let Some(adapter) = Sources::adapter(request.channel, &request.envelope.provider) else {
            return self.share_of_bytes(request, Share::Whole);
        };
        let reading = self.sources.reading(request.source.as_str());
        // As the normalizer does: what an adapter cannot stand is no reason to find nothing of anybody.
        let read = catch_unwind(AssertUnwindSafe(|| adapter.normalize(request, &reading.settings).elements));
        let Ok(elements) = read else { return self.share_of_bytes(request, Share::Part) };
        let records = elements.iter().filter_map(|element| element.as_ref().ok());
        let (his, others): (Vec<_>, Vec<_>) = records.partition(|record| self.person.is_in(&record.message));
        match (his.is_empty(), others.is_empty()) {
            (true, _) if elements.iter().any(Result::is_err) => {
                self.share_of_bytes(request, if elements.len() == 1 { Share::Whole } else { Share::Part })
            }
            (true, _) => Share::None,
            (false, true) if elements.iter().all(Result::is_ok) => Share::Whole,
            (false, _) => Share::Part,
        }
    }

    /// Of a request that has something in it which cannot be read.
    fn share_of_bytes(&self, request: &RawRequest, share: Share) -> Share {
        let query = request.envelope.query.as_deref().unwrap_or_default();
        let mentioned = self.person.is_mentioned_in(&request.body) || self.person.is_mentioned_in(query.as_bytes());
        if mentioned { share } else { Share::None }
    }

    async fn record(&self, hit: Hit, message: &Stored) -> Result<Option<Hit>, CommandError> {
        let Ok(envelope) = RecordEnvelope::read(message) else {
            return Ok(self.person.is_mentioned_in(&message.payload).then_some(hit));
        };
        let (request, channel) = (Some(envelope.request_id), Some(envelope.channel));
        let hit = Hit { request, channel, body: envelope.body.map(|_| envelope.record), ..hit };
        let Some(payload) = self.payload(envelope.record, envelope.body, &message.payload).await? else {
            return Ok(None);
        };
        let is_his = match serde_json::from_slice::<CanonicalMessage>(&payload) {
            Ok(record) => self.person.is_in(&record),
            Err(_) => self.person.is_mentioned_in(&payload),
        };
        Ok(is_his.then_some(hit))
    }

    /// `None` where it is not in `BODIES` any more.
    async fn payload(
        &self,
        id: Uuid,
        body: Option<proto::BodyRef>,
        held: &Bytes,
    ) -> Result<Option<Bytes>, CommandError> {
        match resend::payload(self.nats, id, body, held).await {
            Ok(payload) => Ok(Some(payload)),
            Err(ResendError::NoBody) => Ok(None),
            Err(error) => {
                let next = "look at `penstock status`, then run this again";
                Err(CommandError::unreachable("a body could not be read from BODIES", next).because(error))
            }
        }
    }
}
