//! Twilio SendGrid: Inbound Parse posts one mail a request as `multipart/form-data`, taken apart into fields or, where
//! `send_raw` is set, whole in the field `email`. The Event Webhook, which is signed alike, posts a list of events as
//! JSON.

mod events;
mod posted;

use http::Method;
use proto::{Channel, Millis};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Keyring, KeyringError};
use crate::read::{body, check, media};
use crate::record::{BadReason, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::sendgrid as scheme;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::MULTIPART, media::JSON]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::GivesUp,
    over_limit: OverLimit::Accept,
    retries: "after 5xx for 3 days, then dropped without notice; older pages say after 4xx too, newer ones do not; no \
              redirects are followed (twilio.com/docs/sendgrid, Inbound Parse)",
    // A mail of 30 MB, and what a multipart form adds to it.
    max_body: 36 * MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct SendGrid;

impl Adapter for SendGrid {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn name(&self) -> &'static str {
        "sendgrid"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        scheme::keyring(secrets)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        scheme::authenticate(request, keyring, scheme, now)
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
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let content_type = raw.header("content-type").unwrap_or_default();
    if media::is_json(content_type) {
        return events::read(&bytes, raw);
    }
    posted::read(&bytes, content_type, raw)
}
