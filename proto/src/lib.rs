//! What the stages say to each other: types, hashes, subject and header names.
//!
//! Nothing here does I/O, reads a clock or draws a random number, so the same input gives the same bytes for ever;
//! replaying years later depends on that. Read in this order: [`time`], [`channel`], [`kind`], [`id`] and [`key`]
//! are the words; [`canonical`] is the message; [`envelope`] is what travels beside it; [`subject`] is where it goes.

pub mod time;

pub mod channel;
pub mod kind;
pub mod verified;

pub mod id;
pub mod key;

pub mod canonical;

pub mod body_ref;
pub mod envelope;
pub mod header;
pub mod subject;

pub use body_ref::BodyRef;
pub use canonical::{Attachment, CanonicalMessage, Party, Recipient, Role, Truncation};
pub use channel::Channel;
pub use envelope::{DeadLetterEnvelope, DedupRule, EnvelopeError, Policy, RawEnvelope, RecordEnvelope, Stage};
pub use key::{DedupKey, HashKey, KeyHasher};
pub use kind::Kind;
pub use time::Millis;
pub use verified::Verified;
