//! One event: its attributes, wherever they stand, and its data.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use proto::Millis;
use proto::header::Pair;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::read::{json, media};
use crate::request::BadRequest;

/// The attribute with the media type of the data.
pub(super) const CONTENT_TYPE: &str = "datacontenttype";

/// What the name of a header with an attribute begins with.
const PREFIX: &str = "ce-";
/// The data as JSON.
const DATA: &str = "data";
/// The data as bytes.
const DATA_BASE64: &str = "data_base64";

/// The attributes of an event that is one.
#[derive(Debug, PartialEq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) source: String,
    /// Its `type`.
    pub(super) kind: String,
    pub(super) subject: Option<String>,
    /// As it was written, and what it means.
    pub(super) time: Option<(String, Millis)>,
    pub(super) content_type: Option<String>,
    /// Its `dataschema`.
    pub(super) schema: Option<String>,
    /// All other attributes.
    pub(super) extensions: Map<String, Value>,
}

/// What an event is about.
#[derive(Debug, PartialEq)]
pub(super) enum Data {
    None,
    Json(Value),
    /// In the media type of `datacontenttype`.
    Bytes(Bytes),
    /// Likewise, and in UTF-8 whatever that says: it stood in JSON.
    Text(String),
}

impl Event {
    /// The event with these attributes: `None` where one that has to be there is missing, empty or no text, where
    /// another that the specification knows is no text, or where the time is none. An attribute that is null is not there.
    pub(super) fn of(mut attributes: Map<String, Value>) -> Option<Self> {
        let mut take = |name: &str| match attributes.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text).filter(|text| !text.is_empty())),
            Some(_) => None,
        };
        if take("specversion")??.as_str() != "1.0" {
            return None;
        }
        let time = match take("time")? {
            None => None,
            Some(text) => Some(text.parse().ok().map(|time| (text, time))?),
        };
        let (id, source, kind) = (take("id")??, take("source")??, take("type")??);
        let (subject, content_type, schema) = (take("subject")?, take(CONTENT_TYPE)?, take("dataschema")?);
        attributes.retain(|_, value| !value.is_null());
        Some(Self { id, source, kind, subject, time, content_type, schema, extensions: attributes })
    }
}

/// The attributes that stand in headers; `None` where one is there twice, is no text, or is `datacontenttype`, for which
/// there is `Content-Type`.
pub(super) fn in_headers(headers: &[Pair]) -> Option<Map<String, Value>> {
    let mut attributes = Map::new();
    for (header, value) in headers {
        let header = header.to_ascii_lowercase();
        let Some(name) = header.strip_prefix(PREFIX).filter(|name| !name.is_empty()) else { continue };
        if name == CONTENT_TYPE {
            return None;
        }
        let value = Value::String(decoded(std::str::from_utf8(value).ok()?.trim_ascii())?);
        if attributes.insert(name.to_owned(), value).is_some() {
            return None;
        }
    }
    Some(attributes)
}

/// A header's value: out of its quotes, then one round of percent-decoding.
fn decoded(value: &str) -> Option<String> {
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = quoted.map_or(Cow::Borrowed(value), unescaped);
    Some(percent_decode_str(&text).decode_utf8().ok()?.into_owned())
}

fn unescaped(quoted: &str) -> Cow<'_, str> {
    if !quoted.contains('\\') {
        return Cow::Borrowed(quoted);
    }
    let mut characters = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next().unwrap_or(character) } else { character });
    }
    text.into()
}

/// Takes the data out of an event in JSON; `None` where it is there twice, or is not the base64 it is called.
pub(super) fn take_data(event: &mut Map<String, Value>) -> Option<Data> {
    let mut take = |name| event.remove(name).filter(|value| !value.is_null());
    match (take(DATA), take(DATA_BASE64)) {
        (None, None) => Some(Data::None),
        (None, Some(Value::String(text))) => STANDARD.decode(text).ok().map(|bytes| Data::Bytes(bytes.into())),
        (Some(value), None) => Some(typed(value, event)),
        (_, Some(_)) => None,
    }
}

/// Text of another media type than JSON is what it says; anything else is a JSON value, whatever it is called.
fn typed(value: Value, event: &Map<String, Value>) -> Data {
    let content_type = event.get(CONTENT_TYPE).and_then(Value::as_str).filter(|value| !value.is_empty());
    match value {
        Value::String(text) if content_type.is_some_and(|value| !media::is_json(value)) => Data::Text(text),
        value => Data::Json(value),
    }
}

/// This media type, of a text that is in UTF-8 by now.
pub(super) fn in_utf8(content_type: &str) -> String {
    // Of the other parameters only the boundary of a multipart matters, and there each part has its own character set.
    if media::parameter(content_type, "charset").is_none() || media::is(content_type, media::MULTIPART) {
        return content_type.to_owned();
    }
    format!("{}; charset=utf-8", media::essence(content_type))
}

/// What can be said about a body in JSON without reading the data in it. Of a batch only that it is a list: its events are
/// looked at one by one, later, so that one spoils no other.
pub(super) fn glance(body: &[u8], is_batch: bool) -> Result<(), BadRequest> {
    let text = json::text(body).ok_or(BadRequest::NotUtf8)?;
    if is_batch {
        return if text.trim_ascii_start().starts_with('[') { Ok(()) } else { Err(BadRequest::NotAnEvent) };
    }
    let members: HashMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| BadRequest::NotAnEvent)?;
    let mut event = Map::new();
    for (name, raw) in members {
        let value = match (name.as_str(), raw.get()) {
            // It is there; what it is, is for the reader.
            (DATA, raw) if raw != "null" => Value::Bool(true),
            (_, raw) => json::read(raw.as_bytes()).map_err(|_| BadRequest::NotJson)?.value,
        };
        event.insert(name, value);
    }
    take_data(&mut event).and_then(|_| Event::of(event)).map(|_| ()).ok_or(BadRequest::NotAnEvent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Option<(Event, Data)> {
        let Value::Object(mut map) = json::read(text.as_bytes()).unwrap().value else { panic!("no object") };
        let data = take_data(&mut map)?;
        Some((Event::of(map)?, data))
    }

    /// An event with these members beside the required ones.
    fn with(more: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{more}}}"#)
    }

    #[test]
    fn the_glance_and_the_reading_agree() {
        let good = [
            "",
            r#","data":null,"data_base64":"eA==""#,
            r#","time":"2026-08-01T06:06:46.123456789+02:00""#,
            r#","subject":null,"dataschema":"","traceparent":"00-x","count":3"#,
            r#","data":{"id":"","half":"\ud83d"}"#,
        ];
        let bad = [
            r#","id":"""#,
            r#","id":7"#,
            r#","id":null"#,
            r#","source":"""#,
            r#","type":{}"#,
            r#","specversion":"0.3""#,
            r#","specversion":1.0"#,
            r#","time":"yesterday""#,
            r#","time":1785516811"#,
            r#","subject":5"#,
            r#","data":1,"data_base64":"eA==""#,
            r#","data_base64":"not base64""#,
            r#","data_base64":{}"#,
        ];
        for (more, fits) in good.iter().map(|more| (more, true)).chain(bad.iter().map(|more| (more, false))) {
            let text = with(more);
            assert_eq!(event(&text).is_some(), fits, "{text}");
            assert_eq!(glance(text.as_bytes(), false).is_ok(), fits, "{text}");
        }
        assert_eq!(glance(b"[]", false), Err(BadRequest::NotAnEvent));
        assert_eq!(glance(b" {}", true), Err(BadRequest::NotAnEvent));
        assert_eq!(glance(b"\xef\xbb\xbf [{}]", true), Ok(()));
        assert_eq!(glance(b"\xff", false), Err(BadRequest::NotUtf8));
    }

    #[test]
    fn a_header_is_unquoted_then_decoded_once() {
        let headers = |value: &str| in_headers(&[("CE-Subject".to_owned(), value.as_bytes().to_vec())]);
        let read = |value: &str| headers(value).map(|map| map["subject"].as_str().unwrap().to_owned());
        let pairs = [
            ("Euro%20%E2%82%AC", "Euro €"),
            (r#" "a \"b\" \\ c" "#, r#"a "b" \ c"#),
            (r#""%22""#, "\""),
            ("%2541", "%41"),
            ("100%", "100%"),
            ("%zz", "%zz"),
            ("ü", "ü"),
            ("\"", "\""),
        ];
        for (value, expected) in pairs {
            assert_eq!(read(value).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(read("x%C0%A0"), None);
        let pair = |name: &str| (name.to_owned(), b"x".to_vec());
        assert_eq!(in_headers(&[pair("ce-id"), pair("Ce-Id")]), None);
        assert_eq!(in_headers(&[pair("ce-datacontenttype")]), None);
        assert_eq!(in_headers(&[("ce-id".to_owned(), b"\xff".to_vec())]), None);
        assert_eq!(in_headers(&[pair("ce-"), pair("cell")]), Some(Map::new()));
    }

    #[test]
    fn text_that_is_not_called_json_is_not_json() {
        let data = |more: &str| event(&with(more)).unwrap().1;
        assert_eq!(data(r#","data":"ü""#), Data::Json("ü".into()));
        assert_eq!(data(r#","data":"ü","datacontenttype":"application/vnd.x+json""#), Data::Json("ü".into()));
        assert_eq!(data(r#","data":"ü","datacontenttype":"text/plain""#), Data::Text("ü".into()));
        assert_eq!(data(r#","data":"ü","datacontenttype":"""#), Data::Json("ü".into()));
        assert_eq!(data(r#","data":7,"datacontenttype":"text/plain""#), Data::Json(7.into()));
        assert_eq!(data(r#","data_base64":"eA==","datacontenttype":"application/json""#), Data::Bytes(b"x"[..].into()));
        assert_eq!(in_utf8("text/plain; charset=latin1"), "text/plain; charset=utf-8");
        assert_eq!(in_utf8("text/plain; format=flowed"), "text/plain; format=flowed");
    }
}
