//! Twilio SMS and MMS: messages and status callbacks, as form, GET parameters or JSON.
//!
//! A request has no time of its own, and by default Twilio sends it once: whatever is not answered with 2xx is lost
//! unless the number has a fallback URL or connection overrides. So wrong signatures are held, not refused.

use std::collections::BTreeMap;

use http::Method;
use proto::canonical::StatusFields;
use proto::{Attachment, Channel, Kind, Millis, Party, Recipient};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::form::Fields;
use crate::read::names::snake_case;
use crate::read::{address, body, check, form, json, media};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::mac;
use crate::scheme::twilio::{self as scheme, Kind as Place};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST, Method::GET],
    media: Media::Only(&[media::FORM, media::JSON]),
    success: Success::Fixed {
        content_type: "text/xml",
        body: r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#,
    },
    on_401: Reaction::GivesUp,
    on_429: Reaction::GivesUp,
    over_limit: OverLimit::Accept,
    retries: "none by default: after an error or 15 s the number's fallback URL is called once; `#rc=2&rp=all` at the \
              end of the configured URL asks for retries (twilio.com/docs/usage/webhooks/webhooks-connection-overrides)",
    max_body: MIB,
};

/// Media that a message can have; Twilio documents 10.
const MEDIA: usize = 100;

/// The adapter.
#[derive(Debug)]
pub(crate) struct Twilio;

impl Adapter for Twilio {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "twilio"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        mac::no_md5(scheme)?;
        Keyring::parse(secrets, "the account's auth token, or with `algorithm` a shared key's secret", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, _now: Millis) -> Verdict {
        scheme::authenticate(request, keyring, scheme).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        if request.method == Method::GET {
            return if request.query.is_none_or(str::is_empty) { Err(BadRequest::Empty) } else { Ok(()) };
        }
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, _now: Millis) -> Option<Signed> {
        scheme::sign(request, keyring, scheme)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        draft(raw, settings).map_or_else(Normalized::bad, |draft| draft.alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

/// The record in the making, for the other channel that Twilio serves.
pub(crate) fn draft(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    parameters(raw, settings).map(|fields| read(raw, fields))
}

/// The parameters, from where they were signed.
fn parameters(raw: &RawRequest, settings: &SourceSettings) -> Result<Fields, BadReason> {
    let content_type = raw.header("content-type");
    match scheme::kind_of(&raw.envelope.method, content_type) {
        Place::Query => form::read(raw.envelope.query.as_deref().unwrap_or_default().as_bytes(), None),
        Place::Form => form::read(&body::unpacked(raw, settings)?, content_type),
        Place::Json | Place::Other => {
            let json = json::read(&body::unpacked(raw, settings)?)?;
            let Value::Object(map) = json.value else { return Err(BadReason::NotAnObject) };
            let text = |value| if let Value::String(text) = value { text } else { value.to_string() };
            Ok(Fields {
                pairs: map.into_iter().map(|(name, value)| (name, text(value))).collect(),
                replaced: json.notes.surrogate,
            })
        }
    }
}

fn read(raw: &RawRequest, fields: Fields) -> Draft {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields.pairs {
        parameters.entry(name).or_insert(value);
    }
    let mut draft = Draft::new(Kind::Message);
    if fields.replaced {
        draft.notes.note("text", "charset");
    }
    draft.content.element = element(&parameters);
    let mut take = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
    let ids = [take("MessageSid"), take("SmsMessageSid"), take("SmsSid")];
    let (from, to) = (take("From"), take("To"));
    draft.provider_message_id = ids.into_iter().flatten().next();
    parties(&mut draft, from, to);
    match draft.provider_message_id.clone() {
        None => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
        Some(id) => match take("MessageStatus") {
            Some(status) => read_status(&mut draft, id, status, &mut parameters),
            None => read_message(&mut draft, id, &mut parameters),
        },
    }
    rest(&mut draft, parameters, raw.header("i-twilio-idempotency-token"));
    draft
}

/// Everything, whatever order it came in.
fn element(parameters: &BTreeMap<String, String>) -> Vec<u8> {
    let pairs = parameters.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
    crate::dedup::canonical_json(&Value::Object(pairs.collect()))
}

fn parties(draft: &mut Draft, from: Option<String>, to: Option<String>) {
    let raw = [("from_raw", &from), ("to_raw", &to)];
    for (name, written) in raw {
        if let Some(written) = written.as_ref().filter(|written| address::phone(written).as_ref() != Some(*written)) {
            draft.metadata.insert(name.to_owned(), Value::String(written.clone()));
        }
    }
    draft.sender = from.as_deref().and_then(address::phone).map(Party::of);
    draft.recipients = to.as_deref().and_then(address::phone).map(Recipient::to).into_iter().collect();
    draft.content.sender = from;
    draft.content.recipients = to.into_iter().collect();
}

/// Statuses come repeated and out of order: the id, the state and the recipient tell them apart.
fn read_status(draft: &mut Draft, id: String, status: String, parameters: &mut BTreeMap<String, String>) {
    parameters.remove("SmsStatus");
    let code = parameters.remove("ErrorCode").filter(|code| !code.is_empty());
    draft.kind = Kind::Status;
    let recipient = draft.recipients.first().and_then(|recipient| recipient.address.clone());
    let written = draft.content.recipients.first().cloned().unwrap_or_default();
    draft.identity = Identity::Provided(vec![id, status.clone(), written]);
    if let Some(code) = &code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }
    draft.status = Some(StatusFields { status, occurred_at: None, recipient, error_code: code });
}

/// The text is there even when it is empty, as in an MMS.
fn read_message(draft: &mut Draft, id: String, parameters: &mut BTreeMap<String, String>) {
    draft.identity = Identity::Provided(vec![id]);
    draft.text = parameters.remove("Body");
    draft.content.text.clone_from(&draft.text);
    read_media(draft, parameters);
}

fn read_media(draft: &mut Draft, parameters: &mut BTreeMap<String, String>) {
    let count = parameters.get("NumMedia").and_then(|count| count.parse().ok()).unwrap_or(0).min(MEDIA);
    for index in 0..count {
        let url = parameters.remove(&format!("MediaUrl{index}"));
        let content_type = parameters.remove(&format!("MediaContentType{index}"));
        draft.content.attachments.extend(url.clone());
        draft.attachments.push(Attachment {
            filename: None,
            content_type,
            size: None,
            blake3: None,
            disposition: Some("attachment".to_owned()),
            content_id: None,
            location: url,
        });
    }
}

/// Keeps what has no column: Twilio adds parameters without notice.
fn rest(draft: &mut Draft, parameters: BTreeMap<String, String>, idempotency_token: Option<&str>) {
    let token = idempotency_token.map(|token| ("IdempotencyToken".to_owned(), token.to_owned()));
    for (name, value) in parameters.into_iter().chain(token).filter(|(_, value)| !value.is_empty()) {
        let number = matches!(name.as_str(), "NumSegments" | "NumMedia").then(|| value.parse::<u32>().ok()).flatten();
        draft.metadata.entry(snake_case(&name)).or_insert_with(|| number.map_or(Value::String(value), Value::from));
    }
}
