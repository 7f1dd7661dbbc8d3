//! GitHub: JSON, or a form whose `payload` is the JSON. The delivery's id is in the headers, and the same when somebody
//! redelivers it by hand; GitHub itself sends everything once.

use http::Method;
use proto::{Channel, Kind, Millis, Party};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::{body, check, form, json, media};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::hmac;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON, media::FORM]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::GivesUp,
    over_limit: OverLimit::Accept,
    retries: "none: a delivery that is not answered with 2xx within 10 s (GHES 30 s) has failed, and can be redelivered \
              by hand for three days (docs.github.com, best practices for using webhooks)",
    max_body: 25 * MIB,
};

/// Where the text of an event is: the most particular object that has one.
const TEXTS: [(&str, &str); 8] = [
    ("comment", "body"),
    ("review", "body"),
    ("issue", "body"),
    ("pull_request", "body"),
    ("discussion", "body"),
    ("release", "body"),
    ("head_commit", "message"),
    ("commit_comment", "body"),
];

/// Where its title is.
const TITLES: [(&str, &str); 4] =
    [("issue", "title"), ("pull_request", "title"), ("discussion", "title"), ("release", "name")];

/// The header with the id of a delivery.
const DELIVERY: &str = "x-github-delivery";

/// The adapter.
#[derive(Debug)]
pub(crate) struct GitHub;

impl Adapter for GitHub {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &'static str {
        "github"
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
        check::not_empty(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        let mut signed = hmac::sign(request, keyring, &scheme(), now)?;
        if request.header(DELIVERY).is_none() {
            // The same body gets the same id, as a redelivery does.
            let hash = blake3::hash(request.body).to_hex();
            signed.headers.push((DELIVERY.to_owned(), hash.as_bytes().get(..32)?.to_vec()));
        }
        Some(signed)
    }

    fn identity_headers(&self) -> &'static [&'static str] {
        &[DELIVERY]
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |draft| draft.alone(raw))
    }
}

/// GitHub's HMAC; `X-Hub-Signature`, with SHA-1, is not looked at.
fn scheme() -> Scheme {
    Scheme { header: Some("x-hub-signature-256".to_owned()), prefix: "sha256=".to_owned(), ..Scheme::default() }
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let content_type = raw.header("content-type");
    let json = match content_type {
        Some(value) if media::is(value, media::FORM) => {
            let form = form::read(&bytes, content_type)?;
            json::read(form.get("payload").ok_or(BadReason::NotJson)?.as_bytes())?
        }
        _ => json::read(&bytes)?,
    };
    let mut draft = Draft::new(Kind::Message);
    draft.note_json(json.notes);
    let event = raw.header("x-github-event");
    if event == Some("ping") {
        draft = draft.ignored(bytes.into_owned());
    } else {
        describe(&mut draft, &json.value);
    }
    if let Some(delivery) = raw.header(DELIVERY).filter(|delivery| !delivery.is_empty()) {
        draft.provider_message_id = Some(delivery.to_owned());
        draft.identity = Identity::Provided(vec![delivery.to_owned()]);
    }
    let action = json.value.get("action").and_then(Value::as_str);
    for (name, value) in [("event", event), ("action", action), ("hook_id", raw.header("x-github-hook-id"))] {
        if let Some(value) = value {
            draft.metadata.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    }
    draft.content.fields = Some(canonical_json(&json.value));
    draft.metadata.insert("fields".to_owned(), json.value);
    Ok(draft)
}

fn describe(draft: &mut Draft, event: &Value) {
    let text = |(object, field): &(&str, &str)| event.get(object)?.get(field)?.as_str().map(str::to_owned);
    draft.text = TEXTS.iter().find_map(text);
    draft.subject = TITLES.iter().find_map(text);
    let login = event.get("sender").and_then(|sender| sender.get("login")).and_then(Value::as_str);
    draft.sender = login.map(Party::of);
    draft.conversation = conversation(event);
}

/// `owner/repository#7`: where everything about one issue or pull request comes together.
fn conversation(event: &Value) -> Option<String> {
    let repository = event.get("repository")?.get("full_name")?.as_str()?;
    let subject = ["issue", "pull_request", "discussion"].iter().find_map(|name| event.get(name));
    match subject.and_then(|subject| subject.get("number")) {
        Some(number) => Some(format!("{repository}#{number}")),
        None => Some(repository.to_owned()),
    }
}
