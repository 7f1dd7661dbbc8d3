//! Vonage's SMS API (Nexmo): messages, parts of long ones, and delivery receipts, as GET parameters, form or JSON, as the
//! account says.
//!
//! Requests are signed only once Vonage's support has switched that on for the account. The method of signing is a
//! setting of the account too, and must be the source's `algorithm`; a request does not name it.

use http::Method;
use proto::{Channel, Kind, Millis};
use serde_json::{Map, Value};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::parameters::{self, Parameters};
use crate::read::{address, check, delivery, files, media};
use crate::record::{Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::vonage as scheme;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST, Method::GET],
    media: Media::Only(&[media::FORM, media::JSON]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "after 429 and 5xx for 24 h: after 5 s, doubling to 15 min, then every 15 min; another 4xx may lose the \
              message (api.support.vonage.com, articles 360028543292 and 26937692681244)",
    max_body: MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Vonage;

impl Adapter for Vonage {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "vonage"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the account's signature secret", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        scheme::authenticate(request, keyring, scheme, now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::parameters(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        scheme::sign(request, keyring, scheme, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        let place = parameters::place(&raw.envelope.method, raw.header("content-type"));
        parameters::read(raw, settings, place).map_or_else(Normalized::bad, |parameters| read(parameters).alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn read(mut parameters: Parameters) -> Draft {
    // They are the delivery's, not the message's.
    for name in [scheme::SIGNATURE, scheme::TIMESTAMP, scheme::NONCE] {
        parameters.take(name);
    }
    let mut draft = Draft::new(Kind::Message);
    parameters.note(&mut draft);
    draft.sent_at = parameters.take_moment("message-timestamp");
    // Without the time, which may be another one when it is sent again.
    draft.content.element = parameters.element();
    draft.provider_message_id = parameters.take("messageId");
    let has_content = parameters.has("text") || parameters.has("data");
    let status = if has_content { None } else { parameters.take("status") };
    let (from, to) = match status {
        // In a receipt `to` is who sent the message, and `msisdn` the handset.
        Some(_) => (parameters.take("to"), parameters.take("msisdn")),
        None => (parameters.take("msisdn"), parameters.take("to")),
    };
    address::parties(&mut draft, from, to, address::international);
    match status {
        Some(status) => {
            let code = parameters.take("err-code");
            delivery::fill(&mut draft, status, code);
        }
        None if draft.provider_message_id.is_some() || has_content => read_message(&mut draft, &mut parameters),
        None => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
    }
    parameters.keep(&mut draft, |name| name.replace('-', "_"));
    draft
}

fn read_message(draft: &mut Draft, parameters: &mut Parameters) {
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.text = parameters.take_any("text");
    draft.content.text.clone_from(&draft.text);
    if parameters.get("concat").is_some_and(|concat| concat.eq_ignore_ascii_case("true")) {
        read_place(draft, parameters);
    }
    if let Some(data) = parameters.take("data") {
        read_binary(draft, data, parameters.get("udh").unwrap_or_default());
    }
}

/// Which part of a long message it is. Two parts with the same text are two.
fn read_place(draft: &mut Draft, parameters: &mut Parameters) {
    draft.kind = Kind::MessagePart;
    parameters.take("concat");
    let mut place = Map::new();
    for name in ["concat-ref", "concat-total", "concat-part"] {
        let Some(text) = parameters.take(name) else { continue };
        // A reference only looks like a number.
        let number = text.parse::<u32>().ok().filter(|_| name != "concat-ref");
        place.insert(name.replace('-', "_"), number.map_or(Value::String(text), Value::from));
    }
    let place = Value::Object(place);
    draft.content.fields = Some(canonical_json(&place));
    if let Value::Object(mut place) = place {
        draft.metadata.append(&mut place);
    }
}

/// A binary message: its bytes in hex.
fn read_binary(draft: &mut Draft, data: String, header: &str) {
    match hex::decode(&data) {
        Ok(bytes) => files::binary(draft, bytes, header),
        Err(_) => draft.content.attachments.push(format!("{data} {header}")),
    }
    draft.metadata.insert("data".to_owned(), Value::String(data));
}
