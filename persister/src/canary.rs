//! Whether the database refuses one record or all of them: told by another record that it takes. Best one of the stage's
//! own, committed meanwhile; where there is none, one that is made up, written and taken back.
//!
//! Operators add constraints of their own, so what is made up may be refused as well. It comes in three shapes, since a
//! constraint often wants a column to be there, or not to be: if one of them is taken, the refused record was at fault.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::kind::Class;
use proto::{DedupKey, DedupRule, Policy, RecordEnvelope, id};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::row::{Row, RowError};

/// How many records each table has taken from this process.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    messages: AtomicU64,
    statuses: AtomicU64,
}

/// A moment in the history of [`Taken`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    messages: u64,
    statuses: u64,
}

impl Taken {
    pub(crate) fn note(&self, class: Class) {
        let counter = match class {
            Class::Message => &self.messages,
            Class::Status => &self.statuses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Before {
        Before { messages: self.messages.load(Ordering::Relaxed), statuses: self.statuses.load(Ordering::Relaxed) }
    }

    /// Whether the table of `class` has taken a record since then.
    pub(crate) fn any_since(&self, before: Before, class: Class) -> bool {
        let now = self.now();
        match class {
            Class::Message => now.messages != before.messages,
            Class::Status => now.statuses != before.statuses,
        }
    }
}

/// Which columns a made-up record fills.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Those that the refused record fills.
    Like,
    /// All.
    Full,
    /// Those that must be.
    Bare,
}

impl Shape {
    pub(crate) const ALL: [Self; 3] = [Self::Like, Self::Full, Self::Bare];

    fn fills(self, it_does: bool) -> bool {
        match self {
            Self::Like => it_does,
            Self::Full => true,
            Self::Bare => false,
        }
    }
}

/// A made-up record of the same table, month, source and kind as another, and without its content.
pub(crate) struct Canary {
    envelope: RecordEnvelope,
    payload: String,
}

impl Canary {
    pub(crate) fn like(row: &Row<'_>, shape: Shape) -> Self {
        let received_at = row.received_at();
        let request_id = Uuid::nil();
        let record = id::record_id(received_at, request_id, 0);
        let envelope = RecordEnvelope {
            request_id,
            part: 0,
            record,
            key: DedupKey::from_bytes(*record.as_bytes()),
            channel: row.envelope.channel,
            source: row.envelope.source.clone(),
            received_at,
            replay: None,
            dedup: None,
            body: None,
            traceparent: None,
        };
        let payload = payload(row, shape, &envelope).to_string();
        Self { envelope, payload }
    }

    pub(crate) fn row(&self) -> Result<Row<'_>, RowError> {
        Row::read(self.payload.as_bytes(), &self.envelope, DedupRule { policy: Policy::Off, window_ms: 0 }, None)
    }
}

fn payload(row: &Row<'_>, shape: Shape, envelope: &RecordEnvelope) -> Value {
    let view = &row.view;
    let text = |of_row: Option<&str>| shape.fills(of_row.is_some()).then_some("canary");
    let time = |it_does: bool| shape.fills(it_does).then_some(envelope.received_at);
    let list = |of_row: &str, element: Value| {
        Value::Array(if shape.fills(of_row != "[]") { vec![element] } else { Vec::new() })
    };
    let status = (row.class() == Class::Status).then(|| {
        json!({
            "status": view.status().unwrap_or("canary"),
            "occurred_at": time(view.occurred_at().is_some()),
            "recipient": text(view.recipient()),
            "error_code": text(view.error_code()),
        })
    });
    json!({
        "id": envelope.record, "schema_version": 1, "normalizer_version": 0, "request_id": envelope.request_id,
        "part": 0, "parts": 1, "channel": envelope.channel.as_str(), "source": envelope.source.as_str(),
        "provider": view.provider, "verified": view.verified.as_str(), "kind": view.kind.as_str(),
        "provider_message_id": text(view.provider_message_id()),
        "conversation": text(view.conversation()),
        "sender": { "address": text(view.sender_address()), "name": text(view.sender_name()) },
        "recipients": list(view.recipients(), json!({ "address": "canary", "name": null, "role": "to" })),
        "subject": text(view.subject()),
        "text": text(view.text()),
        "html": text(view.html()),
        "attachments": list(view.attachments(), json!({ "filename": "canary" })),
        "reply_to_id": text(view.reply_to_id()),
        "references": list(view.references(), json!("canary")),
        "sent_at": time(view.sent_at.is_some()),
        "received_at": envelope.received_at,
        "metadata": if shape.fills(view.metadata() != "{}") { json!({ "canary": true }) } else { json!({}) },
        "truncations": [],
        "raw_sequence": 0,
        "status": status,
    })
}
