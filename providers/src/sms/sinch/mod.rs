//! Sinch SMS and MMS: messages and delivery reports as JSON, signed over body, nonce and time.
//!
//! Sinch's own library does not look at the time, and nobody says whether a retry is signed anew; so it is looked at only
//! where the source sets a `tolerance`. A request that is sent again within it is told by its id.

mod report;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use proto::{Channel, Kind, Millis};
use serde_json::{Map, Value};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::{address, body, check, files, json, media, object};
use crate::record::{BadElement, BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::mac;
use crate::settings::{Algorithm, Encoding, Scheme, SourceSettings};
use crate::verdict::{Flaw, Verdict};

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::GivesUp,
    over_limit: OverLimit::Accept,
    retries: "after 5xx; whether after 401 and 429 is not known, so taken for not",
    max_body: MIB,
};

const SIGNATURE: &str = "x-sinch-webhook-signature";
const NONCE: &str = "x-sinch-webhook-signature-nonce";
const TIMESTAMP: &str = "x-sinch-webhook-signature-timestamp";
const ALGORITHM: &str = "x-sinch-webhook-signature-algorithm";
/// The only algorithm there is.
const HMAC_SHA256: &str = "HmacSHA256";

/// The adapter.
#[derive(Debug)]
pub(crate) struct Sinch;

impl Adapter for Sinch {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "sinch"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the callback secret of the service plan", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        verify(request, keyring, scheme, now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        let (_, key) = keyring.shared().next()?;
        let timestamp = now.as_unix().div_euclid(1000).to_string();
        let nonce = blake3::hash(request.body).to_hex().get(..32)?.to_owned();
        let mac = mac::compute(Algorithm::Sha256, key, &pieces(request.body, &nonce, &timestamp));
        let mut signed = Signed::header(SIGNATURE, mac::encode(Encoding::Base64, &mac));
        let rest = [(NONCE, nonce), (TIMESTAMP, timestamp), (ALGORITHM, HMAC_SHA256.to_owned())];
        signed.headers.extend(rest.map(|(name, value)| (name.to_owned(), value.into_bytes())));
        Some(signed)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).unwrap_or_else(Normalized::bad)
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn verify(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Result<usize, Flaw> {
    let given = mac::decode(Encoding::Base64, request.single(SIGNATURE)?)?;
    let (nonce, timestamp) = (request.single(NONCE)?, request.single(TIMESTAMP)?);
    match request.single(ALGORITHM) {
        Ok(named) if named.eq_ignore_ascii_case(HMAC_SHA256) => {}
        Err(Flaw::Missing) => {}
        Ok(_) => return Err(Flaw::Algorithm),
        Err(flaw) => return Err(flaw),
    }
    let signed_at = mac::seconds(timestamp);
    let fits = mac::fitting(keyring, Algorithm::Sha256, &pieces(request.body, nonce, timestamp), &given)?;
    if scheme.tolerance_s.is_some() {
        mac::in_time(signed_at?, now, scheme.tolerance_ms())?;
    }
    Ok(fits)
}

fn pieces<'a>(body: &'a [u8], nonce: &'a str, timestamp: &'a str) -> [&'a [u8]; 5] {
    [body, b".", nonce.as_bytes(), b".", timestamp.as_bytes()]
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let json = json::read(&body::unpacked(raw, settings)?)?;
    let notes = json.notes;
    let element = Bytes::from(canonical_json(&json.value));
    let Value::Object(event) = json.value else { return Err(BadReason::NotAnObject) };
    let kind = object::text(&event, "type").unwrap_or_default();
    let mut drafts = if kind.starts_with("mo_") {
        vec![Ok(message(event, &kind))]
    } else if kind.starts_with("recipient_delivery_report") {
        vec![Ok(report::of_recipient(event))]
    } else if kind.starts_with("delivery_report") {
        report::of_batch(event)?
    } else {
        vec![Ok(unknown(event))]
    };
    for draft in drafts.iter_mut().flatten() {
        draft.note_json(notes);
        if draft.content.element.is_empty() {
            draft.content.element.clone_from(&element);
        }
        draft.metadata.entry("type").or_insert_with(|| Value::String(kind.clone()));
    }
    let parts = u32::try_from(drafts.len()).map_err(|_| BadReason::TooMany)?;
    let elements = (0..).zip(drafts).map(|(part, draft)| match draft {
        Ok(draft) => Ok(Box::new(draft.finish(raw, part, parts))),
        Err(reason) => Err(BadElement { part, reason }),
    });
    Ok(Normalized { parts, elements: elements.collect() })
}

fn message(mut event: Map<String, Value>, kind: &str) -> Draft {
    let mut draft = Draft::new(Kind::Message);
    draft.provider_message_id = object::take(&mut event, "id");
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.sent_at =
        object::take_moment(&mut event, "sent_at").or_else(|| object::take_moment(&mut event, "received_at"));
    let (from, to) = (object::take(&mut event, "from"), object::take(&mut event, "to"));
    address::parties(&mut draft, from, to, address::international);
    match (kind, event.remove("body")) {
        ("mo_binary", Some(Value::String(body))) => read_binary(&mut draft, body, &event),
        ("mo_media", Some(Value::Object(body))) => read_media(&mut draft, body),
        (_, Some(Value::String(body))) => draft.text = Some(body),
        // Of a kind that is not known yet; whatever it holds is kept.
        (_, Some(body)) => {
            draft.content.fields = Some(canonical_json(&body));
            draft.metadata.insert("body".to_owned(), body);
        }
        (_, None) => {}
    }
    draft.content.text.clone_from(&draft.text);
    draft.content.subject.clone_from(&draft.subject);
    draft.keep(event);
    draft
}

/// The bytes become an attachment.
fn read_binary(draft: &mut Draft, body: String, event: &Map<String, Value>) {
    let header = object::text(event, "udh").unwrap_or_default();
    match STANDARD.decode(&body) {
        Ok(bytes) => files::binary(draft, bytes, &header),
        Err(_) => draft.content.attachments.push(format!("{body} {header}")),
    }
    draft.metadata.insert("body".to_owned(), Value::String(body));
}

fn read_media(draft: &mut Draft, mut body: Map<String, Value>) {
    draft.subject = object::take(&mut body, "subject");
    draft.text = object::take(&mut body, "message");
    let files = body.get("media").and_then(Value::as_array).into_iter().flatten();
    for file in files.filter_map(Value::as_object) {
        files::refer(draft, object::text(file, "url"), object::text(file, "content_type"), None);
    }
    // The media with their states: one that Sinch could not fetch has no URL.
    draft.keep(body);
}

/// What is neither message nor report, kept whole.
fn unknown(event: Map<String, Value>) -> Draft {
    let element = Bytes::from(canonical_json(&Value::Object(event.clone())));
    let mut draft = Draft::new(Kind::AccountEvent);
    draft.metadata.insert("fields".to_owned(), Value::Object(event));
    draft.ignored(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_verifies() {
        let keyring = Keyring::parse(&["test-secret"], "", Key::text).unwrap();
        let headers = |algorithm: &str, timestamp: &str| {
            let signature = "5+21tu77TcDQa081uQz/H9Dy1ktRZwYJkRJXVw1Eq8o=";
            [(SIGNATURE, signature), (NONCE, "n1"), (TIMESTAMP, timestamp), (ALGORITHM, algorithm)]
                .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        };
        let now = Millis::from_unix(1_785_500_000_000).unwrap();
        let judge = |headers: &[(String, Vec<u8>)], scheme: &Scheme| {
            let body = "{\"a\":\"ü\"}".as_bytes();
            let request = Request { method: &Method::POST, url: "https://x.example/", query: None, headers, body };
            verify(&request, &keyring, scheme, now)
        };
        let good = headers(HMAC_SHA256, "1785499200");
        assert_eq!(judge(&good, &Scheme::default()), Ok(0));
        let within = |seconds| Scheme { tolerance_s: Some(seconds), ..Scheme::default() };
        assert_eq!(judge(&good, &within(800)), Ok(0));
        assert_eq!(judge(&good, &within(799)), Err(Flaw::Stale));
        assert_eq!(judge(&headers(HMAC_SHA256, "1785499201"), &Scheme::default()), Err(Flaw::Mismatch));
        assert_eq!(judge(&headers("HmacSHA1", "1785499200"), &Scheme::default()), Err(Flaw::Algorithm));
        assert_eq!(judge(good.get(..3).unwrap(), &Scheme::default()), Ok(0), "the algorithm need not be named");
        assert_eq!(judge(good.get(..2).unwrap(), &Scheme::default()), Err(Flaw::Missing));
    }
}
