//! Tally: one submitted form a request. A choice is an id, whose text is in the question's options beside it.

use std::collections::HashMap;

use http::Method;
use proto::Attachment;
use serde_json::{Map, Value};

use super::hosted::{self, Names, Submission};
use super::provider::{Form, Proof};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::read::answers::{self, Answer, Asks};
use crate::read::{media, multipart};
use crate::record::BadReason;

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "on anything but 2xx within 10 s, as observed after 5 min, 30 min, 1 h, 6 h and 1 day (tally.so/help/webhooks \
              says that it retries, not when)",
    max_body: MIB,
};

/// The adapter.
pub(crate) static TALLY: Form = Form {
    name: "tally",
    contract: &CONTRACT,
    proof: Proof::Hmac { header: "tally-signature", prefix: "", secret: "the webhook's signing secret" },
    read: |raw, settings| hosted::read(raw, settings, &NAMES, submission),
};

const NAMES: Names = Names { id: "eventId", kind: "eventType", form: "data", response: "FORM_RESPONSE" };

fn submission(event: &Map<String, Value>) -> Result<Option<Submission>, BadReason> {
    let form = event.get("data").and_then(Value::as_object).filter(|data| data.contains_key("fields"));
    let Some(data) = form else { return Ok(None) };
    let fields = hosted::elements(data.get("fields"));
    hosted::bounded(fields.iter().filter_map(Value::as_object).map(most_repeated))?;
    let read = |(place, field): (usize, &Value)| match field {
        Value::Object(field) => answer(field),
        stray => Answer::stray(place, stray),
    };
    let mut about = hosted::about(data, &["fields", "formName"]);
    about.extend(data.get("formName").map(|title| ("form_title".to_owned(), title.clone())));
    Ok(Some(Submission {
        id: answers::text_of(data, "submissionId").or_else(|| answers::text_of(data, "responseId")),
        sent_at: answers::time_of(data, "createdAt").or_else(|| answers::time_of(event, "createdAt")),
        answers: fields.iter().enumerate().map(read).collect(),
        about,
    }))
}

/// A question that was not answered has the value `null`, and stays so.
fn answer(field: &Map<String, Value>) -> Answer {
    let kind = field.get("type").and_then(Value::as_str).unwrap_or_default();
    let written = field.get("value").unwrap_or(&Value::Null);
    let files = files(kind, written).unwrap_or_default();
    let value = if files.is_empty() { resolve(written, &texts(field)) } else { files.iter().map(shown).collect() };
    let is_kept = |name: &str| match name {
        "label" | "options" | "rows" | "columns" => false,
        "value" => *written != value,
        _ => true,
    };
    let rest = field.iter().filter(|(name, _)| is_kept(name));
    Answer {
        label: answers::text_of(field, "label").unwrap_or_default(),
        key: answers::text_of(field, "key").unwrap_or_default(),
        asks: match kind {
            "INPUT_EMAIL" => Asks::Email,
            "INPUT_PHONE_NUMBER" => Asks::Phone,
            "TEXTAREA" => Asks::Text,
            "INPUT_TEXT" => Asks::Line,
            _ => Asks::Other,
        },
        rest: rest.map(|(name, value)| (name.clone(), value.clone())).collect(),
        value,
        files,
    }
}

/// Uploads and drawn signatures: a list of objects with a URL.
fn files(kind: &str, value: &Value) -> Option<Vec<Attachment>> {
    let uploads = matches!(kind, "FILE_UPLOAD" | "SIGNATURE").then(|| value.as_array())??;
    uploads.iter().map(|file| upload(file.as_object()?)).collect()
}

fn upload(file: &Map<String, Value>) -> Option<Attachment> {
    Some(Attachment {
        filename: answers::text_of(file, "name").as_deref().map(multipart::file_name),
        content_type: answers::text_of(file, "mimeType"),
        size: file.get("size").and_then(Value::as_u64),
        ..answers::file(&answers::text_of(file, "url")?)
    })
}

/// The files become attachments, their names the answer.
fn shown(file: &Attachment) -> Value {
    file.filename.clone().or_else(|| file.location.clone()).into()
}

/// The texts of a question's options by id; of a matrix, those of its rows and columns.
fn texts(field: &Map<String, Value>) -> HashMap<&str, &str> {
    let lists = ["options", "rows", "columns"].iter().filter_map(|name| field.get(*name)?.as_array());
    lists.flatten().filter_map(|option| Some((option.get("id")?.as_str()?, option.get("text")?.as_str()?))).collect()
}

/// The most bytes that the texts of options can take in the value.
fn most_repeated(field: &Map<String, Value>) -> usize {
    let count = |value: &Value| value.as_array().map_or(1, Vec::len);
    let places = match field.get("value") {
        Some(Value::Object(rows)) => rows.values().map(|columns| 1 + count(columns)).sum(),
        Some(value) => count(value),
        None => 0,
    };
    places * texts(field).values().map(|text| text.len()).max().unwrap_or(0)
}

/// The value with the texts of options in place of their ids, as deep as a matrix has them.
fn resolve(value: &Value, texts: &HashMap<&str, &str>) -> Value {
    let text = |id: &str| texts.get(id).map_or_else(|| id.to_owned(), |text| (*text).to_owned());
    let one = |value: &Value| match value {
        Value::String(id) => Value::String(text(id)),
        other => other.clone(),
    };
    let several = |value: &Value| match value {
        Value::Array(ids) => ids.iter().map(one).collect(),
        other => one(other),
    };
    match value {
        _ if texts.is_empty() => value.clone(),
        Value::Object(rows) => {
            let mut resolved = Map::new();
            for (row, columns) in rows {
                // Where two rows have one text, each but the first is told by its id too.
                let text = text(row);
                let name = if resolved.contains_key(&text) { format!("{text} ({row})") } else { text };
                resolved.insert(name, several(columns));
            }
            Value::Object(resolved)
        }
        other => several(other),
    }
}
