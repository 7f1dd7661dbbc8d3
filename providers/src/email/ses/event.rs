//! What became of a mail that was sent: a status for each recipient that it is about.
//!
//! The same events come in two spellings: as notifications of an identity (`notificationType`) and as events of a
//! configuration set (`eventType`), which has more kinds. Kinds to come are read the same way.

use proto::canonical::StatusFields;
use proto::{Kind, Millis, Party, Recipient};
use serde_json::{Map, Value, json};

use super::{text, texts};
use crate::dedup::canonical_json;
use crate::email::mail::addresses;
use crate::read::draft::{Draft, REPEATED};
use crate::read::names::snake_case;
use crate::read::{address, moment};
use crate::record::{BadReason, Identity};

/// Recipients of one mail; SES takes 50.
const RECIPIENTS: usize = 10_000;

/// The events that are about the mail as a whole: of several recipients, nobody knows which.
const OF_ANYBODY: [&str; 3] = ["open", "click", "subscription"];
/// The events that come again for the same mail and recipient, and are another one each time.
const RECURRING: [&str; 4] = ["open", "click", "subscription", "delivery_delay"];

/// One recipient, with what the event says of it.
struct Concerned {
    address: Option<String>,
    details: Map<String, Value>,
}

pub(super) fn read(
    mut event: Map<String, Value>,
    mut mail: Map<String, Value>,
    kind: &str,
) -> Result<Vec<Draft>, BadReason> {
    let hash = blake3::hash(&canonical_json(&json!([event, mail])));
    let status = snake_case(&kind.replace(' ', ""));
    let mut details = match event.remove(&name_of(kind)) {
        Some(Value::Object(details)) => details,
        _ => Map::new(),
    };
    let occurred_at = moment_of(&details).or_else(|| moment_of(&mail));
    let concerned = concerned(&mut details, &mail, &status);
    if concerned.len() > RECIPIENTS {
        return Err(BadReason::TooMany);
    }
    let id = text(&mail, "messageId");
    let own = text(&details, "feedbackId");
    let time = occurred_at.filter(|_| RECURRING.contains(&status.as_str())).map(|time| time.to_string());
    let mark = own.or(time).unwrap_or_default();
    let sender = sender(&mail);
    let all: Vec<Recipient> =
        texts(mail.get("destination")).iter().filter_map(|to| address::email(to)).map(Recipient::to).collect();
    for told in ["messageId", "source", "destination"] {
        mail.remove(told);
    }
    let shared = Map::from_iter([(status.clone(), Value::Object(details)), ("mail".to_owned(), Value::Object(mail))]);
    let mut left = REPEATED;
    let size = canonical_json(&Value::Object(shared.clone())).len();

    let draft = |(place, one): (usize, Concerned)| {
        let mut draft = Draft::new(Kind::Status);
        draft.provider_message_id.clone_from(&id);
        draft.sender.clone_from(&sender);
        draft.recipients = match &one.address {
            Some(address) => vec![Recipient::to(address.clone())],
            None => all.clone(),
        };
        draft.sent_at = occurred_at;
        // What is said once for all is repeated as long as that does not make much of little.
        if place == 0 || size <= left {
            left = left.saturating_sub(size);
            draft.metadata.clone_from(&shared);
        } else {
            draft.notes.note("metadata", "repeated");
        }
        if !one.details.is_empty() {
            draft.metadata.insert("recipient".to_owned(), Value::Object(one.details.clone()));
        }
        let recipient = one.address.clone().unwrap_or_default();
        if let Some(id) = &id {
            let ids = [id, &status, &recipient, &mark];
            draft.identity = Identity::Provided(ids.into_iter().cloned().collect());
        }
        draft.content.element = [hash.as_bytes(), recipient.as_bytes()].concat().into();
        let error_code = text(&one.details, "status");
        draft.status = Some(StatusFields { status: status.clone(), occurred_at, recipient: one.address, error_code });
        draft
    };
    Ok(concerned.into_iter().enumerate().map(draft).collect())
}

/// The name under which an event of this kind has its details.
fn name_of(kind: &str) -> String {
    if kind == "Rendering Failure" {
        return "failure".to_owned();
    }
    let mut characters = kind.chars().filter(|character| *character != ' ');
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// Takes the recipients out of the details, where those name them; otherwise they are those of the mail.
fn concerned(details: &mut Map<String, Value>, mail: &Map<String, Value>, status: &str) -> Vec<Concerned> {
    let is_list = |(name, value): &(&String, &Value)| name.to_lowercase().ends_with("recipients") && value.is_array();
    let list = details.iter().find(is_list).map(|(name, _)| name.clone());
    let mut concerned: Vec<Concerned> = if let Some(Value::Array(values)) = list.and_then(|name| details.remove(&name))
    {
        values.into_iter().map(one).collect()
    } else {
        let destination = texts(mail.get("destination"));
        let is_told = destination.len() == 1 || !OF_ANYBODY.contains(&status);
        destination.into_iter().filter(|_| is_told).map(|address| one(Value::String(address))).collect()
    };
    if concerned.is_empty() {
        concerned.push(Concerned { address: None, details: Map::new() });
    }
    concerned
}

/// `{"emailAddress": ..}` with more, or only the address.
fn one(value: Value) -> Concerned {
    match value {
        Value::Object(mut details) => {
            let address = text(&details, "emailAddress").and_then(|address| address::email(&address));
            if address.is_some() {
                details.remove("emailAddress");
            }
            Concerned { address, details }
        }
        other => Concerned { address: other.as_str().and_then(address::email), details: Map::new() },
    }
}

/// Who sent the mail, which may have a name.
fn sender(mail: &Map<String, Value>) -> Option<Party> {
    let source = text(mail, "source")?;
    let (parties, _) = addresses::read(source.as_bytes());
    parties.into_iter().next().or_else(|| address::email(&source).map(Party::of))
}

fn moment_of(map: &Map<String, Value>) -> Option<Millis> {
    moment::read(map.get("timestamp")?.as_str()?)
}
