//! Tally: one submitted form a request. A choice is an id, whose text is in the question's options beside it.

use std::collections::HashMap;

use http::Method;
use proto::{Attachment, Channel, Kind, Millis};
use serde_json::{Map, Value};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::answers::{self, Answer, Asks};
use crate::read::draft::Draft;
use crate::read::{body, check, json, media};
use crate::record::{BadReason, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::hmac;
use crate::settings::{Encoding, Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "on anything but 2xx within 10 s, as observed after 5 min, 30 min, 1 h, 6 h and 1 day (tally.so/help/webhooks \
              says that it retries, not when)",
    max_body: MIB,
};

/// What an event is that holds a form.
const RESPONSE: &str = "FORM_RESPONSE";

/// The adapter.
#[derive(Debug)]
pub(crate) struct Tally;

impl Adapter for Tally {
    fn channel(&self) -> Channel {
        Channel::Form
    }

    fn name(&self) -> &'static str {
        "tally"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the webhook's signing secret", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Verdict {
        hmac::authenticate(request, keyring, &scheme(), now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        hmac::sign(request, keyring, &scheme(), now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |draft| draft.alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

/// HMAC-SHA256 of the body in base64, with nothing before it.
fn scheme() -> Scheme {
    Scheme { header: Some("tally-signature".to_owned()), encoding: Some(Encoding::Base64), ..Scheme::default() }
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let json = json::read(&bytes)?;
    let Value::Object(event) = json.value else { return Err(BadReason::NotAnObject) };
    let mut draft = Draft::new(Kind::Message);
    draft.note_json(json.notes);
    draft.content.element = bytes.into_owned();
    answers::keep(&mut draft, &event, &[("eventId", "event_id"), ("eventType", "event_type")]);
    let event_id = answers::text_of(&event, "eventId");
    let form = event.get("data").and_then(Value::as_object).filter(|data| data.contains_key("fields"));
    let Some(data) = form else {
        return Ok(answers::ignored(draft, event, event_id));
    };
    let submission = answers::text_of(data, "submissionId").or_else(|| answers::text_of(data, "responseId"));
    answers::identify(&mut draft, submission, answers::text_of(&event, "eventType"), RESPONSE, event_id);
    draft.sent_at = answers::time_of(data, "createdAt").or_else(|| answers::time_of(&event, "createdAt"));
    let fields = data.get("fields").and_then(Value::as_array).into_iter().flatten();
    let fields: Vec<&Map<String, Value>> = fields.filter_map(Value::as_object).collect();
    if fields.iter().map(|field| most_repeated(field)).sum::<usize>() > answers::REPEATED {
        return Err(BadReason::TooMany);
    }
    let answers = fields.into_iter().map(|field| answer(&mut draft, field)).collect();
    answers::fill(&mut draft, answers, settings);
    let kept = [("formId", "form_id"), ("formName", "form_title"), ("responseId", "response_id")];
    answers::keep(&mut draft, data, &kept);
    answers::keep(&mut draft, data, &[("submissionId", "submission_id"), ("respondentId", "respondent_id")]);
    Ok(draft)
}

/// A question that was not answered has the value `null`, and stays so.
fn answer(draft: &mut Draft, field: &Map<String, Value>) -> Answer {
    let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
    let given = field.get("value").unwrap_or(&Value::Null);
    let value = match files(kind, given) {
        Some(files) => attach(draft, files),
        None => resolve(given, &texts(field)),
    };
    Answer {
        label: answers::text_of(field, "label").unwrap_or_default(),
        key: answers::text_of(field, "key").unwrap_or_default(),
        asks: match kind {
            "INPUT_EMAIL" => Asks::Email,
            "INPUT_PHONE_NUMBER" => Asks::Phone,
            "TEXTAREA" => Asks::Text,
            "INPUT_TEXT" => Asks::Line,
            _ => Asks::Other,
        },
        value,
    }
}

/// Uploads and drawn signatures: a list of objects with a URL.
fn files<'a>(kind: &str, value: &'a Value) -> Option<Vec<&'a Map<String, Value>>> {
    let uploads = matches!(kind, "FILE_UPLOAD" | "SIGNATURE").then(|| value.as_array())??;
    uploads.iter().map(|file| file.as_object().filter(|file| file.get("url").is_some_and(Value::is_string))).collect()
}

/// The files become attachments, their names the answer.
fn attach(draft: &mut Draft, files: Vec<&Map<String, Value>>) -> Value {
    let mut names = Vec::with_capacity(files.len());
    for file in files {
        let Some(url) = answers::text_of(file, "url") else { continue };
        let filename = answers::text_of(file, "name");
        names.push(Value::String(filename.clone().unwrap_or_else(|| url.clone())));
        let content_type = answers::text_of(file, "mimeType");
        let size = file.get("size").and_then(Value::as_u64);
        answers::attach(draft, &url, Attachment { filename, content_type, size, ..answers::UNKNOWN });
    }
    Value::Array(names)
}

/// The texts of a question's options by id; of a matrix, those of its rows and columns.
fn texts(field: &Map<String, Value>) -> HashMap<&str, &str> {
    let lists = ["options", "rows", "columns"].iter().filter_map(|name| field.get(*name)?.as_array());
    lists.flatten().filter_map(|option| Some((option.get("id")?.as_str()?, option.get("text")?.as_str()?))).collect()
}

/// The most bytes that the texts of options can take in the value.
fn most_repeated(field: &Map<String, Value>) -> usize {
    let count = |value: &Value| value.as_array().map_or(1, Vec::len);
    let places = match field.get("value") {
        Some(Value::Object(rows)) => rows.values().map(|columns| 1 + count(columns)).sum(),
        Some(value) => count(value),
        None => 0,
    };
    places * texts(field).values().map(|text| text.len()).max().unwrap_or(0)
}

/// The value with the texts of options in place of their ids, as deep as a matrix has them.
fn resolve(value: &Value, texts: &HashMap<&str, &str>) -> Value {
    let text = |id: &str| texts.get(id).map_or_else(|| id.to_owned(), |text| (*text).to_owned());
    let one = |value: &Value| match value {
        Value::String(id) => Value::String(text(id)),
        other => other.clone(),
    };
    let several = |value: &Value| match value {
        Value::Array(ids) => ids.iter().map(one).collect(),
        other => one(other),
    };
    match value {
        _ if texts.is_empty() => value.clone(),
        Value::Object(rows) => rows.iter().map(|(row, columns)| (text(row), several(columns))).collect(),
        other => several(other),
    }
}
