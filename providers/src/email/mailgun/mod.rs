//! Mailgun: routes post one mail a request and recipient, taken apart into fields or, where the URL ends in `mime`, whole
//! in the field `body-mime`; `store(notify)` posts the fields with the attachments by reference. Tracking webhooks of the
//! same account post one event a request as JSON.

mod events;
mod fields;
mod posted;

use http::Method;
use proto::{Channel, Millis};

use crate::adapter::{Adapter, Signed, Used};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::{body, check, media};
use crate::record::{BadReason, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::mailgun as scheme;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::FORM, media::MULTIPART, media::JSON]),
    // 200 and nothing else: the reference knows no other success.
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "after anything but 200 and 406 at growing intervals for 8 h, the last 4 h long; 406 gives the mail up at \
              once, and is never answered here (documentation.mailgun.com, webhooks and routes)",
    // A mail of 25 MB in `body-mime`: base64 is escaped, and an escape takes three bytes.
    max_body: 80 * MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Mailgun;

impl Adapter for Mailgun {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn name(&self) -> &'static str {
        "mailgun"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the account's HTTP webhook signing key, which is not the API key", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        scheme::authenticate(request, keyring, scheme, now).into()
    }

    fn used(&self, request: &Request<'_>) -> Option<Used> {
        scheme::used(request)
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        scheme::sign(request, keyring, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).unwrap_or_else(Normalized::bad)
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let content_type = raw.header("content-type").unwrap_or_default();
    if media::is_json(content_type) {
        return events::read(&bytes).map(|draft| draft.alone(raw));
    }
    Ok(posted::read(&fields::Fields::read(&bytes, content_type)?, raw))
}
