//! CloudEvents 1.0 over HTTP, in all three modes: structured (the event is the JSON body), binary (its attributes are
//! `ce-*` headers, the body is its data), batched (a JSON array of events, each a record of its own).
//!
//! An event is known by its source and id together. The sender proves itself with whatever the source is configured
//! for: a bearer key, `user:password`, a key in the URL (`?access_token=` as the webhook profile has it, or `?key=`),
//! or an HMAC where `header` is set. The HMAC covers the body alone: in binary mode it does not cover the attributes.

mod event;

use http::Method;
use proto::header::Pair;
use proto::{Channel, Kind, Millis};
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::json::{self, Json, Notes};
use crate::read::{body, check, media};
use crate::record::{BadElement, BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::{hmac, token, url_key};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::{Flaw, Verdict};
use crate::webhook::payload;
use event::{Data, Event};

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Any,
    success: Success::Json,
    on_401: Reaction::Unknown,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "whatever the sender does; after 429 it has to come back no earlier than `Retry-After` says, 410 and 415 end \
              it, and no redirect is followed (cloudevents/spec, http-webhook.md)",
    max_body: MIB,
};

/// Elements of a batch taken at most.
const BATCH: u32 = 10_000;

/// Attributes of the binary mode that tell two events apart.
const IDS: [&str; 2] = ["ce-id", "ce-source"];

/// Where a key may be in the URL.
const PARAMETERS: [&str; 2] = ["access_token", url_key::PARAMETER];

/// The question of the webhook profile: may events of this origin be sent here?
const ORIGIN: &str = "webhook-request-origin";
/// How many requests a minute it would like to send.
const RATE: &str = "webhook-request-rate";
/// Longest origin that is said back: a DNS name has 253 bytes.
const LONGEST_ORIGIN: usize = 255;

/// The adapter.
#[derive(Debug)]
pub(crate) struct CloudEvents;

impl Adapter for CloudEvents {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &'static str {
        "cloudevents"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        let expected = match scheme.header {
            Some(_) => "the secret of the HMAC in `header`",
            None => "a bearer key, `user:password`, or the key in the URL",
        };
        Keyring::parse(secrets, expected, Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        match scheme.header {
            Some(_) => hmac::authenticate(request, keyring, scheme, now).into(),
            None => credential(request, keyring).into(),
        }
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        match Mode::of(request.content_type()).ok_or(BadRequest::EventFormat)? {
            Mode::Binary => {
                event::in_headers(request.headers).and_then(Event::of).ok_or(BadRequest::NotAnEvent)?;
                // An event needs no data.
                if request.body.is_empty() { Ok(()) } else { check::well_formed(request, max_body) }
            }
            mode => {
                check::well_formed(request, max_body)?;
                if body::packing(request.header("content-encoding")) != body::Packing::Plain {
                    return Ok(());
                }
                event::glance(request.body, mode == Mode::Batch)
            }
        }
    }

    fn preflight(&self, request: &Request<'_>) -> Option<Vec<Pair>> {
        consent(request)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        if scheme.header.is_some() {
            return hmac::sign(request, keyring, scheme, now);
        }
        // No bearer token has a colon (RFC 6750).
        let (_, key) = keyring.shared().next()?;
        if key.contains(&b':') { token::sign_basic(keyring) } else { token::sign_bearer(keyring) }
    }

    fn identity_headers(&self) -> &'static [&'static str] {
        &IDS
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &PARAMETERS
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        let read = match Mode::of(raw.header("content-type")) {
            Some(Mode::Batch) => read_batch(raw, settings),
            Some(Mode::Structured) => read_structured(raw, settings),
            Some(Mode::Binary) => read_binary(raw, settings),
            None => Err(BadReason::NotAnEvent),
        };
        read.unwrap_or_else(Normalized::bad)
    }
}

/// How an event is laid into a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Batch,
    Structured,
    Binary,
}

impl Mode {
    /// The mode that the media type says; `None` where the events are in another format than JSON.
    fn of(content_type: Option<&str>) -> Option<Self> {
        let essence = content_type.map(|value| media::essence(value).to_ascii_lowercase()).unwrap_or_default();
        // The longer one first: it begins with the shorter.
        let modes = [("application/cloudevents-batch", Self::Batch), ("application/cloudevents", Self::Structured)];
        for (prefix, mode) in modes {
            if let Some(format) = essence.strip_prefix(prefix) {
                return matches!(format, "" | "+json").then_some(mode);
            }
        }
        Some(Self::Binary)
    }
}

/// Which secret is in `Authorization` or in the URL. A request with both is refused, as RFC 6750 wants it.
fn credential(request: &Request<'_>, keyring: &Keyring) -> Result<usize, Flaw> {
    let in_header = match token::bearer(request, keyring) {
        Err(Flaw::Malformed) => token::basic(request, keyring),
        judged => judged,
    };
    match (in_header, url_key::among(request, &PARAMETERS, keyring)) {
        (Err(Flaw::Missing), judged) | (judged, Err(Flaw::Missing)) => judged,
        _ => Err(Flaw::Repeated),
    }
}

/// The consent that the webhook profile asks for before it delivers. The origin is said back because the sender looks for
/// its own; the rate too, and a source's limit still holds. `WebHook-Request-Callback` is not called: the answer is
/// this one.
fn consent(request: &Request<'_>) -> Option<Vec<Pair>> {
    if *request.method != Method::OPTIONS {
        return None;
    }
    let origin = request.single(ORIGIN).ok()?;
    let speakable = origin.len() <= LONGEST_ORIGIN && origin.bytes().all(|byte| byte.is_ascii_graphic());
    let mut headers = Vec::with_capacity(3);
    headers.push(("webhook-allowed-origin".to_owned(), speakable.then(|| origin.as_bytes().to_vec())?));
    let rate = request.single(RATE).ok().and_then(|rate| rate.parse::<u32>().ok()).filter(|rate| *rate > 0);
    if let Some(rate) = rate {
        headers.push(("webhook-allowed-rate".to_owned(), rate.to_string().into_bytes()));
    }
    headers.push(("allow".to_owned(), Method::POST.as_str().as_bytes().to_vec()));
    Some(headers)
}

fn read_binary(raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let mut attributes = event::in_headers(&raw.envelope.headers).ok_or(BadReason::NotAnEvent)?;
    if let Some(content_type) = raw.header("content-type") {
        attributes.insert(event::CONTENT_TYPE.to_owned(), Value::String(content_type.to_owned()));
    }
    let data = if bytes.is_empty() { Data::None } else { Data::Bytes(bytes.into_owned()) };
    read_event(attributes, data, Notes::default(), raw, settings).map(|draft| draft.alone(raw))
}

fn read_structured(raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let Json { value, notes } = json::read(&body::unpacked(raw, settings)?)?;
    read_value(value, notes, raw, settings).map(|draft| draft.alone(raw))
}

/// A bad event spoils no other.
fn read_batch(raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let Json { value, notes } = json::read(&bytes)?;
    let Value::Array(values) = value else { return Err(BadReason::NotAnEvent) };
    if values.is_empty() {
        return Ok(Draft::new(Kind::AccountEvent).ignored(bytes.into_owned()).alone(raw));
    }
    let parts = u32::try_from(values.len()).ok().filter(|parts| *parts <= BATCH).ok_or(BadReason::TooMany)?;
    let elements = (0..).zip(values).map(|(part, value)| match read_value(value, notes, raw, settings) {
        Ok(draft) => Ok(Box::new(draft.finish(raw, part, parts))),
        Err(reason) => Err(BadElement { part, reason }),
    });
    Ok(Normalized { parts, elements: elements.collect() })
}

fn read_value(value: Value, notes: Notes, raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let Value::Object(mut attributes) = value else { return Err(BadReason::NotAnObject) };
    let data = event::take_data(&mut attributes).ok_or(BadReason::NotAnEvent)?;
    read_event(attributes, data, notes, raw, settings)
}

fn read_event(
    attributes: Map<String, Value>,
    data: Data,
    notes: Notes,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Result<Draft, BadReason> {
    let mut draft = Draft::new(Kind::Message);
    let mut element = canonical_json(&Value::Object(attributes.clone()));
    let event = Event::of(attributes).ok_or(BadReason::NotAnEvent)?;
    let has_data = !matches!(data, Data::None);
    match data {
        Data::None => draft.note_json(notes),
        Data::Json(value) => {
            element.extend(canonical_json(&value));
            payload::fill_json(&mut draft, Json { value, notes }, raw, settings);
        }
        Data::Text(text) => {
            draft.note_json(notes);
            let content_type = event.content_type.as_deref().map(event::in_utf8);
            payload::fill(&mut draft, text.as_bytes(), content_type.as_deref(), raw, settings)?;
            element.extend(text.into_bytes());
        }
        Data::Bytes(bytes) => {
            draft.note_json(notes);
            payload::fill(&mut draft, &bytes, event.content_type.as_deref(), raw, settings)?;
            element.extend(bytes);
        }
    }
    draft.content.element = element;
    if has_data {
        // Equal data of another type or about another subject is another message.
        let fields = draft.metadata.get("fields");
        let told = json!({ "source": event.source, "type": event.kind, "subject": event.subject, "data": fields });
        draft.content.fields = Some(canonical_json(&told));
    }
    draft.identity = Identity::Provided(vec![event.source.clone(), event.id.clone()]);
    draft.provider_message_id = Some(event.id);
    draft.sent_at = event.time.as_ref().map(|(_, time)| *time);
    let known = [
        ("source", Some(event.source)),
        ("type", Some(event.kind)),
        ("subject", event.subject),
        ("time", event.time.map(|(text, _)| text)),
        ("datacontenttype", event.content_type),
        ("dataschema", event.schema),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            draft.metadata.insert(name.to_owned(), Value::String(value));
        }
    }
    if !event.extensions.is_empty() {
        draft.metadata.insert("extensions".to_owned(), Value::Object(event.extensions));
    }
    Ok(draft)
}
