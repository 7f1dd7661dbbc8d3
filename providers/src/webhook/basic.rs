//! Any sender with a user and a password (RFC 7617).

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
pub(crate) struct Basic;

impl Adapter for Basic {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &'static str {
        "basic"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        // A user has no colon, so the first one divides.
        let parse = |secret: &str| secret.contains(':').then(|| Key::text(secret)).flatten();
        Keyring::parse(secrets, "`user:password`", parse)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, _now: Millis) -> Verdict {
        token::basic(request, keyring).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::not_empty(request, max_body)
    }

    fn sign(&self, _request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, _now: Millis) -> Option<Signed> {
        token::sign_basic(keyring)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        payload::normalize(raw, settings, |_| {})
    }
}
