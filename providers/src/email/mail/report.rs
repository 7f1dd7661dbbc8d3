//! Reports: what a machine says about a mail that was sent earlier. Delivery status (RFC 3464), disposition notification
//! (RFC 3798), feedback report (RFC 5965).
//!
//! They are not messages: nobody wrote them. A delivery status has a record per recipient. The parts themselves stay
//! attachments of the first record, so that what is not read here is not lost.

use proto::{Kind, Millis};
use serde_json::{Map, Value};

use super::content::Part;
use super::fields::{self, Fields};
use super::{Mail, date, ids, lines, words};
use crate::read::address;

/// Recipients of one report that become records.
const RECIPIENTS: usize = 1_000;
/// Fields read of one group.
const FIELDS: usize = 32;
/// Bytes of a field's value that are kept.
const VALUE: usize = 2 * 1024;
/// Groups of fields in a report that is about one recipient.
const GROUPS: usize = 8;

/// A report.
#[derive(Debug)]
pub(crate) struct Report {
    /// Where its fields are in the metadata: `dsn`, `mdn` or `arf`.
    pub(crate) name: &'static str,
    /// The `Message-ID` of the mail that it is about.
    pub(crate) about: Option<String>,
    /// What became of it, for each recipient; never empty.
    pub(crate) outcomes: Vec<Outcome>,
}

/// What became of a mail for one recipient.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    /// The report's own word: `failed`, `delayed`, `displayed`, `abuse`.
    pub(crate) status: String,
    pub(crate) recipient: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) occurred_at: Option<Millis>,
    /// All fields of the report about this recipient, by their names in snake case.
    pub(crate) details: Map<String, Value>,
}

/// Looks whether a part is a report, or the mail that the report in hand is about.
pub(super) fn notice(part: &Part<'_>, bytes: &[u8], mail: &mut Mail) {
    if part.parent() != "multipart/report" {
        return;
    }
    let read: fn(&[u8]) -> Report = match part.media_type() {
        "message/delivery-status" | "message/global-delivery-status" => delivery,
        "message/disposition-notification" | "message/global-disposition-notification" => disposition,
        "message/feedback-report" => feedback,
        "message/rfc822"
        | "message/global"
        | "text/rfc822-headers"
        | "message/rfc822-headers"
        | "message/global-headers" => {
            if let Some(report) = mail.report.as_mut().filter(|report| report.about.is_none()) {
                let (fields, _) = fields::read(bytes, fields::beginning(bytes), fields::OF_MAIL, |_| true, |_| false);
                report.about = fields.text("message-id").as_deref().and_then(ids::one);
            }
            return;
        }
        _ => return,
    };
    if mail.report.is_none() {
        let report = read(bytes);
        if report.outcomes.len() == RECIPIENTS {
            mail.notes.note("status.recipient", "parts");
        }
        mail.report = Some(report);
    }
}

fn delivery(bytes: &[u8]) -> Report {
    let mut of_message = Map::new();
    let mut outcomes = Vec::new();
    for group in groups(bytes) {
        let about_recipient = ["final-recipient", "original-recipient", "action"];
        if !about_recipient.iter().any(|name| group.first(name).is_some()) {
            // The first group is about the message; what else names no recipient stays in the attachment.
            if of_message.is_empty() {
                details(&group, &mut of_message);
            }
            continue;
        }
        if outcomes.len() == RECIPIENTS {
            break;
        }
        outcomes.push(delivery_outcome(&group));
    }
    if outcomes.is_empty() {
        outcomes.push(Outcome::new(Kind::Bounce, "failed"));
    }
    for outcome in &mut outcomes {
        for (name, value) in &of_message {
            outcome.details.entry(name).or_insert_with(|| value.clone());
        }
    }
    Report { name: "dsn", about: None, outcomes }
}

fn delivery_outcome(group: &Fields<'_>) -> Outcome {
    let action = group.text("action").map(|action| first_word(&action).to_ascii_lowercase());
    let action = action.filter(|action| !action.is_empty()).unwrap_or_else(|| "failed".to_owned());
    let kind = match action.as_str() {
        "delivered" | "relayed" | "expanded" => Kind::Status,
        _ => Kind::Bounce,
    };
    let mut outcome = Outcome::new(kind, &action);
    outcome.recipient = recipient(group, &["final-recipient", "original-recipient"]);
    outcome.error_code = group.text("status").map(|code| first_word(&code).to_owned());
    outcome.occurred_at = group.text("last-attempt-date").as_deref().and_then(date::read);
    details(group, &mut outcome.details);
    outcome.details.insert("action".to_owned(), Value::from(action));
    if let Some(code) = &outcome.error_code {
        outcome.details.insert("status".to_owned(), Value::from(code.as_str()));
    }
    outcome
}

fn disposition(bytes: &[u8]) -> Report {
    let mut outcome = Outcome::new(Kind::ReadReceipt, "displayed");
    let mut about = None;
    for group in groups(bytes).take(GROUPS) {
        // `manual-action/MDN-sent-manually; displayed/error`
        if let Some(said) = group.text("disposition") {
            let kind = said.rsplit(';').next().unwrap_or_default();
            let kind = kind.split(['/', ',']).next().unwrap_or_default().trim();
            outcome.status = kind.to_ascii_lowercase();
        }
        outcome.recipient = outcome.recipient.or_else(|| recipient(&group, &["final-recipient", "original-recipient"]));
        about = about.or_else(|| group.text("original-message-id").as_deref().and_then(ids::one));
        details(&group, &mut outcome.details);
    }
    Report { name: "mdn", about, outcomes: vec![outcome] }
}

fn feedback(bytes: &[u8]) -> Report {
    let mut outcome = Outcome::new(Kind::Complaint, "abuse");
    for group in groups(bytes).take(GROUPS) {
        if let Some(kind) = group.text("feedback-type") {
            outcome.status = first_word(&kind).to_ascii_lowercase();
        }
        outcome.recipient = outcome.recipient.or_else(|| recipient(&group, &["original-rcpt-to", "removal-recipient"]));
        details(&group, &mut outcome.details);
    }
    Report { name: "arf", about: None, outcomes: vec![outcome] }
}

impl Outcome {
    fn new(kind: Kind, status: &str) -> Self {
        let status = status.to_owned();
        Self { kind, status, recipient: None, error_code: None, occurred_at: None, details: Map::new() }
    }
}

/// The groups of fields, which empty lines part.
fn groups(bytes: &[u8]) -> impl Iterator<Item = Fields<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while from < bytes.len() {
            let (group, next) = fields::read(bytes, from, fields::OF_PART, |_| true, |_| false);
            // A line that is no field ends a group and begins none.
            from = if next > from { next } else { lines::end(bytes, from).1 };
            if !group.list.is_empty() {
                return Some(group);
            }
        }
        None
    })
}

/// The first address of these fields: `rfc822; jo@example.com`, `<jo@example.com>`.
fn recipient(group: &Fields<'_>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| address_of(&group.text(name)?))
}

fn address_of(value: &str) -> Option<String> {
    let address = value.rsplit(';').next().unwrap_or_default().trim().trim_matches(['<', '>']);
    address::email(address)
}

fn first_word(text: &str) -> &str {
    text.split([' ', '\t', ';', '(']).next().unwrap_or_default()
}

/// Writes the fields of a group; a field that is there several times becomes a list.
fn details(group: &Fields<'_>, into: &mut Map<String, Value>) {
    for field in group.list.iter().take(FIELDS) {
        let name = match field.name.to_ascii_lowercase().replace('-', "_") {
            name if name == "diagnostic_code" => "diagnostic".to_owned(),
            name => name,
        };
        let text = words::decode(field.value.get(..VALUE).unwrap_or(field.value)).0;
        let is_recipient = matches!(name.as_str(), "final_recipient" | "original_recipient");
        let value = Value::from(if is_recipient { address_of(&text).unwrap_or(text) } else { text });
        match into.get_mut(&name) {
            None => {
                into.insert(name, value);
            }
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
}
