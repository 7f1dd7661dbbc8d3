//! From named fields to a message, for payloads whose fields only the operator knows: forms, and webhooks that belong
//! to no provider.

use proto::Party;
use serde_json::{Map, Value};

use super::address;
use super::draft::Draft;
use crate::dedup::canonical_json;
use crate::record::{Identity, RawRequest};
use crate::settings::SourceSettings;

/// The fields that hold the text where the source does not say.
const TEXT: [&str; 4] = ["message", "text", "body", "comment"];
const EMAIL: [&str; 3] = ["email", "e-mail", "mail"];
const PHONE: [&str; 2] = ["phone", "tel"];

/// Fills the columns from the fields, and keeps all of them under `metadata.fields`.
///
/// `part` is the element's place where the request is a batch: one header then names all of them, and the place tells
/// them apart.
pub(crate) fn fill(draft: &mut Draft, fields: Value, part: Option<u32>, raw: &RawRequest, settings: &SourceSettings) {
    let from_header = settings.id_header.as_deref().and_then(|name| raw.header(name)).filter(|id| !id.is_empty());
    let from_field = || scalar(reach(fields.as_object()?, settings.id_field.as_deref()?)?);
    draft.provider_message_id = from_header.map(str::to_owned).or_else(from_field);
    if let Some(id) = draft.provider_message_id.clone() {
        let place = part.filter(|_| from_header.is_some()).map(|part| part.to_string());
        draft.identity = Identity::Provided([Some(id), place].into_iter().flatten().collect());
    }
    if let Value::Object(map) = &fields {
        draft.text = text(map, settings);
        draft.subject = first(map, &["subject"]);
        draft.sender = sender(map);
        // Shown, but no identity: nobody said that the sender keeps it unique.
        draft.provider_message_id = draft.provider_message_id.take().or_else(|| scalar(map.get("id")?));
    }
    draft.content.fields = Some(canonical_json(&fields));
    draft.metadata.insert("fields".to_owned(), fields);
}

/// Takes the sender from `from` as well: how machines name themselves.
pub(crate) fn fill_from(draft: &mut Draft) {
    let Some(Value::Object(map)) = draft.metadata.get("fields") else { return };
    if let (None, Some(from)) = (&draft.sender, first(map, &["from"])) {
        draft.sender = Some(Party::of(address::email(&from).unwrap_or(from)));
    }
}

/// The text: from the fields that the source names, or else from those that usually hold one.
pub(crate) fn text(map: &Map<String, Value>, settings: &SourceSettings) -> Option<String> {
    if settings.text_fields.is_empty() {
        return first(map, &TEXT);
    }
    let named: Vec<&str> = settings.text_fields.iter().map(String::as_str).collect();
    first(map, &named)
}

/// Who filled it in, by the names that such fields usually have.
pub(crate) fn sender(map: &Map<String, Value>) -> Option<Party> {
    let address = first(map, &EMAIL).and_then(|text| address::email(&text));
    let address = address.or_else(|| first(map, &PHONE).and_then(|text| address::phone(&text)))?;
    Some(Party { address: Some(address), name: first(map, &["name"]) })
}

/// The first of these fields that is there and not empty, whatever the case of its name.
pub(crate) fn first(map: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let value = |name: &str| reach(map, name).and_then(as_text).filter(|text| !text.is_empty());
    names.iter().find_map(|name| value(name)).map(str::to_owned)
}

/// A field by its name: exactly, then in any case, then as a path into objects.
fn reach<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = map.get(name) {
        return Some(value);
    }
    if let Some((_, value)) = map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
        return Some(value);
    }
    let (parent, child) = name.split_once('.')?;
    reach(map.get(parent)?.as_object()?, child)
}

/// The value's text; of a repeated field, the first.
fn as_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.as_array()?.first()?.as_str())
}

/// The value as an id.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
