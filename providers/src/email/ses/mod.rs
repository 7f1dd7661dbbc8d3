//! Amazon SES through SNS: received mail, whole or as a reference to S3, and what became of mail that was sent, which
//! comes through the same kind of topic.

mod event;
mod received;

use bytes::Bytes;
use http::Method;
use proto::{Channel, Kind, Millis};
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, FollowUp, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::{body, check, json};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
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
    // A mail of 150 KB at most, larger ones come through S3; in base64, and that in JSON, and that in JSON.
    max_body: MIB,
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

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |drafts| super::finish(drafts, raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

/// What SNS says about a message: nothing where it delivers raw.
type Envelope = Option<sns::Envelope>;

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Vec<Draft>, BadReason> {
    let body = body::unpacked(raw, settings)?;
    let mut envelope = sns::Envelope::read(&body);
    let message: Bytes = match &mut envelope {
        Some(envelope) => std::mem::take(&mut envelope.message).into(),
        None => body,
    };
    let of_topic = envelope.as_ref().is_none_or(|envelope| envelope.kind == sns::Type::Notification);
    let json = match json::read(&message) {
        Ok(json) if of_topic => json,
        Ok(_) | Err(BadReason::NotJson) => return Ok(vec![words(&message, &envelope)]),
        Err(reason) => return Err(reason),
    };
    let drafts = match json.value {
        Value::Object(mut event) => match event.remove("mail") {
            Some(Value::Object(mail)) => of_mail(event, mail)?,
            mail => {
                event.extend(mail.map(|mail| ("mail".to_owned(), mail)));
                vec![unknown(Value::Object(event), &envelope)]
            }
        },
        other => vec![unknown(other, &envelope)],
    };
    let mark = |mut draft: Draft| {
        draft.note_json(json.notes);
        note_envelope(&mut draft, &envelope);
        draft
    };
    Ok(drafts.into_iter().map(mark).collect())
}

/// A mail that came in, or what became of one that went out.
fn of_mail(event: Map<String, Value>, mail: Map<String, Value>) -> Result<Vec<Draft>, BadReason> {
    match text(&event, "notificationType").or_else(|| text(&event, "eventType")) {
        Some(kind) if kind != "Received" => event::read(event, mail, &kind),
        _ => Ok(received::read(event, &mail)),
    }
}

/// What SNS or SES say in words: a subscription is asked for or ended, a topic was tried out.
fn words(message: &[u8], envelope: &Envelope) -> Draft {
    let mut draft = unknown(json!({ "Message": String::from_utf8_lossy(message) }), envelope);
    note_envelope(&mut draft, envelope);
    draft
}

/// Kept whole, and no mail.
fn unknown(message: Value, envelope: &Envelope) -> Draft {
    let mut draft = Draft::new(Kind::AccountEvent);
    let id = envelope.as_ref().map(|envelope| envelope.id.clone());
    draft.identity = id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.provider_message_id = id;
    draft.sent_at = envelope.as_ref().map(|envelope| envelope.timestamp);
    let element = canonical_json(&message);
    draft.metadata.insert("fields".to_owned(), message);
    draft.ignored(element)
}

/// Where it came from, as the envelope says. Whoever knows a token or the URL in it can act on the subscription, so
/// those are left out.
fn note_envelope(draft: &mut Draft, envelope: &Envelope) {
    if let Some(envelope) = envelope {
        let said = json!({
            "type": envelope.kind.as_str(),
            "message_id": envelope.id,
            "topic": envelope.topic,
            "subject": envelope.subject,
        });
        draft.metadata.insert("sns".to_owned(), said);
    }
}

fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn object<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    map.get(name)?.as_object()
}

/// The texts in a list, or one that stands where a list could.
fn texts(value: Option<&Value>) -> Vec<String> {
    let list = match value {
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
