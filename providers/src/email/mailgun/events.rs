//! Tracking webhooks: what became of a mail that was sent.

use proto::canonical::StatusFields;
use proto::{Kind, Millis, Recipient, Role};
use serde_json::{Map, Value};

use crate::dedup::canonical_json;
use crate::read::draft::Draft;
use crate::read::{address, answers, json, parameters};
use crate::record::{BadReason, Identity};

/// The part of the body that is the event; what is beside it is the signature.
const EVENT: &str = "event-data";

pub(super) fn read(bytes: &[u8]) -> Result<Draft, BadReason> {
    let json = json::read(bytes)?;
    let Value::Object(mut body) = json.value else { return Err(BadReason::NotAnObject) };
    body.remove("signature");
    let element = canonical_json(&Value::Object(body.clone()));
    let mut draft = Draft::new(Kind::Status);
    draft.note_json(json.notes);
    let mut event = match body.remove(EVENT) {
        Some(Value::Object(event)) => event,
        _ => Map::new(),
    };
    let status = answers::text_of(&event, "event");
    let written = answers::text_of(&event, "recipient");
    draft.provider_message_id = message_id(&event);
    draft.sent_at = event.get("timestamp").and_then(seconds);
    if let Some(id) = answers::text_of(&event, "id") {
        draft.identity = Identity::Provided(vec![id]);
    }
    let error_code = status.as_deref().filter(|status| is_failure(status)).and_then(|_| code(&event));
    for (name, kept) in [("event", None), ("timestamp", None), ("recipient", None), ("id", Some("event_id"))] {
        if let (Some(value), Some(kept)) = (event.remove(name), kept) {
            draft.metadata.insert(kept.to_owned(), value);
        }
    }
    for (name, value) in event.into_iter().chain(body) {
        draft.metadata.entry(name.replace('-', "_")).or_insert(value);
    }
    let Some(status) = status else { return Ok(draft.ignored(element)) };
    draft.content.element = element.into();
    let recipient = written.as_deref().and_then(address::email);
    draft.content.recipients.extend(written);
    draft.recipients.extend(recipient.clone().map(|address| Recipient {
        address: Some(address),
        name: None,
        role: Role::To,
    }));
    draft.status = Some(StatusFields { status, occurred_at: draft.sent_at, recipient, error_code });
    Ok(draft)
}

/// The `Message-ID` of the mail, which is what Mailgun answers a sender with.
fn message_id(event: &Map<String, Value>) -> Option<String> {
    let id = event.get("message")?.get("headers")?.get("message-id")?.as_str()?;
    Some(id.trim_matches(['<', '>', ' ']).to_owned()).filter(|id| !id.is_empty())
}

fn is_failure(status: &str) -> bool {
    matches!(status, "failed" | "rejected" | "bounced" | "dropped")
}

/// What the other server said, as a number.
fn code(event: &Map<String, Value>) -> Option<String> {
    let code = event.get("delivery-status")?.get("code")?.clone();
    Some(parameters::text(code)).filter(|code| !matches!(code.as_str(), "" | "0"))
}

/// Seconds with a fraction.
fn seconds(value: &Value) -> Option<Millis> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction of a millisecond is cut, and `as` keeps within the type"
    )]
    Millis::from_unix((seconds * 1000.0).floor() as i64)
}
