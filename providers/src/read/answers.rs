//! The answers of a hosted form (Typeform, Tally, Jotform), which says of each what kind of question it answers: so the
//! sender and the text are found whatever language the form speaks.

use proto::{Attachment, Millis, Party};
use serde_json::{Map, Value};

use super::draft::Draft;
use super::{address, fields};
use crate::dedup::canonical_json;
use crate::record::Identity;
use crate::settings::SourceSettings;

/// What a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A text of several lines.
    Text,
    /// A text of one line.
    Line,
    /// Anything else.
    Other,
}

/// Bytes that answers may take together from what is said once in a request and referred to: titles, options. A small
/// body must not become a large record.
pub(crate) const REPEATED: usize = 16 * 1024 * 1024;

/// One question with its answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What the person who filled it in read. May be empty, and the same for several.
    pub(crate) label: String,
    /// What the provider calls it.
    pub(crate) key: String,
    pub(crate) asks: Asks,
    pub(crate) value: Value,
}

/// Fills the columns from the answers, and keeps all of them under `metadata.fields`, by label.
pub(crate) fn fill(draft: &mut Draft, answers: Vec<Answer>, settings: &SourceSettings) {
    let text = text_by_kind(&answers, settings);
    let sender = sender_by_kind(&answers);
    let mut map = Map::new();
    for answer in answers {
        insert(&mut map, answer);
    }
    draft.text = fields::text(&map, settings).or(text);
    draft.subject = fields::first(&map, &["subject"]);
    draft.sender = match sender {
        Some(address) => Some(Party { address: Some(address), name: fields::first(&map, &["name"]) }),
        None => fields::sender(&map),
    };
    let fields = Value::Object(map);
    draft.content.fields = Some(canonical_json(&fields));
    draft.metadata.insert("fields".to_owned(), fields);
}

/// The id of the response is its identity, as long as the event is of the kind that comes once for each; of any other,
/// such as one for a response that is not complete, several may come, and only the event's own id tells them apart.
pub(crate) fn identify(
    draft: &mut Draft,
    id: Option<String>,
    kind: Option<String>,
    kind_of_responses: &str,
    event_id: Option<String>,
) {
    let is_response = kind.as_deref().is_none_or(|kind| kind == kind_of_responses);
    draft.identity = match (&id, event_id) {
        (Some(id), _) if is_response => Identity::Provided(vec![id.clone()]),
        (id, Some(event_id)) => Identity::Provided([id.clone(), kind, Some(event_id)].into_iter().flatten().collect()),
        (_, None) => Identity::None,
    };
    draft.provider_message_id = id;
}

/// An event that holds no form, kept whole.
pub(crate) fn ignored(mut draft: Draft, event: Map<String, Value>, event_id: Option<String>) -> Draft {
    draft.identity = event_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.provider_message_id = event_id;
    draft.metadata.insert("fields".to_owned(), Value::Object(event));
    let element = std::mem::take(&mut draft.content.element);
    draft.ignored(element)
}

/// A file that the provider keeps.
pub(crate) fn attach(draft: &mut Draft, url: &str, file: Attachment) {
    draft.content.attachments.push(url.to_owned());
    draft.attachments.push(Attachment {
        disposition: Some("attachment".to_owned()),
        location: Some(url.to_owned()),
        ..file
    });
}

/// A file of which nothing is known yet.
pub(crate) const UNKNOWN: Attachment = Attachment {
    filename: None,
    content_type: None,
    size: None,
    blake3: None,
    disposition: None,
    content_id: None,
    location: None,
};

/// Keeps the fields of `from` with these names; the second name is ours.
pub(crate) fn keep(draft: &mut Draft, from: &Map<String, Value>, names: &[(&str, &str)]) {
    for (theirs, ours) in names {
        if let Some(value) = from.get(*theirs).filter(|value| !is_empty(value)) {
            draft.metadata.insert((*ours).to_owned(), value.clone());
        }
    }
}

/// The text of this field, if there is any.
pub(crate) fn text_of(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The time of this field.
pub(crate) fn time_of(map: &Map<String, Value>, name: &str) -> Option<Millis> {
    map.get(name)?.as_str()?.parse().ok()
}

/// Whether there is nothing in a value.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Under its label; where two have the same, the second under label and key, so that none is lost.
fn insert(map: &mut Map<String, Value>, answer: Answer) {
    let Answer { label, key, value, .. } = answer;
    let mut name = if label.is_empty() { key.clone() } else { label };
    if map.contains_key(&name) {
        name = format!("{name} ({key})");
    }
    match map.get_mut(&name) {
        None => drop(map.insert(name, value)),
        Some(Value::Array(values)) => values.push(value),
        Some(only) => *only = Value::Array(vec![only.take(), value]),
    }
}

/// The text where the labels do not tell it: the answer that the source names by its key; or the first of several lines,
/// or else the first of one that is no name and no subject.
fn text_by_kind(answers: &[Answer], settings: &SourceSettings) -> Option<String> {
    let text = |answer: &Answer| answer.value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    if !settings.text_fields.is_empty() {
        let named = |name: &String| answers.iter().filter(|answer| answer.key == *name).find_map(text);
        return settings.text_fields.iter().find_map(named);
    }
    let of = |asks| answers.iter().filter(move |answer| answer.asks == asks);
    let is_column = |answer: &&Answer| ["name", "subject"].iter().any(|name| answer.label.eq_ignore_ascii_case(name));
    of(Asks::Text).find_map(text).or_else(|| of(Asks::Line).filter(|answer| !is_column(answer)).find_map(text))
}

fn sender_by_kind(answers: &[Answer]) -> Option<String> {
    let first = |asks, normal: fn(&str) -> Option<String>| {
        answers.iter().filter(|answer| answer.asks == asks).find_map(|answer| normal(answer.value.as_str()?))
    };
    first(Asks::Email, address::email).or_else(|| first(Asks::Phone, address::phone))
}

#[cfg(test)]
mod tests {
    use proto::Kind;
    use serde_json::json;

    use super::*;

    fn answer(label: &str, key: &str, asks: Asks, value: Value) -> Answer {
        Answer { label: label.to_owned(), key: key.to_owned(), asks, value }
    }

    fn draft(answers: Vec<Answer>, text_fields: &[&str]) -> Draft {
        let text_fields = text_fields.iter().map(|name| (*name).to_owned()).collect();
        let mut draft = Draft::new(Kind::Message);
        fill(&mut draft, answers, &SourceSettings { text_fields, ..SourceSettings::default() });
        draft
    }

    #[test]
    fn no_answer_is_lost_where_labels_are_equal_or_missing() {
        let answers = ["a", "b", "b", "c"].map(|key| answer("Day", key, Asks::Other, json!(key))).into_iter();
        let draft = draft(answers.chain([answer("", "d", Asks::Other, json!(null))]).collect(), &[]);
        let expected = json!({ "Day": "a", "Day (b)": ["b", "b"], "Day (c)": "c", "d": null });
        assert_eq!(draft.metadata["fields"], expected);
    }

    #[test]
    fn the_text_and_the_sender_are_told_by_the_kind_of_question() {
        let answers = || {
            vec![
                answer("Name", "n", Asks::Line, json!("Ida")),
                answer("Telefon", "t", Asks::Phone, json!("+49 30 901820")),
                answer("Ort", "o", Asks::Line, json!("Kiel")),
                answer("Nachricht", "m", Asks::Text, json!("Hallo")),
            ]
        };
        let read = draft(answers(), &[]);
        assert_eq!(read.text.as_deref(), Some("Hallo"));
        let sender = read.sender.unwrap();
        assert_eq!((sender.address.as_deref(), sender.name.as_deref()), (Some("+4930901820"), Some("Ida")));
        assert_eq!(draft(answers(), &["o"]).text.as_deref(), Some("Kiel"), "named by its key");
        assert_eq!(draft(answers(), &["ort"]).text.as_deref(), Some("Kiel"), "named by its label");
        assert_eq!(draft(answers(), &["x"]).text, None);
        assert_eq!(draft(answers().into_iter().take(3).collect(), &[]).text.as_deref(), Some("Kiel"));
    }
}
