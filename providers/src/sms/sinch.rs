//! Sinch SMS and MMS: messages and delivery reports as JSON, signed over body, nonce and time.
//!
//! Sinch's own library does not look at the time, and nobody says whether a retry is signed anew; so it is looked at only
//! where the source sets a `tolerance`. A request that is sent again within it is told by its id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use proto::canonical::StatusFields;
use proto::{Attachment, Channel, Kind, Millis};
use serde_json::{Map, Value};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::{body, check, json, media, msisdn};
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

/// Records that one report may become: one for each recipient.
const RECIPIENTS: usize = 10_000;
/// Bytes that all of them together may repeat of the report: what is common to many recipients is in the record of each.
const REPEATED: usize = 16 * 1024 * 1024;

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
    let element = canonical_json(&json.value);
    let Value::Object(event) = json.value else { return Err(BadReason::NotAnObject) };
    let kind = text(&event, "type").unwrap_or_default();
    let mut drafts = if kind.starts_with("mo_") {
        vec![Ok(message(event, &kind))]
    } else if kind.starts_with("recipient_delivery_report") {
        vec![Ok(recipient_report(event))]
    } else if kind.starts_with("delivery_report") {
        batch_report(event)?
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

fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn take(map: &mut Map<String, Value>, name: &str) -> Option<String> {
    let text = text(map, name)?;
    map.remove(name);
    Some(text)
}

fn time(map: &Map<String, Value>, name: &str) -> Option<Millis> {
    map.get(name)?.as_str()?.parse().ok()
}

fn message(mut event: Map<String, Value>, kind: &str) -> Draft {
    let mut draft = Draft::new(Kind::Message);
    draft.provider_message_id = take(&mut event, "id");
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.sent_at = time(&event, "sent_at").or_else(|| time(&event, "received_at"));
    let (from, to) = (take(&mut event, "from"), take(&mut event, "to"));
    msisdn::parties(&mut draft, from, to);
    match (kind, event.remove("body")) {
        ("mo_binary", Some(Value::String(body))) => read_binary(&mut draft, body, &event),
        ("mo_media", Some(Value::Object(body))) => read_media(&mut draft, body),
        (_, Some(Value::String(body))) => draft.text = Some(body),
        // Of a kind that is not known yet; whatever it holds is kept.
        (_, Some(body)) => drop(draft.metadata.insert("body".to_owned(), body)),
        (_, None) => {}
    }
    draft.content.text.clone_from(&draft.text);
    draft.content.subject.clone_from(&draft.subject);
    rest(&mut draft, event);
    draft
}

/// The bytes become an attachment. The user data header says whether they are one part of several.
fn read_binary(draft: &mut Draft, body: String, event: &Map<String, Value>) {
    let header = text(event, "udh").unwrap_or_default();
    if let Some([reference, total, part]) = concatenation(&header) {
        draft.kind = Kind::MessagePart;
        for (name, value) in [("concat_ref", reference), ("concat_total", total), ("concat_part", part)] {
            draft.metadata.insert(name.to_owned(), value.into());
        }
    }
    let Ok(bytes) = STANDARD.decode(&body) else {
        draft.content.fields = Some(body.clone().into_bytes());
        draft.metadata.insert("body".to_owned(), Value::String(body));
        return;
    };
    let hash = blake3::hash(&bytes).to_hex().to_string();
    draft.content.attachments.push(format!("{hash} {header}"));
    // The bytes are in no place of their own, and are few: so they stay in the record.
    draft.metadata.insert("body".to_owned(), Value::String(body));
    draft.attachments.push(Attachment {
        filename: None,
        content_type: Some("application/octet-stream".to_owned()),
        size: Some(bytes.len() as u64),
        blake3: Some(hash),
        disposition: Some("attachment".to_owned()),
        content_id: None,
        location: None,
    });
}

/// Reference, total and number of a part (3GPP TS 23.040, 9.2.3.24.1 and 9.2.3.24.8).
fn concatenation(header: &str) -> Option<[u16; 3]> {
    let bytes = hex::decode(header).ok()?;
    let (length, mut rest) = bytes.split_first()?;
    rest = rest.get(..usize::from(*length))?;
    while let [kind, length, after @ ..] = rest {
        let (data, next) = after.split_at_checked(usize::from(*length))?;
        match (kind, data) {
            (0, [reference, total, part]) => return Some([*reference, *total, *part].map(u16::from)),
            (8, [high, low, total, part]) => {
                return Some([u16::from_be_bytes([*high, *low]), u16::from(*total), u16::from(*part)]);
            }
            _ => rest = next,
        }
    }
    None
}

fn read_media(draft: &mut Draft, mut body: Map<String, Value>) {
    draft.subject = take(&mut body, "subject");
    draft.text = take(&mut body, "message");
    let files = body.get("media").and_then(Value::as_array).into_iter().flatten();
    for file in files.filter_map(Value::as_object) {
        let location = text(file, "url");
        draft.content.attachments.extend(location.clone());
        draft.attachments.push(Attachment {
            filename: None,
            content_type: text(file, "content_type"),
            size: None,
            blake3: None,
            disposition: Some("attachment".to_owned()),
            content_id: None,
            location,
        });
    }
    // The media with their states: one that Sinch could not fetch has no URL.
    for (name, value) in body {
        draft.metadata.insert(name, value);
    }
}

/// The state of one message to one recipient.
fn recipient_report(mut event: Map<String, Value>) -> Draft {
    let (from, to) = (take(&mut event, "applied_originator"), take(&mut event, "recipient"));
    let mut draft = status(&event, event.get("batch_id"), to, from);
    event.remove("batch_id");
    rest(&mut draft, event);
    draft
}

/// The states of a batch: one record for each recipient, where they are listed, or else for each state.
fn batch_report(mut event: Map<String, Value>) -> Result<Vec<Result<Draft, BadReason>>, BadReason> {
    let states = event.remove("statuses").and_then(into_array).unwrap_or_default();
    let batch = event.remove("batch_id");
    let common = event.iter().map(|(name, value)| name.len() + value.to_string().len()).sum::<usize>();
    let common = common + batch.as_ref().map_or(0, |batch| batch.to_string().len());
    let mut repeated = 0;
    let mut drafts = Vec::new();
    for state in states {
        let Value::Object(mut state) = state else {
            drafts.push(Err(BadReason::NotAnObject));
            continue;
        };
        let recipients = state.remove("recipients").and_then(into_array).unwrap_or_default();
        let recipients: Vec<_> = recipients.into_iter().map(written).map(Some).collect();
        let recipients = if recipients.is_empty() { vec![None] } else { recipients };
        let element = canonical_json(&Value::Object(state.clone()));
        repeated += recipients.len() * (common + element.len());
        if drafts.len() + recipients.len() > RECIPIENTS || repeated > REPEATED {
            return Err(BadReason::TooMany);
        }
        for recipient in recipients {
            let is_summary = recipient.is_none();
            let mut draft = status(&state, batch.as_ref(), recipient, None);
            if let (true, Identity::Provided(id)) = (is_summary, &mut draft.identity) {
                // The same state comes again with another count.
                id.push(state.get("count").map(Value::to_string).unwrap_or_default());
            }
            draft.content.element.clone_from(&element);
            rest(&mut draft, state.clone());
            rest(&mut draft, event.clone());
            drafts.push(Ok(draft));
        }
    }
    if drafts.is_empty() {
        event.extend(batch.map(|batch| ("batch_id".to_owned(), batch)));
        return Ok(vec![Ok(unknown(event))]);
    }
    Ok(drafts)
}

/// A text as it is, anything else as its JSON.
fn written(value: Value) -> String {
    if let Value::String(text) = value { text } else { value.to_string() }
}

fn into_array(value: Value) -> Option<Vec<Value>> {
    if let Value::Array(values) = value { Some(values) } else { None }
}

/// Statuses come repeated and out of order: batch, recipient and state tell them apart.
fn status(report: &Map<String, Value>, batch: Option<&Value>, to: Option<String>, from: Option<String>) -> Draft {
    let mut draft = Draft::new(Kind::Status);
    let batch = batch.and_then(Value::as_str).filter(|batch| !batch.is_empty()).map(str::to_owned);
    let state = text(report, "status").unwrap_or_else(|| "unknown".to_owned());
    if let Some(batch) = &batch {
        draft.identity = Identity::Provided(vec![batch.clone(), to.clone().unwrap_or_default(), state.clone()]);
    }
    draft.provider_message_id = batch;
    msisdn::parties(&mut draft, from, to);
    draft.sent_at = time(report, "at");
    let code = report.get("code").map(|code| code.as_str().map_or_else(|| code.to_string(), str::to_owned));
    if let Some(code) = &code {
        draft.metadata.insert("error_code".to_owned(), Value::String(code.clone()));
    }
    draft.status = Some(StatusFields {
        status: state,
        occurred_at: time(report, "operator_status_at").or(draft.sent_at),
        recipient: draft.recipients.first().and_then(|recipient| recipient.address.clone()),
        error_code: code,
    });
    draft
}

/// What is neither message nor report, kept whole.
fn unknown(event: Map<String, Value>) -> Draft {
    let element = canonical_json(&Value::Object(event.clone()));
    let mut draft = Draft::new(Kind::AccountEvent);
    draft.metadata.insert("fields".to_owned(), Value::Object(event));
    draft.ignored(element)
}

/// Keeps what has no column: Sinch adds fields without notice.
fn rest(draft: &mut Draft, fields: Map<String, Value>) {
    for (name, value) in fields {
        draft.metadata.entry(name).or_insert(value);
    }
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

    #[test]
    fn a_user_data_header_says_which_part_it_is() {
        assert_eq!(concatenation("050003860201"), Some([0x86, 2, 1]));
        assert_eq!(concatenation("0A0504158A000000030203 01".replace(' ', "").as_str()), None, "cut off");
        assert_eq!(concatenation("06080412340302"), Some([0x1234, 3, 2]));
        assert_eq!(concatenation("0B0504158A00000003FF0201"), Some([0xff, 2, 1]), "after ports");
        for header in ["", "zz", "00", "0500", "06050415811581"] {
            assert_eq!(concatenation(header), None, "{header}");
        }
    }
}
