//! Sinch's delivery reports: of one recipient, or of a whole batch, which becomes a record for each recipient that is
//! listed and one for each state without a list.
//!
//! What is common to many recipients is in the record of each, so what a report may grow to is bounded.

use bytes::Bytes;
use proto::Kind;
use serde_json::{Map, Value};

use super::unknown;
use crate::dedup::canonical_json;
use crate::read::draft::Draft;
use crate::read::{address, delivery, moment, object};
use crate::record::{BadReason, Identity};

/// Records that one report may become.
const RECIPIENTS: usize = 10_000;
/// Bytes that all of them together may repeat of the report.
const REPEATED: usize = 16 * 1024 * 1024;

/// The state of one message to one recipient.
pub(super) fn of_recipient(mut event: Map<String, Value>) -> Draft {
    let (from, to) = (object::take(&mut event, "applied_originator"), object::take(&mut event, "recipient"));
    let batch = object::take(&mut event, "batch_id");
    let mut draft = status(&event, batch, to, from);
    draft.keep(event);
    draft
}

/// The states of a batch.
pub(super) fn of_batch(mut event: Map<String, Value>) -> Result<Vec<Result<Draft, BadReason>>, BadReason> {
    let states = take_array(&mut event, "statuses");
    if states.is_empty() {
        return Ok(vec![Ok(unknown(event))]);
    }
    let written_batch = event.get("batch_id").cloned().unwrap_or_default();
    let batch = object::take(&mut event, "batch_id");
    let common = event.iter().map(|(name, value)| name.len() + value.to_string().len()).sum::<usize>();
    let mut repeated = 0;
    let mut drafts = Vec::new();
    for state in states {
        let Value::Object(mut state) = state else {
            drafts.push(Err(BadReason::NotAnObject));
            continue;
        };
        let recipients = take_array(&mut state, "recipients");
        let recipients: Vec<_> = recipients.into_iter().map(written).map(Some).collect();
        let recipients = if recipients.is_empty() { vec![None] } else { recipients };
        // The batch is part of it, or equal states of two batches would be one.
        let element =
            Bytes::from(canonical_json(&Value::Array(vec![written_batch.clone(), Value::Object(state.clone())])));
        repeated += recipients.len() * (common + element.len());
        if drafts.len() + recipients.len() > RECIPIENTS || repeated > REPEATED {
            return Err(BadReason::TooMany);
        }
        for recipient in recipients {
            let is_summary = recipient.is_none();
            let mut draft = status(&state, batch.clone(), recipient, None);
            if let (true, Identity::Provided(id)) = (is_summary, &mut draft.identity) {
                // A state is there once for each code, and comes again with another count.
                id.extend(["code", "count"].map(|name| object::text(&state, name).unwrap_or_default()));
            }
            draft.content.element.clone_from(&element);
            draft.keep(state.clone().into_iter().chain(event.clone()));
            drafts.push(Ok(draft));
        }
    }
    Ok(drafts)
}

/// A text as it is, anything else as its JSON.
fn written(value: Value) -> String {
    if let Value::String(text) = value { text } else { value.to_string() }
}

/// The values of a list, taken out; what is no list stays.
fn take_array(map: &mut Map<String, Value>, name: &str) -> Vec<Value> {
    match map.get_mut(name) {
        Some(Value::Array(values)) => {
            let values = std::mem::take(values);
            map.remove(name);
            values
        }
        _ => Vec::new(),
    }
}

fn status(report: &Map<String, Value>, batch: Option<String>, to: Option<String>, from: Option<String>) -> Draft {
    let time = |name: &str| moment::read(report.get(name)?.as_str()?);
    let mut draft = Draft::new(Kind::Status);
    draft.provider_message_id = batch;
    draft.sent_at = time("at");
    address::parties(&mut draft, from, to, address::international);
    let state = object::text(report, "status").unwrap_or_else(|| "unknown".to_owned());
    delivery::fill(&mut draft, state, object::text(report, "code"));
    if let (Some(status), Some(at)) = (&mut draft.status, time("operator_status_at")) {
        status.occurred_at = Some(at);
    }
    draft
}
