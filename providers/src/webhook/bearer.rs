//! Any sender with a bearer token (RFC 6750), or with the token as the whole value of the header named in `header`.

use http::Method;
use proto::{Channel, Millis};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::check;
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::token;
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
pub(crate) struct Bearer;

impl Adapter for Bearer {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &'static str {
        "bearer"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the token", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, _now: Millis) -> Verdict {
        match &scheme.header {
            Some(header) => token::in_header(request, header, keyring).into(),
            None => token::bearer(request, keyring).into(),
        }
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::not_empty(request, max_body)
    }

    fn sign(&self, _request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, _now: Millis) -> Option<Signed> {
        match &scheme.header {
            Some(header) => token::sign_header(header, keyring),
            None => token::sign_bearer(keyring),
        }
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        payload::normalize(raw, settings, |_| {})
    }

    fn secret_headers<'a>(&self, scheme: &'a Scheme) -> Vec<&'a str> {
        scheme.header.as_deref().into_iter().collect()
    }
}
