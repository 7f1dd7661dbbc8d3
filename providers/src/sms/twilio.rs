//! Twilio SMS and MMS: messages and status callbacks, as form, GET parameters or JSON.
//!
//! A request has no time of its own, and by default Twilio sends it once: whatever is not answered with 2xx is lost
//! unless the number has a fallback URL or connection overrides. So wrong signatures are held, not refused.

use http::Method;
use proto::{Channel, Kind, Millis};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::names::snake_case;
use crate::read::parameters::{self, Parameters, Place};
use crate::read::{address, check, delivery, files, media};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::twilio as scheme;
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
        scheme::known_algorithm(scheme)?;
        Keyring::parse(secrets, "the account's auth token, or with `algorithm` a shared key's secret", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, _now: Millis) -> Verdict {
        scheme::authenticate(request, keyring, scheme).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::parameters(request, max_body)
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
    // From where they were signed. What is signed nowhere was not verified either.
    let place = scheme::place(&raw.envelope.method, raw.header("content-type")).unwrap_or(Place::Json);
    let token = raw.header("i-twilio-idempotency-token");
    parameters::read(raw, settings, place).map(|parameters| read(parameters, token))
}

fn read(mut parameters: Parameters, idempotency_token: Option<&str>) -> Draft {
    let mut draft = Draft::new(Kind::Message);
    parameters.note(&mut draft);
    draft.content.element = parameters.element();
    // The last two repeat the first.
    let ids = ["MessageSid", "SmsMessageSid", "SmsSid"].map(|name| parameters.take(name));
    draft.provider_message_id = ids.into_iter().flatten().next();
    let (from, to) = (parameters.take("From"), parameters.take("To"));
    address::parties(&mut draft, from, to, address::phone);
    match parameters.take("MessageStatus") {
        Some(status) => {
            let code = parameters.take("ErrorCode");
            delivery::fill(&mut draft, status, code);
        }
        None if draft.provider_message_id.is_some() || parameters.contains("Body") => {
            read_message(&mut draft, &mut parameters);
        }
        None => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
    }
    parameters.keep_numbers(&mut draft, &["NumSegments", "NumMedia"], snake_case);
    parameters.keep(&mut draft, snake_case);
    draft.keep(idempotency_token.map(|token| ("idempotency_token".to_owned(), Value::String(token.to_owned()))));
    draft
}

/// The text is there even when it is empty, as in an MMS.
fn read_message(draft: &mut Draft, parameters: &mut Parameters) {
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.text = parameters.take_any("Body");
    draft.content.text.clone_from(&draft.text);
    let count = parameters.get("NumMedia").and_then(|count| count.parse().ok()).unwrap_or(0).min(MEDIA);
    for index in 0..count {
        let url = parameters.take(&format!("MediaUrl{index}"));
        let content_type = parameters.take(&format!("MediaContentType{index}"));
        if url.is_some() || content_type.is_some() {
            files::refer(draft, url, content_type, None);
        }
    }
}
