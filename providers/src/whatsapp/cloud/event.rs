//! What is no message: states of messages that were sent, errors, and everything else that an account hears of.

use proto::canonical::StatusFields;
use proto::{Kind, Recipient, canonical::Role};
use serde_json::{Map, Value, json};

use super::value::{self, Account, Context, error_code, object, seconds, text};
use crate::dedup::canonical_json;
use crate::read::draft::Draft;
use crate::record::Identity;
use crate::whatsapp::person::person;

/// The texts that have a column of their own.
const COLUMNS: [&str; 2] = ["id", "status"];

/// The state of a message. States come repeated and in any order, and `read` may come without `delivered`.
pub(super) fn status(context: &Context<'_>, element: &Map<String, Value>) -> Draft {
    let mut draft = Draft::new(Kind::Status);
    let state = text(element, "status").unwrap_or("unknown");
    let code = error_code(super::list(element, "errors"));
    draft.provider_message_id = text(element, "id").map(str::to_owned);
    draft.sent_at = seconds(element, "timestamp");
    draft.metadata = value::rest(element, &COLUMNS);
    context.describe(&mut draft.metadata);
    if let Some(code) = &code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }

    let (number, user) = (text(element, "recipient_id"), text(element, "recipient_user_id"));
    if let Some(contact) = context.contact(number, user) {
        contact.describe(&mut draft.metadata, false);
    }
    let to = person(number, user);
    let business = context.business();
    if let (Some("group"), Some(to)) = (text(element, "recipient_type"), &to) {
        draft.conversation = Some(to.written.clone());
    }
    let mut ids = vec![state.to_owned()];
    ids.extend(to.as_ref().map(|to| to.written.clone()));
    // In a group each member has a state.
    let mut members: Vec<_> = element.iter().filter(|(name, _)| name.contains("participant")).collect();
    members.sort_unstable_by_key(|(name, _)| name.as_str());
    ids.extend(members.into_iter().map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    // A payment can fail and be tried again; a message's state comes once.
    if let Some(of) = text(element, "type").filter(|of| *of != "message") {
        ids.push(of.to_owned());
        ids.extend(element.get("timestamp").map(Value::to_string));
    }
    if let Some(id) = &draft.provider_message_id {
        ids.insert(0, id.clone());
        draft.identity = Identity::Provided(ids);
    }
    draft.status = Some(StatusFields {
        status: state.to_owned(),
        occurred_at: draft.sent_at,
        recipient: to.as_ref().and_then(|to| to.party.address.clone()),
        error_code: code,
    });
    super::message::address(&mut draft, business, to);
    draft.content.element = canonical_json(&Value::Object(element.clone())).into();
    draft
}

/// An error that belongs to no message.
pub(super) fn error(context: &Context<'_>, element: &Map<String, Value>) -> Draft {
    let mut draft = Draft::new(Kind::Error);
    let error = Value::Object(element.clone());
    let code = error_code(std::slice::from_ref(&error));
    draft.status =
        Some(StatusFields { status: "error".to_owned(), occurred_at: None, recipient: None, error_code: code });
    if let Some(business) = context.business() {
        draft.content.recipients.push(business.written);
        let party = business.party;
        draft.recipients.push(Recipient { address: party.address, name: party.name, role: Role::To });
    }
    draft.content.element = canonical_json(&json!([context.account(), error])).into();
    draft.metadata.insert("errors".to_owned(), Value::Array(vec![error]));
    context.describe(&mut draft.metadata);
    draft
}

/// Any other change: a template's approval, a quality rating, a call, or a field that is newer than this. What it says
/// has no form that all of them share, so it is kept whole.
///
/// Meta gives it no id. Where it says when, then account, time and all that it says are one: a repeat of it is known for
/// as long as an id's is. Where it does not, equal content is a guess, and short.
pub(super) fn account(account: &Account, field: &str, change: &Map<String, Value>) -> Draft {
    let about = &account.about;
    let mut draft = Draft::new(Kind::AccountEvent);
    draft.sent_at = seconds(about, "time");
    draft.metadata.clone_from(change);
    let rest = about.iter().filter(|(name, _)| *name != "id");
    let rest: Map<_, _> = rest.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in [
        ("waba_id", about.get("id").cloned()),
        ("entry", Some(rest).filter(|rest| !rest.is_empty()).map(Value::Object)),
    ] {
        if let Some(value) = value {
            draft.metadata.insert(name.to_owned(), value);
        }
    }
    let element = canonical_json(&json!([about, change]));
    if super::FIELDS.contains(&field) {
        return draft.ignored(element);
    }
    if draft.sent_at.is_some() {
        let hash = blake3::hash(&element).to_hex().to_string();
        draft.identity = Identity::Provided(vec![field.to_owned(), hash]);
    }
    let event = object(change, "value").and_then(|value| text(value, "event")).unwrap_or(field);
    let occurred_at = draft.sent_at;
    draft.status = Some(StatusFields { status: event.to_owned(), occurred_at, recipient: None, error_code: None });
    draft.content.element = element.into();
    draft
}

/// What holds nothing for us: another object, an entry without changes.
pub(super) fn nothing(value: &Value) -> Draft {
    let mut draft = Draft::new(Kind::AccountEvent).ignored(canonical_json(value));
    draft.metadata.insert("value".to_owned(), value.clone());
    draft
}
