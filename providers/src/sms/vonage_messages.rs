//! Vonage's Messages API: SMS, MMS and what else Vonage carries, and the states of what was sent, as JSON.
//!
//! The token in `Authorization` is a signature, not a credential: it holds the hash of the body. Vonage's own libraries
//! do not compare it; here it must be there and fit.

use http::Method;
use proto::canonical::StatusFields;
use proto::{Attachment, Channel, Kind, Millis, Party};
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::{body, check, json, media, moment, msisdn};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::jwt::{self, Alg};
use crate::scheme::{mac, token, vonage};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::{Flaw, Verdict};

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "after 429 and 5xx for 24 h: after 5 s, doubling to 15 min, then every 15 min; another 4xx may lose the \
              message (api.support.vonage.com, articles 360028543292 and 26937692681244)",
    max_body: MIB,
};

/// Who issues the tokens.
const ISSUER: &str = "Vonage";
/// How wrong a clock may be where a token says itself when it ends, in seconds.
const LEEWAY: i64 = 5;

/// What is a file, with `url`, and perhaps `name` and `caption`.
const FILES: [&str; 6] = ["image", "audio", "video", "file", "sticker", "vcard"];
/// What holds the text, in this order.
const TEXTS: [&str; 4] = ["/reply/title", "/button/text", "/reaction/emoji", "/text"];
/// What says nothing of what was written.
const BESIDE: [&str; 5] = ["usage", "profile", "client_ref", "channel", "sms"];

/// The adapter.
#[derive(Debug)]
pub(crate) struct VonageMessages;

impl Adapter for VonageMessages {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "vonage-messages"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the account's signature secret", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        authenticate(request, keyring, scheme, now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        let claims = json!({
            "iat": now.as_unix().div_euclid(1000),
            "jti": jwt::id(request.body, now),
            "iss": ISSUER,
            "payload_hash": jwt::hash(request.body),
        });
        Some(Signed::header(token::AUTHORIZATION, format!("Bearer {}", jwt::sign(&claims, keyring)?)))
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |draft| draft.alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn authenticate(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Result<usize, Flaw> {
    let claims = jwt::read(token::credentials(request, "bearer")?, keyring, &[Alg::Hs256])?;
    claims.must_be("iss", ISSUER)?;
    claims.must_hash("payload_hash", request.body)?;
    claims.in_force(now, LEEWAY)?;
    let issued_at = claims.seconds("iat")?.ok_or(Flaw::Missing)?;
    mac::in_time(issued_at, now, scheme.tolerance_s.unwrap_or(vonage::TOLERANCE).saturating_mul(1000))?;
    Ok(claims.secret)
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let json = json::read(&body::unpacked(raw, settings)?)?;
    let element = canonical_json(&json.value);
    let Value::Object(mut map) = json.value else { return Err(BadReason::NotAnObject) };
    let mut draft = Draft::new(Kind::Message);
    draft.note_json(json.notes);
    draft.content.element = element;
    draft.provider_message_id = text(map.remove("message_uuid"));
    draft.sent_at = text(map.remove("timestamp")).as_deref().and_then(moment::read);
    let status = text(map.remove("status"));
    let (from, to) = (party(&mut map, "from", "sender"), party(&mut map, "to", "recipient"));
    msisdn::parties(&mut draft, from, to);
    match (status, map.contains_key("message_type")) {
        (Some(status), _) => read_status(&mut draft, status, &map),
        (None, true) => read_message(&mut draft, &map),
        (None, false) => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
    }
    for (name, value) in map {
        draft.metadata.entry(name).or_insert(value);
    }
    Ok(draft)
}

/// A text that is not empty.
fn text(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// A number as text, or in the object that older versions have; in WhatsApp, an id where there is no number.
fn party(map: &mut Map<String, Value>, name: &str, whatsapp: &str) -> Option<String> {
    let written = match map.remove(name) {
        Some(Value::Object(mut object)) => text(object.remove("number")).or_else(|| text(object.remove("id"))),
        value => text(value),
    };
    let user = || map.get("whatsapp")?.get(whatsapp)?.get("user_id")?.as_str();
    written.or_else(|| user().map(|id| format!("bsuid:{id}")))
}

/// It comes repeated and out of order: the id, the state and the recipient tell it from others.
fn read_status(draft: &mut Draft, status: String, map: &Map<String, Value>) {
    draft.kind = Kind::Status;
    if let Some(id) = draft.provider_message_id.clone() {
        let written = draft.content.recipients.first().cloned().unwrap_or_default();
        draft.identity = Identity::Provided(vec![id, status.clone(), written]);
    }
    let error_code = map.get("error").and_then(|error| text(error.get("title").cloned()));
    if let Some(code) = &error_code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }
    let recipient = draft.recipients.first().and_then(|recipient| recipient.address.clone());
    draft.status = Some(StatusFields { status, occurred_at: draft.sent_at, recipient, error_code });
}

fn read_message(draft: &mut Draft, map: &Map<String, Value>) {
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.kind = match map.get("message_type").and_then(Value::as_str) {
        Some("reaction") => Kind::Reaction,
        Some("unsupported") => Kind::Unsupported,
        _ => Kind::Message,
    };
    let at = |pointer: &str| {
        let (mut names, first) = (pointer.split('/').skip(2), pointer.split('/').nth(1)?);
        names.try_fold(map.get(first)?, |value, name| value.get(name))?.as_str().map(str::to_owned)
    };
    if let Some(name) = at("/profile/name") {
        draft.sender.get_or_insert(Party { address: None, name: None }).name = Some(name);
    }
    draft.reply_to_id = at("/context/message_uuid");
    let captions = FILES.iter().find_map(|kind| at(&format!("/{kind}/caption")));
    draft.text = TEXTS.iter().find_map(|pointer| at(pointer)).or(captions);
    draft.content.text.clone_from(&draft.text);
    for file in FILES.iter().filter_map(|kind| map.get(*kind)) {
        let part = |name: &str| file.get(name).and_then(Value::as_str).map(str::to_owned);
        let location = part("url");
        draft.content.attachments.extend(location.clone());
        draft.attachments.push(Attachment {
            filename: part("name"),
            content_type: None,
            size: None,
            blake3: None,
            disposition: Some("attachment".to_owned()),
            content_id: None,
            location,
        });
    }
    let written = map.iter().filter(|(name, _)| !BESIDE.contains(&name.as_str()));
    let written: Map<String, Value> = written.map(|(name, value)| (name.clone(), value.clone())).collect();
    draft.content.fields = Some(canonical_json(&Value::Object(written)));
}
