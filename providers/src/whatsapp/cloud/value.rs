//! What the elements of a change share: the number they are about, the contacts they name, times and error codes.

use proto::Millis;
use serde_json::{Map, Value};

use crate::whatsapp::person::{Person, number};

/// What an element is about.
pub(super) struct Context<'a> {
    account: Option<&'a Value>,
    metadata: Option<&'a Map<String, Value>>,
    contacts: &'a [Value],
}

impl<'a> Context<'a> {
    /// That of a change's value.
    pub(super) fn of(entry: &'a Map<String, Value>, value: &'a Map<String, Value>) -> Self {
        let metadata = value.get("metadata").and_then(Value::as_object);
        Self { account: entry.get("id"), metadata, contacts: list(value, "contacts") }
    }

    /// Our own number.
    pub(super) fn business(&self) -> Option<Person> {
        number(text(self.metadata?, "display_phone_number")?)
    }

    /// Which account and number it is, for routing: the number as it is displayed may change.
    pub(super) fn describe(&self, into: &mut Map<String, Value>) {
        let of_number = |name| self.metadata.and_then(|metadata| metadata.get(name));
        for (name, value) in [("waba_id", self.account), ("phone_number_id", of_number("phone_number_id"))] {
            if let Some(value) = value {
                into.insert(name.to_owned(), value.clone());
            }
        }
    }

    /// The contact with this number or user id. Contacts are in no order that messages follow.
    pub(super) fn contact(&self, number: Option<&str>, user: Option<&str>) -> Option<&'a Map<String, Value>> {
        let is = |contact: &Map<String, Value>, name, wanted: Option<&str>| {
            wanted.is_some_and(|wanted| text(contact, name) == Some(wanted))
        };
        let mut contacts = self.contacts.iter().filter_map(Value::as_object);
        contacts.find(|contact| is(contact, "wa_id", number) || is(contact, "user_id", user))
    }
}

/// The text of this name, unless it is empty.
pub(super) fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// The object of this name.
pub(super) fn object<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    map.get(name)?.as_object()
}

/// The array of this name; none is an empty one.
pub(super) fn list<'a>(map: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    map.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Unix seconds, as a text or a number.
pub(super) fn seconds(map: &Map<String, Value>, name: &str) -> Option<Millis> {
    let seconds = match map.get(name)? {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => number.as_i64()?,
        _ => return None,
    };
    Millis::from_unix(i64::checked_mul(seconds, 1000)?)
}

/// The code of the first error.
pub(super) fn error_code(errors: &[Value]) -> Option<String> {
    match errors.first()?.get("code")? {
        Value::String(code) => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    }
}
