//! Which parts are the text, which are the HTML, and which are attachments. Nothing is dropped: what is not read as one
//! of the first two is an attachment.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use super::attached::{About, Attached};
use super::fields::Fields;
use super::parameters::Valued;
use super::quoted::{self, Decoded};
use super::structure::{self, Body, Leaf};
use super::{Mail, ids, lines, report, text};

/// Bytes of all texts, and of all HTML, that are read as such; what is longer is a file.
pub(super) const TEXT: usize = 8 * 1024 * 1024;

/// What a part is to the mail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Text,
    Html,
    Attachment,
}

/// Reads the body that begins at `from` into the mail.
pub(super) fn read(bytes: &Bytes, top: &Fields<'_>, from: usize, mail: &mut Mail) {
    let body = structure::read(bytes, top, from);
    for fault in &body.faults {
        mail.notes.note("attachments", fault);
    }
    // Which multiparts have had their text and their HTML.
    let mut had = vec![(false, false); body.multiparts.len()];
    for (place, leaf) in body.leaves.iter().enumerate() {
        let part = Part { leaf, body: &body, is_first: place == 0 };
        let decoded = quoted::decode(leaf.body, &leaf.fields.text("content-transfer-encoding").unwrap_or_default());
        let role = part.role(&mut had);
        if let Some(fault) = decoded.fault {
            mail.notes.note(if role == Role::Attachment { "attachments" } else { "text" }, fault);
        }
        report::notice(&part, &decoded.bytes, mail);
        match role {
            Role::Text => take(bytes, &part, decoded, "text", mail),
            Role::Html => take(bytes, &part, decoded, "html", mail),
            Role::Attachment => attach(bytes, &part, decoded, mail),
        }
    }
    for text in [&mut mail.text, &mut mail.html].into_iter().flatten() {
        text.truncate(text.trim_end_matches('\n').len());
    }
}

/// A part and what it is in.
pub(super) struct Part<'a> {
    pub(super) leaf: &'a Leaf<'a>,
    body: &'a Body<'a>,
    is_first: bool,
}

impl Part<'_> {
    /// The media type, in lower case.
    pub(super) fn media_type(&self) -> &str {
        &self.leaf.content_type.value
    }

    /// The type of the multipart that it is directly in.
    pub(super) fn parent(&self) -> &str {
        self.ancestors().next().unwrap_or_default()
    }

    fn ancestors(&self) -> impl Iterator<Item = &str> {
        let mut next = self.leaf.parent;
        std::iter::from_fn(move || {
            let multipart = self.body.multiparts.get(next?)?;
            next = multipart.parent;
            Some(multipart.content_type.value.as_str())
        })
    }

    fn role(&self, had: &mut [(bool, bool)]) -> Role {
        let role = match self.media_type() {
            "text/plain" => Role::Text,
            "text/html" => Role::Html,
            _ => return Role::Attachment,
        };
        let disposition = self.leaf.fields.first("content-disposition").map(Valued::read);
        // Some mailers name the text. What has a name, is not the first, stands beside others and does not say that it is
        // to be read with them is a file that happens to be a text.
        let has_a_place = self.is_first || matches!(self.parent(), "multipart/alternative" | "multipart/related");
        let is_file = match disposition {
            Some(read) => read.value != "inline",
            None => !has_a_place && self.about().filename.is_some(),
        };
        if is_file || self.ancestors().any(|kind| kind == "multipart/encrypted") {
            return Role::Attachment;
        }
        let Some((text, html)) = self.leaf.parent.and_then(|parent| had.get_mut(parent)) else { return role };
        // Of alternatives, the first of each kind; of what is related, the first, which the rest belongs to; of anything
        // else all, one after the other.
        let taken = match (self.parent(), role) {
            ("multipart/alternative", Role::Text) => *text,
            ("multipart/alternative", _) => *html,
            ("multipart/related", _) => *text || *html,
            _ => false,
        };
        match role {
            Role::Text => *text = true,
            _ => *html = true,
        }
        if taken { Role::Attachment } else { role }
    }

    fn about(&self) -> About {
        let Leaf { fields, content_type, .. } = self.leaf;
        let disposition = fields.first("content-disposition").map(Valued::read);
        let filename = disposition.as_ref().and_then(|read| read.parameter("filename"));
        let content_id = fields.text("content-id").as_deref().and_then(ids::one);
        let inline = match &disposition {
            Some(read) => read.value == "inline",
            // Where it is not said, what the text refers to or is an alternative to is shown in its place.
            None => content_id.is_some() || matches!(self.parent(), "multipart/alternative" | "multipart/related"),
        };
        About {
            filename: filename.or_else(|| content_type.parameter("name")),
            content_type: Some(content_type.value.clone()),
            disposition: Some(if inline { "inline" } else { "attachment" }.to_owned()),
            content_id,
        }
    }
}

/// Adds a part to the text or the HTML.
fn take(bytes: &Bytes, part: &Part<'_>, decoded: Decoded<'_>, column: &str, mail: &mut Mail) {
    let so_far = if column == "html" { &mail.html } else { &mail.text };
    if so_far.as_ref().map_or(0, String::len) + decoded.bytes.len() > TEXT {
        mail.notes.note(column, "length");
        return attach(bytes, part, decoded, mail);
    }
    let (text, replaced) = text::decode(&decoded.bytes, part.leaf.content_type.token("charset").as_deref());
    mail.note_charset(column, replaced);
    let text = lines::unify(text);
    let column = if column == "html" { &mut mail.html } else { &mut mail.text };
    match column {
        Some(before) => {
            if !before.is_empty() && !before.ends_with('\n') {
                before.push('\n');
            }
            before.push_str(&text);
        }
        None => *column = Some(text),
    }
}

/// Adds an attachment. Bytes that lie in the message as they are stay there.
fn attach(bytes: &Bytes, part: &Part<'_>, decoded: Decoded<'_>, mail: &mut Mail) {
    let about = part.about();
    if let Some(known) = recognize(part, &about, mail) {
        let known = json!({"attachment": mail.attachments.len(), "is": known.kind, "said": known.said});
        if let Value::Array(list) = mail.metadata.entry("recognized").or_insert_with(|| Value::Array(Vec::new())) {
            list.push(known);
        }
    }
    let bytes = match decoded.bytes {
        Cow::Borrowed(piece) => bytes.slice_ref(piece),
        Cow::Owned(decoded) => Bytes::from(decoded),
    };
    mail.attachments.push(Attached::of(about, bytes));
}

/// What kind of thing an attachment is.
struct Known {
    kind: &'static str,
    /// What its type says beside.
    said: Option<Value>,
}

/// Recognizes an attachment by its type, or by its name.
fn recognize(part: &Part<'_>, about: &About, mail: &mut Mail) -> Option<Known> {
    let of = &part.leaf.content_type;
    let known = |kind| Some(Known { kind, said: None });
    let opaque = |mail: &mut Mail, kind: &str| {
        mail.metadata.insert("encrypted_or_opaque".to_owned(), Value::from(kind));
    };
    match part.media_type() {
        "text/calendar" | "application/ics" => {
            Some(Known { kind: "calendar", said: of.token("method").map(|method| json!({"method": method})) })
        }
        "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
            opaque(mail, "smime");
            Some(Known { kind: "smime", said: of.token("smime-type").map(|kind| json!({"type": kind})) })
        }
        "application/pkcs7-signature" | "application/x-pkcs7-signature" => known("smime_signature"),
        "application/pgp-encrypted" => {
            opaque(mail, "pgp");
            known("pgp")
        }
        "application/pgp-signature" => known("pgp_signature"),
        "application/pgp-keys" => known("pgp_keys"),
        "message/rfc822" | "message/global" => known("message"),
        "message/partial" => {
            let number = |name: &str| of.token(name).and_then(|text| text.parse::<u32>().ok());
            let id = of.parameter("id").map(|id| id.trim_matches(['<', '>']).to_owned());
            let partial = json!({"number": number("number"), "total": number("total"), "id": id});
            mail.metadata.insert("partial".to_owned(), partial);
            known("partial_message")
        }
        // Where its content is said to be. Nobody fetches it: the sender chose the address.
        "message/external-body" => {
            let said = of.all().take(32).map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value)));
            Some(Known { kind: "external_body", said: Some(Value::Object(said.collect())) })
        }
        "application/ms-tnef" | "application/vnd.ms-tnef" => known("tnef"),
        _ if about.filename.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("winmail.dat")) => known("tnef"),
        _ => None,
    }
}
