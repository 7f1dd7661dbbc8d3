//! The name of each message of a run, which it carries through every stage, so that rows are matched and not merely
//! counted.
//!
//! A request is not a message: a repeat is the same message in another request, with the same name.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The name of one run; its messages begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run(u32);

/// A message of a run: which connection made it, and its number there, both from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    pub(crate) connection: u32,
    pub(crate) number: u32,
}

impl Run {
    /// A name that no other run has: runs share a database.
    pub(crate) fn draw() -> Self {
        Self(Uuid::new_v4().as_fields().0)
    }

    #[cfg(test)]
    pub(crate) fn fixed(name: u32) -> Self {
        Self(name)
    }

    /// What the message is called on its way: `b7f3a2c1-12-345`.
    pub(crate) fn name(self, message: Message) -> String {
        format!("{self}-{}-{}", message.connection, message.number)
    }

    /// The message of that name, also behind the `wamid.` of WhatsApp; `None` where it is of another run or of nobody's.
    pub(crate) fn message(self, name: &str) -> Option<Message> {
        let mut parts = name.strip_prefix("wamid.").unwrap_or(name).split('-');
        let run = u32::from_str_radix(parts.next()?, 16).ok()?;
        let message = Message { connection: number(parts.next()?)?, number: number(parts.next()?)? };
        (run == self.0 && parts.next().is_none()).then_some(message)
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// When a `UUIDv7` was drawn, in milliseconds since 1970: a `Penstock-Id` says when its request arrived.
pub(crate) fn millis_of(id: Uuid) -> u64 {
    u64::try_from(id.as_u128() >> 80).unwrap_or(0)
}

/// The lowest `UUIDv7` of that millisecond, and of any later one.
pub(crate) fn first_id_of(millis: u64) -> Uuid {
    Uuid::from_u128(u128::from(millis) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_message_and_only_in_its_run() {
        let (run, message) = (Run::fixed(0x00f3_a2c1), Message { connection: 12, number: 345 });
        assert_eq!(run.name(message), "00f3a2c1-12-345");
        assert_eq!(run.message("00f3a2c1-12-345"), Some(message));
        assert_eq!(run.message("wamid.00f3a2c1-12-345"), Some(message));
        assert_eq!(Run::fixed(1).message("00f3a2c1-12-345"), None);
        for foreign in ["", "00f3a2c1", "00f3a2c1-12", "00f3a2c1-12-345-6", "00f3a2c1-12-x", "SM123", "00f3a2c1--1-2"] {
            assert_eq!(run.message(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn an_id_tells_its_time() {
        let id = Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(millis_of(id), 0x0199_0000_0000);
        assert!(first_id_of(millis_of(id)) <= id);
        assert!(first_id_of(millis_of(id) + 1) > id);
    }
}
