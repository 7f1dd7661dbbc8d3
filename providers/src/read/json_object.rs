//! A JSON object whose values stay where they are in the body until somebody wants one: for payloads that hold whole
//! files. What is not asked for is never copied, and a long text is copied only into what it stands for ([`Text`]).

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json::{self, Budget, Notes};
use super::json_text::Text;
use crate::record::BadReason;

/// The entries of an object, each value as its JSON text. The last of two equal keys wins.
#[derive(Debug)]
pub(crate) struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads a body.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, BadReason> {
        let text = json::text(body).ok_or(BadReason::NotUtf8)?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let entries = (&mut deserializer).deserialize_map(Entries);
        match entries.and_then(|entries| deserializer.end().map(|()| entries)) {
            Ok(entries) if entries.len() > json::VALUES => Err(BadReason::TooMany),
            Ok(entries) => Ok(Self(entries)),
            // Only a value that is no object at all is still JSON.
            Err(_) => Err(match serde_json::from_str::<&RawValue>(text) {
                Ok(value) if !value.get().starts_with('{') => BadReason::NotAnObject,
                _ => BadReason::NotJson,
            }),
        }
    }

    /// The elements of this array, as far as they are objects.
    pub(crate) fn elements(value: &'a RawValue, most: usize) -> Result<Vec<Self>, BadReason> {
        let Ok(elements) = serde_json::from_str::<Vec<&'a RawValue>>(value.get()) else { return Ok(Vec::new()) };
        if elements.len() > most {
            return Err(BadReason::TooMany);
        }
        let objects = elements.into_iter().filter(|element| element.get().starts_with('{'));
        objects.map(|element| Self::read(element.get().as_bytes())).collect()
    }

    /// The value of this key, which then is gone.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'a RawValue> {
        let mut found = None;
        self.0.retain(|(name, value)| {
            let is_it = name == key;
            if is_it {
                found = Some(*value);
            }
            !is_it
        });
        found
    }

    /// The text of this key, if it is one and not empty; a text then is gone.
    pub(crate) fn take_text(&mut self, key: &str) -> Option<Text<'a>> {
        let (_, value) = self.0.iter().rev().find(|(name, _)| name == key)?;
        if value.get().starts_with('"') { Text::of(self.take(key)?) } else { None }
    }

    /// Whether it has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// What was not taken, read whole.
    pub(crate) fn into_map(self, budget: &mut Budget, notes: &mut Notes) -> Result<Map<String, Value>, BadReason> {
        let mut map = Map::new();
        for (name, value) in self.0 {
            let json = json::read_part(value.get(), budget)?;
            *notes = notes.or(json.notes);
            map.insert(name, json.value);
        }
        Ok(map)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry_seed(Name, PhantomData)? {
            // One more than is taken, so that the caller sees it; the rest is only looked at for its form.
            if found.len() <= json::VALUES {
                found.push(entry);
            }
        }
        Ok(found)
    }
}

/// A key. As bytes, because half a surrogate pair in it is no text.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(name).into_owned())
    }
}
