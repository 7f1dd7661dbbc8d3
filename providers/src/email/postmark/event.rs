//! What Postmark reports about mail that its user sent: it comes to the same address where the user enters one URL for
//! both. Each is a status of that mail, its state the `RecordType`.

use proto::canonical::StatusFields;
use proto::{Kind, Recipient};
use serde_json::{Map, Value};

use crate::read::draft::Draft;
use crate::read::names::snake_case;
use crate::read::{address, answers, moment};
use crate::record::Identity;

/// The field that says what a payload is; mail that came in has none today.
pub(super) const RECORD_TYPE: &str = "RecordType";
/// What it would be if mail that came in had one.
pub(super) const INBOUND: &str = "Inbound";

/// Where the records have the moment they are about, the type of each having its own.
const TIMES: [&str; 4] = ["BouncedAt", "DeliveredAt", "ReceivedAt", "ChangedAt"];
/// Whom the mail was for.
const RECIPIENTS: [&str; 2] = ["Recipient", "Email"];

/// Fills a record of this type.
pub(super) fn fill(draft: &mut Draft, record_type: &str, mut event: Map<String, Value>) {
    let state = snake_case(record_type);
    let time = TIMES.iter().find_map(|name| event.get(*name)?.as_str()).map(str::to_owned);
    let recipient = RECIPIENTS.iter().find_map(|name| text(event.get(*name)?));
    let recipient_address = recipient.as_deref().and_then(address::email);
    draft.provider_message_id = event.get("MessageID").and_then(text);
    draft.identity = identity(&event, &state, time.as_deref(), recipient_address.as_deref());
    draft.sent_at = time.as_deref().and_then(moment::read);
    draft.recipients.extend(recipient_address.clone().map(Recipient::to));
    draft.status = Some(StatusFields {
        occurred_at: draft.sent_at,
        recipient: recipient_address,
        error_code: event.get("TypeCode").filter(|code| code.is_number()).map(Value::to_string),
        status: state,
    });
    draft.content.recipients.extend(recipient);
    // Without a mail and a recipient it is about the account.
    if draft.provider_message_id.is_none() && draft.recipients.is_empty() {
        draft.kind = Kind::AccountEvent;
    }
    event.retain(|name, value| name != "MessageID" && !RECIPIENTS.contains(&&**name) && !answers::is_empty(value));
    for (name, value) in event {
        let ours = snake_case(&name);
        // Two names that differ in case only are two.
        let ours = if draft.metadata.contains_key(&ours) { name } else { ours };
        draft.metadata.insert(ours, value);
    }
}

/// The mail, the state and the recipient; and as a mail is opened again and bounces again, the moment, the record's own
/// id and the link that was followed.
fn identity(event: &Map<String, Value>, state: &str, time: Option<&str>, recipient: Option<&str>) -> Identity {
    let mail = event.get("MessageID").and_then(text);
    let own = event.get("ID").filter(|id| id.is_number() || text(id).is_some()).map(Value::to_string);
    if mail.is_none() && own.is_none() && time.is_none() {
        return Identity::None;
    }
    let link = event.get("OriginalLink").and_then(text);
    let parts = [mail, Some(state.to_owned()), recipient.map(str::to_owned), time.map(str::to_owned), own, link];
    Identity::Provided(parts.map(Option::unwrap_or_default).to_vec())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
}
