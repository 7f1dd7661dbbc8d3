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
    /// Its durable consumers: what waits for these is not processed, and is never trimmed.
    pub consumers: &'static [Consumer],
    /// Durable consumers that only look on: trimming does not wait for them, and a worker starts without them.
    pub observers: &'static [Consumer],
}

/// A durable pull consumer with explicit acknowledgement.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    /// Its name.
    pub name: &'static str,
    /// The subjects it takes; all of the stream's where empty. One without a filter is read by sequence, which costs
    /// the server no search.
    pub filter: &'static str,
    /// Whether it is delivered headers without payloads.
    pub headers_only: bool,
}

/// What knows up to where every request of [`RAW`] has its endings. The gateway's probes (`raw.probe`) are none of them.
pub const AUDIT: Consumer = Consumer { name: "audit", filter: "raw.*.*", headers_only: true };

const fn reads(name: &'static str, filter: &'static str) -> Consumer {
    Consumer { name, filter, headers_only: false }
}

/// Every stream.
pub const STREAMS: [Stream; 8] = [
    Stream {
        name: RAW,
        subject: "raw.>",
        per_subject: PerSubject::Any,
        atomic: true,
        consumers: &[
            reads("normalizer-email", "raw.email.>"),
            reads("normalizer-sms", "raw.sms.>"),
            reads("normalizer-whatsapp", "raw.whatsapp.>"),
            reads("normalizer-form", "raw.form.>"),
            reads("normalizer-webhook", "raw.webhook.>"),
        ],
        observers: &[AUDIT],
    },
    Stream {
        name: BODIES,
        subject: "body.>",
        per_subject: PerSubject::Any,
        atomic: false,
        consumers: &[],
        observers: &[],
    },
    Stream {
        name: HELD,
        subject: "held.>",
        per_subject: PerSubject::Held,
        atomic: false,
        consumers: &[],
        observers: &[],
    },
    Stream {
        name: REPLAY,
        subject: "replay.raw.>",
        per_subject: PerSubject::Any,
        atomic: false,
        consumers: &[reads("normalizer-replay", "")],
        observers: &[],
    },
    Stream {
        name: CANONICAL,
        subject: "canonical.>",
        per_subject: PerSubject::Any,
        atomic: true,
        consumers: &[reads("dedup", "")],
        observers: &[],
    },
    Stream {
        name: UNIQUE,
        subject: "unique.>",
        per_subject: PerSubject::One,
        atomic: false,
        consumers: &[reads("persister", "")],
        observers: &[],
    },
    Stream {
        name: DUPLICATES,
        subject: "duplicate.>",
        per_subject: PerSubject::Any,
        atomic: false,
        consumers: &[reads("persister-duplicates", "")],
        observers: &[],
    },
    Stream {
        name: DLQ,
        subject: "dlq.>",
        per_subject: PerSubject::One,
        atomic: false,
        consumers: &[reads("persister-dead-letters", "")],
        observers: &[],
    },
];

/// The stream of this name.
pub fn stream(name: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.name == name)
}

/// The consumer of this name on this stream, observers among them.
pub fn consumer(stream_name: &str, name: &str) -> Option<&'static Consumer> {
    let stream = stream(stream_name)?;
    stream.consumers.iter().chain(stream.observers).find(|consumer| consumer.name == name)
}
