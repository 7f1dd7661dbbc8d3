//! What the header of a mail says about it.
//!
//! The first occurrence of a field wins. All fields are kept under `metadata.headers` as they were written, decoded, so
//! that normalised addresses and times lose nothing.

use proto::Party;
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::{Envelope, Mail, addresses, date, ids, words};

/// Bytes of a value that are read: 5,000 addresses. Beyond, it is somebody who wants our memory.
const VALUE: usize = 256 * 1024;
/// Bytes of all fields kept under `metadata.headers`.
const KEPT: usize = 64 * 1024;

/// The fields that have a column, or a place of their own in the metadata, which says the same.
const ELSEWHERE: [&str; 5] = ["subject", "message-id", "in-reply-to", "references", "mime-version"];

/// Reads the fields into the mail.
pub(super) fn read(fields: &Fields<'_>, mail: &mut Mail) {
    let mut header = Header { fields, mail };
    header.mail.subject = header.text("subject", "subject");
    header.mail.message_id = header.text("message-id", "metadata.message_id").as_deref().and_then(ids::one);
    let in_reply_to = header.text("in-reply-to", "reply_to_id").unwrap_or_default();
    header.mail.in_reply_to = ids::all(&in_reply_to).into_iter().next();
    let references = header.text("references", "references").unwrap_or_default();
    header.mail.references = ids::all(&references);
    let from = header.parties("from", "sender");
    let from = if from.is_empty() { header.parties("sender", "sender") } else { from };
    header.mail.from = addresses::first(from);
    header.mail.to = header.parties("to", "recipients");
    header.mail.cc = header.parties("cc", "recipients");
    header.mail.bcc = header.parties("bcc", "recipients");
    header.mail.reply_to = header.parties("reply-to", "metadata.reply_to");
    header.mail.date_as_written = header.text("date", "sent_at");
    header.mail.date = header.mail.date_as_written.as_deref().and_then(date::read);
    header.mail.delivered = Envelope::of_header(fields);
    header.metadata();
    keep(fields, mail);
}

struct Header<'a, 'b> {
    fields: &'a Fields<'a>,
    mail: &'b mut Mail,
}

impl<'a> Header<'a, '_> {
    /// The first field of this name, cut to what is read; `column` is where a note says so.
    fn value(&mut self, name: &str, column: &str) -> Option<&'a [u8]> {
        let value = self.fields.first(name)?;
        if value.len() > VALUE {
            self.mail.notes.note(column, "length");
        }
        value.get(..VALUE.min(value.len()))
    }

    fn text(&mut self, name: &str, column: &str) -> Option<String> {
        let (text, replaced) = words::decode(self.value(name, column)?);
        self.mail.note_charset(column, replaced);
        Some(text)
    }

    fn parties(&mut self, name: &str, column: &str) -> Vec<Party> {
        let Some(value) = self.value(name, column) else { return Vec::new() };
        let (parties, replaced) = addresses::read(value);
        self.mail.note_charset(column, replaced);
        parties
    }

    /// What people and programs ask for by name.
    fn metadata(&mut self) {
        let mut found = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                found.insert(name.to_owned(), value);
            }
        };
        put("message_id", self.mail.message_id.as_deref().map(Value::from));
        let reply_to = self.mail.reply_to.iter().map(|party| json!({"address": party.address, "name": party.name}));
        put("reply_to", Some(reply_to.collect::<Vec<_>>()).filter(|list| !list.is_empty()).map(Value::from));
        // Whoever answers a mail by machine must not answer one that a machine wrote (RFC 3834).
        let auto = self.fields.text("auto-submitted").map(|text| first_word(&text).to_ascii_lowercase());
        put("auto_submitted", auto.map(Value::from));
        put("precedence", self.fields.text("precedence").map(|text| Value::from(text.to_ascii_lowercase())));
        put("list_id", self.fields.text("list-id").map(|text| Value::from(ids::bracketed(&text))));
        self.mail.metadata.append(&mut found);
    }
}

fn first_word(text: &str) -> &str {
    text.split([';', ' ', '\t', '(']).next().unwrap_or_default()
}

/// Keeps the fields as pairs, in order.
fn keep(fields: &Fields<'_>, mail: &mut Mail) {
    let mut left = KEPT;
    let mut cut = fields.cut;
    let mut kept = Vec::new();
    for field in &fields.list {
        if ELSEWHERE.iter().any(|name| name.eq_ignore_ascii_case(field.name)) {
            continue;
        }
        let size = field.name.len() + field.value.len();
        if size > left {
            cut = true;
            continue;
        }
        left -= size;
        kept.push(json!([field.name, words::decode(field.value).0]));
    }
    if cut {
        mail.notes.note("metadata.headers", "length");
    }
    if !kept.is_empty() {
        mail.metadata.insert("headers".to_owned(), Value::from(kept));
    }
}
