//! Records for tests: real canonical messages with real envelopes.

use persister::{Outcome, Row, Settled, Store, WriteReport};
use proto::canonical::StatusFields;
use proto::kind::Class;
use proto::subject::SourceName;
use proto::{
    CanonicalMessage, Channel, DeadLetterEnvelope, DedupKey, DedupRule, HashKey, KeyHasher, Kind, Millis, Party,
    Policy, Recipient, RecordEnvelope, Stage, Verified, id,
};
use serde_json::value::RawValue;
use uuid::Uuid;

/// 2026-11-23T05:33:29.120Z, the moment that the others are counted from.
pub(crate) const START: i64 = 1_795_412_009_120;
/// A minute, in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;

/// A record, as it is delivered.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// What travels beside it.
    pub(crate) envelope: RecordEnvelope,
    /// The record.
    pub(crate) message: CanonicalMessage,
    /// The number of the replay that made it.
    pub(crate) replay: Option<u64>,
}

/// A message of the request `request`, received `at` milliseconds after [`START`], with a key made of `key` that holds
/// for ten minutes.
pub(crate) fn record(request: u128, at: i64, key: &str) -> Record {
    let received_at = Millis::from_unix(START + at).unwrap();
    let request_id = Uuid::from_u128(request);
    let source = SourceName::parse("support").unwrap();
    let message = CanonicalMessage {
        id: id::record_id(received_at, request_id, 0),
        schema_version: 1,
        normalizer_version: 1,
        request_id,
        part: 0,
        parts: 1,
        channel: Channel::Sms,
        source: source.as_str().to_owned(),
        provider: "twilio".to_owned(),
        verified: Verified::Yes,
        kind: Kind::Message,
        provider_message_id: Some(format!("SM{key}")),
        conversation: Some("support/+4915112345678/+4930111".to_owned()),
        sender: Some(Party { address: Some("+4915112345678".to_owned()), name: Some("Zoë \"Z\"".to_owned()) }),
        recipients: vec![Recipient::to("+4930111")],
        subject: None,
        text: Some("Hello\n\"there\" 👋".to_owned()),
        html: None,
        attachments: Vec::new(),
        reply_to_id: None,
        references: Vec::new(),
        sent_at: None,
        received_at,
        metadata: RawValue::from_string(r#"{"price":0.10000000000000000001}"#.to_owned()).unwrap(),
        truncations: Vec::new(),
        raw_sequence: 7,
        status: None,
    };
    let envelope = RecordEnvelope {
        request_id,
        part: 0,
        record: message.id,
        key: key_of(key),
        channel: Channel::Sms,
        source,
        received_at,
        replay: None,
        dedup: Some(DedupRule { policy: Policy::Auto, window_ms: 10 * MINUTE.unsigned_abs() }),
        body: None,
        traceparent: None,
    };
    Record { envelope, message, replay: None }
}

/// The key made of a text.
pub(crate) fn key_of(text: &str) -> DedupKey {
    KeyHasher::new(&HashKey::derive(b"secret")).part(text).finish()
}

impl Record {
    /// The record's id.
    pub(crate) fn id(&self) -> Uuid {
        self.message.id
    }

    /// The same record of the `part`th element of its request, which has `parts`.
    pub(crate) fn part(mut self, part: u32, parts: u32) -> Self {
        self.message.part = part;
        self.message.parts = parts;
        self.message.id = id::record_id(self.message.received_at, self.message.request_id, part);
        self.envelope.part = part;
        self.envelope.record = self.message.id;
        self
    }

    /// The same record, made by a replay.
    pub(crate) fn replayed(mut self, sequence: u64) -> Self {
        self.replay = Some(sequence);
        self.envelope.replay = Some(format!("run-{sequence}"));
        self
    }

    /// The same record with another text.
    pub(crate) fn saying(mut self, text: &str) -> Self {
        self.message.text = Some(text.to_owned());
        self
    }

    /// The same record of another kind.
    pub(crate) fn of_kind(mut self, kind: Kind) -> Self {
        self.message.kind = kind;
        self.message.status = (kind.class() == Class::Status).then(|| StatusFields {
            status: "delivered".to_owned(),
            occurred_at: Some(self.message.received_at),
            recipient: Some("+4930111".to_owned()),
            error_code: None,
        });
        self
    }

    /// The same record of another source.
    pub(crate) fn sent_by(mut self, source: &str) -> Self {
        source.clone_into(&mut self.message.source);
        self.envelope.source = SourceName::parse(source).unwrap();
        self
    }

    /// The same record under another key.
    pub(crate) fn keyed(mut self, key: &str) -> Self {
        self.envelope.key = key_of(key);
        self
    }

    /// The bytes that travel.
    pub(crate) fn payload(&self) -> Vec<u8> {
        serde_json::to_vec(&self.message).unwrap()
    }
}

/// Writes records in one batch.
pub(crate) async fn write(store: &Store, records: &[Record]) -> WriteReport {
    let payloads: Vec<Vec<u8>> = records.iter().map(Record::payload).collect();
    let rule = DedupRule { policy: Policy::Auto, window_ms: 1 };
    let rows: Vec<Row<'_>> = records
        .iter()
        .zip(&payloads)
        .map(|(record, payload)| Row::read(payload, &record.envelope, rule, record.replay).unwrap())
        .collect();
    store.write(&rows).await
}

/// Writes records in one batch; all of them end.
pub(crate) async fn outcomes(store: &Store, records: &[Record]) -> Vec<Outcome> {
    let report = write(store, records).await;
    let ended = report.rows.iter().map(|settled| match settled {
        Settled::Ended(outcome) => *outcome,
        other => panic!("{other:?}: {:?}", report.wait),
    });
    ended.collect()
}

/// Writes one record, which ends.
pub(crate) async fn outcome(store: &Store, record: &Record) -> Outcome {
    outcomes(store, std::slice::from_ref(record)).await[0]
}

/// The outcome of a repeat.
pub(crate) fn repeat_of(record: &Record) -> Outcome {
    Outcome::Duplicate { original_id: record.id() }
}

/// The outcome of an erased record or of its repeat.
pub(crate) fn erased(record: &Record) -> Outcome {
    Outcome::Erased { original_id: record.id() }
}

/// The dead letter of a record.
pub(crate) fn letter(record: &Record, reason: &str) -> DeadLetterEnvelope {
    DeadLetterEnvelope {
        stage: Stage::Normalizer,
        record: record.id(),
        part: 0,
        request_id: record.message.request_id,
        received_at: record.message.received_at,
        channel: record.message.channel,
        source: record.envelope.source.clone(),
        reason: reason.to_owned(),
        detail: "a sentence\0".to_owned(),
    }
}

/// A generator of numbers that is the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// The list in another order.
    pub(crate) fn shuffled<T>(&mut self, mut list: Vec<T>) -> Vec<T> {
        for end in (1..list.len()).rev() {
            list.swap(end, usize::try_from(self.below(end as u64 + 1)).unwrap());
        }
        list
    }
}
