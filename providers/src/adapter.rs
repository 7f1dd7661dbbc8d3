//! The one trait: everything that is particular to a provider.
//!
//! Nothing here fails by panicking and nothing waits: an adapter sees bytes that anybody on the internet may have
//! written.

use std::fmt;

use proto::header::Pair;
use proto::{Channel, Millis};

use crate::contract::Contract;
use crate::handshake::Handshake;
use crate::keyring::{Keyring, KeyringError};
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::Verdict;

/// A provider, as the gateway, the normalizer and the operator's command see it.
pub trait Adapter: Sync + fmt::Debug {
    /// The channel it belongs to.
    fn channel(&self) -> Channel;

    /// Its name in the configuration; unique within the channel.
    fn name(&self) -> &'static str;

    /// What it sends, what it wants to hear, and what it does when it hears something else.
    fn contract(&self) -> &'static Contract;

    /// Parses a source's secrets, once, at start or reload. The error says which one is unfit and what is expected.
    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError>;

    /// Judges the signature or credential over the exact bytes, in constant time, against every live secret.
    ///
    /// `now` is the moment the request arrived; schemes with a timestamp compare with it. The signature is looked at
    /// before the timestamp, so that [`crate::Flaw::Stale`] means "the real sender, too late".
    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict;

    /// Where the certificate lies that this request names as its signer's, where the keyring has nothing of the kind and the
    /// request can be judged with it: `https`, and at the provider. It goes into the keyring that
    /// [`Self::authenticate`] gets ([`Keyring::with`]).
    fn certificate_url(&self, _request: &Request<'_>, _keyring: &Keyring, _scheme: &Scheme) -> Option<String> {
        None
    }

    /// What is left to do once a request that fits is stored.
    fn follow_up(&self, _request: &Request<'_>) -> Option<FollowUp> {
        None
    }

    /// Answers a request by which the provider asks whether this address is really its user's or whether it may deliver,
    /// and which carries no message: it is answered and never stored. `None` for every other request, and for providers
    /// that never ask. Never asked about a POST, and asked before anything else: the method need not be one of the
    /// contract's, and of the body nothing is there yet.
    ///
    /// `token` is the source's `verify_token`; where the provider shows one, nothing fits without it.
    fn handshake(&self, _request: &Request<'_>, _token: Option<&str>) -> Option<Handshake> {
        None
    }

    /// Finds what only the sender can mend, cheaply: an empty body, a multipart that was cut off, more than `max_body`
    /// bytes once unpacked. Whatever passes can still turn out to be unreadable for the normalizer.
    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest>;

    /// What a signature that does not cover the message was used for, where the provider makes each up for one message;
    /// `None` where it covers it, or where nothing in it is made up anew. Asked of requests that verify.
    fn used(&self, _request: &Request<'_>) -> Option<Used> {
        None
    }

    /// What the provider would add to this request so that it verifies at `now` with the keyring's first secret.
    /// `None` where the keyring has nothing to sign with (a public key).
    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed>;

    /// Reads the records out of a request. It always ends in at least one element.
    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized;

    /// The request headers whose values are secrets themselves, beyond `Authorization`, `Proxy-Authorization` and
    /// `Cookie`: never to be stored as they are. Signatures are not among them.
    fn secret_headers<'a>(&self, _scheme: &'a Scheme) -> Vec<&'a str> {
        Vec::new()
    }

    /// Those of `Authorization`, `Proxy-Authorization` and `Cookie` whose value in this very request is a signature over
    /// it, and no credential: who reads it can send nothing else with it, and without it nobody could judge the request
    /// again. Called with requests that nobody has verified, so the value has to show by itself that it is one.
    fn signature_headers(&self, _request: &Request<'_>, _scheme: &Scheme) -> &'static [&'static str] {
        &[]
    }

    /// The request headers that hold the provider's own id of what it sends: two requests that differ in one of them are
    /// two, however equal the rest is.
    fn identity_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// The query parameters whose values are secrets themselves: never to be stored or logged as they are.
    fn secret_parameters(&self) -> &'static [&'static str] {
        &[crate::scheme::url_key::PARAMETER]
    }
}

/// A signature that is good for one message, and the message that it came with. Who sees `once` again with something else
/// knows that one of the two was put beside a signature that was not made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// The hash of what is signed: made up by the provider for this message alone.
    pub once: blake3::Hash,
    /// The hash of everything else: the same when the provider sends it again.
    pub with: blake3::Hash,
}

/// What is left to do once a request is stored.
#[derive(Clone, PartialEq, Eq)]
pub enum FollowUp {
    /// To call this URL, `https` and at the provider: before that it delivers nothing.
    Call(String),
    /// To tell the operator, in these words.
    Warn(&'static str),
}

/// Leaves the URL out: whoever knows it can call it.
impl fmt::Debug for FollowUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(_) => f.write_str("Call"),
            Self::Warn(text) => write!(f, "Warn({text:?})"),
        }
    }
}

/// What turns a request into one that verifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    /// Headers to add.
    pub headers: Vec<Pair>,
    /// A piece to append to the query (`name=value`, encoded). The signature already counts on it.
    pub query: Option<String>,
    /// The body to send in place of the request's, where the signature is a field of the body.
    pub body: Option<Vec<u8>>,
}

impl Signed {
    /// One header.
    pub fn header(name: &str, value: impl Into<Vec<u8>>) -> Self {
        Self { headers: vec![(name.to_owned(), value.into())], ..Self::default() }
    }
}
