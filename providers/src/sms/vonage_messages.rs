//! Vonage's Messages API: SMS, MMS and what else Vonage carries, and the states of what was sent, as JSON.
//!
//! The token in `Authorization` is a signature, not a credential: it holds the hash of the body. Vonage's own libraries
//! do not compare it; here it must be there and fit.

use bytes::Bytes;
use http::Method;
use proto::{Channel, Kind, Millis, Party};
use serde_json::{Map, Value, json};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::dedup::canonical_json;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::{address, body, check, delivery, files, json, media, object};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::jwt::{self, Alg};
use crate::scheme::{mac, token, vonage};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::{Flaw, Verdict};

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::GivesUp,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "after 429 and 5xx for 24 h: after 5 s, doubling to 15 min, then every 15 min; another 4xx may lose the \
              message (api.support.vonage.com, articles 360028543292 and 26937692681244)",
    max_body: MIB,
};

/// Who issues the tokens.
const ISSUER: &str = "Vonage";
/// The claim with the hash of the body.
const PAYLOAD_HASH: &str = "payload_hash";
/// How wrong a clock may be where a token says itself when it ends, in seconds.
const LEEWAY: i64 = 5;

/// What is a file, with `url`, and perhaps `name` and `caption`.
const FILES: [&str; 6] = ["image", "audio", "video", "file", "sticker", "vcard"];
/// What holds the text, in this order and before `text`.
const TEXTS: [(&str, &str); 3] = [("reply", "title"), ("button", "text"), ("reaction", "emoji")];
/// What only a message has.
const MESSAGE: [&str; 11] =
    ["message_type", "text", "image", "audio", "video", "file", "sticker", "vcard", "location", "reply", "reaction"];
/// Channels whose users are accounts, and have no numbers.
const ACCOUNTS: [&str; 2] = ["messenger", "viber_service"];
/// What says nothing of what was written.
const BESIDE: [&str; 7] = ["usage", "profile", "client_ref", "channel", "sms", "from", "to"];

/// The adapter.
#[derive(Debug)]
pub(crate) struct VonageMessages;

impl Adapter for VonageMessages {
    fn channel(&self) -> Channel {
        Channel::Sms
    }

    fn name(&self) -> &'static str {
        "vonage-messages"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(secrets, "the account's signature secret", Key::text)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        authenticate(request, keyring, scheme, now).into()
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, _scheme: &Scheme, now: Millis) -> Option<Signed> {
        let claims = json!({
            "iat": now.as_unix().div_euclid(1000),
            "jti": jwt::id(request.body, now),
            "iss": ISSUER,
            PAYLOAD_HASH: jwt::hash(request.body),
        });
        Some(Signed::header(token::AUTHORIZATION, format!("Bearer {}", jwt::sign(&claims, keyring)?)))
    }

    /// A token with the hash of this body is a signature of this body. Any other may open some other door of whoever sent
    /// it: one without a hash is taken for a credential, because it would do for any body where nobody looks for the
    /// hash, and Vonage's own libraries do not. Here it does for none, so nothing is lost with it.
    fn signature_headers(&self, request: &Request<'_>, _scheme: &Scheme) -> &'static [&'static str] {
        let token = token::credentials(request, "bearer");
        if token.is_ok_and(|token| jwt::states_hash(token, PAYLOAD_HASH, request.body)) {
            &[token::AUTHORIZATION]
        } else {
            &[]
        }
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        read(raw, settings).map_or_else(Normalized::bad, |draft| draft.alone(raw))
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        &[]
    }
}

fn authenticate(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Result<usize, Flaw> {
    let claims = jwt::read(token::credentials(request, "bearer")?, keyring, &[Alg::Hs256])?;
    claims.must_be("iss", ISSUER)?;
    claims.must_hash(PAYLOAD_HASH, request.body)?;
    claims.in_force(now, LEEWAY)?;
    let issued_at = claims.seconds("iat")?.ok_or(Flaw::Missing)?;
    mac::in_time(issued_at, now, scheme.tolerance_s.unwrap_or(vonage::TOLERANCE).saturating_mul(1000))?;
    Ok(claims.secret)
}

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let json = json::read(&body::unpacked(raw, settings)?)?;
    let element = Bytes::from(canonical_json(&json.value));
    let Value::Object(mut map) = json.value else { return Err(BadReason::NotAnObject) };
    let mut draft = Draft::new(Kind::Message);
    draft.note_json(json.notes);
    draft.provider_message_id = object::take(&mut map, "message_uuid");
    draft.sent_at = object::take_moment(&mut map, "timestamp");
    let status = object::take(&mut map, "status");
    let (from, to) = (party(&mut map, "from", "sender"), party(&mut map, "to", "recipient"));
    let has_numbers = object::text(&map, "channel").is_none_or(|channel| !ACCOUNTS.contains(&&*channel));
    let address = if has_numbers { address::international } else { address::account };
    address::parties(&mut draft, from, to, address);
    match status {
        Some(status) => {
            let error = map.get("error").and_then(Value::as_object);
            let code = error.and_then(|error| object::text(error, "title").or_else(|| object::text(error, "code")));
            delivery::fill(&mut draft, status, code);
            draft.content.element = element;
        }
        None if MESSAGE.iter().any(|name| map.contains_key(*name)) => {
            read_message(&mut draft, &mut map);
            draft.content.element = element;
        }
        None => draft = draft.ignored(element),
    }
    draft.keep(map);
    Ok(draft)
}

/// A number as text, or in the object that older versions have; in WhatsApp, an id where there is no number.
fn party(map: &mut Map<String, Value>, name: &str, whatsapp: &str) -> Option<String> {
    let written = match map.get(name).and_then(Value::as_object) {
        Some(object) => object::text(object, "number").or_else(|| object::text(object, "id")),
        None => object::take(map, name),
    };
    let user = || map.get("whatsapp")?.get(whatsapp)?.get("user_id")?.as_str();
    written.or_else(|| user().map(|id| format!("bsuid:{id}")))
}

fn read_message(draft: &mut Draft, map: &mut Map<String, Value>) {
    draft.identity = draft.provider_message_id.clone().map_or(Identity::None, |id| Identity::Provided(vec![id]));
    draft.kind = match map.get("message_type").and_then(Value::as_str) {
        Some("reaction") => Kind::Reaction,
        Some("unsupported") => Kind::Unsupported,
        _ => Kind::Message,
    };
    let written = map.iter().filter(|(name, _)| !BESIDE.contains(&name.as_str()));
    let written: Map<String, Value> = written.map(|(name, value)| (name.clone(), value.clone())).collect();
    draft.content.fields = Some(canonical_json(&Value::Object(written)));
    let within = |name: &str, inner: &str| map.get(name)?.get(inner)?.as_str().map(str::to_owned);
    if let Some(name) = within("profile", "name") {
        draft.sender.get_or_insert(Party { address: None, name: None }).name = Some(name);
    }
    draft.reply_to_id = within("context", "message_uuid");
    let caption = FILES.iter().find_map(|kind| within(kind, "caption"));
    let text = TEXTS.iter().find_map(|(name, inner)| within(name, inner));
    for file in FILES.iter().filter_map(|kind| map.get(*kind)?.as_object()) {
        files::refer(draft, object::text(file, "url"), None, object::text(file, "name"));
    }
    let plain = if text.is_none() && map.get("text").is_some_and(Value::is_string) { map.remove("text") } else { None };
    draft.text = text.or_else(|| plain?.as_str().map(str::to_owned)).or(caption);
    draft.content.text.clone_from(&draft.text);
}
