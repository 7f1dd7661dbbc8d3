//! The body of Meta's Cloud API, which others pass on unchanged: entries (accounts) of changes (fields) of messages,
//! echoes, statuses and errors, any number of each, for any of an app's numbers.
//!
//! Elements are counted entry by entry and change by change, and in a change in the order of [`READERS`]: JSON gives the
//! names of an object no order. What is of no use to us is an `account_event` with everything that it said.

mod event;
mod message;
mod value;

use serde_json::{Map, Value};

use crate::read::draft::{Draft, REPEATED};
use crate::read::{body, json};
use crate::record::{BadElement, BadReason, Element, Normalized, RawRequest};
use crate::settings::SourceSettings;
use value::{Account, Context, list, text};

/// The one `object` there is for us; an app may subscribe to others.
const OBJECT: &str = "whatsapp_business_account";

/// The fields whose values hold messages and statuses; so may what does not say what it is.
const FIELDS: [&str; 4] = ["messages", "smb_message_echoes", "message_echoes", ""];

/// Elements taken at most; Meta sends up to 1000 in a request.
const ELEMENTS: usize = 10_000;

/// How one element is read.
type Reader = fn(&Context<'_>, &Map<String, Value>) -> Draft;

/// What a change may hold, and how it is read.
const READERS: [(&str, Reader); 4] = [
    ("messages", message::received),
    ("message_echoes", message::echoed),
    ("statuses", event::status),
    ("errors", event::error),
];

/// The records of a request.
pub(super) fn normalize(raw: &RawRequest, settings: &SourceSettings) -> Normalized {
    let read = body::unpacked(raw, settings).and_then(|bytes| {
        let json = json::read(&bytes)?;
        let mut found = Found::default();
        found.request(&json.value)?;
        Ok((found.elements, json.notes))
    });
    let (found, notes) = match read {
        Ok(read) => read,
        Err(reason) => return Normalized::bad(reason),
    };
    let parts = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let finish = |(part, element): (u32, Result<Draft, BadReason>)| -> Element {
        let mut draft = element.map_err(|reason| BadElement { part, reason })?;
        draft.note_json(notes);
        Ok(Box::new(draft.finish(raw, part, parts)))
    };
    Normalized { parts, elements: (0..).zip(found).map(finish).collect() }
}

/// The elements found so far.
#[derive(Default)]
struct Found {
    elements: Vec<Result<Draft, BadReason>>,
    /// Bytes kept in them that were said once for several.
    repeated: usize,
}

impl Found {
    fn request(&mut self, value: &Value) -> Result<(), BadReason> {
        let Value::Object(request) = value else { return Err(BadReason::NotAnObject) };
        if text(request, "object") == Some(OBJECT) {
            for entry in list(request, "entry") {
                match entry {
                    Value::Object(entry) => self.entry(entry)?,
                    _ => self.push(Err(BadReason::NotAnObject))?,
                }
            }
        }
        if self.elements.is_empty() { self.push(Ok(event::nothing(value))) } else { Ok(()) }
    }

    fn entry(&mut self, entry: &Map<String, Value>) -> Result<(), BadReason> {
        let before = self.elements.len();
        let account = Account::of(entry);
        for change in list(entry, "changes") {
            match change {
                Value::Object(change) => self.change(&account, change)?,
                _ => self.push(Err(BadReason::NotAnObject))?,
            }
        }
        if self.elements.len() == before {
            self.push(Ok(event::nothing(&Value::Object(entry.clone()))))
        } else {
            Ok(())
        }
    }

    fn change(&mut self, account: &Account, change: &Map<String, Value>) -> Result<(), BadReason> {
        let before = self.elements.len();
        let field = text(change, "field").unwrap_or_default();
        if let (true, Some(Value::Object(value))) = (FIELDS.contains(&field), change.get("value")) {
            let context = Context::of(account, value);
            for (name, read) in READERS {
                match value.get(name) {
                    Some(Value::Array(elements)) => self.elements(&context, elements, read)?,
                    None | Some(Value::Null) => {}
                    Some(_) => self.push(Err(BadReason::NotAnObject))?,
                }
            }
        }
        if self.elements.len() == before {
            self.repeat(account.size)?;
            return self.push(Ok(event::account(account, field, change)));
        }
        Ok(())
    }

    fn elements(&mut self, context: &Context<'_>, elements: &[Value], read: Reader) -> Result<(), BadReason> {
        for element in elements {
            match element {
                Value::Object(element) => {
                    self.repeat(context.cost(element))?;
                    self.push(Ok(read(context, element)))?;
                }
                _ => self.push(Err(BadReason::NotAnObject))?,
            }
        }
        Ok(())
    }

    fn repeat(&mut self, bytes: usize) -> Result<(), BadReason> {
        self.repeated += bytes;
        if self.repeated > REPEATED { Err(BadReason::TooMany) } else { Ok(()) }
    }

    fn push(&mut self, element: Result<Draft, BadReason>) -> Result<(), BadReason> {
        if self.elements.len() == ELEMENTS {
            return Err(BadReason::TooMany);
        }
        self.elements.push(element);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
