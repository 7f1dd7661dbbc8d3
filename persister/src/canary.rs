//! A record that is known to be good: written and taken back, to learn whether the database refuses one record or all.

use proto::kind::Class;
use proto::subject::SourceName;
use proto::{DedupKey, DedupRule, Kind, Policy, RecordEnvelope, id};
use uuid::Uuid;

use crate::row::{Row, RowError};

/// A good record of the same table and month as another.
pub(crate) struct Canary {
    envelope: RecordEnvelope,
    payload: String,
}

impl Canary {
    pub(crate) fn like(row: &Row<'_>) -> Self {
        let received_at = row.received_at();
        let request_id = Uuid::nil();
        let record = id::record_id(received_at, request_id, 0);
        let source: SourceName = row.envelope.source.clone();
        let channel = row.envelope.channel;
        let kind = match row.class() {
            Class::Message => Kind::Message,
            Class::Status => Kind::Status,
        };
        let payload = format!(
            r#"{{"id":"{record}","schema_version":1,"normalizer_version":0,"request_id":"{request_id}","part":0,
            "parts":1,"channel":"{channel}","source":"{source}","provider":"canary","verified":"none",
            "kind":"{kind}","provider_message_id":null,"conversation":null,"sender":null,"recipients":[],
            "subject":null,"text":"canary","html":null,"attachments":[],"reply_to_id":null,"references":[],
            "sent_at":null,"received_at":"{received_at}","metadata":{{}},"truncations":[],"raw_sequence":0}}"#
        );
        let envelope = RecordEnvelope {
            request_id,
            part: 0,
            record,
            key: DedupKey::from_bytes(*record.as_bytes()),
            channel,
            source,
            received_at,
            replay: None,
            dedup: None,
            body: None,
            traceparent: None,
        };
        Self { envelope, payload }
    }

    pub(crate) fn row(&self) -> Result<Row<'_>, RowError> {
        Row::read(self.payload.as_bytes(), &self.envelope, DedupRule { policy: Policy::Off, window_ms: 0 }, None)
    }
}
