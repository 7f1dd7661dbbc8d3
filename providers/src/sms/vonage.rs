//! Vonage's SMS API (Nexmo): messages, parts of long ones, and delivery receipts, as GET parameters, form or JSON, as the
//! account says.
//!
//! Requests are signed only once Vonage's support has switched that on for the account. The method of signing is a
//! setting of the account too, and must be the source's `algorithm`; a request does not name it.

use http::Method;
use proto::canonical::StatusFields;
use proto::{Attachment, Channel, Kind, Millis};
use serde_json::{Value, json};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::parameters::{self, Parameters};
use crate::read::{check, media, moment, msisdn};
use crate::record::{Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::vonage as scheme;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST, Method::GET],
    media: Media::Only(&[media::FORM, media::JSON]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "after 429 and 5xx for 24 h: after 5 s, doubling to 15 min, then every 15 min; another 4xx may lose the \
              message (api.support.vonage.com, articles 360028543292 and 26937692681244)",
    max_body: MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Vonage;

impl Adapter for Vonage {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "vonage"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the account's signature secret", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        scheme::authenticate(request, keyring, scheme, now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        if request.method == Method::GET {
            return if request.query.is_none_or(str::is_empty) { Err(BadRequest::Empty) } else { Ok(()) };
        }
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        scheme::sign(request, keyring, scheme, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        let place = parameters::place(&raw.envelope.method, raw.header("content-type"));
        parameters::read(raw, settings, place).map_or_else(Normalized::bad, |parameters| read(parameters).alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn read(mut parameters: Parameters) -> Draft {
    // They are the delivery's, not the message's.
    for name in [scheme::SIGNATURE, scheme::TIMESTAMP, scheme::NONCE] {
        parameters.take(name);
    }
    let mut draft = Draft::new(Kind::Message);
    parameters.note(&mut draft);
    draft.content.element = parameters.element();
    draft.provider_message_id = parameters.take("messageId");
    draft.sent_at = parameters.take("message-timestamp").as_deref().and_then(moment::read);
    let has_content = parameters.has("text") || parameters.has("data");
    match parameters.take("status") {
        Some(status) if !has_content => read_receipt(&mut draft, status, &mut parameters),
        status => {
            if let Some(status) = status {
                draft.metadata.insert("status".to_owned(), Value::String(status));
            }
            let (from, to) = (parameters.take("msisdn"), parameters.take("to"));
            msisdn::parties(&mut draft, from, to);
            if draft.provider_message_id.is_none() && !has_content {
                let element = std::mem::take(&mut draft.content.element);
                draft = draft.ignored(element);
            } else {
                read_message(&mut draft, &mut parameters);
            }
        }
    }
    parameters.keep(&mut draft, |name| name.replace('-', "_"));
    draft
}

/// In a receipt `to` is who sent the message, and `msisdn` the handset. It comes repeated and out of order: the id, the
/// state and the handset tell it from others.
fn read_receipt(draft: &mut Draft, status: String, parameters: &mut Parameters) {
    let (from, to) = (parameters.take("to"), parameters.take("msisdn"));
    msisdn::parties(draft, from, to);
    draft.kind = Kind::Status;
    let recipient = draft.recipients.first().and_then(|recipient| recipient.address.clone());
    if let Some(id) = draft.provider_message_id.clone() {
        let written = draft.content.recipients.first().cloned().unwrap_or_default();
        draft.identity = Identity::Provided(vec![id, status.clone(), written]);
    }
    let code = parameters.take("err-code");
    if let Some(code) = &code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }
    // 0 says that there was no error.
    let error_code = code.filter(|code| code != "0");
    draft.status = Some(StatusFields { status, occurred_at: draft.sent_at, recipient, error_code });
}

fn read_message(draft: &mut Draft, parameters: &mut Parameters) {
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.text = parameters.take_any("text");
    draft.content.text.clone_from(&draft.text);
    let part = ["concat-ref", "concat-total", "concat-part"].map(|name| parameters.take(name));
    if parameters.take("concat").is_some_and(|concat| concat.eq_ignore_ascii_case("true")) {
        draft.kind = Kind::MessagePart;
        let [reference, total, number] = part;
        let count =
            |text: Option<String>| text.map(|text| text.parse::<u32>().map_or(Value::String(text), Value::from));
        let pairs = [
            ("concat_ref", reference.map(Value::String)),
            ("concat_total", count(total)),
            ("concat_part", count(number)),
        ];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let place = Value::Object(pairs.collect());
        // Two parts with the same text are two.
        draft.content.fields = Some(canonical_json(&place));
        if let Value::Object(mut place) = place {
            draft.metadata.append(&mut place);
        }
    }
    if let Some(data) = parameters.take("data") {
        read_binary(draft, &data, parameters);
    }
}

/// A binary message: its bytes in hex. They are few, so they stay in `metadata.data` too.
fn read_binary(draft: &mut Draft, data: &str, parameters: &mut Parameters) {
    draft.metadata.insert("data".to_owned(), json!(data));
    let udh = parameters.take("udh");
    let name = match hex::decode(data) {
        Ok(bytes) => {
            let hash = blake3::hash(&bytes).to_hex().to_string();
            draft.attachments.push(Attachment {
                filename: None,
                content_type: Some("application/octet-stream".to_owned()),
                size: Some(bytes.len() as u64),
                blake3: Some(hash.clone()),
                disposition: Some("attachment".to_owned()),
                content_id: None,
                location: None,
            });
            hash
        }
        Err(_) => data.to_owned(),
    };
    draft.content.attachments.push(format!("{name} {}", udh.as_deref().unwrap_or_default()));
    if let Some(udh) = udh {
        draft.metadata.insert("udh".to_owned(), Value::String(udh));
    }
}
