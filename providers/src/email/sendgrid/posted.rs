//! The fields of Inbound Parse.
//!
//! Each field's bytes are in a character set of its own, which the field `charsets` names: the form as a whole has none,
//! so nothing is decoded before its name is known. Whom the mail was for is in `envelope`; the `to` of the header may be
//! a list, or nobody.

use std::collections::HashMap;

use bytes::Bytes;
use proto::Kind;
use serde_json::{Map, Value};

use crate::email;
use crate::email::mail::Mail;
use crate::email::mail::attached::{About, Attached};
use crate::email::mail::envelope::Envelope;
use crate::email::mail::fields::header_block;
use crate::email::mail::given::Given;
use crate::email::mail::text;
use crate::read::draft::Draft;
use crate::read::multipart::{self, Part};
use crate::read::{form, json, media};
use crate::record::{BadReason, Normalized, RawRequest};

/// The fields that are read into columns, or that say how others are to be read.
const READ: [&str; 13] = [
    "headers",
    "email",
    "from",
    "to",
    "cc",
    "subject",
    "text",
    "html",
    "envelope",
    "charsets",
    "attachments",
    "attachment-info",
    "content-ids",
];

pub(super) fn read(bytes: &Bytes, content_type: &str, raw: &RawRequest) -> Result<Normalized, BadReason> {
    let boundary = multipart::boundary(content_type).ok_or(BadReason::BadMultipart)?;
    let parts = multipart::parts(bytes, &boundary, form::FIELDS)?;
    let posted = Posted::new(&parts);
    let envelope = posted.envelope();
    let mut mail = match posted.bytes("email") {
        Some(email) => Mail::read(&bytes.slice_ref(email)),
        None if posted.holds_a_mail() => posted.mail(bytes),
        None => return Ok(Draft::new(Kind::AccountEvent).ignored(bytes.to_vec()).alone(raw)),
    };
    posted.keep_rest(&mut mail.metadata);
    Ok(email::finish(mail.drafts(&envelope), raw))
}

/// The parts of the form.
struct Posted<'a> {
    parts: &'a [Part<'a>],
    charsets: Map<String, Value>,
}

impl<'a> Posted<'a> {
    fn new(parts: &'a [Part<'a>]) -> Self {
        let mut posted = Self { parts, charsets: Map::new() };
        posted.charsets = posted.object("charsets");
        posted
    }

    /// A field's bytes; the first of a repeated one.
    fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.parts.iter().find(|part| part.name == name).map(|part| part.body)
    }

    /// A field's text, and whether bytes did not fit its character set.
    fn text(&self, name: &str) -> Option<(String, bool)> {
        self.bytes(name).map(|bytes| text::decode(bytes, self.label(name)))
    }

    /// The character set of a field.
    fn label(&self, name: &str) -> Option<&str> {
        self.charsets.get(name).and_then(Value::as_str)
    }

    /// A field that holds a JSON object; empty where it does not.
    fn object(&self, name: &str) -> Map<String, Value> {
        match self.bytes(name).and_then(|bytes| json::read(bytes).ok()).map(|read| read.value) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    fn envelope(&self) -> Envelope {
        let envelope = self.object("envelope");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let recipients = match envelope.get("to") {
            Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
            Some(one) => text(one).into_iter().collect(),
            None => Vec::new(),
        };
        Envelope { sender: envelope.get("from").and_then(text), recipients }
    }

    fn holds_a_mail(&self) -> bool {
        let fields = ["headers", "from", "to", "subject", "text", "html", "envelope"];
        fields.iter().any(|name| self.bytes(name).is_some()) || self.files().next().is_some()
    }

    /// The mail that SendGrid took apart.
    fn mail(&self, whole: &Bytes) -> Mail {
        let headers = self.bytes("headers").unwrap_or_default();
        let mut mail = Mail::read_headers(headers);
        // Escapes are of a character set of seven bits, which only the fields say the name of.
        self.fill_header(&mut mail, std::str::from_utf8(headers).is_ok() && !headers.contains(&0x1b));
        for (name, which) in [("text", Given::Text), ("html", Given::Html)] {
            if let Some(bytes) = self.bytes(name) {
                mail.give(which, &whole.slice_ref(bytes), self.label(name));
            }
        }
        self.attach(&mut mail, whole);
        mail.whole = whole.clone();
        mail
    }

    /// What the header says of itself is what the sender wrote, where it is text. Where it has bytes of no stated character
    /// set, the fields go before it, which have one.
    fn fill_header(&self, mail: &mut Mail, header_first: bool) {
        let mut replaced_any = false;
        let texts = ["from", "to", "cc", "subject"].map(|name| {
            let (text, replaced) = self.text(name)?;
            replaced_any |= replaced;
            Some((name, text))
        });
        let pairs = texts.iter().flatten().map(|(name, text)| (*name, text.as_str()));
        let fields = Mail::read_headers(&header_block(pairs));
        let mut taken = pick(&mut mail.from, fields.from, header_first);
        taken |= pick(&mut mail.subject, fields.subject, header_first);
        taken |= pick_list(&mut mail.to, fields.to, header_first);
        taken |= pick_list(&mut mail.cc, fields.cc, header_first);
        mail.note_charset("headers", taken && replaced_any);
    }

    /// The parts that are files.
    fn files(&self) -> impl Iterator<Item = &'a Part<'a>> {
        self.parts.iter().filter(|part| is_file(part))
    }

    fn attach(&self, mail: &mut Mail, whole: &Bytes) {
        let (info, ids) = (self.object("attachment-info"), self.object("content-ids"));
        let ids: HashMap<&str, &str> =
            ids.iter().filter_map(|(id, field)| Some((field.as_str()?, id.as_str()))).collect();
        for part in self.files() {
            let said = |name: &str| info.get(&part.name)?.get(name)?.as_str().filter(|text| !text.is_empty());
            let by_id = || ids.get(part.name.as_str()).copied();
            let content_id = said("content-id").or_else(by_id).map(|id| id.trim_matches(['<', '>', ' ']).to_owned());
            let content_id = content_id.filter(|id| !id.is_empty());
            let filename = said("filename").or_else(|| said("name")).map(multipart::file_name);
            let content_type = said("type").or(part.content_type.as_deref());
            let about = About {
                filename: filename.or_else(|| part.filename.clone()).filter(|name| !name.is_empty()),
                content_type: content_type.map(|value| media::essence(value).to_ascii_lowercase()),
                disposition: Some(if content_id.is_some() { "inline" } else { "attachment" }.to_owned()),
                content_id,
            };
            mail.attachments.push(Attached::of(about, whole.slice_ref(part.body)));
        }
        let stated = self.text("attachments").and_then(|(text, _)| text.trim().parse::<usize>().ok());
        if stated.is_some_and(|stated| stated > self.files().count()) {
            mail.notes.note("attachments", "missing");
        }
    }

    /// What SendGrid found out about the mail, and whatever it may add one day.
    fn keep_rest(&self, metadata: &mut Map<String, Value>) {
        for part in self.parts.iter().filter(|part| !is_file(part) && !READ.contains(&&*part.name)) {
            let (text, _) = text::decode(part.body, self.label(&part.name));
            let name = part.name.to_ascii_lowercase().replace('-', "_");
            metadata.entry(name).or_insert(Value::String(text));
        }
    }
}

/// `attachment1` and so on, and whatever else comes under the name of a file.
fn is_file(part: &Part<'_>) -> bool {
    let number = part.name.strip_prefix("attachment").unwrap_or_default();
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    numbered || (part.filename.is_some() && !READ.contains(&&*part.name))
}

/// Whether the field took the place of what the header said.
fn pick<T>(header: &mut Option<T>, field: Option<T>, header_first: bool) -> bool {
    let takes = field.is_some() && (header.is_none() || !header_first);
    if takes {
        *header = field;
    }
    takes
}

fn pick_list<T>(header: &mut Vec<T>, field: Vec<T>, header_first: bool) -> bool {
    let takes = !field.is_empty() && (header.is_empty() || !header_first);
    if takes {
        *header = field;
    }
    takes
}
