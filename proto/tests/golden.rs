//! The bytes that stages say to each other, held against files: a change of any of them is a visible diff.
//!
//! Old and new processes run side by side, and RAW is replayed years later, so these files change only together with
//! `SCHEMA_VERSION` or the layout. A missing file is written, and the test fails once so that it is looked at.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proto::canonical::{SCHEMA_VERSION, StatusFields};
use proto::subject::{self, SourceName};
use proto::{
    Attachment, BodyRef, CanonicalMessage, Channel, DeadLetterEnvelope, DedupKey, DedupRule, Kind, Millis, Party,
    Policy, RawEnvelope, Recipient, RecordEnvelope, Role, Stage, Truncation, Verified, envelope::Pairs, id,
};
use serde_json::value::RawValue;
use uuid::Uuid;

fn holds(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let Ok(expected) = fs::read_to_string(&path) else {
        fs::write(&path, actual).unwrap();
        panic!("{} was missing and is written now: look at it", path.display());
    };
    assert_eq!(actual, expected, "the bytes of {name} have changed");
}

fn at() -> Millis {
    "2026-11-23T05:33:29.120Z".parse().unwrap()
}

fn request() -> Uuid {
    id::request_id(at(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
}

fn source() -> SourceName {
    SourceName::parse("support").unwrap()
}

fn key() -> DedupKey {
    DedupKey::parse("00112233445566778899aabbccddeeff").unwrap()
}

/// Every field filled, with text that has to be escaped or must not be.
fn full() -> CanonicalMessage {
    CanonicalMessage {
        id: id::record_id(at(), request(), 2),
        schema_version: SCHEMA_VERSION,
        normalizer_version: 1,
        request_id: request(),
        part: 2,
        parts: 3,
        channel: Channel::WhatsApp,
        source: "support".into(),
        provider: "twilio".into(),
        verified: Verified::Yes,
        kind: Kind::MessagePart,
        provider_message_id: Some("SM1".into()),
        conversation: Some("thread \"1\"".into()),
        sender: Some(Party { address: Some("+14155551438".into()), name: Some("Zoë \u{1f44b}".into()) }),
        recipients: vec![
            Recipient::to("+14155553237"),
            Recipient { address: Some("b@example.com".into()), name: Some("B".into()), role: Role::Cc },
            Recipient { address: None, name: None, role: Role::Bcc },
        ],
        subject: Some("Re: a/b".into()),
        text: Some("line\nпривет \u{1f469}\u{200d}\u{1f4bb} \u{fffd} \u{1}".into()),
        html: Some("<p>&amp;</p>".into()),
        attachments: vec![Attachment {
            filename: Some("bild.png".into()),
            content_type: Some("image/png".into()),
            size: Some(u64::MAX),
            blake3: Some(BodyRef::of(b"png").hash.to_hex().to_string()),
            disposition: Some("attachment".into()),
            content_id: Some("<1@x>".into()),
            location: Some("file:///a/2026-11/1".into()),
        }],
        reply_to_id: Some("SM0".into()),
        references: vec!["<1@x>".into(), "<2@x>".into()],
        sent_at: Some("1969-12-31T23:59:59.999Z".parse().unwrap()),
        received_at: at(),
        metadata: RawValue::from_string(r#"{"fields":{"n":12345678901234567890.10,"b":1,"a":2}}"#.into()).unwrap(),
        truncations: vec![Truncation { field: "text".into(), reason: "nul".into() }],
        raw_sequence: 42,
        status: None,
    }
}

/// Nothing that may be absent.
fn bare() -> CanonicalMessage {
    CanonicalMessage {
        part: 0,
        parts: 1,
        id: id::record_id(at(), request(), 0),
        provider_message_id: None,
        conversation: None,
        sender: None,
        recipients: vec![],
        subject: None,
        text: None,
        html: None,
        attachments: vec![],
        reply_to_id: None,
        references: vec![],
        sent_at: None,
        metadata: RawValue::from_string("{}".into()).unwrap(),
        truncations: vec![],
        raw_sequence: 0,
        ..full()
    }
}

fn status() -> CanonicalMessage {
    let status = StatusFields {
        status: "failed".into(),
        occurred_at: Some(at()),
        recipient: Some("+14155553237".into()),
        error_code: Some("30008".into()),
    };
    CanonicalMessage { kind: Kind::Status, status: Some(status), ..bare() }
}

#[test]
fn a_canonical_message_keeps_its_bytes() {
    for (name, message) in [("message.json", full()), ("bare.json", bare()), ("status.json", status())] {
        let text = serde_json::to_string(&message).unwrap();
        holds(name, &format!("{text}\n"));
        let again: CanonicalMessage = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text, "{name} is read back as it was written");
    }
}

#[test]
fn a_kind_keeps_its_word_and_its_table() {
    let lines: Vec<_> = Kind::ALL.map(|kind| format!("{kind} {}", kind.class().as_str())).into();
    holds("kinds.txt", &(lines.join("\n") + "\n"));
}

fn lines(pairs: &Pairs) -> String {
    pairs.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name}: {value}").unwrap();
        text
    })
}

fn raw() -> RawEnvelope {
    RawEnvelope {
        id: request(),
        received_at: at(),
        method: "POST".into(),
        query: Some("a=1&b=%20".into()),
        provider: "twilio".into(),
        verified: Verified::Yes,
        headers: vec![
            ("Content-Type".into(), b"text/plain".to_vec()),
            ("X-B".into(), b"2".to_vec()),
            ("X-A".into(), b"1".to_vec()),
            ("X-A".into(), vec![0xff, 0x20]),
        ],
        body: None,
        replay: None,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    }
}

#[test]
fn what_travels_beside_a_request_keeps_its_bytes() {
    holds("raw.txt", &lines(&raw().to_pairs()));
    let replayed = RawEnvelope {
        query: Some("naïve=\u{1f44b}\r\nNats-Rollup: all".into()),
        verified: Verified::None,
        body: Some(BodyRef::of(&vec![7; 512 * 1024 + 1])),
        replay: Some("run-1".into()),
        traceparent: None,
        ..raw()
    };
    holds("raw_replayed.txt", &lines(&replayed.to_pairs()));
}

fn record() -> RecordEnvelope {
    RecordEnvelope {
        request_id: request(),
        part: 2,
        record: id::record_id(at(), request(), 2),
        key: key(),
        channel: Channel::Sms,
        source: source(),
        received_at: at(),
        replay: None,
        dedup: None,
        body: None,
        traceparent: None,
    }
}

#[test]
fn what_travels_beside_a_record_keeps_its_bytes() {
    holds("record.txt", &lines(&record().to_pairs()));
    let full = RecordEnvelope {
        replay: Some("run-1".into()),
        dedup: Some(DedupRule { policy: Policy::Content, window_ms: 600_000 }),
        body: Some(BodyRef::of(b"body")),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..record()
    };
    holds("record_full.txt", &lines(&full.to_pairs()));
}

#[test]
fn what_travels_beside_a_dead_letter_keeps_its_bytes() {
    let dead = DeadLetterEnvelope {
        stage: Stage::Persister,
        record: id::record_id(at(), request(), 2),
        part: 2,
        request_id: request(),
        received_at: at(),
        channel: Channel::Sms,
        source: source(),
        reason: "refused".into(),
        detail: "the database does not take it".into(),
    };
    holds("dead_letter.txt", &lines(&dead.to_pairs()));
}

#[test]
fn subjects_keep_their_bytes() {
    let record = id::record_id(at(), request(), 2);
    let (day, window) = (86_400_000, 600_000);
    let mut text = String::new();
    for channel in Channel::ALL {
        for subject in [
            subject::raw(channel, &source()),
            subject::held(channel, &source()),
            subject::replay(channel, &source()),
            subject::canonical(channel, &source()),
            subject::duplicate(channel, &source()),
            subject::dead_letter(Stage::Normalizer, channel, &source(), record),
            subject::dead_letter(Stage::Dedup, channel, &source(), record),
            subject::dead_letter(Stage::Persister, channel, &source(), record),
        ] {
            writeln!(text, "{subject}").unwrap();
        }
    }
    for subject in [
        subject::body(request()),
        subject::unique(1, key(), at(), 8 * day, day),
        subject::unique(16, key(), at(), 8 * day, day),
        subject::unique(1, key(), at(), window, day),
        subject::unique(1, key(), at(), day, day),
    ] {
        writeln!(text, "{subject}").unwrap();
    }
    holds("subjects.txt", &text);
}

#[test]
fn a_body_reference_keeps_its_bytes() {
    let mut text = String::new();
    for size in [0, 1, 512 * 1024, 512 * 1024 + 1, 3 * 512 * 1024] {
        writeln!(text, "{size}: {}", BodyRef::of(&vec![7; size])).unwrap();
    }
    holds("body_refs.txt", &text);
}
