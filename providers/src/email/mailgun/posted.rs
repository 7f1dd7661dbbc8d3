//! A mail as a route posts it: whole, or taken apart.

use std::collections::HashMap;

use proto::Kind;
use serde_json::{Value, json};

use super::fields::{Field, Fields};
use crate::dedup::canonical_json;
use crate::email;
use crate::email::mail::Mail;
use crate::email::mail::attached::{About, Attached};
use crate::email::mail::envelope::Envelope;
use crate::email::mail::fields::header_block;
use crate::email::mail::given::Given;
use crate::email::mail::text;
use crate::read::draft::Draft;
use crate::read::media;
use crate::record::{Normalized, RawRequest};
use crate::scheme::mailgun::FIELDS as SIGNED;

/// The fields that are read into columns, or that say how others are to be read.
const READ: [&str; 13] = [
    "recipient",
    "sender",
    "from",
    "subject",
    "body-mime",
    "body-plain",
    "body-html",
    "message-headers",
    "content-id-map",
    "attachment-count",
    "attachments",
    "timestamp",
    "signature",
];

/// What a body of another kind is called: `body-calendar`.
const BODY: &str = "body-";

pub(super) fn read(fields: &Fields, raw: &RawRequest) -> Normalized {
    let envelope = Envelope {
        sender: fields.text("sender").map(|(text, _)| text),
        recipients: fields.filled("recipient").into_iter().collect(),
    };
    let mut mail = match fields.bytes("body-mime") {
        Some(bytes) => Mail::read(bytes),
        None if holds_a_mail(fields) => taken_apart(fields),
        None => return Draft::new(Kind::AccountEvent).ignored(element(fields)).alone(raw),
    };
    keep_rest(fields, &mut mail);
    email::finish(mail.drafts(&envelope), raw)
}

fn holds_a_mail(fields: &Fields) -> bool {
    let names = ["message-headers", "body-plain", "body-html", "from", "subject", "recipient", "sender"];
    names.iter().any(|name| fields.bytes(name).is_some())
}

/// The mail that Mailgun took apart.
fn taken_apart(fields: &Fields) -> Mail {
    let mut mail = Mail::read_headers(&header(fields));
    // Where the header does not say it, as in `store(notify)` of an old account.
    let (from, subject) = (fields.filled("from"), fields.filled("subject"));
    let pairs = [("From", from.as_deref()), ("Subject", subject.as_deref())];
    let pairs = pairs.into_iter().filter_map(|(name, text)| Some((name, text?)));
    let stated = Mail::read_headers(&header_block(pairs));
    mail.from = mail.from.take().or(stated.from);
    mail.subject = mail.subject.take().or(stated.subject);
    for (name, which) in [("body-plain", Given::Text), ("body-html", Given::Html)] {
        if let Some(bytes) = fields.bytes(name) {
            mail.give(which, bytes, None);
        }
    }
    attach(fields, &mut mail);
    mail.element = element(fields);
    mail
}

/// The header of the mail, in its order; where it is not told, from the fields whose names begin with a capital.
fn header(fields: &Fields) -> Vec<u8> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let told: Vec<(String, String)> = match fields.json("message-headers") {
        Some(Value::Array(pairs)) => {
            pairs.iter().filter_map(|pair| Some((text(pair.get(0)?)?, text(pair.get(1)?)?))).collect()
        }
        _ => Vec::new(),
    };
    let pairs = if told.is_empty() {
        let capital = fields.iter().filter(|field| field.filename.is_none() && is_of_the_mail(&field.name));
        capital.map(|field| (field.name.clone(), text::decode(&field.value, None).0)).collect()
    } else {
        told
    };
    header_block(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Whether the sender of the mail chose the name, and with it the value.
fn is_of_the_mail(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn attach(fields: &Fields, mail: &mut Mail) {
    let ids = content_ids(fields);
    let id_of = |name: &str| ids.get(name).cloned();
    let mut came = 0;
    for field in fields.iter() {
        if field.filename.is_some() || is_attachment(&field.name) {
            came += 1;
            let content_id = id_of(&field.name);
            let about = About {
                filename: field.filename.clone().filter(|name| !name.is_empty()),
                content_type: field.content_type.as_deref().map(|value| media::essence(value).to_ascii_lowercase()),
                disposition: Some(if content_id.is_some() { "inline" } else { "attachment" }.to_owned()),
                content_id,
            };
            mail.attachments.push(Attached::of(about, field.value.clone()));
        } else if let Some(subtype) = other_body(field) {
            let content_type = Some(format!("text/{subtype}"));
            let about = About { content_type, disposition: Some("inline".to_owned()), ..About::default() };
            mail.attachments.push(Attached::of(about, field.value.clone()));
        }
    }
    if let Some(Value::Array(stored)) = fields.json("attachments") {
        let before = mail.attachments.len();
        mail.attachments.extend(stored.iter().filter_map(|file| stored_file(file, &id_of)));
        let told = mail.attachments.len() - before;
        came += told;
        if told < stored.len() {
            mail.notes.note("attachments", "missing");
        }
    }
    let stated = fields.filled("attachment-count").and_then(|text| text.trim().parse::<usize>().ok());
    if stated.is_some_and(|stated| stated > came) {
        mail.notes.note("attachments", "missing");
    }
}

/// The first id of each attachment. In the map that tells it, a key may be there twice, for two attachments, or be empty,
/// for one that the HTML does not refer to.
fn content_ids(fields: &Fields) -> HashMap<String, String> {
    let mut ids = HashMap::new();
    for (id, file) in fields.pairs("content-id-map") {
        let id = id.trim_matches(['<', '>', ' ']);
        if let (false, Value::String(file)) = (id.is_empty(), file) {
            ids.entry(file).or_insert_with(|| id.to_owned());
        }
    }
    ids
}

/// `attachment-1` and so on.
fn is_attachment(name: &str) -> bool {
    let number = name.strip_prefix("attachment-").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// What kind of text a body is that is neither plain nor HTML.
fn other_body(field: &Field) -> Option<&str> {
    field.name.strip_prefix(BODY).filter(|subtype| !matches!(*subtype, "" | "plain" | "html" | "mime"))
}

/// One that Mailgun keeps for three days, to be fetched with the API key.
fn stored_file(file: &Value, id_of: &impl Fn(&str) -> Option<String>) -> Option<Attached> {
    let text = |name: &str| file.get(name)?.as_str().map(str::to_owned).filter(|text| !text.is_empty());
    let url = text("url")?;
    let content_id = id_of(&url);
    let about = About {
        filename: text("name").as_deref().map(crate::read::multipart::file_name),
        content_type: text("content-type").map(|value| media::essence(&value).to_ascii_lowercase()),
        disposition: Some(if content_id.is_some() { "inline" } else { "attachment" }.to_owned()),
        content_id,
    };
    Some(Attached::at(about, file.get("size").and_then(Value::as_u64), url))
}

/// What Mailgun says beside the mail. Headers are with the mail already; those that Mailgun adds (`X-Mailgun-Spf`) too,
/// because a sender can write them as well.
fn keep_rest(fields: &Fields, mail: &mut Mail) {
    for field in fields.iter() {
        let is_file = field.filename.is_some() || is_attachment(&field.name) || other_body(field).is_some();
        if is_of_the_mail(&field.name) || is_file || READ.contains(&&*field.name) {
            continue;
        }
        let name = field.name.to_ascii_lowercase().replace('-', "_");
        let text = text::decode(&field.value, None).0;
        mail.metadata.entry(name).or_insert(Value::String(text));
    }
}

/// All of the form but what is signed anew with each attempt.
fn element(fields: &Fields) -> Vec<u8> {
    let kept = fields.iter().filter(|field| !SIGNED.contains(&&*field.name));
    let pairs = kept.map(|field| json!([field.name, field.filename, blake3::hash(&field.value).to_hex().as_str()]));
    canonical_json(&Value::Array(pairs.collect()))
}
