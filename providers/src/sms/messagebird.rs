//! Classic MessageBird: messages to a virtual number and states of messages sent, as GET parameters or form (or JSON).
//!
//! A token holds for a minute, so the gateway's clock must be right. What MessageBird does after an error is not
//! published any more: it is taken for one that does not come back.

use http::Method;
use proto::canonical::StatusFields;
use proto::{Channel, Kind, Millis};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::names::snake_case;
use crate::read::parameters::{self, Parameters, Place};
use crate::read::{check, media, moment, msisdn};
use crate::record::{Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::messagebird as scheme;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST, Method::GET],
    media: Media::Only(&[media::FORM, media::JSON]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::GivesUp,
    over_limit: OverLimit::Accept,
    retries: "not published: reckon with none",
    max_body: MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct MessageBird;

impl Adapter for MessageBird {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "messagebird"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the account's signing key, which is not the API key", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        scheme::authenticate_classic(request, keyring, scheme, now).into()
    }

    /// A body may be empty whatever the method is: then everything is in the query. Whether it is what it says is for
    /// the reader to find out, because MessageBird signs anything.
    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        if request.body.is_empty() { Ok(()) } else { check::not_empty(request, max_body) }
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        scheme::sign_classic(request, keyring, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        let place = match parameters::place(&raw.envelope.method, raw.header("content-type")) {
            _ if raw.body.is_empty() => Place::Query,
            place => place,
        };
        parameters::read(raw, settings, place).map_or_else(Normalized::bad, |parameters| read(parameters).alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn read(mut parameters: Parameters) -> Draft {
    let mut draft = Draft::new(Kind::Message);
    parameters.note(&mut draft);
    draft.content.element = parameters.element();
    draft.provider_message_id = parameters.take("id");
    let (from, to) = (parameters.take("originator"), parameters.take("recipient"));
    msisdn::parties(&mut draft, from, to);
    let text = parameters.take_any("body");
    match (text, parameters.take("status")) {
        (None, Some(status)) => read_status(&mut draft, status, &mut parameters),
        (None, None) => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
        (Some(text), status) => {
            if let Some(status) = status {
                draft.metadata.insert("status".to_owned(), Value::String(status));
            }
            draft.identity =
                draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
            draft.sent_at = parameters.take("createdDatetime").as_deref().and_then(moment::read);
            draft.content.text = Some(text.clone());
            draft.text = Some(text);
        }
    }
    parameters.keep(&mut draft, snake_case);
    draft
}

/// It comes repeated and out of order: the id, the state and the recipient tell it from others.
fn read_status(draft: &mut Draft, status: String, parameters: &mut Parameters) {
    draft.kind = Kind::Status;
    draft.sent_at = parameters.take("statusDatetime").as_deref().and_then(moment::read);
    if let Some(id) = draft.provider_message_id.clone() {
        let written = draft.content.recipients.first().cloned().unwrap_or_default();
        draft.identity = Identity::Provided(vec![id, status.clone(), written]);
    }
    let error_code = parameters.take("statusErrorCode");
    if let Some(code) = &error_code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }
    let recipient = draft.recipients.first().and_then(|recipient| recipient.address.clone());
    draft.status = Some(StatusFields { status, occurred_at: draft.sent_at, recipient, error_code });
}
