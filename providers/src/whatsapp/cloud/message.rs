//! Messages: what people write to us, and echoes of what was written for us in the phone's own app. Reactions, edits and
//! deletions are messages with an id of their own that name another one.

use proto::canonical::Role;
use proto::{Attachment, Kind, Recipient};
use serde_json::{Map, Value};

use super::value::{self, Contact, Context, error_code, list, object, seconds, text};
use crate::dedup::canonical_json;
use crate::read::draft::Draft;
use crate::read::{json, multipart};
use crate::record::Identity;
use crate::whatsapp::person::{Person, person};

/// The texts that have a column of their own.
const COLUMNS: [&str; 3] = ["id", "from", "to"];

/// A message to us.
pub(super) fn received(context: &Context<'_>, element: &Map<String, Value>) -> Draft {
    let (number, user) = (text(element, "from"), text(element, "from_user_id"));
    let contact = context.contact(number, user);
    let mut draft = read(context, element);
    let from = named(&mut draft, number, user, contact);
    address(&mut draft, from, context.business());
    identify(&mut draft, element);
    draft
}

/// A message of ours, to somebody.
pub(super) fn echoed(context: &Context<'_>, element: &Map<String, Value>) -> Draft {
    let (number, user) = (text(element, "to"), text(element, "to_user_id"));
    let contact = context.contact(number, user);
    let mut draft = read(context, element);
    draft.kind = Kind::Echo;
    let to = named(&mut draft, number, user, contact);
    address(&mut draft, person(text(element, "from"), None).or_else(|| context.business()), to);
    identify(&mut draft, element);
    draft
}

/// Somebody with what the contacts say: the name, and the number where only they have it.
fn named(draft: &mut Draft, number: Option<&str>, user: Option<&str>, contact: Option<Contact<'_>>) -> Option<Person> {
    let mut person = person(number.or_else(|| contact?.number()), user);
    if let (Some(person), Some(contact)) = (&mut person, contact) {
        person.party.name = contact.name().map(str::to_owned);
        contact.describe(&mut draft.metadata, true);
    }
    person
}

/// Puts both sides in, and how they were written where that is something else.
pub(super) fn address(draft: &mut Draft, from: Option<Person>, to: Option<Person>) {
    for (name, person) in [("from_raw", &from), ("to_raw", &to)] {
        if let Some(person) = person.as_ref().filter(|person| person.party.address.as_ref() != Some(&person.written)) {
            draft.metadata.insert(name.to_owned(), Value::String(person.written.clone()));
        }
    }
    if let Some(from) = from {
        draft.sender = Some(from.party);
        draft.content.sender = Some(from.written);
    }
    if let Some(to) = to {
        draft.recipients.push(Recipient { address: to.party.address, name: to.party.name, role: Role::To });
        draft.content.recipients.push(to.written);
    }
}

/// The message's own id; without one, what it does to which message, when and by whom.
fn identify(draft: &mut Draft, element: &Map<String, Value>) {
    draft.content.element = canonical_json(&Value::Object(element.clone())).into();
    let acts = matches!(draft.kind, Kind::Reaction | Kind::Edit | Kind::Delete);
    draft.identity = match (&draft.provider_message_id, &draft.reply_to_id) {
        (Some(id), _) => Identity::Provided(vec![id.clone()]),
        (None, Some(target)) if acts => {
            Identity::Provided(vec![target.clone(), blake3::hash(&draft.content.element).to_hex().to_string()])
        }
        _ => Identity::None,
    };
}

/// Everything but who wrote to whom.
fn read(context: &Context<'_>, element: &Map<String, Value>) -> Draft {
    let mut draft = Draft::new(Kind::Message);
    draft.provider_message_id = text(element, "id").map(str::to_owned);
    draft.sent_at = seconds(element, "timestamp");
    draft.conversation = text(element, "group_id").map(str::to_owned);
    draft.metadata = value::rest(element, &COLUMNS);
    if let Some(context) = object(element, "context") {
        draft.reply_to_id = text(context, "id").map(str::to_owned);
        for name in ["forwarded", "frequently_forwarded"] {
            if let Some(value) = context.get(name) {
                draft.metadata.insert(name.to_owned(), value.clone());
            }
        }
    }
    if let Some(code) = error_code(list(element, "errors")) {
        draft.metadata.insert("error_code".to_owned(), Value::String(code));
    }
    let name = text(element, "type").unwrap_or_default();
    match object(element, name) {
        Some(body) => fill(&mut draft, name, body),
        None if KNOWN.contains(&name) => {}
        None => draft.kind = Kind::Unsupported,
    }
    // What is more than a text or a file is told apart by all of it: a thumb up for one message is none for another.
    if name != "text" && draft.attachments.is_empty() {
        draft.content.fields = element.get(name).map(canonical_json);
    }
    // Last: whatever a type is called, it is not what we route by.
    context.describe(&mut draft.metadata);
    draft.content.text.clone_from(&draft.text);
    draft
}

/// Types whose content is none that we take apart.
const KNOWN: [&str; 2] = ["contacts", "location"];

/// The content, by type. What has no place is in the metadata, under the type's name, as it came.
fn fill(draft: &mut Draft, name: &str, content: &Map<String, Value>) {
    let text_of = |name| text(content, name).map(str::to_owned);
    match name {
        "text" => {
            draft.text = content.get("body").and_then(Value::as_str).map(str::to_owned);
            if draft.text.is_some() && content.len() == 1 {
                draft.metadata.remove("text");
            }
        }
        "image" | "video" | "audio" | "voice" | "document" | "sticker" => fill_media(draft, content),
        "button" | "order" => draft.text = text_of("text"),
        "interactive" => fill_interactive(draft, content),
        "reaction" => {
            draft.kind = Kind::Reaction;
            draft.reply_to_id = text_of("message_id");
            draft.text = text_of("emoji");
            if draft.text.is_none() {
                draft.metadata.insert("removed".to_owned(), Value::Bool(true));
            }
        }
        "edit" => {
            draft.kind = Kind::Edit;
            draft.reply_to_id = text_of("original_message_id");
        }
        "revoke" => {
            draft.kind = Kind::Delete;
            draft.reply_to_id = text_of("original_message_id");
        }
        "system" => {
            draft.kind = Kind::System;
            let is_same = text(content, "type") == Some("customer_identity_changed");
            let number = content.get("wa_id").or_else(|| content.get("new_wa_id"));
            if let Some(number) = number.filter(|_| !is_same) {
                draft.metadata.insert("new_wa_id".to_owned(), number.clone());
            }
        }
        name if KNOWN.contains(&name) => {}
        _ => draft.kind = Kind::Unsupported,
    }
}

/// A reference to a file: its id is good for days and needs the account's token, its URL for minutes.
fn fill_media(draft: &mut Draft, content: &Map<String, Value>) {
    draft.text = text(content, "caption").map(str::to_owned);
    for name in ["voice", "animated"] {
        if let Some(value) = content.get(name) {
            draft.metadata.insert(name.to_owned(), value.clone());
        }
    }
    let (id, url) = (text(content, "id"), text(content, "url"));
    draft.content.attachments.extend(text(content, "sha256").or(id).or(url).map(str::to_owned));
    draft.attachments.push(Attachment {
        filename: text(content, "filename").map(multipart::file_name),
        content_type: text(content, "mime_type").map(str::to_owned),
        size: None,
        blake3: None,
        disposition: Some("attachment".to_owned()),
        content_id: None,
        location: url.or(id).map(str::to_owned),
    });
}

/// An answer to buttons, a list or a form of ours: what was chosen has an id that we gave it.
fn fill_interactive(draft: &mut Draft, content: &Map<String, Value>) {
    let Some(name) = text(content, "type") else { return };
    let Some(reply) = object(content, name) else { return };
    draft.text = text(reply, "title").or_else(|| text(reply, "body")).map(str::to_owned);
    if let Some(answers) = text(reply, "response_json").and_then(|text| json::read(text.as_bytes()).ok()) {
        draft.note_json(answers.notes);
        draft.metadata.insert("response".to_owned(), answers.value);
    }
    let rest = content.iter().filter(|(other, _)| *other != "type" && *other != name);
    draft.metadata.extend(rest.map(|(other, value)| (format!("interactive_{other}"), value.clone())));
    draft.metadata.insert(name.to_owned(), Value::Object(reply.clone()));
    draft.metadata.insert("interactive".to_owned(), Value::String(name.to_owned()));
}
