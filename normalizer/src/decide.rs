//! One request to records and dead letters: pure. Same request, same settings, same bytes, for ever.

use bytes::Bytes;
use proto::id::record_id;
use proto::subject::SourceName;
use proto::{Channel, DeadLetterEnvelope, Millis, RawEnvelope, RecordEnvelope, Stage, Truncation};
use providers::{BadElement, RawRequest, Record};
use runtime::objects::ObjectName;
use uuid::Uuid;

use crate::sources::{Reading, Sources};

/// What one element of a request becomes.
#[derive(Debug)]
pub enum Decided {
    /// A record, to be published.
    Record {
        /// What travels beside it.
        envelope: RecordEnvelope,
        /// The canonical message as JSON.
        payload: Bytes,
        /// What must be stored before: the record says that it is there.
        files: Vec<(ObjectName, Bytes)>,
    },
    /// Something that can never become a record.
    Dead(DeadLetterEnvelope),
}

/// The reason of a record that the broker will never take: too large for it, or its headers are.
pub const REFUSED: &str = "refused";

/// The note on a record whose files are in its request only, because no store is configured.
const NOT_STORED: &str = "not_stored";

/// Why a whole request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It does not carry our headers.
    NoEnvelope,
    /// No adapter goes by the name it carries.
    NoAdapter,
    /// Its body is not in `BODIES`, or is another.
    NoBody,
    /// Reading it ended the process, again and again.
    Crash,
}

impl Unreadable {
    /// Every reason, so that counters can be present at zero.
    pub const ALL: [Self; 4] = [Self::NoEnvelope, Self::NoAdapter, Self::NoBody, Self::Crash];

    /// The word used in dead letters, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEnvelope => "no_envelope",
            Self::NoAdapter => "no_adapter",
            Self::NoBody => "no_body",
            Self::Crash => "crash",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::NoEnvelope => "the message does not carry the headers of a request: somebody else published it",
            Self::NoAdapter => "no adapter has this provider's name: it was written by a newer or an older version",
            Self::NoBody => "the body that the request refers to is not in BODIES",
            Self::Crash => {
                "the request was delivered again and again and never answered for, at last alone: reading it \
                            seems to end the process"
            }
        }
    }
}

/// Reads a request. `store` is where files are put: the start of the URLs that attachments get.
pub fn read(
    request: &RawRequest,
    reading: &Reading,
    sources: &Sources,
    store: Option<&str>,
) -> Result<Vec<Decided>, Unreadable> {
    let adapter = Sources::adapter(request.channel, &request.envelope.provider).ok_or(Unreadable::NoAdapter)?;
    let normalized = adapter.normalize(request, &reading.settings);
    Ok(normalized
        .elements
        .into_iter()
        .map(|element| match element {
            Ok(record) => of_record(*record, request, reading, sources, store),
            Err(bad) => Decided::Dead(of_bad_element(&bad, request)),
        })
        .collect())
}

fn of_record(
    mut record: Record,
    request: &RawRequest,
    reading: &Reading,
    sources: &Sources,
    store: Option<&str>,
) -> Decided {
    let (key, rule) = providers::dedup::key(&record, reading.policy, reading.windows, sources.hash_key());
    let files = place_files(&mut record, store);
    let message = &record.message;
    let envelope = RecordEnvelope {
        request_id: message.request_id,
        part: message.part,
        record: message.id,
        key,
        channel: request.channel,
        source: request.source.clone(),
        received_at: message.received_at,
        replay: request.envelope.replay.clone(),
        dedup: Some(rule),
        body: None,
        traceparent: request.envelope.traceparent.clone(),
    };
    match serde_json::to_vec(message) {
        Ok(payload) => Decided::Record { envelope, payload: payload.into(), files },
        // Every field is a text, a number or JSON already, so this cannot happen; if it does, it is not lost.
        Err(error) => Decided::Dead(DeadLetterEnvelope {
            reason: "unwritable".into(),
            detail: error.to_string(),
            ..letter(&request.envelope, request.channel, &request.source, message.part)
        }),
    }
}

/// Names the files of a record after the month of its request, whose rows they go with, and says where each will be.
fn place_files(record: &mut Record, store: Option<&str>) -> Vec<(ObjectName, Bytes)> {
    let files = std::mem::take(&mut record.files);
    let message = &mut record.message;
    let Some(store) = store else {
        if !files.is_empty() {
            // The bytes go with the request, when `retention.raw` is over.
            message.truncations.push(Truncation { field: "attachments".into(), reason: NOT_STORED.into() });
        }
        return Vec::new();
    };
    let (year, month) = message.received_at.month();
    let month = format!("{year:04}-{month:02}");
    for attachment in &mut message.attachments {
        if let Some(hash) = &attachment.blake3 {
            attachment.location = Some(format!("{store}/{month}/{hash}"));
        }
    }
    let named = files.into_iter().map(|file| (ObjectName { month: month.clone(), hash: file.blake3 }, file.bytes));
    named.collect()
}

fn of_bad_element(bad: &BadElement, request: &RawRequest) -> DeadLetterEnvelope {
    DeadLetterEnvelope {
        reason: bad.reason.as_str().into(),
        detail: bad.reason.to_string(),
        ..letter(&request.envelope, request.channel, &request.source, bad.part)
    }
}

/// The dead letter of a request that cannot be read at all, under the id that its first record would have had.
pub fn of_unreadable(
    why: Unreadable,
    envelope: &RawEnvelope,
    channel: Channel,
    source: &SourceName,
) -> DeadLetterEnvelope {
    DeadLetterEnvelope {
        reason: why.as_str().into(),
        detail: why.detail().into(),
        ..letter(envelope, channel, source, 0)
    }
}

/// The dead letter of a record that the broker will never take.
pub fn of_refused(record: &RecordEnvelope, detail: &str) -> DeadLetterEnvelope {
    DeadLetterEnvelope {
        stage: Stage::Normalizer,
        record: record.record,
        part: record.part,
        request_id: record.request_id,
        received_at: record.received_at,
        channel: record.channel,
        source: record.source.clone(),
        reason: REFUSED.to_owned(),
        detail: detail.to_owned(),
    }
}

/// The dead letter of a message without our headers, named after its place in the stream, so that every delivery of it
/// has the same name.
pub fn of_stranger(sequence: u64, stored_at: Millis, channel: Channel, source: &SourceName) -> DeadLetterEnvelope {
    DeadLetterEnvelope {
        stage: Stage::Normalizer,
        record: record_id(stored_at, Uuid::from_u128(u128::from(sequence)), 0),
        part: 0,
        request_id: Uuid::nil(),
        received_at: stored_at,
        channel,
        source: source.clone(),
        reason: Unreadable::NoEnvelope.as_str().into(),
        detail: Unreadable::NoEnvelope.detail().into(),
    }
}

fn letter(envelope: &RawEnvelope, channel: Channel, source: &SourceName, part: u32) -> DeadLetterEnvelope {
    DeadLetterEnvelope {
        stage: Stage::Normalizer,
        record: record_id(envelope.received_at, envelope.id, part),
        part,
        request_id: envelope.id,
        received_at: envelope.received_at,
        channel,
        source: source.clone(),
        reason: String::new(),
        detail: String::new(),
    }
}
