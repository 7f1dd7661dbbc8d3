//! Classic MessageBird: messages to a virtual number and states of messages sent, as GET parameters or form (or JSON).
//!
//! A token holds for a minute, so the gateway's clock must be right. What MessageBird does after an error is not
//! published any more: it is taken for one that does not come back.

use http::Method;
use proto::{Channel, Kind, Millis};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::names::snake_case;
use crate::read::parameters::{self, Parameters, Place};
use crate::read::{address, check, delivery, media};
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
    let is_message = parameters.contains("body") || from.is_some();
    address::parties(&mut draft, from, to, address::international);
    let status = if parameters.contains("body") { None } else { parameters.take("status") };
    match status {
        // It is of a message that we sent.
        Some(status) => {
            draft.sent_at = parameters.take_moment("statusDatetime");
            let code = parameters.take("statusErrorCode");
            delivery::fill(&mut draft, status, code);
        }
        None if is_message => {
            draft.identity =
                draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
            draft.sent_at = parameters.take_moment("createdDatetime");
            draft.text = parameters.take_any("body");
            draft.content.text.clone_from(&draft.text);
        }
        None => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
    }
    parameters.keep(&mut draft, snake_case);
    draft
}
