//! Any sender that proves nothing: open to the internet, or behind a secret in the URL.

use http::Method;
use proto::{Channel, Millis};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Keyring, KeyringError};
use crate::read::check;
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::optional;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;
use crate::webhook::payload;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Any,
    success: Success::Json,
    on_401: Reaction::Unknown,
    on_429: Reaction::Unknown,
    over_limit: OverLimit::Reject,
    retries: "whatever the sender does",
    max_body: MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Open;

impl Adapter for Open {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &'static str {
        "none"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        optional::keyring(secrets, scheme)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        optional::authenticate(request, keyring, scheme, now)
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::not_empty(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        optional::sign(request, keyring, scheme, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        payload::normalize(raw, settings, |_| {})
    }
}
