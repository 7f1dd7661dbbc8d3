//! The canonical message: the one shape that every provider's payload becomes, and that the rest of the pipeline
//! relies on. It travels as JSON; its golden bytes are in `tests/golden/`.
//!
//! Everything in it comes from the request, or from the gateway's stamp on it; nothing from a clock. What a provider
//! says beyond these fields is in `metadata`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::{Channel, Kind, Millis, Verified};

/// The version of this shape. A stage that meets a newer one waits for its own upgrade; it never dead-letters it.
pub const SCHEMA_VERSION: u32 = 1;

/// One record of one request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CanonicalMessage {
    /// [`crate::id::record_id`]: the same on every redelivery and replay.
    pub id: Uuid,
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The version of the code that read the provider's payload.
    pub normalizer_version: u32,
    /// The request (`Penstock-Id`).
    pub request_id: Uuid,
    /// This record's place in the request, in document order.
    pub part: u32,
    /// How many elements the request has, understood or not.
    pub parts: u32,
    /// Where it came in.
    pub channel: Channel,
    /// The configured source it came in at.
    pub source: String,
    /// The provider that posted it.
    pub provider: String,
    /// The verdict on the request's signature.
    pub verified: Verified,
    /// What it is.
    pub kind: Kind,
    /// The provider's own id of the message.
    pub provider_message_id: Option<String>,
    /// The thread: the provider's, or the root of `references`, or source and the two addresses, sorted.
    pub conversation: Option<String>,
    /// Who wrote it.
    pub sender: Option<Party>,
    /// Whom it was sent to.
    pub recipients: Vec<Recipient>,
    /// The subject line.
    pub subject: Option<String>,
    /// The text.
    pub text: Option<String>,
    /// The text as HTML, as the sender wrote it: never safe to show as it is.
    pub html: Option<String>,
    /// Files that came with it.
    pub attachments: Vec<Attachment>,
    /// The provider's id of the message this one answers, reacts to, edits or deletes.
    pub reply_to_id: Option<String>,
    /// Earlier messages of the thread, oldest first.
    pub references: Vec<String>,
    /// When the sender says it was sent; never the clock.
    pub sent_at: Option<Millis>,
    /// When the gateway had the request.
    pub received_at: Millis,
    /// The provider's fields without a place above; a form's fields under `fields`. A JSON object.
    pub metadata: Box<RawValue>,
    /// What could not be kept as it came.
    pub truncations: Vec<Truncation>,
    /// The request's sequence in `RAW`; 0 where it is not known.
    pub raw_sequence: u64,
    /// What only records of [`crate::kind::Class::Status`] have.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<StatusFields>,
}

/// The state that a status reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusFields {
    /// The provider's word for it: `delivered`, `failed`; `ignored` for a request that held nothing.
    pub status: String,
    /// When it came to be so, if the provider says.
    pub occurred_at: Option<Millis>,
    /// Whom the message was for.
    pub recipient: Option<String>,
    /// The provider's error code.
    pub error_code: Option<String>,
}

/// A person or a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// E.164 with `+`, or an e-mail address with its domain in lower case, or what the provider has instead.
    pub address: Option<String>,
    /// The display name.
    pub name: Option<String>,
}

/// A person or a number that a message was sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// As [`Party::address`].
    pub address: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// How it was addressed.
    pub role: Role,
}

/// How a recipient was addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Directly.
    To,
    /// In copy.
    Cc,
    /// In blind copy.
    Bcc,
}

/// A file that came with a message, or the provider's reference to one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The name the sender gave it. Never a path.
    pub filename: Option<String>,
    /// The media type the sender gave it.
    pub content_type: Option<String>,
    /// Bytes, where they are known.
    pub size: Option<u64>,
    /// BLAKE3 of the bytes, in hex, where they came with the request.
    pub blake3: Option<String>,
    /// `attachment` or `inline`.
    pub disposition: Option<String>,
    /// What the HTML refers to it by.
    pub content_id: Option<String>,
    /// Where the bytes are: the provider's URL or media id, or ours.
    pub location: Option<String>,
}

/// Something that could not be kept as it came; nothing is cut in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncation {
    /// The field, as a path from the message.
    pub field: String,
    /// What was done: `nul` (U+0000 taken out), `surrogate` (replaced by U+FFFD), `length`, ...
    pub reason: String,
}

impl Party {
    /// Somebody known by an address alone.
    pub fn of(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), name: None }
    }
}

impl Recipient {
    /// Somebody written to directly.
    pub fn to(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), name: None, role: Role::To }
    }
}
