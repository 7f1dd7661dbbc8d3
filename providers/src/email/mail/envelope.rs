//! The SMTP envelope: who the mail was really handed in by and for, whatever its header says.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::ids;

/// The envelope, where the provider tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    /// `MAIL FROM`; empty for a mail that nobody may answer, such as a bounce.
    pub(crate) sender: Option<String>,
    /// `RCPT TO`.
    pub(crate) recipients: Vec<String>,
}

impl Envelope {
    /// What the header says of it: whoever delivers a mail writes it on top, so the first of each field counts.
    pub(super) fn of_header(fields: &Fields<'_>) -> Self {
        let address = |name: &str| {
            let text = fields.text(name).or_else(|| fields.first(name).map(|_| String::new()))?;
            Some(ids::bracketed(&text)).filter(|address| !address.contains(char::is_whitespace))
        };
        let to =
            ["x-original-to", "delivered-to", "envelope-to", "x-envelope-to"].iter().find_map(|name| address(name));
        Self { sender: address("return-path"), recipients: to.into_iter().filter(|to| !to.is_empty()).collect() }
    }

    /// Writes it as `envelope_from` and `envelope_to`, the latter a list only where there are several.
    pub(super) fn write(&self, metadata: &mut Map<String, Value>) {
        if let Some(sender) = &self.sender {
            metadata.insert("envelope_from".to_owned(), Value::from(sender.as_str()));
        }
        let to = match self.recipients.as_slice() {
            [] => return,
            [one] => Value::from(one.as_str()),
            several => Value::from(several.to_vec()),
        };
        metadata.insert("envelope_to".to_owned(), to);
    }
}
