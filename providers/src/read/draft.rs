//! A record in the making: what an adapter fills in. What every record has (ids, source, verdict, times) and what every
//! record must be (clean for the database) is added in one place, at the end.

use bytes::Bytes;
use proto::canonical::{SCHEMA_VERSION, StatusFields};
use proto::{Attachment, CanonicalMessage, Kind, Millis, Party, Recipient, id};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::clean::Cleaner;
use super::json;
use crate::record::{Content, File, Identity, Normalized, RawRequest, Record};

/// The word for a request that held nothing.
const IGNORED: &str = "ignored";

/// Bytes that the records of one request may have together from what it says once: the name of a person who wrote many
/// messages, the title of a question. A small body must not become large records.
pub(crate) const REPEATED: usize = 16 * 1024 * 1024;

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
    /// The bytes of those attachments that came with the request.
    pub(crate) files: Vec<File>,
    pub(crate) reply_to_id: Option<String>,
    pub(crate) references: Vec<String>,
    pub(crate) sent_at: Option<Millis>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) status: Option<StatusFields>,
    /// What could not be kept as it came.
    pub(crate) notes: Cleaner,
    /// What reading the request's JSON had to do.
    json: json::Notes,
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
            json: json::Notes::default(),
            identity: Identity::None,
            content: Content::default(),
        }
    }

    /// The record.
    pub(crate) fn finish(mut self, raw: &RawRequest, part: u32, parts: u32) -> Record {
        self.note_what_shows();
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
    pub(crate) fn ignored(mut self, element: impl Into<Bytes>) -> Self {
        self.kind = Kind::AccountEvent;
        self.status =
            Some(StatusFields { status: IGNORED.to_owned(), occurred_at: None, recipient: None, error_code: None });
        self.content.element = element.into();
        self
    }

    /// Adds a file that came with the request, described by what the sender says of it; its hash in hex.
    pub(crate) fn attach(&mut self, bytes: Bytes, described: Attachment) -> String {
        let blake3 = blake3::hash(&bytes);
        let hex = blake3.to_hex().to_string();
        self.attachments.push(Attachment {
            size: Some(bytes.len() as u64),
            blake3: Some(hex.clone()),
            disposition: described.disposition.or_else(|| Some("attachment".to_owned())),
            ..described
        });
        self.files.push(File { blake3, bytes });
        hex
    }

    /// Keeps what has no column in the metadata; under another name where its own is taken.
    pub(crate) fn keep(&mut self, fields: impl IntoIterator<Item = (String, Value)>) {
        // Counts over all of them, so that a thousand fields of one name do not try a thousand each.
        let mut taken = 0_usize;
        for (name, value) in fields {
            let mut free = name.clone();
            while self.metadata.contains_key(&free) {
                taken += 1;
                free = format!("{name} ({taken})");
            }
            self.metadata.insert(free, value);
        }
    }

    /// Notes what reading the JSON of the request had to do, of which this record may be a part: it is said of the record
    /// only where it shows there.
    pub(crate) fn note_json(&mut self, notes: json::Notes) {
        self.json = self.json.or(notes);
    }

    fn note_what_shows(&mut self) {
        if self.json == json::Notes::default() {
            return;
        }
        let names = self.sender.iter().map(|sender| &sender.name).chain(self.recipients.iter().map(|to| &to.name));
        let mut texts = names.chain([&self.subject, &self.text, &self.html]).flatten();
        let in_text = texts.any(|text| json::shows_replacement(text));
        let traces = self.metadata.values().map(json::Notes::traces).fold(json::Notes::default(), json::Notes::or);
        for (shows, reason) in [
            (self.json.surrogate && (in_text || traces.surrogate), "surrogate"),
            (self.json.depth && traces.depth, "depth"),
        ] {
            if shows {
                self.notes.note("metadata.fields", reason);
                // What became U+FFFD may have been different; what is too deep is all there.
                self.content.undecodable |= reason == "surrogate";
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
