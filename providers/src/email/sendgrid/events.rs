//! The Event Webhook: what became of mails that were sent, a list of objects, each a status of its own.

use proto::canonical::StatusFields;
use proto::{Kind, Millis, Recipient, Role};
use serde_json::{Map, Value};

use crate::dedup::canonical_json;
use crate::read::draft::Draft;
use crate::read::{address, answers, json, parameters};
use crate::record::{BadElement, BadReason, Element, Identity, Normalized, RawRequest};

/// Events of one request taken at most.
const EVENTS: u32 = 10_000;

pub(super) fn read(bytes: &[u8], raw: &RawRequest) -> Result<Normalized, BadReason> {
    let json = json::read(bytes)?;
    let notes = json.notes;
    let values = match json.value {
        Value::Array(values) => values,
        one => vec![one],
    };
    if values.is_empty() {
        return Ok(Draft::new(Kind::AccountEvent).ignored(bytes.to_vec()).alone(raw));
    }
    let parts = u32::try_from(values.len()).ok().filter(|parts| *parts <= EVENTS).ok_or(BadReason::TooMany)?;
    let elements = (0..).zip(values).map(|(part, value)| -> Element {
        let Value::Object(event) = value else { return Err(BadElement { part, reason: BadReason::NotAnObject }) };
        let mut draft = event_of(event);
        draft.note_json(notes);
        Ok(Box::new(draft.finish(raw, part, parts)))
    });
    Ok(Normalized { parts, elements: elements.collect() })
}

fn event_of(mut event: Map<String, Value>) -> Draft {
    let mut draft = Draft::new(Kind::Status);
    let element = canonical_json(&Value::Object(event.clone()));
    let text = |name: &str| answers::text_of(&event, name);
    let (status, written, id) = (text("event"), text("email"), text("sg_event_id"));
    draft.provider_message_id = text("sg_message_id").or_else(|| text("smtp-id"));
    draft.sent_at = event.get("timestamp").and_then(seconds);
    let time = event.get("timestamp").cloned().map(parameters::text);
    let code = text("status");
    draft.identity = match (id, &draft.provider_message_id) {
        (Some(id), _) => Identity::Provided(vec![id]),
        // Events of before 2013 have no id.
        (None, Some(message)) => {
            let rest = [status.clone(), written.clone(), time].map(Option::unwrap_or_default);
            Identity::Provided([vec![message.clone()], rest.to_vec()].concat())
        }
        (None, None) => Identity::None,
    };
    for name in ["event", "email", "timestamp"] {
        event.remove(name);
    }
    for (name, value) in event {
        draft.metadata.entry(name.replace('-', "_")).or_insert(value);
    }
    let Some(status) = status else { return draft.ignored(element) };
    draft.content.element = element.into();
    let recipient = written.as_deref().and_then(address::email);
    draft.content.recipients.extend(written);
    draft.recipients.extend(recipient.clone().map(|address| Recipient {
        address: Some(address),
        name: None,
        role: Role::To,
    }));
    draft.status = Some(StatusFields { status, occurred_at: draft.sent_at, recipient, error_code: code });
    draft
}

fn seconds(value: &Value) -> Option<Millis> {
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    Millis::from_unix(seconds.checked_mul(1000)?)
}
