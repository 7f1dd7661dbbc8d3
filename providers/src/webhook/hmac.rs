//! Any sender that signs its body with an HMAC of a known kind; the kind is configuration.

use http::Method;
use proto::{Channel, Millis};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::check;
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::{hmac, mac};
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
pub(crate) struct Hmac;

impl Adapter for Hmac {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &'static str {
        "hmac"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        mac::no_md5(scheme)?;
        if scheme.header.is_none() {
            let expected = "the name of the header with the signature, as in `X-Signature`";
            return Err(KeyringError::Setting { setting: "header", expected });
        }
        Keyring::parse(secrets, "the secret that the sender signs with", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        hmac::authenticate(request, keyring, scheme, now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::not_empty(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        hmac::sign(request, keyring, scheme, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        payload::normalize(raw, settings, |_| {})
    }
}
