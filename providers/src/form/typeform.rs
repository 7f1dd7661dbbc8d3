//! Typeform: one submitted form a request. The answers carry the question's id and reference, its title is in the form's
//! definition beside them; groups nest questions.

use std::collections::HashMap;

use http::Method;
use proto::{Channel, Kind, Millis};
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
    retries: "after 408, 423, 429, 503 or no answer within 30 s every 2 to 3 min for 10 h; after most other codes some \
              times, ever more slowly; 404 and 410 switch the webhook off at once (typeform.com/developers/webhooks)",
    max_body: MIB,
};

/// What an event is that holds a form.
const RESPONSE: &str = "form_response";

/// The adapter.
#[derive(Debug)]
pub(crate) struct Typeform;

impl Adapter for Typeform {
    fn channel(&self) -> Channel {
        Channel::Form
    }

    fn name(&self) -> &'static str {
        "typeform"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the webhook's secret, as typed into its settings", Key::text)
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

/// HMAC-SHA256 of the body in base64.
fn scheme() -> Scheme {
    Scheme {
        header: Some("typeform-signature".to_owned()),
        prefix: "sha256=".to_owned(),
        encoding: Some(Encoding::Base64),
        ..Scheme::default()
    }
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let json = json::read(&bytes)?;
    let Value::Object(event) = json.value else { return Err(BadReason::NotAnObject) };
    let mut draft = Draft::new(Kind::Message);
    draft.note_json(json.notes);
    draft.content.element = bytes.into_owned();
    answers::keep(&mut draft, &event, &[("event_id", "event_id"), ("event_type", "event_type")]);
    let event_id = answers::text_of(&event, "event_id");
    let Some(Value::Object(response)) = event.get(RESPONSE) else {
        return Ok(answers::ignored(draft, event, event_id));
    };
    let token = answers::text_of(response, "token");
    answers::identify(&mut draft, token, answers::text_of(&event, "event_type"), RESPONSE, event_id);
    draft.sent_at = answers::time_of(response, "submitted_at");
    let titles = titles(response);
    let given = response.get("answers").and_then(Value::as_array).into_iter().flatten();
    let given: Vec<&Map<String, Value>> = given.filter_map(Value::as_object).collect();
    let labels = given.iter().filter_map(|answer| title(answer, &titles)).map(str::len).sum::<usize>();
    if labels > answers::REPEATED {
        return Err(BadReason::TooMany);
    }
    for url in given.iter().filter_map(|answer| answers::text_of(answer, "file_url")) {
        answers::attach(&mut draft, &url, answers::UNKNOWN);
    }
    answers::fill(&mut draft, given.into_iter().map(|given| answer(given, &titles)).collect(), settings);
    let kept = [("form_id", "form_id"), ("landed_at", "landed_at"), ("hidden", "hidden"), ("ending", "ending")];
    answers::keep(&mut draft, response, &kept);
    let kept = [("calculated", "calculated"), ("variables", "variables"), ("outcome", "outcome")];
    answers::keep(&mut draft, response, &kept);
    if let Some(Value::Object(definition)) = response.get("definition") {
        answers::keep(&mut draft, definition, &[("title", "form_title")]);
    }
    Ok(draft)
}

/// The titles of the questions by id and by reference, those in groups too.
fn titles(response: &Map<String, Value>) -> HashMap<&str, &str> {
    let mut titles = HashMap::new();
    let mut lists = vec![response.get("definition").and_then(|definition| definition.get("fields"))];
    while let Some(list) = lists.pop() {
        for field in list.and_then(Value::as_array).into_iter().flatten() {
            if let Some(title) = field.get("title").and_then(Value::as_str) {
                let names = ["ref", "id"].iter().filter_map(|name| field.get(name)?.as_str());
                titles.extend(names.map(|name| (name, title)));
            }
            lists.push(field.get("properties").and_then(|properties| properties.get("fields")));
            lists.push(field.get("fields"));
        }
    }
    titles
}

/// The title of the question that this answers.
fn title<'a>(given: &Map<String, Value>, titles: &HashMap<&str, &'a str>) -> Option<&'a str> {
    let field = given.get("field")?;
    ["id", "ref"].iter().find_map(|name| titles.get(field.get(name)?.as_str()?).copied())
}

fn answer(given: &Map<String, Value>, titles: &HashMap<&str, &str>) -> Answer {
    let field = |name: &str| given.get("field").and_then(|field| field.get(name)).and_then(Value::as_str);
    let (id, reference) = (field("id"), field("ref"));
    let kind = given.get("type").and_then(Value::as_str).unwrap_or_default();
    Answer {
        label: title(given, titles).unwrap_or_default().to_owned(),
        key: reference.or(id).unwrap_or_default().to_owned(),
        asks: match (kind, field("type")) {
            ("email", _) => Asks::Email,
            ("phone_number", _) => Asks::Phone,
            ("text", Some("long_text")) => Asks::Text,
            ("text", Some("short_text") | None) => Asks::Line,
            _ => Asks::Other,
        },
        value: value(given, kind),
    }
}

/// A choice by its label, several as a list; anything else as it is. The value stands under the name of its type.
fn value(given: &Map<String, Value>, kind: &str) -> Value {
    match (kind, given.get(kind)) {
        ("choice", Some(Value::Object(choice))) => {
            choice.get("label").or_else(|| choice.get("other")).cloned().unwrap_or_else(|| choice.clone().into())
        }
        ("choices", Some(Value::Object(choices)))
            if choices.contains_key("labels") || choices.contains_key("other") =>
        {
            let labels = choices.get("labels").and_then(Value::as_array).into_iter().flatten();
            labels.chain(choices.get("other").filter(|other| !other.is_null())).cloned().collect()
        }
        (_, Some(value)) => value.clone(),
        (_, None) => {
            let rest = given.iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "field"));
            rest.map(|(name, value)| (name.clone(), value.clone())).collect()
        }
    }
}
