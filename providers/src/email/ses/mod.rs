//! Amazon SES through SNS: received mail, whole or as a reference to S3, and what became of mail that was sent, which
//! comes through the same kind of topic.

use http::Method;
use proto::{Channel, Millis};

use crate::adapter::{Adapter, FollowUp, Signed};
use crate::contract::{Contract, Media, OverLimit, Reaction, Success};
use crate::keyring::{Keyring, KeyringError};
use crate::read::check;
use crate::record::{BadReason, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::sns;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Any,
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Accept,
    retries: "on 429, 5xx and after 15 s without an answer: 3 times, 20 s apart, unless the subscription's delivery policy \
              says more (an hour at most); then the message is lost, unless the subscription has a dead-letter queue \
              (docs.aws.amazon.com, SNS message delivery retries)",
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Ses;

impl Adapter for Ses {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn name(&self) -> &'static str {
        "ses"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        sns::keyring(secrets, scheme)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        sns::authenticate(request, keyring, scheme, now).into()
    }

    fn certificate_url(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme) -> Option<String> {
        sns::certificate_url(request, keyring, scheme)
    }

    fn follow_up(&self, request: &Request<'_>) -> Option<FollowUp> {
        sns::follow_up(request)
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::not_empty(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        sns::sign(request, keyring, scheme, now)
    }

    fn normalize(&self, _raw: &RawRequest, _settings: &SourceSettings) -> Normalized {
        Normalized::bad(BadReason::NotAnObject)
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}
