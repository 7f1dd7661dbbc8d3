//! Named values, wherever a provider puts them: in the query of a GET, in a form, in a JSON object.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use super::draft::Draft;
use super::{body, form, json, media};
use crate::record::{BadReason, RawRequest};
use crate::settings::SourceSettings;

/// Where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the query.
    Query,
    /// In the body, as a form.
    Form,
    /// In the body, as JSON.
    Json,
}

/// Where they are, by method and media type.
pub(crate) fn place(method: &str, content_type: Option<&str>) -> Place {
    match content_type {
        _ if method == Method::GET.as_str() => Place::Query,
        Some(value) if media::is_json(value) => Place::Json,
        _ => Place::Form,
    }
}

/// The values by name; the first of a repeated one.
#[derive(Debug)]
pub(crate) struct Parameters {
    map: BTreeMap<String, String>,
    replaced: bool,
}

/// Reads them from where they are.
pub(crate) fn read(raw: &RawRequest, settings: &SourceSettings, place: Place) -> Result<Parameters, BadReason> {
    let content_type = raw.header("content-type");
    let fields = match place {
        Place::Query => form::read(raw.envelope.query.as_deref().unwrap_or_default().as_bytes(), None)?,
        Place::Form => form::read(&body::unpacked(raw, settings)?, content_type)?,
        Place::Json => {
            let json = json::read(&body::unpacked(raw, settings)?)?;
            let Value::Object(map) = json.value else { return Err(BadReason::NotAnObject) };
            let pairs = map.into_iter().map(|(name, value)| (name, text(value))).collect();
            form::Fields { pairs, replaced: json.notes.surrogate }
        }
    };
    let mut map = BTreeMap::new();
    for (name, value) in fields.pairs {
        map.entry(name).or_insert(value);
    }
    Ok(Parameters { map, replaced: fields.replaced })
}

/// A JSON value as a form would have it.
pub(crate) fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Parameters {
    /// Takes one out, if it is there and not empty.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.map.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes one out, if it is there.
    pub(crate) fn take_any(&mut self, name: &str) -> Option<String> {
        self.map.remove(name)
    }

    /// Whether one is there and not empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_empty())
    }

    /// All that are left, in a form that does not depend on their order.
    pub(crate) fn element(&self) -> Vec<u8> {
        let pairs = self.map.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
        crate::dedup::canonical_json(&Value::Object(pairs.collect()))
    }

    /// Notes what could not be decoded.
    pub(crate) fn note(&self, draft: &mut Draft) {
        draft.note_charset("text", self.replaced);
    }

    /// Keeps what is left under the names that `rename` gives.
    pub(crate) fn keep(self, draft: &mut Draft, rename: impl Fn(&str) -> String) {
        for (name, value) in self.map.into_iter().filter(|(_, value)| !value.is_empty()) {
            draft.metadata.entry(rename(&name)).or_insert(Value::String(value));
        }
    }
}
