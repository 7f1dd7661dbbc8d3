//! Plivo SMS and MMS: messages and delivery reports, as form or GET parameters. Long messages come in one piece.
//!
//! A request has a nonce and no time: a copy of it verifies for ever, and is told by the message's id.

mod signature;

use http::Method;
use proto::{Channel, Kind, Millis};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::names::snake_case;
use crate::read::parameters::{self, Parameters, Place};
use crate::read::{address, check, delivery, files, media};
use crate::record::{Identity, Normalized, RawRequest};
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

/// What holds the text; with media it is the second.
const TEXTS: [&str; 2] = ["Text", "Body"];

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
        check::parameters(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, _now: Millis) -> Option<Signed> {
        signature::sign(request, keyring)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        let place = if raw.envelope.method == Method::GET.as_str() { Place::Query } else { Place::Form };
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
    draft.provider_message_id = parameters.take("MessageUUID");
    let (from, to) = (parameters.take("From"), parameters.take("To"));
    address::parties(&mut draft, from, to, address::international);
    let has_text = TEXTS.iter().any(|name| parameters.has(name));
    let status = if has_text { None } else { parameters.take("Status") };
    match status {
        Some(status) => {
            let code = parameters.take("ErrorCode");
            delivery::fill(&mut draft, status, code);
        }
        None if draft.provider_message_id.is_some() || TEXTS.iter().any(|name| parameters.contains(name)) => {
            read_message(&mut draft, &mut parameters);
        }
        None => {
            let element = std::mem::take(&mut draft.content.element);
            draft = draft.ignored(element);
        }
    }
    parameters.keep_numbers(&mut draft, &["Units", "MediaCount"], snake_case);
    parameters.keep(&mut draft, snake_case);
    draft
}

fn read_message(draft: &mut Draft, parameters: &mut Parameters) {
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    // The first that says something, or else the first that is there.
    let written = TEXTS.iter().find(|name| parameters.has(name));
    let written = written.or_else(|| TEXTS.iter().find(|name| parameters.contains(name)));
    draft.text = written.and_then(|name| parameters.take_any(name));
    draft.content.text.clone_from(&draft.text);
    read_media(draft, parameters);
}

/// `Media1` and so on in the order of their numbers; some begin with 0.
fn read_media(draft: &mut Draft, parameters: &mut Parameters) {
    let number = |name: &str| name.strip_prefix("Media").filter(|rest| is_digits(rest))?.parse::<u32>().ok();
    let mut names: Vec<(u32, String)> =
        parameters.names().filter_map(|name| Some((number(name)?, name.to_owned()))).collect();
    names.sort();
    for (_, name) in names {
        if let Some(url) = parameters.take(&name) {
            files::refer(draft, Some(url), None, None);
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
