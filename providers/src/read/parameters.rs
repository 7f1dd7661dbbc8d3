//! Named values, wherever a provider puts them: in the query of a GET, in a form, in a JSON object.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use proto::Millis;
use serde_json::{Map, Value};

use super::draft::Draft;
use super::{body, form, json, media, moment};
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

/// The values by name.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// The first of each name.
    map: BTreeMap<String, String>,
    /// All of a name that is there more than once, in order.
    repeated: BTreeMap<String, Vec<String>>,
    /// The bytes they came in, where something of them had to be replaced.
    undecodable: Option<Bytes>,
}

/// Reads them from where they are.
pub(crate) fn read(raw: &RawRequest, settings: &SourceSettings, place: Place) -> Result<Parameters, BadReason> {
    let bytes = match place {
        Place::Query => Bytes::copy_from_slice(raw.envelope.query.as_deref().unwrap_or_default().as_bytes()),
        Place::Form | Place::Json => body::unpacked(raw, settings)?,
    };
    let fields = match place {
        Place::Query => form::read(&bytes, None)?,
        Place::Form => form::read(&bytes, raw.header("content-type"))?,
        Place::Json => {
            let json = json::read(&bytes)?;
            let Value::Object(map) = json.value else { return Err(BadReason::NotAnObject) };
            let pairs = map.into_iter().map(|(name, value)| (name, text(value))).collect();
            form::Fields { pairs, replaced: json.notes.surrogate }
        }
    };
    let undecodable = fields.replaced.then_some(bytes);
    let mut parameters = Parameters { map: BTreeMap::new(), repeated: BTreeMap::new(), undecodable };
    for (name, value) in fields.pairs {
        match parameters.map.get(&name) {
            None => drop(parameters.map.insert(name, value)),
            Some(first) => {
                parameters.repeated.entry(name).or_insert_with(|| vec![first.clone()]).push(value);
            }
        }
    }
    Ok(parameters)
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

    /// Takes a time out, if it can be read.
    pub(crate) fn take_moment(&mut self, name: &str) -> Option<Millis> {
        let time = moment::read(self.map.get(name)?)?;
        self.map.remove(name);
        Some(time)
    }

    /// One that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.map.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether one is there and not empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether one is there.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The names of all that are left.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// All that are left, in a form that does not depend on their order; or the bytes they came in, where something had
    /// to be replaced and may have been different.
    pub(crate) fn element(&self) -> Bytes {
        if let Some(bytes) = &self.undecodable {
            return bytes.clone();
        }
        let pairs = self.map.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
        let mut map: Map<String, Value> = pairs.collect();
        map.extend(self.repeated.iter().map(|(name, values)| (name.clone(), Value::from(values.clone()))));
        crate::dedup::canonical_json(&Value::Object(map)).into()
    }

    /// Notes what could not be decoded.
    pub(crate) fn note(&self, draft: &mut Draft) {
        draft.note_charset("text", self.undecodable.is_some());
    }

    /// Keeps these as numbers, where they are some, under the names that `rename` gives.
    pub(crate) fn keep_numbers(&mut self, draft: &mut Draft, names: &[&str], rename: impl Fn(&str) -> String) {
        for name in names {
            if let Some(number) = self.get(name).and_then(|value| value.parse::<u32>().ok()) {
                self.map.remove(*name);
                draft.keep([(rename(name), number.into())]);
            }
        }
    }

    /// Keeps what is left, and every value of what came more than once, under the names that `rename` gives.
    pub(crate) fn keep(self, draft: &mut Draft, rename: impl Fn(&str) -> String) {
        let Self { map, repeated, .. } = self;
        let once = map.into_iter().filter(|(name, value)| !value.is_empty() && !repeated.contains_key(name));
        draft.keep(once.map(|(name, value)| (rename(&name), Value::String(value))));
        draft.keep(repeated.iter().map(|(name, values)| (rename(name), Value::from(values.clone()))));
    }
}
