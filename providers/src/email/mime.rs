//! A mail as it is (RFC 5322), posted by a relay, a mailbox or a script: with an HMAC of its bytes where `header` is
//! configured, with a bearer token otherwise.
//!
//! The body is no SMTP dialogue: a dot at the beginning of a line is a dot. `Return-Path`, `X-Original-To` and their like
//! are taken for the envelope, because whoever delivers puts them on top; the first of each counts.

use bytes::Bytes;
use http::Method;
use proto::{Channel, Millis};

use super::mail::Mail;
use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::{body, check};
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::{hmac, mac, token};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&["message/rfc822", "message/global", "application/octet-stream", "text/plain"]),
    success: Success::Json,
    on_401: Reaction::Unknown,
    on_429: Reaction::Unknown,
    over_limit: OverLimit::Reject,
    retries: "whatever the sender does",
    max_body: 100 * MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Mime;

impl Adapter for Mime {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn name(&self) -> &'static str {
        "mime"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        mac::no_md5(scheme)?;
        Keyring::parse(secrets, "the token, or with `header` the secret that the sender signs with", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        match &scheme.header {
            Some(_) => hmac::authenticate(request, keyring, scheme, now).into(),
            None => token::bearer(request, keyring).into(),
        }
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::not_empty(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        match &scheme.header {
            Some(_) => hmac::sign(request, keyring, scheme, now),
            None => token::sign_bearer(keyring),
        }
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        let bytes = match body::unpacked(raw, settings) {
            Ok(std::borrow::Cow::Borrowed(_)) => raw.body.clone(),
            Ok(std::borrow::Cow::Owned(unpacked)) => Bytes::from(unpacked),
            Err(reason) => return Normalized::bad(reason),
        };
        let mut mail = Mail::read(&bytes);
        let envelope = std::mem::take(&mut mail.delivered);
        super::finish(mail.drafts(&envelope), raw)
    }
}
