//! Standard Webhooks (and Svix): the message's id is in the headers, and the same on every attempt; the timestamp is
//! the attempt's, so it is no time of the message.

use http::Method;
use proto::{Channel, Millis};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Keyring, KeyringError};
use crate::read::check;
use crate::read::draft::Draft;
use crate::record::{Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::standard;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;
use crate::webhook::payload;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Any,
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "on anything but 2xx, as a rule after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h; slower after 429, 502 \
              and 504; `Retry-After` is honoured; 410 ends it (standard-webhooks specification)",
    max_body: MIB,
};

/// The headers with the id of a message: the standard's own, and Svix's. The first that is there counts.
const IDS: [&str; 2] = ["webhook-id", "svix-id"];

/// The adapter.
#[derive(Debug)]
pub(crate) struct Standard;

impl Adapter for Standard {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    fn name(&self) -> &'static str {
        "standard"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        standard::keyring(secrets)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        standard::authenticate(request, keyring, scheme, now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::not_empty(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        standard::sign(request, keyring, now)
    }

    fn identity_headers(&self) -> &'static [&'static str] {
        &IDS
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        payload::normalize(raw, settings, |draft| add(draft, raw))
    }
}

fn add(draft: &mut Draft, raw: &RawRequest) {
    if let Some(id) = standard::id(&raw.envelope.headers) {
        draft.provider_message_id = Some(id.to_owned());
        draft.identity = Identity::Provided(vec![id.to_owned()]);
    }
    if let Some(Value::String(kind)) = draft.metadata.get("fields").and_then(|fields| fields.get("type")) {
        let kind = Value::String(kind.clone());
        draft.metadata.insert("type".to_owned(), kind);
    }
}
