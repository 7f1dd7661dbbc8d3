//! What the elements of a change share: the account and number they are about, the contacts they name, times and error
//! codes.
//!
//! What is said once is kept with each element that it is about, so [`Account::size`] and [`Context::cost`] say how much
//! that is: a small body must not become large records.

use std::collections::HashMap;

use proto::Millis;
use serde_json::{Map, Value};

use crate::whatsapp::person::{Person, number};

/// What an entry says about its changes.
pub(super) struct Account {
    /// Everything but the changes.
    pub(super) about: Map<String, Value>,
    /// Its bytes.
    pub(super) size: usize,
}

impl Account {
    /// That of an entry.
    pub(super) fn of(entry: &Map<String, Value>) -> Self {
        let about = without(entry, &["changes"]);
        Self { size: size(&about), about }
    }
}

/// What an element is about.
pub(super) struct Context<'a> {
    account: &'a Account,
    metadata: Option<&'a Map<String, Value>>,
    contacts: HashMap<&'a str, Contact<'a>>,
    /// What the change says beside everything that is known.
    rest: Map<String, Value>,
    /// Bytes of what is kept with every element.
    size: usize,
}

/// Somebody whom a change names.
#[derive(Clone, Copy)]
pub(super) struct Contact<'a> {
    said: &'a Map<String, Value>,
    /// Bytes of what is said.
    size: usize,
}

/// Where an element names somebody who may be among the contacts.
const PEOPLE: [&str; 6] = ["from", "from_user_id", "to", "to_user_id", "recipient_id", "recipient_user_id"];

/// The members of a change's value that are not kept as they are.
const KNOWN: [&str; 7] =
    ["messaging_product", "metadata", "contacts", "messages", "message_echoes", "statuses", "errors"];

impl<'a> Context<'a> {
    /// That of a change's value.
    pub(super) fn of(account: &'a Account, value: &'a Map<String, Value>) -> Self {
        let metadata = value.get("metadata").and_then(Value::as_object);
        let mut rest = without(value, &KNOWN);
        let of_number = metadata.map(|metadata| without(metadata, &["display_phone_number", "phone_number_id"]));
        if let Some(of_number) = of_number.filter(|of_number| !of_number.is_empty()) {
            rest.insert("metadata".to_owned(), Value::Object(of_number));
        }
        let size = account.size + metadata.map_or(0, size) + size(&rest);
        Self { account, metadata, contacts: contacts(list(value, "contacts")), rest, size }
    }

    /// Our own number.
    pub(super) fn business(&self) -> Option<Person> {
        number(text(self.metadata?, "display_phone_number")?)
    }

    /// Which account and number it is, for routing: the number as it is displayed may change.
    pub(super) fn describe(&self, into: &mut Map<String, Value>) {
        let of_number = |name| self.metadata.and_then(|metadata| metadata.get(name));
        let account = self.account.about.get("id");
        for (name, value) in [("waba_id", account), ("phone_number_id", of_number("phone_number_id"))] {
            if let Some(value) = value {
                into.insert(name.to_owned(), value.clone());
            }
        }
        if !self.rest.is_empty() {
            into.insert("value".to_owned(), Value::Object(self.rest.clone()));
        }
    }

    /// When the change was told, and whom it is about: what tells two equal errors apart.
    pub(super) fn account(&self) -> &Map<String, Value> {
        &self.account.about
    }

    /// Bytes of all that is kept with this element and was said outside of it, at most.
    pub(super) fn cost(&self, element: &Map<String, Value>) -> usize {
        let people = PEOPLE.iter().filter_map(|name| self.contacts.get(text(element, name)?));
        self.size + people.map(|contact| contact.size).sum::<usize>()
    }

    /// The contact with this number or user id. Contacts are in no order that messages follow.
    pub(super) fn contact(&self, number: Option<&str>, user: Option<&str>) -> Option<Contact<'a>> {
        [number, user].into_iter().flatten().find_map(|wanted| self.contacts.get(wanted).copied())
    }
}

impl<'a> Contact<'a> {
    /// The number.
    pub(super) fn number(self) -> Option<&'a str> {
        text(self.said, "wa_id")
    }

    /// The name.
    pub(super) fn name(self) -> Option<&'a str> {
        text(object(self.said, "profile")?, "name")
    }

    /// Keeps everything but the number and, where that has a column, the name.
    pub(super) fn describe(self, into: &mut Map<String, Value>, name_has_column: bool) {
        let profile = object(self.said, "profile");
        for (name, value) in [
            ("user_id", self.said.get("user_id")),
            ("parent_user_id", self.said.get("parent_user_id")),
            ("username", profile.and_then(|profile| profile.get("username"))),
        ] {
            if let Some(value) = value {
                into.insert(name.to_owned(), value.clone());
            }
        }
        let mut rest = without(self.said, &["wa_id", "user_id", "parent_user_id", "profile"]);
        let columns: &[&str] = if name_has_column { &["name", "username"] } else { &["username"] };
        if let Some(profile) = profile.map(|profile| without(profile, columns)).filter(|profile| !profile.is_empty()) {
            rest.insert("profile".to_owned(), Value::Object(profile));
        }
        if !rest.is_empty() {
            into.insert("contact".to_owned(), Value::Object(rest));
        }
    }
}

/// Contacts by number and by user id; of two with the same, the first.
fn contacts(list: &[Value]) -> HashMap<&str, Contact<'_>> {
    let mut contacts = HashMap::new();
    for said in list.iter().filter_map(Value::as_object) {
        let contact = Contact { said, size: size(said) };
        for id in ["wa_id", "user_id"].into_iter().filter_map(|name| text(said, name)) {
            contacts.entry(id).or_insert(contact);
        }
    }
    contacts
}

/// A copy without the members of these names.
fn without(map: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let rest = map.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    rest.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// About the bytes it takes.
fn size(map: &Map<String, Value>) -> usize {
    map.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &Value) -> usize {
    /// What a value costs that is no text: more than any of them is long.
    const LEAST: usize = 16;
    match value {
        Value::Null | Value::Bool(_) => LEAST,
        Value::Number(number) => LEAST + number.as_str().len(),
        Value::String(text) => LEAST + text.len(),
        Value::Array(values) => LEAST + values.iter().map(size_of_value).sum::<usize>(),
        Value::Object(map) => LEAST + size(map),
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

/// What of an element has no column: all but the texts of these names, and the time. What is in their place and is no text
/// or no time is kept as it came.
pub(super) fn rest(element: &Map<String, Value>, columns: &[&str]) -> Map<String, Value> {
    let in_column = |name: &str| {
        (name == "timestamp" && seconds(element, name).is_some())
            || (columns.contains(&name) && element.get(name).is_some_and(Value::is_string))
    };
    let rest = element.iter().filter(|(name, _)| !in_column(name));
    rest.map(|(name, value)| (name.clone(), value.clone())).collect()
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
