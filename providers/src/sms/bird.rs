//! Bird, which MessageBird is now: messages of its Channels API, and the states of what was sent, as JSON.
//!
//! The body of a state is inferred from that of a message, which alone is documented: what is not there is not needed.

use bytes::Bytes;
use http::Method;
use proto::{Channel, Kind, Millis, Party, Recipient};
use serde_json::{Map, Value};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::names::snake_case;
use crate::read::{address, body, check, delivery, files, json, media, object};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::messagebird as scheme;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "on anything but 2xx, at growing intervals over 8 h (docs.bird.com, webhook subscriptions)",
    max_body: MIB,
};

/// Files of a message taken at most.
const FILES: usize = 100;

/// The adapter.
#[derive(Debug)]
pub(crate) struct Bird;

impl Adapter for Bird {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "bird"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the signing key of the webhook subscription", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        scheme::authenticate_bird(request, keyring, scheme, now).into()
    }

    /// Bird's signature is defined for an empty body too, and what is authentic is taken.
    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        if request.body.is_empty() { Ok(()) } else { check::well_formed(request, max_body) }
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        scheme::sign_bird(request, keyring, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |draft| draft.alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let mut draft = Draft::new(Kind::Message);
    if raw.body.is_empty() {
        return Ok(draft.ignored(Vec::new()));
    }
    let json = json::read(&body::unpacked(raw, settings)?)?;
    let element = Bytes::from(canonical_json(&json.value));
    let Value::Object(mut event) = json.value else { return Err(BadReason::NotAnObject) };
    draft.note_json(json.notes);
    let mut payload = match event.remove("payload") {
        Some(Value::Object(payload)) => payload,
        other => {
            event.extend(other.map(|other| ("payload".to_owned(), other)));
            Map::new()
        }
    };
    draft.provider_message_id = object::take(&mut payload, "id");
    let status = match event.get("event").and_then(Value::as_str).and_then(|event| event.rsplit('.').next()) {
        Some("inbound") if !payload.is_empty() => Some(None),
        Some("outbound") => object::take(&mut payload, "status").map(Some),
        _ => None,
    };
    match status {
        Some(status) => {
            draft.content.element = element;
            read_parties(&mut draft, &payload);
            match status {
                Some(status) => read_status(&mut draft, status, &mut payload),
                None => read_message(&mut draft, &mut payload),
            }
        }
        None => draft = draft.ignored(element),
    }
    draft.keep(payload.into_iter().chain(event).map(|(name, value)| (snake_case(&name), value)));
    Ok(draft)
}

/// What a contact is known by, as Bird writes it.
fn written(contact: &Value) -> Option<String> {
    object::text(contact.as_object()?, "identifierValue")
}

/// The contacts of one side; a connector is our own account, and has no number here.
fn contacts(payload: &Map<String, Value>, side: &str) -> Vec<Value> {
    let Some(side) = payload.get(side) else { return Vec::new() };
    let many = side.get("contacts").and_then(Value::as_array).cloned().unwrap_or_default();
    let one = side.get("contact").cloned();
    one.into_iter().chain(many).filter(|contact| written(contact).is_some()).collect()
}

fn address(contact: &Value) -> Option<String> {
    let written = written(contact)?;
    match contact.get("identifierKey").and_then(Value::as_str) {
        None | Some("phonenumber") => address::international(&written),
        Some(_) => address::account(&written),
    }
}

fn read_parties(draft: &mut Draft, payload: &Map<String, Value>) {
    let (from, to) = (contacts(payload, "sender"), contacts(payload, "receiver"));
    let from = from.first();
    draft.sender = from.and_then(address).map(Party::of);
    draft.recipients = to.iter().filter_map(address).map(Recipient::to).collect();
    draft.content.sender = from.and_then(written);
    draft.content.recipients = to.iter().filter_map(written).collect();
    // Where a number is not as it was written, the original is kept.
    if draft.content.sender != draft.sender.as_ref().and_then(|sender| sender.address.clone()) {
        draft.metadata.extend(draft.content.sender.clone().map(|raw| ("from_raw".to_owned(), Value::String(raw))));
    }
    let rewritten = |(raw, to): &(&String, &Recipient)| to.address.as_ref() != Some(*raw);
    if let Some((raw, _)) = draft.content.recipients.iter().zip(&draft.recipients).find(rewritten) {
        draft.metadata.insert("to_raw".to_owned(), Value::String(raw.clone()));
    }
}

fn read_status(draft: &mut Draft, status: String, payload: &mut Map<String, Value>) {
    let times = ["lastStatusAt", "updatedAt", "createdAt"];
    draft.sent_at = times.iter().find_map(|name| object::take_moment(payload, name));
    delivery::fill(draft, status, None);
}

fn read_message(draft: &mut Draft, payload: &mut Map<String, Value>) {
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.sent_at = object::take_moment(payload, "createdAt");
    let Some(body) = payload.get("body") else { return };
    // The body has its content under the name of its type.
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    if let Some(content) = body.get(kind).and_then(Value::as_object) {
        draft.text = content.get("text").and_then(Value::as_str).map(str::to_owned);
        draft.html = object::text(content, "html");
        let lists = ["images", "files"].into_iter().filter_map(|name| content.get(name)?.as_array());
        for file in lists.flatten().filter_map(Value::as_object) {
            if draft.attachments.len() == FILES {
                // All of them are in `metadata.body`.
                draft.notes.note("attachments", "too_many");
                break;
            }
            let text = |name| object::text(file, name);
            files::refer(draft, text("mediaUrl"), text("contentType"), text("filename"));
        }
    }
    draft.content.text.clone_from(&draft.text);
    draft.content.html.clone_from(&draft.html);
    draft.content.fields = Some(canonical_json(body));
}
