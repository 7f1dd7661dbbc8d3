//! From a canonical record to the columns it becomes: pure, parsed once, nothing copied that need not be.
//!
//! What travels as JSON inside JSON (recipients, attachments, metadata ...) is passed on as the text it came as and
//! becomes `jsonb` in the database, so numbers keep their digits. Errors never quote the record: they end up in logs
//! and in `dead_letters`, which hold no content.

use std::borrow::Cow;

use proto::canonical::SCHEMA_VERSION;
use proto::kind::Class;
use proto::{Channel, DedupKey, DedupRule, Kind, Millis, Policy, RecordEnvelope, Verified, id};
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;
use uuid::Uuid;

/// One record, ready to be judged and written. Borrows from the payload and the envelope.
#[derive(Debug)]
pub struct Row<'a> {
    pub(crate) envelope: &'a RecordEnvelope,
    pub(crate) policy: Policy,
    pub(crate) expires_at: Millis,
    pub(crate) replay_sequence: Option<i64>,
    pub(crate) view: View<'a>,
}

/// Why a record has no row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Written by a newer normalizer. Not the record's fault: it waits for this stage's upgrade.
    #[error("the record has schema version {found}, this persister knows {SCHEMA_VERSION}: upgrade the persister")]
    NewerSchema {
        /// The record's version.
        found: u32,
    },
    /// Not JSON, or not a canonical record.
    #[error("the record is no canonical message ({kind:?} error at line {line}, column {column})")]
    Unreadable {
        /// What the parser calls it.
        kind: Category,
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// A number that no column holds.
    #[error("the record's {field} is out of range")]
    OutOfRange {
        /// The field.
        field: &'static str,
    },
    /// The payload says something else than its headers: one of the two is not ours.
    #[error("the record's {field} is not what its headers say")]
    Mismatch {
        /// The field.
        field: &'static str,
    },
    /// It holds U+0000, which PostgreSQL cannot store; the normalizer takes them out.
    #[error("the record holds U+0000, which PostgreSQL cannot store")]
    Nul,
}

impl RowError {
    /// Whether the record should be tried again later instead of being dead-lettered.
    pub fn waits(&self) -> bool {
        matches!(self, Self::NewerSchema { .. })
    }

    /// The word for `dead_letters.reason` and for labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NewerSchema { .. } => "newer_schema",
            Self::Unreadable { .. } | Self::OutOfRange { .. } => "unreadable",
            Self::Mismatch { .. } => "mismatch",
            Self::Nul => "nul",
        }
    }
}

impl<'a> Row<'a> {
    /// Reads a record.
    ///
    /// `default_rule` holds where the envelope names none. `replay_sequence` is `Some` for a record made by a replay
    /// and only then: of two replays of one record, the one with the larger number is the newer.
    pub fn read(
        payload: &'a [u8],
        envelope: &'a RecordEnvelope,
        default_rule: DedupRule,
        replay_sequence: Option<u64>,
    ) -> Result<Self, RowError> {
        let view = View::read(payload)?;
        view.agrees_with(envelope)?;
        let rule = envelope.dedup.unwrap_or(default_rule);
        let replay_sequence = replay_sequence
            .map(i64::try_from)
            .transpose()
            .map_err(|_| RowError::OutOfRange { field: "replay_sequence" })?;
        Ok(Self {
            envelope,
            policy: rule.policy,
            expires_at: end_of_window(envelope.received_at, rule.window_ms),
            replay_sequence,
            view,
        })
    }

    /// The record's id.
    pub fn id(&self) -> Uuid {
        self.envelope.record
    }

    /// The record's key.
    pub fn key(&self) -> DedupKey {
        self.envelope.key
    }

    /// When the gateway had the request.
    pub fn received_at(&self) -> Millis {
        self.envelope.received_at
    }

    /// The table the record belongs to.
    pub fn class(&self) -> Class {
        self.view.kind.class()
    }

    /// Whether a replay made it.
    pub fn is_replay(&self) -> bool {
        self.replay_sequence.is_some()
    }
}

/// A text that borrows from the JSON where it holds no escapes. (`Option<Cow<str>>` alone would always copy.)
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// [`proto::CanonicalMessage`] as the columns need it.
#[derive(Debug, Deserialize)]
pub(crate) struct View<'a> {
    id: Uuid,
    schema_version: u32,
    normalizer_version: u32,
    request_id: Uuid,
    part: u32,
    parts: u32,
    channel: Channel,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) provider: Cow<'a, str>,
    pub(crate) verified: Verified,
    pub(crate) kind: Kind,
    #[serde(borrow)]
    provider_message_id: Option<Text<'a>>,
    #[serde(borrow)]
    conversation: Option<Text<'a>>,
    #[serde(borrow)]
    sender: Option<Sender<'a>>,
    #[serde(borrow)]
    recipients: &'a RawValue,
    #[serde(borrow)]
    subject: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    html: Option<Text<'a>>,
    #[serde(borrow)]
    attachments: &'a RawValue,
    #[serde(borrow)]
    reply_to_id: Option<Text<'a>>,
    #[serde(borrow)]
    references: &'a RawValue,
    pub(crate) sent_at: Option<Millis>,
    received_at: Millis,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(borrow)]
    truncations: &'a RawValue,
    raw_sequence: u64,
    #[serde(borrow, default)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Deserialize)]
struct Sender<'a> {
    #[serde(borrow)]
    address: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
struct Status<'a> {
    #[serde(borrow, rename = "status")]
    word: Cow<'a, str>,
    occurred_at: Option<Millis>,
    #[serde(borrow)]
    recipient: Option<Text<'a>>,
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
}

impl<'a> View<'a> {
    fn read(payload: &'a [u8]) -> Result<Self, RowError> {
        let parsed = serde_json::from_slice::<Self>(payload);
        let version = match &parsed {
            Ok(view) => Some(view.schema_version),
            // A newer shape need not parse as ours; what it says of its version still decides its fate.
            Err(_) => serde_json::from_slice::<Version>(payload).ok().map(|version| version.schema_version),
        };
        if let Some(found) = version.filter(|found| *found > SCHEMA_VERSION) {
            return Err(RowError::NewerSchema { found });
        }
        let view = parsed.map_err(|error| RowError::Unreadable {
            kind: error.classify(),
            line: error.line(),
            column: error.column(),
        })?;
        if holds_nul(payload) {
            return Err(RowError::Nul);
        }
        view.fits()?;
        Ok(view)
    }

    fn fits(&self) -> Result<(), RowError> {
        for (field, value) in
            [("part", self.part), ("parts", self.parts), ("normalizer_version", self.normalizer_version)]
        {
            i32::try_from(value).map_err(|_| RowError::OutOfRange { field })?;
        }
        i64::try_from(self.raw_sequence).map_err(|_| RowError::OutOfRange { field: "raw_sequence" })?;
        Ok(())
    }

    /// Whoever may publish could put a record under another's headers: the id is computed again.
    fn agrees_with(&self, envelope: &RecordEnvelope) -> Result<(), RowError> {
        let own = id::record_id(self.received_at, self.request_id, self.part);
        let checks = [
            ("id", self.id == envelope.record && self.id == own),
            ("request_id", self.request_id == envelope.request_id),
            ("part", self.part == envelope.part),
            ("received_at", self.received_at == envelope.received_at),
            ("channel", self.channel == envelope.channel),
            ("source", self.source == envelope.source.as_str()),
        ];
        match checks.into_iter().find(|(_, agrees)| !agrees) {
            Some((field, _)) => Err(RowError::Mismatch { field }),
            None => Ok(()),
        }
    }

    pub(crate) fn part(&self) -> i32 {
        self.part.cast_signed()
    }

    pub(crate) fn parts(&self) -> i32 {
        self.parts.cast_signed()
    }

    pub(crate) fn normalizer_version(&self) -> i32 {
        self.normalizer_version.cast_signed()
    }

    pub(crate) fn raw_sequence(&self) -> i64 {
        self.raw_sequence.cast_signed()
    }

    pub(crate) fn provider_message_id(&self) -> Option<&str> {
        text(self.provider_message_id.as_ref())
    }

    pub(crate) fn conversation(&self) -> Option<&str> {
        text(self.conversation.as_ref())
    }

    pub(crate) fn sender_address(&self) -> Option<&str> {
        self.sender.as_ref().and_then(|sender| text(sender.address.as_ref()))
    }

    pub(crate) fn sender_name(&self) -> Option<&str> {
        self.sender.as_ref().and_then(|sender| text(sender.name.as_ref()))
    }

    pub(crate) fn recipients(&self) -> &str {
        self.recipients.get()
    }

    pub(crate) fn subject(&self) -> Option<&str> {
        text(self.subject.as_ref())
    }

    pub(crate) fn text(&self) -> Option<&str> {
        text(self.text.as_ref())
    }

    pub(crate) fn html(&self) -> Option<&str> {
        text(self.html.as_ref())
    }

    pub(crate) fn attachments(&self) -> &str {
        self.attachments.get()
    }

    /// Whether one of the attachments may be a file of the store. (A name that looks like it costs a statement.)
    pub(crate) fn has_files(&self) -> bool {
        self.attachments.get().contains(r#""blake3":""#)
    }

    pub(crate) fn reply_to_id(&self) -> Option<&str> {
        text(self.reply_to_id.as_ref())
    }

    pub(crate) fn references(&self) -> &str {
        self.references.get()
    }

    pub(crate) fn metadata(&self) -> &str {
        self.metadata.get()
    }

    pub(crate) fn truncations(&self) -> &str {
        self.truncations.get()
    }

    pub(crate) fn occurred_at(&self) -> Option<Millis> {
        self.status.as_ref().and_then(|status| status.occurred_at)
    }

    pub(crate) fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|status| &*status.word)
    }

    pub(crate) fn recipient(&self) -> Option<&str> {
        self.status.as_ref().and_then(|status| text(status.recipient.as_ref()))
    }

    pub(crate) fn error_code(&self) -> Option<&str> {
        self.status.as_ref().and_then(|status| text(status.error_code.as_ref()))
    }
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

fn text<'v>(text: Option<&'v Text<'_>>) -> Option<&'v str> {
    text.map(|text| &*text.0)
}

/// The end of a window, or the last moment there is.
fn end_of_window(from: Millis, window_ms: u64) -> Millis {
    const LAST: i64 = 253_402_300_799_999;
    let end = i64::try_from(window_ms).ok().and_then(|window| from.as_unix().checked_add(window));
    end.and_then(Millis::from_unix).or_else(|| Millis::from_unix(LAST)).unwrap_or(from)
}

/// Whether JSON text has the escape for U+0000: a backslash that is not itself escaped, then `u0000`.
/// (The character itself is not JSON.)
fn holds_nul(json: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(json) else { return false };
    text.match_indices("\\u0000").any(|(at, _)| {
        let before = text.as_bytes().iter().take(at).rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::subject::SourceName;
    use proto::{HashKey, KeyHasher};

    const RULE: DedupRule = DedupRule { policy: Policy::Content, window_ms: 600_000 };

    fn envelope() -> RecordEnvelope {
        let received_at = Millis::from_unix(1_795_412_009_120).unwrap();
        let request_id = Uuid::from_u128(7);
        RecordEnvelope {
            request_id,
            part: 2,
            record: id::record_id(received_at, request_id, 2),
            key: KeyHasher::new(&HashKey::derive(b"s")).finish(),
            channel: Channel::Sms,
            source: SourceName::parse("support").unwrap(),
            received_at,
            replay: None,
            dedup: None,
            body: None,
            traceparent: None,
        }
    }

    fn payload() -> String {
        let RecordEnvelope { record, request_id, received_at, .. } = envelope();
        format!(
            r#"{{"id":"{record}","schema_version":1,"normalizer_version":1,"request_id":"{request_id}","part":2,
            "parts":3,"channel":"sms","source":"support","provider":"twilio","verified":"yes","kind":"message",
            "provider_message_id":"SM1","conversation":null,"sender":{{"address":"+49","name":null}},"recipients":[],
            "subject":null,"text":"a \"b\" \\u0000","html":null,"attachments":[],"reply_to_id":null,"references":[],
            "sent_at":null,"received_at":"{received_at}","metadata":{{"n":1.10}},"truncations":[],"raw_sequence":9}}"#
        )
    }

    fn read(payload: &str, envelope: &RecordEnvelope) -> Result<(), RowError> {
        Row::read(payload.as_bytes(), envelope, RULE, None).map(|_| ())
    }

    #[test]
    fn a_record_is_read_without_copying_what_has_no_escapes() {
        let (payload, envelope) = (payload(), envelope());
        let row = Row::read(payload.as_bytes(), &envelope, RULE, Some(4)).unwrap();
        assert!(matches!(row.view.provider_message_id, Some(Text(Cow::Borrowed("SM1")))));
        assert_eq!(row.view.text(), Some(r#"a "b" \u0000"#), "a backslash and letters are no U+0000");
        assert_eq!(row.view.metadata(), r#"{"n":1.10}"#);
        assert_eq!((row.policy, row.replay_sequence), (Policy::Content, Some(4)));
        assert_eq!(row.expires_at.as_unix() - row.received_at().as_unix(), 600_000);
    }

    #[test]
    fn the_envelopes_rule_comes_before_the_default() {
        let dedup = Some(DedupRule { policy: Policy::Off, window_ms: u64::MAX });
        let (payload, envelope) = (payload(), RecordEnvelope { dedup, ..envelope() });
        let row = Row::read(payload.as_bytes(), &envelope, RULE, None).unwrap();
        assert_eq!((row.policy, row.expires_at.to_string().as_str()), (Policy::Off, "9999-12-31T23:59:59.999Z"));
    }

    #[test]
    fn a_record_under_anothers_headers_is_refused() {
        let other = Uuid::from_u128(8);
        for (field, envelope) in [
            ("id", RecordEnvelope { record: other, ..envelope() }),
            ("request_id", RecordEnvelope { request_id: other, ..envelope() }),
            ("part", RecordEnvelope { part: 1, ..envelope() }),
            ("received_at", RecordEnvelope { received_at: Millis::from_unix(1).unwrap(), ..envelope() }),
            ("channel", RecordEnvelope { channel: Channel::Form, ..envelope() }),
            ("source", RecordEnvelope { source: SourceName::parse("other").unwrap(), ..envelope() }),
        ] {
            assert!(matches!(read(&payload(), &envelope), Err(RowError::Mismatch { field: found }) if found == field));
        }
        let other_id = payload().replace(&envelope().record.to_string(), &other.to_string());
        let agreeing = RecordEnvelope { record: other, ..envelope() };
        assert!(matches!(read(&other_id, &agreeing), Err(RowError::Mismatch { field: "id" })), "an id is computed");
    }

    #[test]
    fn a_newer_schema_waits_whatever_else_is_in_it() {
        let newer = payload().replace(r#""schema_version":1"#, r#""schema_version":2"#);
        for text in [newer, r#"{"schema_version":3}"#.to_owned()] {
            let error = read(&text, &envelope()).unwrap_err();
            assert!(error.waits(), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_stored_is_refused_without_quoting_it() {
        let secret = payload().replace(r#""kind":"message""#, r#""kind":"hush""#);
        let huge = payload().replace(r#""parts":3"#, r#""parts":4294967295"#);
        for (text, reason) in [
            ("", "unreadable"),
            ("{\"stream\":\"CANONICAL\",\"seq\":1}", "unreadable"),
            (&secret, "unreadable"),
            (&huge, "unreadable"),
            (&payload().replace("\\\\u0000", "\\u0000"), "nul"),
            (&payload().replace("1.10", "\"\\\\\\u0000\""), "nul"),
        ] {
            let error = read(text, &envelope()).unwrap_err();
            assert_eq!(error.reason(), reason, "{text}");
            assert!(!error.waits() && !format!("{error} {error:?}").contains("hush"));
        }
    }
}
