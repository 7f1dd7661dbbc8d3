//! What is judged: a captured request as the gateway would have seen it, and the source that judges it. Pure.
//!
//! A [`Trial`] is the case with something changed. What a reader would get wrong: whether a signature is right is one
//! question, whether it came in time another; adapters look at the signature first, so `Stale` and `Early` mean that it
//! is right.

use std::borrow::Cow;

use http::Method;
use proto::Millis;
use proto::header::Pair;
use providers::{Adapter, Flaw, Keyring, Request, Scheme, Verdict};
use runtime::config::Secret;

/// A captured request and its source. Holds secrets, so it has no `Debug`.
pub(crate) struct Case {
    pub(crate) adapter: &'static dyn Adapter,
    pub(crate) scheme: Scheme,
    pub(crate) keyring: Keyring,
    /// The source's own secrets, as they are written.
    pub(crate) secrets: Vec<Secret>,
    /// Those of the configuration's other sources.
    pub(crate) others: Vec<OtherSecret>,
    pub(crate) method: Method,
    /// The URL as the gateway reckons it, with the query.
    pub(crate) url: String,
    /// Where the capture says that the request went: a path, or a whole URL where it names one.
    pub(crate) target: String,
    pub(crate) headers: Vec<Pair>,
    pub(crate) body: Vec<u8>,
    /// The moment that it is judged at.
    pub(crate) now: Millis,
    /// Bytes that a body may have once unpacked.
    pub(crate) max_body: u64,
}

/// A secret of another source.
pub(crate) struct OtherSecret {
    pub(crate) source: String,
    /// Its place there, from 1.
    pub(crate) number: usize,
    pub(crate) secret: Secret,
}

/// A case with something changed, or nothing yet.
#[derive(Clone)]
pub(crate) struct Trial<'c> {
    pub(crate) adapter: &'static dyn Adapter,
    pub(crate) scheme: Cow<'c, Scheme>,
    pub(crate) keyring: Cow<'c, Keyring>,
    pub(crate) method: &'c Method,
    pub(crate) url: Cow<'c, str>,
    pub(crate) headers: Cow<'c, [Pair]>,
    pub(crate) body: Cow<'c, [u8]>,
}

impl Case {
    /// As it is.
    pub(crate) fn unchanged(&self) -> Trial<'_> {
        Trial {
            adapter: self.adapter,
            scheme: Cow::Borrowed(&self.scheme),
            keyring: Cow::Borrowed(&self.keyring),
            method: &self.method,
            url: Cow::Borrowed(&self.url),
            headers: Cow::Borrowed(&self.headers),
            body: Cow::Borrowed(&self.body),
        }
    }
}

impl Trial<'_> {
    /// The request, as an adapter looks at it.
    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            method: self.method,
            url: &self.url,
            query: query_of(&self.url),
            headers: &self.headers,
            body: &self.body,
        }
    }

    /// The verdict of the source's adapter.
    pub(crate) fn verdict(&self, now: Millis) -> Verdict {
        self.adapter.authenticate(&self.request(), &self.keyring, &self.scheme, now)
    }
}

/// Whether this verdict says that the signature is right, in time or not.
pub(crate) fn is_right(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Fits { .. } | Verdict::Wrong(Flaw::Stale | Flaw::Early))
}

/// What is after the `?`.
pub(crate) fn query_of(url: &str) -> Option<&str> {
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    url.split_once('?').map(|(_, query)| query)
}

/// What is before the `?`.
pub(crate) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// A target's path: that of a whole URL, or all of it up to the `?`.
pub(crate) fn path_of(target: &str) -> &str {
    let target = without_query(target);
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    }
}
