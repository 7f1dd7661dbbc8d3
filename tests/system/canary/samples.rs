//! Every sample of `penstock/samples`, with marks in the place of what a person wrote or is called.

use std::collections::BTreeMap;

use proto::Millis;
use uuid::Uuid;

use super::marks::{PERSON, PHONE};
use crate::providers;

/// What people and their words are called in the samples.
const WORDS: [&str; 16] = [
    "Ida",
    "ida.holm",
    "ida-holm",
    "ida@",
    "shop",
    "Invoice",
    "Backup",
    "Where",
    "lamp",
    "flickers",
    "new order",
    "Contact",
    "receipt.txt",
    "inv_",
    "Order",
    "Photo",
];

/// A sample, ready to be sent.
pub(crate) struct Marked {
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// Empty where the sample is all query.
    pub(crate) body: String,
}

/// The sample of this name.
pub(crate) fn marked(name: &str) -> Marked {
    let text = std::fs::read_to_string(providers::repository(&format!("penstock/samples/{name}.http"))).unwrap();
    let (_, request) = text.split_once("\n\n").unwrap();
    let (head, body) = request.split_once("\n\n").unwrap();
    let mut values = BTreeMap::new();
    let head = fill(head, &mut values);
    let mut lines = head.lines();
    let query = lines.next().unwrap().split_once(" ?").map(|(_, query)| query.to_owned());
    let headers: Vec<(String, String)> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.into(), value.into())).collect();
    let mut body = body.strip_suffix('\n').unwrap_or(body).to_owned();
    for word in WORDS {
        let with = if word.ends_with('@') { format!("{PERSON}@") } else { PERSON.to_owned() };
        body = body.replace(word, &with);
    }
    let body = fill(&body, &mut values).replace("4930901820", &format!("491{PHONE}"));
    let on_the_wire = headers.iter().any(|(_, value)| value.starts_with("multipart/") || value.starts_with("message/"));
    let body = if on_the_wire { format!("{}\r\n", body.replace('\n', "\r\n")) } else { body };
    Marked { query, headers, body }
}

/// Fills the blanks, each name and kind with one value.
fn fill(text: &str, values: &mut BTreeMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (blank, after) = after.split_once("}}").unwrap();
        filled.push_str(before);
        filled.push_str(values.entry(blank.to_owned()).or_insert_with(|| value(blank)));
        rest = after;
    }
    filled + rest
}

fn value(blank: &str) -> String {
    let (name, kind) = blank.split_once(':').unwrap();
    let id = Uuid::new_v4();
    let now = Millis::from_unix(tests::time::unix_millis()).unwrap().to_string();
    let length = |prefix: &str| kind.strip_prefix(prefix).and_then(|length| length.parse::<usize>().ok());
    if matches!(name, "from" | "to") {
        return PHONE[PHONE.len() - length("digits").unwrap().min(PHONE.len())..].to_owned();
    }
    if let Some(length) = length("hex") {
        return format!("{}{}", id.simple(), id.simple())[..length].to_owned();
    }
    if let Some(length) = length("digits") {
        return format!("1{:039}", id.as_u128()).chars().rev().take(length - 1).fold(
            "7".to_owned(),
            |mut text, digit| {
                text.push(digit);
                text
            },
        );
    }
    match kind {
        "uuid" => id.to_string(),
        "rfc3339" => now,
        "rfc5322" => "Thu, 26 Nov 2026 10:00:00 +0000".to_owned(),
        "unix" => tests::time::unix_seconds().to_string(),
        "date" => now[..10].to_owned(),
        "clock" => "10:00:00".to_owned(),
        // Left as it is: the source does not take it, and the test says so.
        _ => format!("{{{{{blank}}}}}"),
    }
}
