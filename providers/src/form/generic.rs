//! A form on any web page: urlencoded, multipart with files, or JSON; a JSON array is a batch, each element a record.
//!
//! Nobody knows the fields but the operator, and nobody assigns an id unless the source names `id_field` or
//! `id_header`.

use http::Method;
use proto::{Attachment, Channel, Kind, Millis};
use serde_json::{Value, json};

use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::form::Fields;
use crate::read::json::Notes;
use crate::read::multipart::{self, Broken, Part};
use crate::read::{body, charset, check, fields, form, json, media};
use crate::record::{BadElement, BadReason, Element, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::optional;
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::FORM, media::MULTIPART, media::JSON]),
    success: Success::Json,
    on_401: Reaction::Unknown,
    on_429: Reaction::Unknown,
    over_limit: OverLimit::Reject,
    retries: "whatever the page or server that posts it does; a browser does not come back",
    max_body: MIB,
};

/// Elements of a batch taken at most.
const BATCH: u32 = 10_000;

/// The adapter.
#[derive(Debug)]
pub(crate) struct Generic;

impl Adapter for Generic {
    fn channel(&self) -> Channel {
        Channel::Form
    }

    fn name(&self) -> &'static str {
        "generic"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        optional::keyring(secrets, scheme)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        optional::authenticate(request, keyring, scheme, now)
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        optional::sign(request, keyring, scheme, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        let content_type = raw.header("content-type");
        let read = body::unpacked(raw, settings).and_then(|bytes| match content_type {
            Some(value) if media::is_json(value) => read_json(&bytes, raw, settings),
            _ => read_form(&bytes, content_type, raw, settings),
        });
        read.unwrap_or_else(Normalized::bad)
    }
}

fn read_form(
    bytes: &[u8],
    content_type: Option<&str>,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Result<Normalized, BadReason> {
    let mut draft = Draft::new(Kind::Message);
    match content_type {
        Some(value) if media::is(value, media::MULTIPART) => fill_multipart(&mut draft, bytes, value, raw, settings)?,
        _ => fill_form(&mut draft, form::read(bytes, content_type)?, raw, settings),
    }
    draft.content.element = bytes.to_vec();
    Ok(draft.alone(raw))
}

/// An object is one record; an array is one for each of its elements, of which a bad one spoils no other.
fn read_json(bytes: &[u8], raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let json = json::read(bytes)?;
    let notes = json.notes;
    let Value::Array(values) = json.value else {
        return Ok(Normalized { parts: 1, elements: vec![read_object(json.value, notes, None, 1, raw, settings)] });
    };
    if values.is_empty() {
        return Ok(Draft::new(Kind::AccountEvent).ignored(bytes.to_vec()).alone(raw));
    }
    let parts = u32::try_from(values.len()).ok().filter(|parts| *parts <= BATCH).ok_or(BadReason::TooMany)?;
    let elements = (0..).zip(values);
    let elements = elements.map(|(part, value)| read_object(value, notes, Some(part), parts, raw, settings));
    Ok(Normalized { parts, elements: elements.collect() })
}

fn read_object(
    value: Value,
    notes: Notes,
    part: Option<u32>,
    parts: u32,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Element {
    let place = part.unwrap_or(0);
    if !value.is_object() {
        return Err(BadElement { part: place, reason: BadReason::NotAnObject });
    }
    let mut draft = Draft::new(Kind::Message);
    draft.note_json(notes);
    fields::fill(&mut draft, value, part, raw, settings);
    Ok(Box::new(draft.finish(raw, place, parts)))
}

fn fill_form(draft: &mut Draft, form: Fields, raw: &RawRequest, settings: &SourceSettings) {
    draft.note_charset("metadata.fields", form.replaced);
    fields::fill(draft, Value::Object(form.into_map()), None, raw, settings);
}

/// Fills a record from `multipart/form-data`: text parts are fields, the others attachments, and which of them was in
/// which field is under `metadata.files`, in the same order.
pub(crate) fn fill_multipart(
    draft: &mut Draft,
    bytes: &[u8],
    content_type: &str,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Result<(), BadReason> {
    let boundary = multipart::boundary(content_type).ok_or(BadReason::BadMultipart)?;
    let parts = multipart::parts(bytes, &boundary).map_err(|broken| match broken {
        Broken::TooMany => BadReason::TooMany,
        Broken::Truncated | Broken::Headers => BadReason::BadMultipart,
    })?;
    let (files, texts): (Vec<Part<'_>>, Vec<Part<'_>>) = parts.into_iter().partition(is_file);
    let form = decode(&texts, content_type);
    fill_form(draft, form, raw, settings);
    let mut fields_of_files = Vec::new();
    // A file input in which nothing was chosen is sent with an empty name and no bytes.
    for file in files.into_iter().filter(|file| file.filename.as_deref() != Some("") || !file.body.is_empty()) {
        let hash = blake3::hash(file.body).to_hex().to_string();
        let filename = file.filename.filter(|name| !name.is_empty());
        draft.content.attachments.push(format!("{hash} {}", file.name));
        fields_of_files.push(json!({ "field": file.name, "filename": filename, "blake3": hash }));
        draft.attachments.push(Attachment {
            filename,
            content_type: file.content_type,
            size: Some(file.body.len() as u64),
            blake3: Some(hash),
            disposition: Some("attachment".to_owned()),
            content_id: None,
            location: None,
        });
    }
    if !fields_of_files.is_empty() {
        draft.metadata.insert("files".to_owned(), Value::Array(fields_of_files));
    }
    Ok(())
}

/// A part with a file's name, or with bytes that are no text.
fn is_file(part: &Part<'_>) -> bool {
    let binary = part.content_type.as_deref().is_some_and(|value| {
        let essence = media::essence(value).to_ascii_lowercase();
        !essence.starts_with("text/") && !media::is_json(value)
    });
    part.filename.is_some() || (binary && std::str::from_utf8(part.body).is_err())
}

/// The text parts as fields; the character set is that of the part, else `_charset_`, else by look.
fn decode(texts: &[Part<'_>], content_type: &str) -> Fields {
    let stated = texts
        .iter()
        .find(|part| part.name == "_charset_")
        .and_then(|part| charset::of_form(std::str::from_utf8(part.body).ok()?));
    let stated = stated.or_else(|| charset::of_form(&media::parameter(content_type, "charset")?));
    let common = stated.unwrap_or_else(|| charset::guess(texts.iter().map(|part| part.body)));
    let mut fields = Fields::default();
    for part in texts {
        let own =
            part.content_type.as_deref().and_then(|value| charset::by_label(&media::parameter(value, "charset")?));
        // One that says its character set is a document of its own.
        let (text, replaced) = match own {
            Some(own) => charset::decode(part.body, own),
            None => charset::decode_value(part.body, common),
        };
        fields.pairs.push((part.name.clone(), text));
        fields.replaced |= replaced;
    }
    fields
}
