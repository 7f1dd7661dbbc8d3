//! A form on any web page: urlencoded, multipart with files, or JSON; a JSON array is a batch, each element a record.
//!
//! Nobody knows the fields but the operator, and nobody assigns an id unless the source names `id_field` or
//! `id_header`.

use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use proto::{Attachment, Kind};
use serde_json::{Value, json};

use super::provider::{Form, Proof};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::read::draft::Draft;
use crate::read::form::Fields;
use crate::read::json::{Json, Notes};
use crate::read::multipart::{self, Part};
use crate::read::{body, charset, fields, form, json, media};
use crate::record::{BadElement, BadReason, Element, Identity, Normalized, RawRequest};
use crate::settings::SourceSettings;

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
pub(crate) static GENERIC: Form = Form { name: "generic", contract: &CONTRACT, proof: Proof::Configured, read };

fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let content_type = raw.header("content-type");
    let bytes = body::unpacked(raw, settings)?;
    match content_type {
        Some(value) if media::is_json(value) => read_json(json::read(&bytes)?, &bytes, raw, settings),
        Some(_) => read_form(&bytes, content_type, raw, settings),
        // What does not say what it is is JSON if it can be: no form looks like that.
        None => match json::read(&bytes) {
            Ok(json) if json.value.is_object() || json.value.is_array() => read_json(json, &bytes, raw, settings),
            _ => read_form(&bytes, content_type, raw, settings),
        },
    }
}

fn read_form(
    bytes: &Bytes,
    content_type: Option<&str>,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Result<Normalized, BadReason> {
    let mut draft = Draft::new(Kind::Message);
    fill_posted(&mut draft, bytes, content_type, raw, settings)?;
    Ok(draft.alone(raw))
}

/// Fills a record from a form, whichever way it is encoded.
pub(super) fn fill_posted(
    draft: &mut Draft,
    bytes: &Bytes,
    content_type: Option<&str>,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Result<(), BadReason> {
    match content_type {
        Some(value) if media::is(value, media::MULTIPART) => fill_multipart(draft, bytes, value, raw, settings)?,
        _ => fill_form(draft, form::read(bytes, content_type)?, raw, settings),
    }
    draft.content.element = bytes.clone();
    Ok(())
}

/// An object is one record; an array is one for each of its elements, of which a bad one spoils no other.
fn read_json(json: Json, bytes: &Bytes, raw: &RawRequest, settings: &SourceSettings) -> Result<Normalized, BadReason> {
    let body = Body { notes: json.notes, hash: blake3::hash(bytes) };
    let Value::Array(values) = json.value else {
        return Ok(Normalized { parts: 1, elements: vec![read_object(json.value, &body, None, 1, raw, settings)] });
    };
    if values.is_empty() {
        return Ok(Draft::new(Kind::AccountEvent).ignored(bytes.clone()).alone(raw));
    }
    let parts = u32::try_from(values.len()).ok().filter(|parts| *parts <= BATCH).ok_or(BadReason::TooMany)?;
    let elements = (0..).zip(values);
    let elements = elements.map(|(part, value)| read_object(value, &body, Some(part), parts, raw, settings));
    let mut elements: Vec<Element> = elements.collect();
    tell_apart(&mut elements);
    Ok(Normalized { parts, elements })
}

/// Elements of one batch that are equal were sent as several: the second is told from the first by being the second,
/// which it is again when the batch is repeated.
fn tell_apart(elements: &mut [Element]) {
    let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
    for record in elements.iter_mut().flatten().filter(|record| record.identity == Identity::None) {
        let fields = record.content.fields.get_or_insert_default();
        let times = seen.entry(fields.clone()).or_default();
        if *times > 0 {
            fields.extend(times.to_le_bytes());
        }
        *times += 1;
    }
}

/// What is known of a body of which an element is a part.
struct Body {
    notes: Notes,
    hash: blake3::Hash,
}

fn read_object(
    value: Value,
    body: &Body,
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
    draft.note_json(body.notes);
    if body.notes.surrogate {
        // What was replaced may have been different.
        draft.content.element = Bytes::copy_from_slice(body.hash.as_bytes());
    }
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
    bytes: &Bytes,
    content_type: &str,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Result<(), BadReason> {
    let boundary = multipart::boundary(content_type).ok_or(BadReason::BadMultipart)?;
    let parts = multipart::parts(bytes, &boundary, multipart::PARTS)?;
    let (files, texts): (Vec<Part<'_>>, Vec<Part<'_>>) = parts.into_iter().partition(is_file);
    let form = decode(&texts, content_type);
    fill_form(draft, form, raw, settings);
    let mut fields_of_files = Vec::new();
    // A file input in which nothing was chosen is sent with an empty name and no bytes.
    for file in files.into_iter().filter(|file| file.filename.as_deref() != Some("") || !file.body.is_empty()) {
        let filename = file.filename.filter(|name| !name.is_empty());
        let described =
            Attachment { filename: filename.clone(), content_type: file.content_type, ..Attachment::default() };
        let hash = draft.attach(bytes.slice_ref(file.body), described);
        draft.content.attachments.push(format!("{hash} {}", file.name));
        fields_of_files.push(json!({ "field": file.name, "filename": filename, "blake3": hash }));
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
