//! Postmark: mail that came in, as JSON with the parts taken out or with the whole message in `RawEmail`; and what became
//! of mail that was sent, where the user enters one URL for both.
//!
//! Nothing is signed: what proves the sender is in the URL, as Basic credentials or `?key=`, and does not cover the body.

mod event;
mod inbound;

use http::Method;
use proto::{Channel, Kind, Millis};
use serde_json::Value;

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::json::{Budget, Notes};
use crate::read::json_object::Object;
use crate::read::{body, check, media};
use crate::record::{BadReason, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::in_url;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    // 35 MB of files in base64, and again in `RawEmail`.
    max_body: 100 * MIB,
    retries: "on anything but 200, ten times within 10.5 h (after 1, 5, 10, 10, 10, 15, 30 min, 1, 2 and 6 h), and never \
              again after 403 (postmarkapp.com/developer/webhooks/inbound-webhook and its support pages)",
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Postmark;

impl Adapter for Postmark {
    fn channel(&self) -> Channel {
        Channel::Email
    }

    fn name(&self) -> &'static str {
        "postmark"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        in_url::keyring(secrets)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, _now: Millis) -> Verdict {
        in_url::authenticate(request, keyring)
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, _request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, _now: Millis) -> Option<Signed> {
        in_url::sign(keyring)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |drafts| super::finish(drafts, raw))
    }
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Vec<Draft>, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let mut payload = Object::read(&bytes)?;
    let record_type = payload.take_text(event::RECORD_TYPE).map(|text| text.into_text(&mut Notes::default()));
    match record_type.as_deref() {
        None | Some(event::INBOUND) if inbound::is_mail(&payload) => inbound::read(payload, &bytes),
        record_type => about_sent_mail(payload, record_type).map(|draft| vec![draft]),
    }
}

/// What is said about a mail that was sent; or nothing that we know, which is kept whole.
fn about_sent_mail(payload: Object<'_>, record_type: Option<&str>) -> Result<Draft, BadReason> {
    let mut notes = Notes::default();
    let mut draft = Draft::new(Kind::Status);
    let fields = payload.into_map(&mut Budget::default(), &mut notes)?;
    draft.note_json(notes);
    let element = canonical_json(&Value::Object(fields.clone()));
    let Some(record_type) = record_type else {
        draft.metadata.insert("fields".to_owned(), Value::Object(fields));
        return Ok(draft.ignored(element));
    };
    draft.content.element = element.into();
    event::fill(&mut draft, record_type, fields);
    Ok(draft)
}
