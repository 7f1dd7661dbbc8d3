//! The fields of a route's form, urlencoded or multipart: names as they are, case included, values as bytes.
//!
//! A name that begins with a capital is a header of the mail and says what its sender wrote; what Mailgun says has names
//! in lower case.

use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::email::mail::text;
use crate::read::{form, json, media, multipart};
use crate::record::BadReason;

/// The form.
pub(super) struct Fields {
    list: Vec<Field>,
}

/// One field.
pub(super) struct Field {
    pub(super) name: String,
    /// Where it is a file.
    pub(super) filename: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) value: Bytes,
}

impl Fields {
    pub(super) fn read(bytes: &Bytes, content_type: &str) -> Result<Self, BadReason> {
        if media::is(content_type, media::MULTIPART) {
            let boundary = multipart::boundary(content_type).ok_or(BadReason::BadMultipart)?;
            let parts = multipart::parts(bytes, &boundary, form::FIELDS)?;
            let list = parts.into_iter().map(|part| Field {
                value: bytes.slice_ref(part.body),
                name: part.name,
                filename: part.filename,
                content_type: part.content_type,
            });
            return Ok(Self { list: list.collect() });
        }
        let mut list = Vec::new();
        for (name, value) in form::escaped_pairs(bytes) {
            if list.len() == form::FIELDS {
                return Err(BadReason::TooMany);
            }
            let name = String::from_utf8_lossy(&form::unescape(name)).into_owned();
            let value = form::unescape(value).into();
            list.push(Field { name, filename: None, content_type: None, value });
        }
        Ok(Self { list })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Field> {
        self.list.iter()
    }

    /// The first value of exactly this name.
    pub(super) fn bytes(&self, name: &str) -> Option<&Bytes> {
        self.list.iter().find(|field| field.filename.is_none() && field.name == name).map(|field| &field.value)
    }

    /// The same as text, and whether bytes had to be replaced. Mailgun writes UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<(String, bool)> {
        self.bytes(name).map(|bytes| text::decode(bytes, None))
    }

    /// The same where it says anything.
    pub(super) fn filled(&self, name: &str) -> Option<String> {
        self.text(name).map(|(text, _)| text).filter(|text| !text.is_empty())
    }

    /// A value that is JSON.
    pub(super) fn json(&self, name: &str) -> Option<Value> {
        self.bytes(name).and_then(|bytes| json::read(bytes).ok()).map(|read| read.value)
    }

    /// A value that is a JSON object, as its pairs: Mailgun writes a key as often as the mail has it.
    pub(super) fn pairs(&self, name: &str) -> Vec<(String, Value)> {
        let pairs = self.bytes(name).and_then(|bytes| {
            let mut reader = serde_json::Deserializer::from_slice(bytes);
            let pairs = reader.deserialize_map(Pairs).ok()?;
            reader.end().ok().map(|()| pairs)
        });
        pairs.unwrap_or_default()
    }
}

/// Reads an object without making its keys unique.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        // No mail that is taken has more parts than fields are taken.
        while pairs.len() < form::FIELDS
            && let Some(pair) = entries.next_entry()?
        {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}
