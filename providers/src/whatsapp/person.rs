//! People on WhatsApp: known by a number or, with a username, by a business-scoped user id alone (`US.1349..`). Whoever
//! asks for a number loses messages.

use proto::Party;

use crate::read::address;

/// Somebody, as a payload names them.
pub(super) struct Person {
    /// With the address in our form.
    pub(super) party: Party,
    /// The address as it was written.
    pub(super) written: String,
}

/// Somebody by number, else by user id.
pub(super) fn person(by_number: Option<&str>, by_user: Option<&str>) -> Option<Person> {
    by_number.and_then(number).or_else(|| by_user.and_then(user))
}

/// Somebody by what may be a number, a user id or a group.
pub(super) fn number(written: &str) -> Option<Person> {
    if is_user_id(written) {
        return user(written);
    }
    Some(Person { party: Party::of(address::international(written)?), written: written.to_owned() })
}

fn user(written: &str) -> Option<Person> {
    let id = Some(written.trim()).filter(|id| !id.is_empty())?;
    Some(Person { party: Party::of(format!("bsuid:{id}")), written: written.to_owned() })
}

/// A country's two letters, a dot, and the rest.
fn is_user_id(text: &str) -> bool {
    matches!(text.as_bytes(), [first, second, b'.', _, ..] if first.is_ascii_uppercase() && second.is_ascii_uppercase())
}
