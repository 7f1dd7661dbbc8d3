//! The JSON around a message of SNS, and the text of it that is signed.
//!
//! The signed text is made of the decoded values: a line break in the message is one in the text. Verifying and reading go
//! through the same reader, so that what was verified is what is read.

use proto::Millis;
use serde_json::{Map, Value};

use super::url;
use crate::read::{json, moment};

/// What SNS sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// A message of the topic.
    Notification,
    /// The question whether the subscription is wanted.
    SubscriptionConfirmation,
    /// The news that it ended.
    UnsubscribeConfirmation,
}

impl Type {
    /// As SNS writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Notification => "Notification",
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// The envelope of a message. Without `Debug`: its token confirms the subscription.
pub(crate) struct Envelope {
    pub(crate) kind: Type,
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) message: String,
    pub(crate) subject: Option<String>,
    pub(crate) timestamp: Millis,
    /// The time as it was written, which is what is signed.
    written: String,
    pub(super) token: Option<String>,
    pub(super) subscribe_url: Option<String>,
    pub(super) version: String,
    pub(super) certificate_url: String,
    pub(super) signature: Option<String>,
}

impl Envelope {
    /// Reads it; `None` where the body is none, or one that lacks a field that every one has.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let Value::Object(mut map) = json::read(body).ok()?.value else { return None };
        let kind = match map.get("Type")?.as_str()? {
            "Notification" => Type::Notification,
            "SubscriptionConfirmation" => Type::SubscriptionConfirmation,
            "UnsubscribeConfirmation" => Type::UnsubscribeConfirmation,
            _ => return None,
        };
        let mut take = |name: &str| take(&mut map, name);
        let written = take("Timestamp")??;
        let envelope = Self {
            kind,
            id: take("MessageId")??,
            topic: take("TopicArn")??,
            message: take("Message")??,
            subject: take("Subject")?,
            timestamp: moment::read(&written)?,
            written,
            token: take("Token")?,
            subscribe_url: take("SubscribeURL")?,
            version: take("SignatureVersion")??,
            certificate_url: take("SigningCertURL")??,
            signature: take("Signature")?.filter(|signature| !signature.is_empty()),
        };
        let confirms = envelope.token.is_some() && envelope.subscribe_url.is_some();
        (kind == Type::Notification || confirms).then_some(envelope)
    }

    /// The text that is signed: name and value of each field that is there, a line each.
    pub(super) fn signed_text(&self) -> Vec<u8> {
        let message = ("Message", Some(&self.message));
        let id = ("MessageId", Some(&self.id));
        let (time, topic) = (("Timestamp", Some(&self.written)), ("TopicArn", Some(&self.topic)));
        let fields = match self.kind {
            Type::Notification => vec![message, id, ("Subject", self.subject.as_ref()), time, topic],
            Type::SubscriptionConfirmation | Type::UnsubscribeConfirmation => {
                let (url, token) = (("SubscribeURL", self.subscribe_url.as_ref()), ("Token", self.token.as_ref()));
                vec![message, id, url, time, token, topic]
            }
        };
        let mut text = Vec::with_capacity(self.message.len() + 512);
        let present = fields.iter().filter_map(|(name, value)| value.map(|value| (*name, value.as_str())));
        for (name, value) in present.chain([("Type", self.kind.as_str())]) {
            for piece in [name, "\n", value, "\n"] {
                text.extend_from_slice(piece.as_bytes());
            }
        }
        text
    }

    /// Makes it one that this topic sends at that moment; what signs it is another step.
    pub(super) fn send(&mut self, topic: &str, now: Millis) {
        topic.clone_into(&mut self.topic);
        self.timestamp = now;
        self.written = now.to_string();
        "2".clone_into(&mut self.version);
        if let Some(host) = url::host(topic) {
            let path = self.certificate_url.rsplit('/').next().unwrap_or_default().to_owned();
            self.certificate_url = format!("https://{host}/{path}");
        }
    }

    /// The body that this was read from, with everything that [`Self::send`] and the signature changed.
    pub(super) fn write(self, body: &[u8]) -> Option<Vec<u8>> {
        let Value::Object(mut map) = json::read(body).ok()?.value else { return None };
        let changed = [
            ("TopicArn", Some(self.topic)),
            ("Timestamp", Some(self.written)),
            ("SignatureVersion", Some(self.version)),
            ("SigningCertURL", Some(self.certificate_url)),
            ("Signature", self.signature),
        ];
        map.extend(changed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?)))));
        serde_json::to_vec(&map).ok()
    }
}

/// Takes a text out: `Some(None)` where it is not there, `None` where it is no text.
#[expect(clippy::option_option, reason = "a field that is there and unreadable is not one that is missing")]
fn take(map: &mut Map<String, Value>, name: &str) -> Option<Option<String>> {
    match map.remove(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text)),
        Some(_) => None,
    }
}
