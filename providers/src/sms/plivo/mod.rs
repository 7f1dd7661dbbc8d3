//! Plivo SMS and MMS: messages and delivery reports, as form or GET parameters. Long messages come in one piece.
//!
//! A request has a nonce and no time: a copy of it verifies for ever, and is told by the message's id.

mod signature;

use std::collections::BTreeMap;

use http::Method;
use proto::canonical::StatusFields;
use proto::{Attachment, Channel, Kind, Millis};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::form::Fields;
use crate::read::names::snake_case;
use crate::read::{body, check, form, media, msisdn};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST, Method::GET],
    media: Media::Only(&[media::FORM]),
    success: Success::Fixed {
        content_type: "application/xml",
        body: r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#,
    },
    on_401: Reaction::GivesUp,
    on_429: Reaction::GivesUp,
    over_limit: OverLimit::Accept,
    retries: "after 5xx; how often, and whether after 401 and 429, is not documented, so taken for not",
    max_body: MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Plivo;

impl Adapter for Plivo {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "plivo"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the auth token of the account or subaccount", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, _now: Millis) -> Verdict {
        signature::authenticate(request, keyring, scheme).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        if request.method == Method::GET {
            return if request.query.is_none_or(str::is_empty) { Err(BadRequest::Empty) } else { Ok(()) };
        }
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, _now: Millis) -> Option<Signed> {
        signature::sign(request, keyring)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        match parameters(raw, settings) {
            Ok(fields) => read(fields).alone(raw),
            Err(reason) => Normalized::bad(reason),
        }
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The parameters, from where they were signed.
fn parameters(raw: &RawRequest, settings: &SourceSettings) -> Result<Fields, BadReason> {
    if raw.envelope.method == Method::GET.as_str() {
        return form::read(raw.envelope.query.as_deref().unwrap_or_default().as_bytes(), None);
    }
    form::read(&body::unpacked(raw, settings)?, raw.header("content-type"))
}

fn read(fields: Fields) -> Draft {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields.pairs {
        parameters.entry(name).or_insert(value);
    }
    let mut draft = Draft::new(Kind::Message);
    draft.note_charset("text", fields.replaced);
    let pairs = parameters.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
    draft.content.element = canonical_json(&Value::Object(pairs.collect()));
    let mut take = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
    draft.provider_message_id = take("MessageUUID");
    let (from, to, status) = (take("From"), take("To"), take("Status"));
    msisdn::parties(&mut draft, from, to);
    let is_message = ["Text", "Body"].iter().any(|name| parameters.contains_key(*name));
    match (draft.provider_message_id.clone(), status) {
        (id, Some(status)) => read_status(&mut draft, id, status, &mut parameters),
        (None, None) if !is_message => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
        (id, None) => read_message(&mut draft, id, &mut parameters),
    }
    rest(&mut draft, parameters);
    draft
}

/// Statuses come repeated and out of order: the id, the state and the recipient tell them apart.
fn read_status(draft: &mut Draft, id: Option<String>, status: String, parameters: &mut BTreeMap<String, String>) {
    let code = parameters.remove("ErrorCode").filter(|code| !code.is_empty());
    draft.kind = Kind::Status;
    let recipient = draft.recipients.first().and_then(|recipient| recipient.address.clone());
    let written = draft.content.recipients.first().cloned().unwrap_or_default();
    draft.identity = id.map_or(Identity::None, |id| Identity::Provided(vec![id, status.clone(), written]));
    if let Some(code) = &code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }
    draft.status = Some(StatusFields { status, occurred_at: None, recipient, error_code: code });
}

/// The text is in `Text`, or with media in `Body`.
fn read_message(draft: &mut Draft, id: Option<String>, parameters: &mut BTreeMap<String, String>) {
    draft.identity = id.map_or(Identity::None, |id| Identity::Provided(vec![id]));
    let mut take = |name: &str, or_empty: bool| {
        let fits = parameters.get(name).is_some_and(|text| or_empty || !text.is_empty());
        if fits { parameters.remove(name) } else { None }
    };
    draft.text = [("Text", false), ("Body", false), ("Text", true), ("Body", true)]
        .into_iter()
        .find_map(|(name, or_empty)| take(name, or_empty));
    draft.content.text.clone_from(&draft.text);
    read_media(draft, parameters);
}

/// `Media1` and so on in the order of their numbers; some begin with 0.
fn read_media(draft: &mut Draft, parameters: &mut BTreeMap<String, String>) {
    let number = |name: &str| name.strip_prefix("Media").filter(|rest| is_digits(rest))?.parse::<u32>().ok();
    let mut names: Vec<(u32, String)> =
        parameters.keys().filter_map(|name| Some((number(name)?, name.clone()))).collect();
    names.sort();
    for (_, name) in names {
        let Some(url) = parameters.remove(&name).filter(|url| !url.is_empty()) else { continue };
        draft.content.attachments.push(url.clone());
        draft.attachments.push(Attachment {
            filename: None,
            content_type: None,
            size: None,
            blake3: None,
            disposition: Some("attachment".to_owned()),
            content_id: None,
            location: Some(url),
        });
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Keeps what has no column: Plivo adds parameters without notice.
fn rest(draft: &mut Draft, parameters: BTreeMap<String, String>) {
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        let number = matches!(name.as_str(), "Units" | "MediaCount").then(|| value.parse::<u32>().ok()).flatten();
        draft.metadata.entry(snake_case(&name)).or_insert_with(|| number.map_or(Value::String(value), Value::from));
    }
}
