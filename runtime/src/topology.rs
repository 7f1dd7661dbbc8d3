//! The streams and their durable consumers: names, subjects, and the properties that safety rests on.
//!
//! One table, used by `provision` to make them, by every worker to check them, and by trimming to know whose progress
//! counts. Sizes come from the configuration and may differ; nothing else may.

/// Raised when a property below changes in a way that old processes must not run on.
pub const LAYOUT: u32 = 1;
/// Where a stream's metadata keeps [`LAYOUT`].
pub const LAYOUT_KEY: &str = "penstock.layout";
/// Where a stream's metadata names its consumers, separated by commas.
pub const CONSUMERS_KEY: &str = "penstock.consumers";

/// Requests as they came.
pub const RAW: &str = "RAW";
/// Payloads too large for a message, in chunks.
pub const BODIES: &str = "BODIES";
/// Requests whose signature was wrong.
pub const HELD: &str = "HELD";
/// Requests to be read again.
pub const REPLAY: &str = "REPLAY";
/// Records.
pub const CANONICAL: &str = "CANONICAL";
/// Records whose key was claimed: the claim is the message.
pub const UNIQUE: &str = "UNIQUE";
/// Records for the persister to judge.
pub const DUPLICATES: &str = "DUPLICATES";
/// What a stage gave up on.
pub const DLQ: &str = "DLQ";

/// How many messages a subject may hold. A full one refuses the next, it never drops the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerSubject {
    /// As many as fit.
    Any,
    /// One: publishing is claiming.
    One,
    /// `hold.max_messages`.
    Held,
}

/// A stream.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// What it takes in.
    pub subject: &'static str,
    /// How many messages a subject may hold.
    pub per_subject: PerSubject,
    /// Whether publishers may use atomic batches.
    pub atomic: bool,
    /// Its durable consumers: name and filter.
    pub consumers: &'static [Consumer],
}

/// A durable pull consumer with explicit acknowledgement.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: &'static str,
    /// The subjects it takes; all of the stream's where empty. One without a filter is read by sequence, which costs
    /// the server no search.
    pub filter: &'static str,
}

/// Every stream.
pub const STREAMS: [Stream; 8] = [
    Stream {
        name: RAW,
        subject: "raw.>",
        per_subject: PerSubject::Any,
        atomic: true,
        consumers: &[
            Consumer { name: "normalizer-email", filter: "raw.email.>" },
            Consumer { name: "normalizer-sms", filter: "raw.sms.>" },
            Consumer { name: "normalizer-whatsapp", filter: "raw.whatsapp.>" },
            Consumer { name: "normalizer-form", filter: "raw.form.>" },
            Consumer { name: "normalizer-webhook", filter: "raw.webhook.>" },
        ],
    },
    Stream { name: BODIES, subject: "body.>", per_subject: PerSubject::Any, atomic: false, consumers: &[] },
    Stream { name: HELD, subject: "held.>", per_subject: PerSubject::Held, atomic: false, consumers: &[] },
    Stream {
        name: REPLAY,
        subject: "replay.raw.>",
        per_subject: PerSubject::Any,
        atomic: false,
        consumers: &[Consumer { name: "normalizer-replay", filter: "" }],
    },
    Stream {
        name: CANONICAL,
        subject: "canonical.>",
        per_subject: PerSubject::Any,
        atomic: true,
        consumers: &[Consumer { name: "dedup", filter: "" }],
    },
    Stream {
        name: UNIQUE,
        subject: "unique.>",
        per_subject: PerSubject::One,
        atomic: false,
        consumers: &[Consumer { name: "persister", filter: "" }],
    },
    Stream {
        name: DUPLICATES,
        subject: "duplicate.>",
        per_subject: PerSubject::Any,
        atomic: false,
        consumers: &[Consumer { name: "persister-duplicates", filter: "" }],
    },
    Stream {
        name: DLQ,
        subject: "dlq.>",
        per_subject: PerSubject::One,
        atomic: false,
        consumers: &[Consumer { name: "persister-dead-letters", filter: "" }],
    },
];

/// The stream of this name.
pub fn stream(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name)
}

/// The consumer of this name on this stream.
pub fn consumer(stream_name: &str, name: &str) -> Option<&'static Consumer> {
    stream(stream_name)?.consumers.iter().find(|consumer| consumer.name == name)
}
