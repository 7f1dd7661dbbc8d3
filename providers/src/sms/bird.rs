//! Bird, which MessageBird is now: messages of its Channels API, and the states of what was sent, as JSON.
//!
//! The body of a state is inferred from that of a message, which alone is documented: what is not there is not needed.

use http::Method;
use proto::canonical::StatusFields;
use proto::{Attachment, Channel, Kind, Millis, Party, Recipient};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::names::snake_case;
use crate::read::{body, check, json, media, moment, msisdn};
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

/// Which way a message went.
enum Way {
    In,
    Out,
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let mut draft = Draft::new(Kind::Message);
    if raw.body.is_empty() {
        return Ok(draft.ignored(Vec::new()));
    }
    let json = json::read(&body::unpacked(raw, settings)?)?;
    let Value::Object(event) = json.value else { return Err(BadReason::NotAnObject) };
    let event = Value::Object(event);
    draft.note_json(json.notes);
    draft.content.element = canonical_json(&event);
    let name = event.get("event").and_then(Value::as_str).unwrap_or_default();
    let payload = event.get("payload").filter(|payload| payload.is_object());
    draft.provider_message_id = payload.and_then(|payload| text(payload, "id"));
    match payload.and_then(|payload| Some((payload, way(name, payload)?))) {
        Some((payload, Way::In)) => read_message(&mut draft, payload),
        Some((payload, Way::Out)) => read_status(&mut draft, payload),
        None => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
    }
    draft.metadata.insert("event".to_owned(), Value::String(name.to_owned()));
    // What has a column is not told twice.
    let told: &[&str] = match draft.status {
        Some(_) => &["id", "sender", "receiver", "status", "lastStatusAt"],
        None => &["id", "sender", "receiver", "createdAt"],
    };
    for (name, value) in payload.and_then(Value::as_object).into_iter().flatten() {
        if !told.contains(&name.as_str()) {
            draft.metadata.entry(snake_case(name)).or_insert_with(|| value.clone());
        }
    }
    Ok(draft)
}

fn way(event: &str, payload: &Value) -> Option<Way> {
    match event.rsplit('.').next() {
        Some("inbound") => Some(Way::In),
        Some("outbound") => payload.get("status").map(|_| Way::Out),
        _ => None,
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn moment_of(payload: &Value, names: &[&str]) -> Option<Millis> {
    names.iter().find_map(|name| moment::read(payload.get(name)?.as_str()?))
}

/// What a contact is known by, as Bird writes it.
fn written(contact: &Value) -> Option<String> {
    text(contact, "identifierValue")
}

/// The contacts of one side; a connector is our own account, and has no number here.
fn contacts(payload: &Value, side: &str) -> Vec<Value> {
    let Some(side) = payload.get(side) else { return Vec::new() };
    let many = side.get("contacts").and_then(Value::as_array).cloned().unwrap_or_default();
    let one = side.get("contact").cloned();
    one.into_iter().chain(many).filter(|contact| written(contact).is_some()).collect()
}

fn address(contact: &Value) -> Option<String> {
    let written = written(contact)?;
    match text(contact, "identifierKey").as_deref() {
        None | Some("phonenumber") => msisdn::phone(&written),
        Some(_) => Some(written),
    }
}

fn read_parties(draft: &mut Draft, payload: &Value) {
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

/// It comes repeated and out of order: the id, the state and the recipients tell it from others.
fn read_status(draft: &mut Draft, payload: &Value) {
    read_parties(draft, payload);
    draft.kind = Kind::Status;
    draft.sent_at = moment_of(payload, &["lastStatusAt", "updatedAt", "createdAt"]);
    let status = text(payload, "status").unwrap_or_default();
    if let Some(id) = draft.provider_message_id.clone() {
        let recipients = draft.content.recipients.iter().cloned();
        draft.identity = Identity::Provided([id, status.clone()].into_iter().chain(recipients).collect());
    }
    let recipient = draft.recipients.first().and_then(|recipient| recipient.address.clone());
    draft.status = Some(StatusFields { status, occurred_at: draft.sent_at, recipient, error_code: None });
}

fn read_message(draft: &mut Draft, payload: &Value) {
    read_parties(draft, payload);
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.sent_at = moment_of(payload, &["createdAt"]);
    let Some(body) = payload.get("body") else { return };
    // The body has its content under the name of its type.
    if let Some(content) = text(body, "type").and_then(|kind| body.get(kind)) {
        draft.text = content.get("text").and_then(Value::as_str).map(str::to_owned);
        draft.html = text(content, "html");
        let lists = ["images", "files"].into_iter().filter_map(|name| content.get(name)?.as_array());
        for file in lists.flatten().take(FILES) {
            let location = text(file, "mediaUrl");
            draft.content.attachments.extend(location.clone());
            draft.attachments.push(Attachment {
                filename: text(file, "filename"),
                content_type: text(file, "contentType"),
                size: None,
                blake3: None,
                disposition: Some("attachment".to_owned()),
                content_id: None,
                location,
            });
        }
    }
    draft.content.text.clone_from(&draft.text);
    draft.content.html.clone_from(&draft.html);
    draft.content.fields = Some(canonical_json(body));
}
