//! WhatsApp by Meta's own Cloud API: signed batches of messages, statuses and events, and a handshake by GET whenever the
//! address is entered in the console. The bodies are read in [`super::cloud`].
//!
//! One app secret signs for all numbers of an app, and a signature has no time: a replay verifies, and only the ids tell
//! it. The legacy `X-Hub-Signature` (SHA-1) is not looked at.

use http::Method;
use proto::{Channel, Millis};

use super::cloud;
use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::handshake::Handshake;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::{check, media};
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::{challenge, hmac};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST, Method::GET],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "on anything but 200, with growing pauses for up to 7 days, and not always in the same batches \
              (developers.facebook.com, WhatsApp webhooks overview)",
    max_body: 4 * MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Meta;

impl Adapter for Meta {
    fn channel(&self) -> Channel {
        Channel::WhatsApp
    }

    fn name(&self) -> &'static str {
        "meta"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the app secret, from the app's basic settings", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Verdict {
        hmac::authenticate(request, keyring, &scheme(), now).into()
    }

    /// A GET is never anything else: messages are posted.
    fn handshake(&self, request: &Request<'_>, token: Option<&str>) -> Option<Handshake> {
        (request.method == Method::GET).then(|| challenge::answer(request.query.unwrap_or_default(), token))
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        hmac::sign(request, keyring, &scheme(), now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        cloud::normalize(raw, settings)
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[challenge::TOKEN]
    }
}

/// Meta's HMAC, over the bytes as they came: what is escaped in them stays escaped.
fn scheme() -> Scheme {
    Scheme { header: Some("x-hub-signature-256".to_owned()), prefix: "sha256=".to_owned(), ..Scheme::default() }
}
