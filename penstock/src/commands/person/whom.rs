//! Who is looked for, and whether something is about him. Pure.
//!
//! What a reader would get wrong: only addresses tell. Who is mentioned by name in what somebody else wrote is not found.

use std::collections::BTreeSet;

use form_urlencoded::byte_serialize;
use memchr::memmem;
use proto::CanonicalMessage;
use serde_json::Value;

use crate::commands::error::CommandError;

/// The shortest address: anything shorter is in everything.
const SHORTEST: usize = 3;

/// Somebody, by his addresses. Without `Debug`: it would show them.
pub(crate) struct Person {
    /// In lower case, in every form that an adapter may have written.
    addresses: BTreeSet<String>,
}

impl Person {
    pub(crate) fn of(addresses: &[String]) -> Result<Self, CommandError> {
        let spellings = addresses.iter().flat_map(|address| providers::spellings(address));
        let addresses: BTreeSet<String> = spellings.map(|spelling| spelling.to_lowercase()).collect();
        if addresses.is_empty() || addresses.iter().any(|address| address.chars().count() < SHORTEST) {
            let next = "name him by a telephone number with its country (+49..), or by an e-mail address";
            return Err(CommandError::usage("that is no address of a person", next));
        }
        Ok(Self { addresses })
    }

    /// His addresses as the tables are asked for them: in lower case.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.addresses.iter().cloned().collect()
    }

    /// Whether a record is from him, to him, or has an address of his among the provider's own fields. The same as
    /// `persister/src/sql/erasure/find.sql` says of a row.
    pub(crate) fn is_in(&self, message: &CanonicalMessage) -> bool {
        let sender = message.sender.iter().filter_map(|party| party.address.as_deref());
        let recipients = message.recipients.iter().filter_map(|recipient| recipient.address.as_deref());
        let of_status = message.status.iter().filter_map(|status| status.recipient.as_deref());
        if sender.chain(recipients).chain(of_status).any(|address| self.has(address)) {
            return true;
        }
        serde_json::from_str(message.metadata.get()).is_ok_and(|metadata| self.is_value_in(&metadata))
    }

    fn has(&self, text: &str) -> bool {
        self.addresses.contains(&text.to_lowercase())
    }

    /// Whether this is one of his addresses in whatever form an adapter, or a person in a form, writes it.
    fn is_written_as(&self, text: &str) -> bool {
        self.has(text) || providers::spellings(text).iter().any(|spelling| self.has(spelling))
    }

    fn is_value_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_written_as(text),
            Value::Number(number) => self.is_written_as(&number.to_string()),
            Value::Array(items) => items.iter().any(|item| self.is_value_in(item)),
            Value::Object(fields) => fields.values().any(|field| self.is_value_in(field)),
            Value::Null | Value::Bool(_) => false,
        }
    }

    /// Whether bytes that nobody could make sense of have an address of his: as it is, as a part of a form or a URL, or,
    /// for a telephone number, without its `+`.
    pub(crate) fn is_mentioned_in(&self, bytes: &[u8]) -> bool {
        let bytes = bytes.to_ascii_lowercase();
        self.addresses.iter().any(|address| {
            let encoded = byte_serialize(address.as_bytes()).collect::<String>().to_lowercase();
            let digits = address.strip_prefix('+').unwrap_or(address);
            [address.as_str(), &encoded, digits].iter().any(|text| stands_alone(&bytes, text.as_bytes()))
        })
    }
}

/// Whether `text` is in `bytes` and is not a part of a longer word or number there.
fn stands_alone(bytes: &[u8], text: &[u8]) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    memmem::find_iter(bytes, text).any(|at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        // Behind an escape (`%2B`) stands its last letter.
        let escaped = at.checked_sub(3).and_then(|from| bytes.get(from)) == Some(&b'%');
        (escaped || !is_part(before)) && !is_part(bytes.get(at + text.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(addresses: &[&str]) -> Person {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        Person::of(&addresses).unwrap_or_else(|_| panic!("{addresses:?}"))
    }

    #[test]
    fn a_number_is_found_however_it_was_sent() {
        let person = person(&["+1 (415) 555-1438"]);
        for body in ["From=%2B14155551438&To=1", "{\"from\":\"14155551438\"}", "+14155551438", "call 14155551438."] {
            assert!(person.is_mentioned_in(body.as_bytes()), "{body}");
        }
        for body in ["{\"id\":\"914155551438\"}", "141555514380", "", "+1415555143"] {
            assert!(!person.is_mentioned_in(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn an_address_is_found_in_any_case_and_encoding_and_never_in_a_longer_one() {
        let person = person(&["Jo@Example.com"]);
        for body in ["email=jo%40example.com", "Jo <JO@EXAMPLE.COM>"] {
            assert!(person.is_mentioned_in(body.as_bytes()), "{body}");
        }
        for body in ["banjo@example.com", "jo@example.community"] {
            assert!(!person.is_mentioned_in(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn a_value_is_his_address_in_whatever_form_it_was_written() {
        let person = person(&["+49 151 1234567", "jo@example.com"]);
        for value in [r#""+49151/1234567""#, r#"{"a": ["0049 151 1234567"]}"#, "491511234567", r#"" JO@example.com""#] {
            assert!(person.is_value_in(&serde_json::from_str(value).unwrap()), "{value}");
        }
        for value in ["4915112345678", r#""write to jo@example.com""#, "true", r#"{"jo@example.com": 1}"#] {
            assert!(!person.is_value_in(&serde_json::from_str(value).unwrap()), "{value}");
        }
    }

    #[test]
    fn what_is_in_everything_is_nobodys_address() {
        for address in ["", " ", "ab"] {
            assert_eq!(Person::of(&[address.to_owned()]).err().map(|error| error.exit_code()), Some(64), "{address:?}");
        }
    }
}
