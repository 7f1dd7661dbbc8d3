//! Events that each hold one submitted form as JSON: what Typeform, Tally and their like have in common. A provider says
//! what it calls things, and finds the answers.

use proto::{Kind, Millis};
use serde_json::{Map, Value};

use crate::read::answers::{self, Answer};
use crate::read::draft::{Draft, REPEATED};
use crate::read::names::snake_case;
use crate::read::{body, json};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::settings::SourceSettings;

/// What a provider calls the parts of an event that all of them have.
pub(super) struct Names {
    /// The event's own id.
    pub(super) id: &'static str,
    /// What kind of event it is.
    pub(super) kind: &'static str,
    /// Where the submitted form is in it.
    pub(super) form: &'static str,
    /// The kind that comes once for each response.
    pub(super) response: &'static str,
}

/// One submitted form.
pub(super) struct Submission {
    pub(super) id: Option<String>,
    pub(super) sent_at: Option<Millis>,
    pub(super) answers: Vec<Answer>,
    /// Everything else that is said about it, under our names.
    pub(super) about: Map<String, Value>,
}

/// Finds the submitted form in an event, where it holds one.
type FindSubmission = fn(&Map<String, Value>) -> Result<Option<Submission>, BadReason>;

/// Reads an event that holds one submitted form, or none: then it is ignored, and kept whole.
pub(super) fn read(
    raw: &RawRequest,
    settings: &SourceSettings,
    names: &Names,
    submission: FindSubmission,
) -> Result<Normalized, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let json = json::read(&bytes)?;
    let Value::Object(event) = json.value else { return Err(BadReason::NotAnObject) };
    let mut draft = Draft::new(Kind::Message);
    draft.note_json(json.notes);
    draft.content.element = bytes;
    let (id, kind) = (answers::text_of(&event, names.id), answers::text_of(&event, names.kind));
    answers::keep(&mut draft, &event, &[(names.id, "event_id"), (names.kind, "event_type")]);
    let Some(submission) = submission(&event)? else { return Ok(ignored(draft, event, id).alone(raw)) };
    let is_response = kind.as_deref().is_none_or(|kind| kind == names.response);
    identify(&mut draft, submission.id, kind.filter(|_| !is_response), id);
    draft.sent_at = submission.sent_at;
    answers::fill(&mut draft, submission.answers, settings);
    let beside = about(&event, &[names.form, names.id, names.kind]).into_iter();
    let beside = beside.map(|(name, value)| (format!("event_{name}"), value));
    for (name, value) in submission.about.into_iter().chain(beside).filter(|(_, value)| !answers::is_empty(value)) {
        draft.metadata.entry(name).or_insert(value);
    }
    Ok(draft.alone(raw))
}

/// The members of this object but for these, under our names.
pub(super) fn about(map: &Map<String, Value>, but: &[&str]) -> Map<String, Value> {
    let rest = map.iter().filter(|(name, _)| !but.contains(&name.as_str()));
    rest.map(|(name, value)| (snake_case(name), value.clone())).collect()
}

/// The elements of a list; what is no list is its only element, and nothing is none.
pub(super) fn elements(value: Option<&Value>) -> &[Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(values)) => values,
        Some(other) => std::slice::from_ref(other),
    }
}

/// Refuses what would make a small body a large record: these bytes of titles and options, said once and referred to.
pub(super) fn bounded(repeated: impl Iterator<Item = usize>) -> Result<(), BadReason> {
    if repeated.sum::<usize>() > REPEATED { Err(BadReason::TooMany) } else { Ok(()) }
}

/// The id of the response is its identity, as long as the event is of the kind that comes once for each; of any `other`
/// kind, such as one for a response that is not complete, several may come, and only the event's own id tells them apart.
fn identify(draft: &mut Draft, id: Option<String>, other: Option<String>, event_id: Option<String>) {
    draft.identity = match (&id, event_id) {
        (Some(id), _) if other.is_none() => Identity::Provided(vec![id.clone()]),
        (id, Some(event_id)) => Identity::Provided([id.clone(), other, Some(event_id)].into_iter().flatten().collect()),
        (_, None) => Identity::None,
    };
    draft.provider_message_id = id;
}

/// An event that holds no form, kept whole.
fn ignored(mut draft: Draft, event: Map<String, Value>, event_id: Option<String>) -> Draft {
    draft.identity = event_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.provider_message_id = event_id;
    draft.metadata.insert("fields".to_owned(), Value::Object(event));
    let element = std::mem::take(&mut draft.content.element);
    draft.ignored(element)
}
