//! A webhook's body, whatever it is: JSON or a form becomes fields, text becomes text, anything else one attachment.

use bytes::Bytes;
use proto::{Attachment, Kind};
use serde_json::Value;

use crate::read::draft::Draft;
use crate::read::json::{self, Json};
use crate::read::{body, charset, fields, form, media};
use crate::record::{BadReason, Identity, Normalized, RawRequest};
use crate::settings::SourceSettings;

/// The one record of a request.
pub(crate) fn read(raw: &RawRequest, settings: &SourceSettings) -> Result<Draft, BadReason> {
    let bytes = body::unpacked(raw, settings)?;
    let mut draft = Draft::new(Kind::Message);
    fill(&mut draft, &bytes, raw.header("content-type"), raw, settings)?;
    draft.content.element = bytes;
    Ok(draft)
}

/// Fills a record from these bytes of this media type: the body, or what an envelope in it holds.
pub(crate) fn fill(
    draft: &mut Draft,
    bytes: &Bytes,
    content_type: Option<&str>,
    raw: &RawRequest,
    settings: &SourceSettings,
) -> Result<(), BadReason> {
    match content_type {
        Some(value) if media::is_json(value) => take_json(draft, json::read(bytes)?, raw, settings),
        Some(value) if media::is(value, media::FORM) => {
            let form = form::read(bytes, content_type)?;
            draft.note_charset("metadata.fields", form.replaced);
            fields::fill(draft, Value::Object(form.into_map()), None, raw, settings);
        }
        Some(value) if media::is(value, media::MULTIPART) => {
            crate::form::generic::fill_multipart(draft, bytes, value, raw, settings)?;
        }
        _ => take_bytes(draft, bytes, content_type, raw, settings),
    }
    fields::fill_from(draft);
    Ok(())
}

/// The one record of a request, with what the provider adds to it.
pub(crate) fn normalize(raw: &RawRequest, settings: &SourceSettings, add: impl FnOnce(&mut Draft)) -> Normalized {
    match read(raw, settings) {
        Ok(mut draft) => {
            add(&mut draft);
            draft.alone(raw)
        }
        Err(reason) => Normalized::bad(reason),
    }
}

/// Fills a record from JSON that was read already.
pub(crate) fn fill_json(draft: &mut Draft, json: Json, raw: &RawRequest, settings: &SourceSettings) {
    take_json(draft, json, raw, settings);
    fields::fill_from(draft);
}

fn take_json(draft: &mut Draft, json: Json, raw: &RawRequest, settings: &SourceSettings) {
    draft.note_json(json.notes);
    fields::fill(draft, json.value, None, raw, settings);
}

/// What says nothing, or something else, about itself: JSON if it is, text if it is called so, else a file.
fn take_bytes(
    draft: &mut Draft,
    bytes: &Bytes,
    content_type: Option<&str>,
    raw: &RawRequest,
    settings: &SourceSettings,
) {
    if let (None, Ok(json)) = (content_type, json::read(bytes)) {
        return take_json(draft, json, raw, settings);
    }
    let is_text = match content_type {
        Some(value) => media::essence(value).to_ascii_lowercase().starts_with("text/"),
        None => std::str::from_utf8(bytes).is_ok(),
    };
    if is_text {
        let stated = content_type.and_then(|value| charset::by_label(&media::parameter(value, "charset")?));
        let (text, replaced) =
            charset::decode(bytes, stated.unwrap_or_else(|| charset::guess(std::iter::once(&**bytes))));
        draft.note_charset("text", replaced);
        draft.content.text = Some(text.clone());
        draft.text = Some(text);
    } else {
        let described = Attachment { content_type: content_type.map(str::to_owned), ..Attachment::default() };
        let hash = draft.attach(bytes.clone(), described);
        draft.content.attachments.push(hash);
    }
    let id = settings.id_header.as_deref().and_then(|name| raw.header(name)).filter(|id| !id.is_empty());
    draft.provider_message_id = id.map(str::to_owned);
    draft.identity = id.map_or(Identity::None, |id| Identity::Provided(vec![id.to_owned()]));
}
