//! Where a record goes: pure. It looks at headers only; the payload is passed on unread.

use std::time::Duration;

use proto::envelope::Lookup;
use proto::subject::{self, SourceName};
use proto::{BodyRef, Channel, DeadLetterEnvelope, EnvelopeError, Millis, RecordEnvelope, Stage, id};
use runtime::config;
use uuid::Uuid;

/// How claims are made.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// Subjects are spread over so many shards. One, until figures ask for more.
    pub shards: u32,
    /// How long a claim is kept, in milliseconds.
    pub kept_ms: u64,
    /// The window of a record that does not say its own, in milliseconds.
    pub default_window_ms: u64,
}

impl Claims {
    /// As configured.
    pub fn of(config: &config::Dedup) -> Self {
        Self { shards: 1, kept_ms: millis(config.claims), default_window_ms: millis(config.window) }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A record, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Its id, for the broker's memory; in a replay, the run and the id.
    pub message_id: String,
    /// The id its payload has in `BODIES`.
    pub record: Uuid,
    /// Where the payload is, if not in the message.
    pub body: Option<BodyRef>,
    /// The channel it came in at.
    pub channel: Channel,
    /// The source it came in at.
    pub source: SourceName,
    /// The subject that claims its key; `None` on a replay, which claims nothing.
    pub claim: Option<String>,
    /// Where it goes when its key is taken.
    pub duplicate: String,
}

/// Where a record goes.
pub fn route(headers: &impl Lookup, claims: Claims) -> Result<Routed, EnvelopeError> {
    let record = RecordEnvelope::read(headers)?;
    let window = record.dedup.map_or(claims.default_window_ms, |rule| rule.window_ms);
    let claim = record
        .replay
        .is_none()
        .then(|| subject::unique(claims.shards, record.key, record.received_at, window, claims.kept_ms));
    Ok(Routed {
        message_id: match &record.replay {
            Some(run) => format!("{run}:{}", record.record),
            None => record.record.to_string(),
        },
        record: record.record,
        body: record.body,
        channel: record.channel,
        claim,
        duplicate: subject::duplicate(record.channel, &record.source),
        source: record.source,
    })
}

/// Why a message is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It does not carry our headers.
    NoEnvelope,
    /// Its payload is not in `BODIES`.
    NoBody,
    /// The broker will never take it.
    Refused,
}

impl Why {
    /// Every reason, so that counters can be present at zero.
    pub const ALL: [Self; 3] = [Self::NoEnvelope, Self::NoBody, Self::Refused];

    /// The word used in dead letters, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEnvelope => "no_envelope",
            Self::NoBody => "no_body",
            Self::Refused => "refused",
        }
    }
}

/// The dead letter of a record.
pub fn letter_of(record: RecordEnvelope, why: Why, detail: &str) -> DeadLetterEnvelope {
    DeadLetterEnvelope {
        stage: Stage::Dedup,
        record: record.record,
        part: record.part,
        request_id: record.request_id,
        received_at: record.received_at,
        channel: record.channel,
        source: record.source,
        reason: why.as_str().to_owned(),
        detail: detail.to_owned(),
    }
}

/// The dead letter of a message that is not ours, named after its place in the stream, so that every delivery of it has
/// the same name. `None` where the broker's time cannot be read.
pub fn letter_of_stranger(
    subject: &str,
    stream_sequence: u64,
    stored_at: i64,
    detail: &str,
) -> Option<DeadLetterEnvelope> {
    let (channel, source) = subject::place(subject);
    let received_at = Millis::from_unix(stored_at)?;
    Some(DeadLetterEnvelope {
        stage: Stage::Dedup,
        record: id::record_id(received_at, Uuid::from_u128(u128::from(stream_sequence)), 0),
        part: 0,
        request_id: Uuid::nil(),
        received_at,
        channel,
        source,
        reason: Why::NoEnvelope.as_str().to_owned(),
        detail: detail.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{DedupRule, HashKey, KeyHasher, Policy};

    const CLAIMS: Claims = Claims { shards: 1, kept_ms: 86_400_000, default_window_ms: 691_200_000 };

    fn record() -> RecordEnvelope {
        RecordEnvelope {
            request_id: Uuid::from_u128(1),
            part: 0,
            record: Uuid::from_u128(2),
            key: KeyHasher::new(&HashKey::derive(b"s")).part("x").finish(),
            channel: Channel::Sms,
            source: SourceName::parse("support").unwrap(),
            received_at: Millis::from_unix(1_800_000).unwrap(),
            replay: None,
            dedup: None,
            body: None,
            traceparent: None,
        }
    }

    fn routed(record: &RecordEnvelope) -> Routed {
        route(&record.to_pairs(), CLAIMS).unwrap()
    }

    #[test]
    fn a_record_claims_the_subject_of_its_key() {
        let record = record();
        let routed = routed(&record);
        assert_eq!(routed.claim, Some(format!("unique.0.{}", record.key)));
        assert_eq!(routed.duplicate, "duplicate.sms.support");
        assert_eq!(routed.message_id, record.record.to_string());
    }

    #[test]
    fn a_window_shorter_than_the_claims_has_its_number_in_the_subject() {
        let dedup = Some(DedupRule { policy: Policy::Content, window_ms: 600_000 });
        let record = RecordEnvelope { dedup, ..record() };
        assert_eq!(routed(&record).claim, Some(format!("unique.0.{}-3", record.key)));
    }

    #[test]
    fn a_replay_claims_nothing_and_is_told_apart_from_every_other_run() {
        let record = RecordEnvelope { replay: Some("r1".into()), ..record() };
        let routed = routed(&record);
        assert_eq!(routed.claim, None);
        assert_eq!(routed.message_id, format!("r1:{}", record.record));
    }

    #[test]
    fn a_stranger_has_the_same_name_on_every_delivery() {
        let letter = |sequence| letter_of_stranger("canonical.sms.support", sequence, 1000, "why").unwrap();
        assert_eq!(letter(7), letter(7));
        assert_ne!(letter(7).record, letter(8).record);
        assert_eq!((letter(7).channel, letter(7).source.as_str()), (Channel::Sms, "support"));
        assert_eq!(letter_of_stranger("canonical.sms", 7, 1000, "why").unwrap().source.as_str(), "unknown");
    }
}
