//! Jotform: one submitted form a request, as a form whose field `rawRequest` holds the answers as JSON.
//!
//! Nothing is signed, so a source has a secret in its URL; and the form names that URL, secret and all, in a field, which
//! must not become part of a record.

use http::Method;
use proto::{Channel, Kind, Millis, Party};
use serde_json::{Map, Value};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::form::generic;
use crate::keyring::{Keyring, KeyringError};
use crate::read::answers::{self, Answer, Asks};
use crate::read::draft::Draft;
use crate::read::{address, body, check, fields, form, json, media};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::optional;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::MULTIPART, media::FORM]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::GivesUp,
    over_limit: OverLimit::Accept,
    retries: "not documented, so taken for none",
    max_body: MIB,
};

/// The field with the answers.
const ANSWERS: &str = "rawRequest";
/// The field with the URL that Jotform calls.
const URL: &str = "webhookURL";

/// The fields that have a name in our metadata.
const KEPT: [(&str, &str); 8] = [
    ("submissionID", "submission_id"),
    ("formID", "form_id"),
    ("formTitle", "form_title"),
    ("ip", "ip"),
    ("type", "type"),
    ("username", "username"),
    ("pretty", "pretty"),
    (URL, "webhook_url"),
];

/// The adapter.
#[derive(Debug)]
pub(crate) struct Jotform;

impl Adapter for Jotform {
    fn channel(&self) -> Channel {
        Channel::Form
    }

    fn name(&self) -> &'static str {
        "jotform"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        optional::keyring(secrets, scheme)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        optional::authenticate(request, keyring, scheme, now)
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        optional::sign(request, keyring, scheme, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |draft| draft.alone(raw))
    }
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let content_type = raw.header("content-type");
    let mut draft = Draft::new(Kind::Message);
    match content_type {
        Some(value) if media::is(value, media::MULTIPART) => {
            generic::fill_multipart(&mut draft, &bytes, value, raw, settings)?;
        }
        _ => {
            let form = form::read(&bytes, content_type)?;
            draft.note_charset("metadata.fields", form.replaced);
            fields::fill(&mut draft, Value::Object(form.into_map()), None, raw, settings);
        }
    }
    draft.content.element = bytes.into_owned();
    let Some(Value::Object(mut posted)) = draft.metadata.remove("fields") else { return Ok(draft) };
    if let Some(Value::String(url)) = posted.get_mut(URL) {
        url.truncate(url.find(['?', '#']).unwrap_or(url.len()));
    }
    if let Some(id) = answers::text_of(&posted, "submissionID") {
        draft.identity = Identity::Provided(vec![id.clone()]);
        draft.provider_message_id = Some(id);
    }
    answers::keep(&mut draft, &posted, &KEPT);
    match answers_of(&posted) {
        Some(read) => {
            draft.note_json(read.notes);
            fill(&mut draft, read.answers, settings);
            posted.retain(|name, _| name != ANSWERS && !KEPT.iter().any(|(kept, _)| kept == name));
            if !posted.is_empty() {
                draft.metadata.insert("request".to_owned(), Value::Object(posted));
            }
        }
        // Whatever it is, it was submitted.
        None => drop(draft.metadata.insert("fields".to_owned(), Value::Object(posted))),
    }
    Ok(draft)
}

/// The answers, and what reading them had to do.
struct Read {
    answers: Map<String, Value>,
    notes: json::Notes,
}

fn answers_of(posted: &Map<String, Value>) -> Option<Read> {
    let json = json::read(posted.get(ANSWERS)?.as_str()?.as_bytes()).ok()?;
    let Value::Object(answers) = json.value else { return None };
    Some(Read { answers, notes: json.notes })
}

fn fill(draft: &mut Draft, given: Map<String, Value>, settings: &SourceSettings) {
    for url in given.values().filter_map(uploads).flatten() {
        answers::attach(draft, url, answers::UNKNOWN);
    }
    let find = |is: fn(&str) -> bool| {
        let mut values = given.iter().filter(|(key, _)| is(&question(key).to_lowercase())).map(|(_, value)| value);
        values.find_map(joined)
    };
    let (name, phone, subject) = (find(is_name), find(is_phone), find(|name| name == "subject"));
    answers::fill(draft, given.into_iter().map(answer).collect(), settings);
    draft.subject = draft.subject.take().or(subject);
    let address = draft.sender.take().and_then(|sender| sender.address);
    let address = address.or_else(|| phone.as_deref().and_then(address::phone));
    draft.sender = address.map(|address| Party { address: Some(address), name });
}

fn answer((key, value): (String, Value)) -> Answer {
    let name = question(&key);
    let lower = name.to_lowercase();
    let asks = if is_email(&lower) {
        Asks::Email
    } else if is_phone(&lower) {
        Asks::Phone
    } else if ["message", "comment", "text", "body"].iter().any(|text| lower.starts_with(text)) {
        Asks::Text
    } else {
        Asks::Other
    };
    Answer { key: name.to_owned(), asks, value, label: key }
}

fn is_email(name: &str) -> bool {
    name.contains("email") || matches!(name, "e-mail" | "mail")
}

fn is_phone(name: &str) -> bool {
    name.contains("phone") || name == "tel"
}

fn is_name(name: &str) -> bool {
    matches!(name, "name" | "fullname" | "yourname")
}

/// `q5_message7`: the question's own name, without its place before it and the number that makes it unique after it.
fn question(key: &str) -> &str {
    let name = key.strip_prefix('q').and_then(|rest| rest.split_once('_'));
    let name = name.filter(|(place, _)| !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(key, |(_, name)| name);
    let own = name.trim_end_matches(|character: char| character.is_ascii_digit());
    if own.is_empty() { name } else { own }
}

/// A text, or that of a question with several boxes: a name, a telephone number.
fn joined(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Object(boxes) => {
            if let Some(full) = answers::text_of(boxes, "full") {
                return Some(full);
            }
            let order = ["prefix", "first", "middle", "last", "suffix", "country", "area", "phone"];
            let texts = order.iter().filter_map(|name| boxes.get(*name)?.as_str()).map(str::trim);
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The URLs of uploaded files: a list of nothing else.
fn uploads(value: &Value) -> Option<Vec<&str>> {
    let urls = value.as_array()?.iter().map(Value::as_str);
    urls.map(|url| url.filter(|url| url.starts_with("https://") || url.starts_with("http://"))).collect()
}
