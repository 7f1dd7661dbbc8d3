//! What each provider's requests look like: how they are verified, answered and read. Pure: no I/O, no clock, no
//! randomness; a request and the settings in, a verdict or records out, the same for ever.
//!
//! Two stages look at the same adapter. The gateway asks for [`Adapter::contract`] (methods, media types, answers),
//! [`Adapter::handshake`], [`Adapter::check`] and [`Adapter::authenticate`], and where a provider has to be asked for
//! something, for [`Adapter::certificate_url`] and [`Adapter::follow_up`]; the normalizer for [`Adapter::normalize`],
//! and then [`dedup::key`] says which records are the same message. `penstock send` plays the provider with
//! [`Adapter::sign`].
//!
//! # How to add a provider
//!
//! In short; `docs/writing-an-adapter.md` says why, and where messages are lost or doubled.
//!
//! 1. Copy the file of the one that is most alike (`sms/twilio.rs` reads parameters, `webhook/github.rs` reads JSON) to
//!    `{channel}/{name}.rs`. Each has the same five pieces in the same order: the [`Contract`], the keyring, the verdict,
//!    the signature, the records. Of a form, only the first and the last are its own (`form/tally.rs`); the rest is said
//!    in a row of `form/provider.rs`.
//! 2. Fill in the [`Contract`] from the provider's documentation: what it does on 401, 429 and 503 decides whether a
//!    message is lost, so the text in `retries` says where that is known from.
//! 3. Take the signature from `scheme/` where it is of a known kind; write it in a file there where two channels share
//!    it, in the provider's own file otherwise.
//! 4. State the [`Identity`]: the provider's own id and what else tells two records apart. Whatever the provider did
//!    not assign is not an identity; what has none is compared by content. An id that travels in a header is named in
//!    [`Adapter::identity_headers`] too: the gateway does not look into bodies, and must not take two events for one.
//! 5. Add one line to [`registry`], one to the list of providers in `runtime/src/config/source.rs` (it is how a
//!    configuration knows a name that exists from a misspelt one), the signature vectors to `tests/data/vectors.json` and sample payloads with the
//!    records they must become to `tests/data/payloads/`. The tests there take every file.
//! 6. Add a sample for `penstock send` to `penstock/samples/` and a page for its users to `docs/providers/`.

pub mod adapter;
pub mod certificate;
pub mod contract;
pub mod dedup;
pub mod handshake;
pub mod keyring;
pub mod record;
pub mod registry;
pub mod request;
pub mod settings;
pub mod verdict;

mod email;
mod form;
mod read;
mod scheme;
mod sms;
mod webhook;
mod whatsapp;

pub use adapter::{Adapter, FollowUp, Signed, Used};
pub use certificate::Certificate;
pub use contract::{Contract, OverLimit, Reaction, Verify};
pub use dedup::Windows;
pub use handshake::Handshake;
pub use keyring::{Keyring, KeyringError};
pub use read::address::spellings;
pub use record::{BadElement, BadReason, Content, Element, File, Identity, Normalized, RawRequest, Record};
pub use registry::find;
pub use request::{BadRequest, Request};
pub use settings::{Algorithm, Encoding, Scheme, SourceSettings};
pub use verdict::{Flaw, Verdict};

/// The version of the code that reads payloads: raised whenever the same request would become another record, so that
/// a row says which reading it came from.
pub const NORMALIZER_VERSION: u32 = 3;
