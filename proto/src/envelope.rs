//! What travels beside a payload, in NATS headers: written and read here and nowhere else.
//!
//! A message without its envelope is not ours, whoever published it: anyone who may publish `RAW` could make the
//! broker put a `PubAck` on any subject by way of a reply subject. Such a message is dead-lettered.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::subject::SourceName;
use crate::{BodyRef, Channel, DedupKey, Millis, Verified, header};

/// A missing or unreadable header.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The header is not there.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// The header is there, and is not what it should be. Its value is not shown: it may be a person's.
    #[error("the header {0} cannot be read")]
    Unreadable(&'static str),
}

/// Finds a header by its name. Wraps whatever the broker's client has.
pub trait Lookup {
    /// The header's value, if it is there.
    fn get(&self, name: &'static str) -> Option<&str>;
}

/// The bytes of the payload that a message refers to; 0 where it refers to none.
pub fn referred_bytes(headers: &impl Lookup) -> usize {
    let body: Option<BodyRef> = headers.get(header::BODY).and_then(|text| text.parse().ok());
    body.map_or(0, |body| usize::try_from(body.size).unwrap_or(usize::MAX))
}

/// Headers to be published: name and value, in order.
pub type Pairs = Vec<(&'static str, String)>;

/// What is to be published reads as what was delivered does.
impl Lookup for Pairs {
    fn get(&self, name: &'static str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
}

struct Reader<'a, L>(&'a L);

impl<L: Lookup> Reader<'_, L> {
    fn optional<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, EnvelopeError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let text = header::decode(value).ok_or(EnvelopeError::Unreadable(name))?;
        text.parse().map(Some).map_err(|_| EnvelopeError::Unreadable(name))
    }

    fn required<T: FromStr>(&self, name: &'static str) -> Result<T, EnvelopeError> {
        self.optional(name)?.ok_or(EnvelopeError::Missing(name))
    }
}

fn push(pairs: &mut Pairs, name: &'static str, value: Option<impl fmt::Display>) {
    if let Some(value) = value {
        let text = value.to_string();
        let value = match header::encode(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(encoded) => encoded,
        };
        pairs.push((name, value));
    }
}

/// Beside a request's body, in `RAW`, `HELD` and `REPLAY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEnvelope {
    /// `Penstock-Id`.
    pub id: Uuid,
    /// When the gateway had it.
    pub received_at: Millis,
    /// The HTTP method, in upper case.
    pub method: String,
    /// The query, verbatim, without the `?`; credentials replaced.
    pub query: Option<String>,
    /// Whose adapter verified it.
    pub provider: String,
    /// The verdict.
    pub verified: Verified,
    /// The request's headers, in order; credentials replaced by a keyed fingerprint.
    pub headers: Vec<header::Pair>,
    /// Where the body is, if not in the message.
    pub body: Option<BodyRef>,
    /// The run, on a replay.
    pub replay: Option<String>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

impl RawEnvelope {
    /// The headers to publish.
    pub fn to_pairs(&self) -> Pairs {
        let mut pairs = Pairs::with_capacity(10);
        push(&mut pairs, header::ID, Some(self.id));
        push(&mut pairs, header::RECEIVED_AT, Some(self.received_at));
        push(&mut pairs, header::METHOD, Some(&self.method));
        push(&mut pairs, header::QUERY, self.query.as_ref());
        push(&mut pairs, header::PROVIDER, Some(&self.provider));
        push(&mut pairs, header::VERIFIED, Some(self.verified));
        pairs.push((header::HEADERS, header::encode_pairs(&self.headers)));
        push(&mut pairs, header::BODY, self.body);
        push(&mut pairs, header::REPLAY, self.replay.as_ref());
        push(&mut pairs, header::TRACEPARENT, self.traceparent.as_ref());
        pairs
    }

    /// Reads the headers of a delivered message.
    pub fn read(headers: &impl Lookup) -> Result<Self, EnvelopeError> {
        let reader = Reader(headers);
        let pairs = headers.get(header::HEADERS).ok_or(EnvelopeError::Missing(header::HEADERS))?;
        Ok(Self {
            id: reader.required(header::ID)?,
            received_at: reader.required(header::RECEIVED_AT)?,
            method: reader.required(header::METHOD)?,
            query: reader.optional(header::QUERY)?,
            provider: reader.required(header::PROVIDER)?,
            verified: reader.required(header::VERIFIED)?,
            headers: header::decode_pairs(pairs).ok_or(EnvelopeError::Unreadable(header::HEADERS))?,
            body: reader.optional(header::BODY)?,
            replay: reader.optional(header::REPLAY)?,
            traceparent: reader.optional(header::TRACEPARENT)?,
        })
    }
}

/// Beside a record, in `CANONICAL`, `UNIQUE` and `DUPLICATES`: what routing needs, so that the dedup worker passes
/// the payload through unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordEnvelope {
    /// The request the record came from.
    pub request_id: Uuid,
    /// Its place in the request.
    pub part: u32,
    /// The record's id.
    pub record: Uuid,
    /// The record's key.
    pub key: DedupKey,
    /// Where it came in.
    pub channel: Channel,
    /// The source it came in at.
    pub source: SourceName,
    /// When the gateway had the request.
    pub received_at: Millis,
    /// The run, where a replay made the record.
    pub replay: Option<String>,
    /// How the key was made; absent from whoever does not say, which means the installation's default.
    pub dedup: Option<DedupRule>,
    /// Where the payload is, if not in the message.
    pub body: Option<BodyRef>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

impl RecordEnvelope {
    /// The headers to publish.
    pub fn to_pairs(&self) -> Pairs {
        let mut pairs = Pairs::with_capacity(11);
        push(&mut pairs, header::ID, Some(self.request_id));
        push(&mut pairs, header::PART, Some(self.part));
        push(&mut pairs, header::RECORD, Some(self.record));
        push(&mut pairs, header::KEY, Some(self.key));
        push(&mut pairs, header::CHANNEL, Some(self.channel));
        push(&mut pairs, header::SOURCE, Some(&self.source));
        push(&mut pairs, header::RECEIVED_AT, Some(self.received_at));
        push(&mut pairs, header::REPLAY, self.replay.as_ref());
        push(&mut pairs, header::DEDUP, self.dedup);
        push(&mut pairs, header::BODY, self.body);
        push(&mut pairs, header::TRACEPARENT, self.traceparent.as_ref());
        pairs
    }

    /// Reads the headers of a delivered message.
    pub fn read(headers: &impl Lookup) -> Result<Self, EnvelopeError> {
        let reader = Reader(headers);
        Ok(Self {
            request_id: reader.required(header::ID)?,
            part: reader.required(header::PART)?,
            record: reader.required(header::RECORD)?,
            key: reader.required(header::KEY)?,
            channel: reader.required(header::CHANNEL)?,
            source: reader.required(header::SOURCE)?,
            received_at: reader.required(header::RECEIVED_AT)?,
            replay: reader.optional(header::REPLAY)?,
            dedup: reader.optional(header::DEDUP)?,
            body: reader.optional(header::BODY)?,
            traceparent: reader.optional(header::TRACEPARENT)?,
        })
    }
}

impl FromStr for DedupKey {
    type Err = crate::key::NotAKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl FromStr for SourceName {
    type Err = crate::subject::NotASourceName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Beside what a stage gave up on, in `DLQ`, after all the headers the message had: enough to tell it and to send it
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterEnvelope {
    /// Who gave up.
    pub stage: Stage,
    /// The record it concerns; for a request that could not be read at all, its part 0.
    pub record: Uuid,
    /// The record's place in its request.
    pub part: u32,
    /// The request.
    pub request_id: Uuid,
    /// When the gateway had the request.
    pub received_at: Millis,
    /// Where it came in.
    pub channel: Channel,
    /// The source it came in at.
    pub source: SourceName,
    /// A word from a closed set: `unreadable`, `crash`, `refused`, ...
    pub reason: String,
    /// A sentence, without content.
    pub detail: String,
}

impl DeadLetterEnvelope {
    /// The headers to publish, over those the message had.
    pub fn to_pairs(&self) -> Pairs {
        let mut pairs = Pairs::with_capacity(9);
        push(&mut pairs, header::STAGE, Some(self.stage));
        push(&mut pairs, header::RECORD, Some(self.record));
        push(&mut pairs, header::PART, Some(self.part));
        push(&mut pairs, header::ID, Some(self.request_id));
        push(&mut pairs, header::RECEIVED_AT, Some(self.received_at));
        push(&mut pairs, header::CHANNEL, Some(self.channel));
        push(&mut pairs, header::SOURCE, Some(&self.source));
        push(&mut pairs, header::REASON, Some(&self.reason));
        push(&mut pairs, header::DETAIL, Some(&self.detail));
        pairs
    }

    /// Reads the headers of a delivered message.
    pub fn read(headers: &impl Lookup) -> Result<Self, EnvelopeError> {
        let reader = Reader(headers);
        Ok(Self {
            stage: reader.required(header::STAGE)?,
            record: reader.required(header::RECORD)?,
            part: reader.required(header::PART)?,
            request_id: reader.required(header::ID)?,
            received_at: reader.required(header::RECEIVED_AT)?,
            channel: reader.required(header::CHANNEL)?,
            source: reader.required(header::SOURCE)?,
            reason: reader.required(header::REASON)?,
            detail: reader.optional(header::DETAIL)?.unwrap_or_default(),
        })
    }
}

/// One of the stages that can give up on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Raw requests to records.
    Normalizer,
    /// Records to claims.
    Dedup,
    /// Records to rows.
    Persister,
}

impl Stage {
    /// The token used in subjects, columns and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normalizer => "normalizer",
            Self::Dedup => "dedup",
            Self::Persister => "persister",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no stage.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no stage that gives up on messages; there are normalizer, dedup, persister")]
pub struct NoSuchStage(String);

impl FromStr for Stage {
    type Err = NoSuchStage;

    fn from_str(text: &str) -> Result<Self, NoSuchStage> {
        [Self::Normalizer, Self::Dedup, Self::Persister]
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| NoSuchStage(text.to_owned()))
    }
}

/// How a record's key was made, and for how long it holds. Written as `<policy>;<window in ms>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupRule {
    /// What went into the key.
    pub policy: Policy,
    /// For how long a second one is a repeat, in milliseconds.
    pub window_ms: u64,
}

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The provider's own id.
    Auto,
    /// What the sender wrote.
    Content,
    /// The record's id: only redeliveries are dropped.
    Off,
}

impl Policy {
    /// The word used in configuration, headers, columns and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Content => "content",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no rule.
#[derive(Debug, thiserror::Error)]
#[error("a rule is auto, content or off, then ';' and a window in milliseconds, not {0:?}")]
pub struct NotARule(String);

impl FromStr for Policy {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        [Self::Auto, Self::Content, Self::Off]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| NotARule(text.to_owned()))
    }
}

impl fmt::Display for DedupRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.policy, self.window_ms)
    }
}

impl FromStr for DedupRule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        let refuse = || NotARule(text.to_owned());
        let (policy, window) = text.split_once(';').ok_or_else(refuse)?;
        Ok(Self { policy: policy.parse()?, window_ms: window.parse().map_err(|_| refuse())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HashKey, KeyHasher};

    fn raw() -> RawEnvelope {
        RawEnvelope {
            id: Uuid::from_u128(7),
            received_at: Millis::from_unix(1_795_412_009_120).unwrap(),
            method: "POST".into(),
            query: Some("a=1\u{fc}".into()),
            provider: "twilio".into(),
            verified: Verified::Yes,
            headers: vec![("Host".into(), b"x".to_vec())],
            body: Some(BodyRef::of(b"body")),
            replay: None,
            traceparent: None,
        }
    }

    fn record() -> RecordEnvelope {
        RecordEnvelope {
            request_id: Uuid::from_u128(7),
            part: 3,
            record: Uuid::from_u128(8),
            key: KeyHasher::new(&HashKey::derive(b"s")).finish(),
            channel: Channel::Sms,
            source: SourceName::parse("support").unwrap(),
            received_at: Millis::from_unix(1_795_412_009_120).unwrap(),
            replay: Some("run-1".into()),
            dedup: Some(DedupRule { policy: Policy::Content, window_ms: 600_000 }),
            body: None,
            traceparent: Some("00-1-2-01".into()),
        }
    }

    #[test]
    fn an_envelope_reads_back_as_it_was_written() {
        assert_eq!(RawEnvelope::read(&raw().to_pairs()).unwrap(), raw());
        assert_eq!(RecordEnvelope::read(&record().to_pairs()).unwrap(), record());
    }

    #[test]
    fn a_message_without_its_envelope_is_refused() {
        for (name, _) in record().to_pairs() {
            let mut pairs = record().to_pairs();
            pairs.retain(|(key, _)| *key != name);
            let optional = [header::REPLAY, header::DEDUP, header::BODY, header::TRACEPARENT].contains(&name);
            assert_eq!(RecordEnvelope::read(&pairs).is_ok(), optional, "{name}");
        }
        assert!(RecordEnvelope::read(&raw().to_pairs()).is_err());
    }
}
