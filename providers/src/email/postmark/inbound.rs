//! A mail that came in. Where the whole of it is there (`RawEmail`), it is read as any mail is, and Postmark's own reading
//! is not looked at: it has each file again and less of everything else.

use bytes::Bytes;
use proto::Party;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::email::mail::Mail;
use crate::email::mail::attached::{About, Attached};
use crate::email::mail::envelope::Envelope;
use crate::email::mail::fields::header_block;
use crate::email::mail::given::Given;
use crate::read::draft::Draft;
use crate::read::json::{Budget, Notes};
use crate::read::json_object::Object;
use crate::read::json_text::{Decoded, Text};
use crate::read::names::snake_case;
use crate::read::{address, answers, media};
use crate::record::BadReason;

/// The fields that have a column, or say the same as one that has.
const ELSEWHERE: [&str; 15] = [
    "From",
    "FromName",
    "FromFull",
    "To",
    "ToFull",
    "Cc",
    "CcFull",
    "Bcc",
    "BccFull",
    "Subject",
    "Date",
    "ReplyTo",
    "Headers",
    "MessageID",
    "OriginalRecipient",
];
/// Files of one mail; Postmark takes 35 MB of them.
const FILES: usize = 10_000;

/// Whether a payload without a type is a mail.
pub(super) fn is_mail(payload: &Object<'_>) -> bool {
    ["FromFull", "From", "RawEmail"].iter().any(|name| payload.has(name))
}

/// Reads it.
pub(super) fn read(mut payload: Object<'_>, body: &[u8]) -> Result<Vec<Draft>, BadReason> {
    let (mut budget, mut notes) = (Budget::default(), Notes::default());
    let whole = payload.take_text("RawEmail");
    let (text, html) = (payload.take_text("TextBody"), payload.take_text("HtmlBody"));
    let files = payload.take("Attachments");
    let fields = payload.into_map(&mut budget, &mut notes)?;
    let mut mail = if let Some(whole) = whole {
        Mail::read(&Bytes::from(whole.into_text(&mut notes)))
    } else {
        let mut mail = in_fields(&fields);
        for (which, given) in [(Given::Text, text), (Given::Html, html)] {
            if let Some(given) = given {
                mail.give(which, &Bytes::from(given.into_text(&mut notes)), Some("utf-8"));
            }
        }
        mail.element = blake3::hash(body).as_bytes().to_vec();
        attach(&mut mail, files, &mut budget, &mut notes)?;
        mail
    };
    for (done, reason) in [(notes.surrogate, "surrogate"), (notes.depth, "depth")] {
        if done {
            mail.notes.note("metadata", reason);
        }
    }
    let id = text_of(&fields, "MessageID").map(str::to_owned);
    let envelope = envelope(&fields, &mut mail);
    keep(&mut mail, fields);
    let mut drafts = mail.drafts(&envelope);
    for draft in &mut drafts {
        draft.provider_message_id.clone_from(&id);
    }
    Ok(drafts)
}

/// The mail as Postmark took it apart: some fields of the header as they were, the others by themselves and decoded.
fn in_fields(fields: &Map<String, Value>) -> Mail {
    let parties = [("FromFull", "From"), ("ToFull", "To"), ("CcFull", "Cc"), ("BccFull", "Bcc")];
    let [from, to, cc, bcc] = parties.map(|(full, _)| full_parties(fields.get(full)));
    // What came without its parts is read as the field of the header that it was.
    let apart = [&from, &to, &cc, &bcc].map(Vec::is_empty).into_iter().zip(parties);
    let apart = apart.filter_map(|(missing, (_, name))| Some((name, text_of(fields, name).filter(|_| missing)?)));
    let single = [("Date", "Date"), ("Reply-To", "ReplyTo")];
    let single = single.into_iter().filter_map(|(name, field)| Some((name, text_of(fields, field)?)));
    let mut mail = Mail::read_headers(&header_block(header(fields).chain(single).chain(apart)));
    if !from.is_empty() {
        mail.from = from.into_iter().next();
    }
    for (column, parties) in [(&mut mail.to, to), (&mut mail.cc, cc), (&mut mail.bcc, bcc)] {
        if !parties.is_empty() {
            *column = parties;
        }
    }
    mail.subject = text_of(fields, "Subject").map(str::to_owned).or(mail.subject.take());
    mail
}

/// The pairs of `Headers`.
fn header(fields: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = fields.get("Headers").and_then(Value::as_array).into_iter().flatten();
    pairs.filter_map(|pair| Some((pair.get("Name")?.as_str()?, pair.get("Value")?.as_str()?)))
}

/// One party or a list of them, each with its parts.
fn full_parties(value: Option<&Value>) -> Vec<Party> {
    let parties = match value {
        Some(Value::Array(parties)) => parties.as_slice(),
        Some(party) => std::slice::from_ref(party),
        None => &[],
    };
    let party = |party: &Value| {
        let text = |name| party.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let party = Party { address: text("Email").and_then(address::email), name: text("Name").map(str::to_owned) };
        Some(party).filter(|party| party.address.is_some() || party.name.is_some())
    };
    parties.iter().filter_map(party).collect()
}

/// Whom Postmark had it from and took it in for: what it says itself, before what stands in the mail.
fn envelope(fields: &Map<String, Value>, mail: &mut Mail) -> Envelope {
    let in_mail = std::mem::take(&mut mail.delivered);
    // Its `Return-Path` is in front of the other fields.
    let sender = header(fields).find(|(name, _)| name.eq_ignore_ascii_case("return-path"));
    let sender = sender.map(|(_, value)| value.trim().trim_start_matches('<').trim_end_matches('>').to_owned());
    let recipients = match text_of(fields, "OriginalRecipient") {
        Some(recipient) => vec![recipient.to_owned()],
        None => in_mail.recipients,
    };
    Envelope { sender: sender.or(in_mail.sender), recipients }
}

/// The files, each decoded once and straight from the body.
fn attach(mail: &mut Mail, files: Option<&RawValue>, budget: &mut Budget, notes: &mut Notes) -> Result<(), BadReason> {
    let Some(files) = files else { return Ok(()) };
    for mut file in Object::elements(files, FILES)? {
        // The button that tries an address out has another name for it.
        let content = file.take_text("Content").or_else(|| file.take_text("Data"));
        let said = file.into_map(budget, notes)?;
        let content_id = text_of(&said, "ContentID").map(|id| id.trim_matches(['<', '>', ' ']).to_owned());
        let content_id = content_id.filter(|id| !id.is_empty());
        let about = About {
            filename: text_of(&said, "Name").map(str::to_owned),
            content_type: text_of(&said, "ContentType").map(|value| media::essence(value).to_ascii_lowercase()),
            disposition: Some(if content_id.is_some() { "inline" } else { "attachment" }.to_owned()),
            content_id,
        };
        let decoded = content.map_or_else(Decoded::default, Text::decode_base64);
        if decoded.damaged {
            mail.notes.note("attachments", "base64");
            mail.undecodable = true;
        }
        mail.attachments.push(Attached::of(about, decoded.bytes.into()));
    }
    Ok(())
}

/// Keeps what has no column. A field of ours goes before one that Postmark may add.
fn keep(mail: &mut Mail, fields: Map<String, Value>) {
    let kept = |name: &str, value: &Value| !ELSEWHERE.contains(&name) && !answers::is_empty(value);
    for (name, value) in fields.into_iter().filter(|(name, value)| kept(name, value)) {
        mail.metadata.entry(snake_case(&name)).or_insert(value);
    }
}

fn text_of<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_str().filter(|text| !text.is_empty())
}
