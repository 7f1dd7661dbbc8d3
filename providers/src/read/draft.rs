//! A record in the making: what an adapter fills in. What every record has (ids, source, verdict, times) and what every
//! record must be (clean for the database) is added in one place, at the end.

use proto::canonical::{SCHEMA_VERSION, StatusFields};
use proto::{Attachment, CanonicalMessage, Kind, Millis, Party, Recipient, id};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::clean::Cleaner;
use super::json;
use crate::record::{Content, File, Identity, Normalized, RawRequest, Record};

/// The word for a request that held nothing.
const IGNORED: &str = "ignored";

/// What a provider says about one record. The fields are those of [`CanonicalMessage`].
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) provider_message_id: Option<String>,
    /// The provider's thread; where there is none, the references or the two addresses make one.
    pub(crate) conversation: Option<String>,
    pub(crate) sender: Option<Party>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) subject: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) attachments: Vec<Attachment>,
    /// The bytes of the attachments whose hash is stated, in their order.
    pub(crate) files: Vec<File>,
    pub(crate) reply_to_id: Option<String>,
    pub(crate) references: Vec<String>,
    pub(crate) sent_at: Option<Millis>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) status: Option<StatusFields>,
    /// What could not be kept as it came.
    pub(crate) notes: Cleaner,
    pub(crate) identity: Identity,
    pub(crate) content: Content,
}

impl Draft {
    /// An empty one.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            provider_message_id: None,
            conversation: None,
            sender: None,
            recipients: Vec::new(),
            subject: None,
            text: None,
            html: None,
            attachments: Vec::new(),
            files: Vec::new(),
            reply_to_id: None,
            references: Vec::new(),
            sent_at: None,
            metadata: Map::new(),
            status: None,
            notes: Cleaner::default(),
            identity: Identity::None,
            content: Content::default(),
        }
    }

    /// The record.
    pub(crate) fn finish(mut self, raw: &RawRequest, part: u32, parts: u32) -> Record {
        self.clean();
        let conversation = self.conversation.take().or_else(|| self.conversation_from_addresses(raw));
        let envelope = &raw.envelope;
        let message = CanonicalMessage {
            id: id::record_id(envelope.received_at, envelope.id, part),
            schema_version: SCHEMA_VERSION,
            normalizer_version: crate::NORMALIZER_VERSION,
            request_id: envelope.id,
            part,
            parts,
            channel: raw.channel,
            source: raw.source.to_string(),
            provider: envelope.provider.clone(),
            verified: envelope.verified,
            kind: self.kind,
            provider_message_id: self.provider_message_id,
            conversation,
            sender: self.sender,
            recipients: self.recipients,
            subject: self.subject,
            text: self.text,
            html: self.html,
            attachments: self.attachments,
            reply_to_id: self.reply_to_id,
            references: self.references,
            sent_at: self.sent_at,
            received_at: envelope.received_at,
            metadata: to_raw(self.metadata),
            truncations: self.notes.into_notes(),
            raw_sequence: raw.raw_sequence,
            status: self.status,
        };
        Record { message, identity: self.identity, content: self.content, files: self.files }
    }

    /// The only record of a request.
    pub(crate) fn alone(self, raw: &RawRequest) -> Normalized {
        Normalized::one(self.finish(raw, 0, 1))
    }

    /// What a request becomes that holds no message: it still ends in a row, so that it can be explained.
    pub(crate) fn ignored(mut self, element: Vec<u8>) -> Self {
        self.kind = Kind::AccountEvent;
        self.status =
            Some(StatusFields { status: IGNORED.to_owned(), occurred_at: None, recipient: None, error_code: None });
        self.content.element = element;
        self
    }

    /// Notes what reading JSON had to do.
    pub(crate) fn note_json(&mut self, notes: json::Notes) {
        for (done, reason) in [(notes.surrogate, "surrogate"), (notes.depth, "depth")] {
            if done {
                self.notes.note("metadata.fields", reason);
            }
        }
    }

    /// Notes that bytes did not fit their character set.
    pub(crate) fn note_charset(&mut self, field: &str, replaced: bool) {
        if replaced {
            self.notes.note(field, "charset");
            self.content.undecodable = true;
        }
    }

    fn clean(&mut self) {
        let notes = &mut self.notes;
        notes.optional("provider_message_id", &mut self.provider_message_id);
        notes.optional("conversation", &mut self.conversation);
        if let Some(sender) = &mut self.sender {
            notes.optional("sender.address", &mut sender.address);
            notes.optional("sender.name", &mut sender.name);
        }
        for recipient in &mut self.recipients {
            notes.optional("recipients.address", &mut recipient.address);
            notes.optional("recipients.name", &mut recipient.name);
        }
        notes.optional("subject", &mut self.subject);
        notes.optional("text", &mut self.text);
        notes.optional("html", &mut self.html);
        for file in &mut self.attachments {
            notes.optional("attachments.filename", &mut file.filename);
            notes.optional("attachments.content_type", &mut file.content_type);
            notes.optional("attachments.content_id", &mut file.content_id);
            notes.optional("attachments.location", &mut file.location);
        }
        notes.optional("reply_to_id", &mut self.reply_to_id);
        self.references.iter_mut().for_each(|reference| notes.text("references", reference));
        if let Some(status) = &mut self.status {
            notes.text("status", &mut status.status);
            notes.optional("recipient", &mut status.recipient);
            notes.optional("error_code", &mut status.error_code);
        }
        notes.object("metadata", &mut self.metadata);
    }

    /// The root of the references, or the source and the addresses of both sides, sorted, so that both directions of a
    /// conversation have the same.
    fn conversation_from_addresses(&self, raw: &RawRequest) -> Option<String> {
        if let Some(root) = self.references.first() {
            return Some(root.clone());
        }
        let sender = self.sender.as_ref()?.address.as_deref()?;
        let recipient = self.recipients.first().and_then(|recipient| recipient.address.as_deref());
        let mut addresses: Vec<&str> = [Some(sender), recipient].into_iter().flatten().collect();
        addresses.sort_unstable();
        Some(format!("{}:{}", raw.source, addresses.join(":")))
    }
}

#[expect(clippy::expect_used, reason = "a map with text keys has a JSON form")]
fn to_raw(metadata: Map<String, Value>) -> Box<RawValue> {
    serde_json::value::to_raw_value(&Value::Object(metadata)).expect("JSON values are JSON")
}
