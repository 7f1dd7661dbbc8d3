//! The key: which records are the same message. The policies are those of the design; what a provider's id consists of
//! is stated by its adapter as [`Identity`], and what a sender wrote as [`Content`].
//!
//! Every key begins with the word of the policy that made it, so that a content key never equals an id's; every part
//! has its length before it. Dropping a message is worse than keeping a repeat: whatever might tell two apart goes in.

use std::borrow::Cow;

use proto::{DedupKey, DedupRule, HashKey, KeyHasher, Policy, Verified};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::is_nfc;

use crate::record::{Content, Identity, Record};

/// For how long a key holds, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// `dedup.window`: as long as a provider may come back with an id, and a day.
    pub id_ms: u64,
    /// `dedup.content_window`: short, because equal content is a guess.
    pub content_ms: u64,
}

/// A record's key under the source's policy, and the rule that it was really made by: without an id that can be
/// trusted, `auto` is `content`.
///
/// An id can be trusted where the request is verified, or where the source has nothing to verify and names the id
/// itself. Where the signature is wrong it makes nothing a repeat, or a forged copy would take the place of the real
/// message; it still tells two records apart, because the fault may be our secret, and then all real messages look so.
pub fn key(record: &Record, policy: Policy, windows: Windows, hash_key: &HashKey) -> (DedupKey, DedupRule) {
    let message = &record.message;
    match (policy, &record.identity) {
        (Policy::Off, _) => {
            let hasher = KeyHasher::new(hash_key).part(Policy::Off.as_str()).part(message.id.as_bytes());
            (hasher.finish(), DedupRule { policy: Policy::Off, window_ms: windows.id_ms })
        }
        (Policy::Auto, Identity::Provided(ids)) if message.verified != Verified::No => {
            let hasher = KeyHasher::new(hash_key)
                .part(Policy::Auto.as_str())
                .part(message.channel.as_str())
                .part(&message.source)
                .part(&message.provider)
                .part(message.verified.as_str())
                .part(message.kind.class().as_str())
                .part(message.kind.as_str());
            let hasher = ids.iter().fold(hasher, KeyHasher::part);
            (hasher.finish(), DedupRule { policy: Policy::Auto, window_ms: windows.id_ms })
        }
        (Policy::Auto | Policy::Content, identity) => {
            let hasher = KeyHasher::new(hash_key)
                .part(Policy::Content.as_str())
                .part(&message.source)
                .part(message.verified.as_str())
                .part(message.kind.as_str());
            let hasher = content(hasher, &record.content);
            let hasher = match (policy, identity) {
                (Policy::Auto, Identity::Provided(ids)) => ids.iter().fold(hasher, KeyHasher::part),
                _ => hasher,
            };
            (hasher.finish(), DedupRule { policy: Policy::Content, window_ms: windows.content_ms })
        }
    }
}

/// What a content is known by within an identity: where the sender wrote the id, the same id with another content is
/// another message. Not a key, and not guessed back from one, because it goes into one.
pub(crate) fn digest(of: &Content) -> String {
    content(KeyHasher::new(&HashKey::derive(b"content of an identity")), of).finish().to_string()
}

fn content(hasher: KeyHasher, content: &Content) -> KeyHasher {
    let text = |text: &Option<String>| text.as_deref().map(|text| canonical(text).into_owned());
    let hasher = hasher.optional(text(&content.sender)).part((content.recipients.len() as u64).to_le_bytes());
    let hasher = content.recipients.iter().fold(hasher, |hasher, recipient| hasher.part(&*canonical(recipient)));
    let hasher = hasher.optional(text(&content.subject)).optional(text(&content.text)).optional(text(&content.html));
    let hasher = hasher.optional(content.fields.as_ref());
    let hasher = hasher.part((content.attachments.len() as u64).to_le_bytes());
    let hasher = content.attachments.iter().fold(hasher, KeyHasher::part);
    // Nothing was written (two statuses, two empty messages), or not all of it could be read. Then everything counts.
    hasher.optional((content.is_empty() || content.undecodable).then_some(&content.element))
}

impl Content {
    fn is_empty(&self) -> bool {
        let blank = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
        // As `canonical_json` writes null, an empty object and an empty array.
        let no_fields = self.fields.as_deref().is_none_or(|fields| matches!(fields, b"n" | b"{}" | b"[]"));
        blank(&self.subject) && blank(&self.text) && blank(&self.html) && no_fields && self.attachments.is_empty()
    }
}

/// NFC, and one kind of line end.
fn canonical(text: &str) -> Cow<'_, str> {
    let text: Cow<'_, str> =
        if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() };
    if is_nfc(&text) { text } else { text.nfc().collect::<String>().into() }
}

/// JSON without a choice: no space, keys sorted, numbers as they were written, texts as [`canonical`] has them.
pub(crate) fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(value) => out.push(if *value { b't' } else { b'f' }),
        Value::Number(number) => write_piece(b'#', number.to_string().as_bytes(), out),
        Value::String(text) => write_piece(b'"', canonical(text).as_bytes(), out),
        Value::Array(values) => {
            out.push(b'[');
            for value in values {
                write(value, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // Sorted here: whether the map itself is depends on features that other crates may switch on.
            let mut entries: Vec<(Cow<'_, str>, &String, &Value)> =
                map.iter().map(|(key, value)| (canonical(key), key, value)).collect();
            entries.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
            out.push(b'{');
            for (key, _, value) in entries {
                write_piece(b'"', key.as_bytes(), out);
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// A kind, a length, the bytes: no escapes needed.
fn write_piece(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}
