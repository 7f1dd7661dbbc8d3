//! A mail that came in: whole, or only its header where the receipt rule puts it into S3.
//!
//! The mail has two ids: `Message-ID`, which its sender wrote, and the one that SES gave to this receipt of it. The second
//! is `provider_message_id`. It is the identity where the first is missing or the mail is not here to be compared.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{object, text, texts};
use crate::email::mail::Mail;
use crate::email::mail::envelope::Envelope;
use crate::email::mail::fields::header_block;
use crate::read::draft::Draft;
use crate::read::moment;
use crate::read::names::snake_case;
use crate::record::Identity;

/// Padding is written, and its absence harms nobody.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Fields of the header that SES gives in a form of its own, which stand in where the header itself was cut.
const COMMON: [(&str, &str); 9] = [
    ("returnPath", "Return-Path"),
    ("from", "From"),
    ("sender", "Sender"),
    ("replyTo", "Reply-To"),
    ("to", "To"),
    ("cc", "Cc"),
    ("bcc", "Bcc"),
    ("date", "Date"),
    ("subject", "Subject"),
];
const MESSAGE_ID: (&str, &str) = ("messageId", "Message-ID");

pub(super) fn read(mut event: Map<String, Value>, mail: &Map<String, Value>) -> Vec<Draft> {
    let content = event.remove("content");
    let empty = Map::new();
    let receipt = object(&event, "receipt").unwrap_or(&empty);
    let action = object(receipt, "action").unwrap_or(&empty);
    let id = text(mail, "messageId");
    let recipients = match texts(receipt.get("recipients")) {
        none if none.is_empty() => texts(mail.get("destination")),
        recipients => recipients,
    };
    let envelope = Envelope { sender: mail.get("source").and_then(Value::as_str).map(str::to_owned), recipients };

    let content = match content {
        Some(Value::String(content)) if !content.is_empty() => Some(content),
        _ => None,
    };
    let is_whole = content.is_some();
    let read = content.map_or_else(|| header(mail), |content| whole(content, action));
    // Without it, two mails of one sender could look alike.
    let is_known_by_receipt = !is_whole || read.message_id.is_none();
    let mut drafts = read.drafts(&envelope);
    for (place, draft) in drafts.iter_mut().enumerate() {
        if let (Some(id), true) = (&id, is_known_by_receipt) {
            // Each rule that fits a mail delivers it, to its own recipients and under one id.
            let mut ids = vec![id.clone(), place.to_string()];
            ids.extend(envelope.recipients.iter().cloned());
            draft.identity = Identity::Provided(ids);
        }
        if !is_whole {
            draft.sent_at = draft.sent_at.or_else(|| text(mail, "timestamp").as_deref().and_then(moment::read));
        }
        draft.provider_message_id.clone_from(&id);
    }
    // Of the records of a report, the first has what is said once.
    if let Some(first) = drafts.first_mut() {
        describe(&mut first.metadata, receipt, action);
    }
    drafts
}

/// The whole mail. What is called base64 and is none is taken for the mail itself.
fn whole(content: String, action: &Map<String, Value>) -> Mail {
    let is_base64 = text(action, "encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("base64"));
    if !is_base64 {
        return Mail::read(&Bytes::from(content));
    }
    if let Some(bytes) = decoded(&content) {
        return Mail::read(&Bytes::from(bytes));
    }
    let mut mail = Mail::read(&Bytes::from(content));
    mail.notes.note("text", "base64");
    mail.undecodable = true;
    mail
}

/// In one line as a rule, and folded where somebody was careful.
fn decoded(content: &str) -> Option<Vec<u8>> {
    if !content.contains(['\r', '\n', ' ', '\t']) {
        return BASE64.decode(content).ok();
    }
    let packed: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(packed).ok()
}

/// The header, where that is all there is.
fn header(mail: &Map<String, Value>) -> Mail {
    let headers = mail.get("headers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let field = |header: &Value| -> Option<(String, String)> {
        let header = header.as_object()?;
        Some((text(header, "name")?, header.get("value")?.as_str()?.to_owned()))
    };
    let mut pairs: Vec<(String, String)> = headers.iter().filter_map(field).collect();
    let common = object(mail, "commonHeaders");
    for (theirs, name) in COMMON.into_iter().chain([MESSAGE_ID]) {
        let is_there = pairs.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let values = texts(common.and_then(|common| common.get(theirs)));
        if !is_there && !values.is_empty() {
            pairs.push((name.to_owned(), values.join(", ")));
        }
    }
    let block = header_block(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut read = Mail::read_headers(&block);
    if mail.get("headersTruncated") == Some(&Value::Bool(true)) {
        read.notes.note("metadata.headers", "length");
    }
    read
}

/// What SES found, and where the mail is.
fn describe(metadata: &mut Map<String, Value>, receipt: &Map<String, Value>, action: &Map<String, Value>) {
    let mut rest = Map::new();
    for (name, value) in receipt {
        match (name.as_str(), value.get("status")) {
            ("recipients", _) => {}
            (_, Some(status)) if name.ends_with("Verdict") => {
                metadata.insert(snake_case(name), status.clone());
            }
            _ => {
                rest.insert(snake_case(name), value.clone());
            }
        }
    }
    metadata.insert("receipt".to_owned(), Value::Object(rest));
    if let (Some(bucket), Some(key)) = (text(action, "bucketName"), text(action, "objectKey")) {
        metadata.insert("s3".to_owned(), json!({ "bucket": bucket, "key": key }));
    }
}
