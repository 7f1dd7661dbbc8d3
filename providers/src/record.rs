//! What a request becomes: records, each with what tells it from another, and elements that could not be read.

use std::fmt;

use bytes::Bytes;
use proto::subject::SourceName;
use proto::{CanonicalMessage, Channel, RawEnvelope};

/// A request as it lies in `RAW`.
#[derive(Clone)]
pub struct RawRequest {
    /// What travels beside the body.
    pub envelope: RawEnvelope,
    /// Where it came in.
    pub channel: Channel,
    /// The configured source it came in at.
    pub source: SourceName,
    /// The exact bytes of the body.
    pub body: Bytes,
    /// Its sequence in `RAW`; 0 where that is not known.
    pub raw_sequence: u64,
}

/// Says which request, and never what is in it.
impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawRequest({}, {} {}, {} bytes)", self.envelope.id, self.channel, self.source, self.body.len())
    }
}

impl RawRequest {
    /// The first header of this name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        crate::request::header(&self.envelope.headers, name)
    }
}

/// Everything in a request. Never empty.
#[derive(Debug)]
pub struct Normalized {
    /// How many elements the request has, understood or not.
    pub parts: u32,
    /// Them, in document order.
    pub elements: Vec<Element>,
}

/// One element of a request.
pub type Element = Result<Box<Record>, BadElement>;

/// A record, and what to know it by.
#[derive(Clone, Debug)]
pub struct Record {
    /// What travels on.
    pub message: CanonicalMessage,
    /// The provider's own id.
    pub identity: Identity,
    /// What the sender wrote.
    pub content: Content,
    /// The bytes of each attachment whose `blake3` is stated, in the order of the attachments.
    pub files: Vec<File>,
}

/// The bytes of an attachment.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Their hash, by which they are stored.
    pub blake3: blake3::Hash,
    /// Them: a piece of the request's body where they lie in it as they are.
    pub bytes: Bytes,
}

/// Says how many bytes, and never what is in them.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({}, {} bytes)", self.blake3, self.bytes.len())
    }
}

/// The provider's own id of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The id, and what else tells two records with one id apart (a status: its state and recipient).
    Provided(Vec<String>),
    /// It has none that can be trusted: what the sender wrote is all there is.
    None,
}

/// What the sender wrote, as it came: decoded, and nothing derived from it. Two records with equal content are taken
/// for one where there is no identity; so no arrival time and no header of the delivery belongs in here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The sender, as the provider writes it.
    pub sender: Option<String>,
    /// The recipients, as the provider writes them, in order.
    pub recipients: Vec<String>,
    /// The subject.
    pub subject: Option<String>,
    /// The text.
    pub text: Option<String>,
    /// The HTML.
    pub html: Option<String>,
    /// The submitted fields, or the whole JSON value, in the form that does not depend on the order of its names.
    pub fields: Option<Vec<u8>>,
    /// The BLAKE3 of each attachment in hex, with a space and the name of the field where it was uploaded in one; or what
    /// the provider refers to it by.
    pub attachments: Vec<String>,
    /// Something could not be decoded: what became U+FFFD may have been different.
    pub undecodable: bool,
    /// The whole element in a form that does not depend on the order of its names; only looked at where all of subject,
    /// text, HTML, fields and attachments are empty, or something is `undecodable`.
    pub element: Vec<u8>,
}

/// An element that can never become a record. It is dead-lettered alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("element {part}: {reason}")]
pub struct BadElement {
    /// Its place in the request, from 0.
    pub part: u32,
    /// Why.
    pub reason: BadReason,
}

/// Why an element cannot become a record. A closed set: it is a label of a metric. Never says what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadReason {
    /// It is called JSON and is not UTF-8.
    #[error("the body is called JSON and is not UTF-8")]
    NotUtf8,
    /// It is called JSON and is not.
    #[error("the body is called JSON and is not")]
    NotJson,
    /// An element of a batch that is not an object.
    #[error("the element is not a JSON object")]
    NotAnObject,
    /// An element that is called a CloudEvent and is none.
    #[error("the element is no CloudEvent 1.0, or one of its attributes is missing or wrong")]
    NotAnEvent,
    /// A multipart body that cannot be taken apart.
    #[error("the multipart body cannot be taken apart")]
    BadMultipart,
    /// More elements, fields or parts than are taken.
    #[error("there are more elements or fields than are taken")]
    TooMany,
    /// More bytes than are taken once unpacked.
    #[error("the unpacked body is larger than is taken")]
    TooLarge,
    /// Compressed in a way that cannot be undone.
    #[error("the Content-Encoding cannot be undone")]
    Encoded,
}

impl BadReason {
    /// Every reason, so that counters can be present at zero.
    pub const ALL: [Self; 8] = [
        Self::NotUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::NotAnEvent,
        Self::BadMultipart,
        Self::TooMany,
        Self::TooLarge,
        Self::Encoded,
    ];

    /// The word used in dead letters, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::NotAnEvent => "not_an_event",
            Self::BadMultipart => "bad_multipart",
            Self::TooMany => "too_many",
            Self::TooLarge => "too_large",
            Self::Encoded => "encoded",
        }
    }
}

impl Normalized {
    /// One record.
    pub(crate) fn one(record: Record) -> Self {
        Self { parts: 1, elements: vec![Ok(Box::new(record))] }
    }

    /// One element, which is bad.
    pub(crate) fn bad(reason: BadReason) -> Self {
        Self { parts: 1, elements: vec![Err(BadElement { part: 0, reason })] }
    }
}
