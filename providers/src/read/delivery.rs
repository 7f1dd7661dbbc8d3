//! What became of a message that was sent: the state, and the code of what went wrong.

use proto::Kind;
use proto::canonical::StatusFields;
use serde_json::Value;

use super::draft::Draft;
use crate::record::Identity;

/// Makes a status of a draft whose id, parties and time are filled in.
///
/// A state comes repeated and out of order: the id, the state and the recipients as they were written tell it from
/// others. Without an id, the content is all there is.
pub(crate) fn fill(draft: &mut Draft, status: String, code: Option<String>) {
    draft.kind = Kind::Status;
    if let Some(id) = draft.provider_message_id.clone() {
        let recipients = draft.content.recipients.iter().cloned();
        let mut ids: Vec<String> = [id, status.clone()].into_iter().chain(recipients).collect();
        // A place for the recipient is there also where none is written.
        ids.resize(ids.len().max(3), String::new());
        draft.identity = Identity::Provided(ids);
    }
    if let Some(code) = &code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }
    draft.status = Some(StatusFields {
        status,
        occurred_at: draft.sent_at,
        recipient: draft.recipients.first().and_then(|recipient| recipient.address.clone()),
        // Zero says that there was no error.
        error_code: code.filter(|code| code.bytes().any(|byte| byte != b'0')),
    });
}
