//! The URL a provider calls, exactly as the operator wrote it.
//!
//! Providers sign this very text, so it is checked but never normalised. It may carry the user and
//! password that the provider was given, or a key in its query, so `Debug` leaves those out.

use std::fmt;

use http::Uri;

/// An absolute `http` or `https` URL.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// A URL to put a path behind: no query, no fragment, no slash at its end.
    pub fn base(text: &str) -> Option<Self> {
        let url = Self::whole(text).filter(|_| !text.contains(['?', '#']))?;
        Some(Self(url.0.trim_end_matches('/').to_owned()))
    }

    /// A URL with all its parts but the fragment, which is never sent and never signed.
    pub(super) fn whole(text: &str) -> Option<Self> {
        let text = text.split_once('#').map_or(text, |(url, _)| url);
        let uri: Uri = text.parse().ok()?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        (web && uri.host().is_some_and(|host| !host.is_empty())).then(|| Self(text.to_owned()))
    }

    /// As written, with user and password where it has them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, query) = self.0.split_once('?').map_or((&*self.0, ""), |(url, _)| (url, "?[secret]"));
        match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, rest))) => write!(f, "\"{scheme}://[secret]@{rest}{query}\""),
            _ => write!(f, "\"{url}{query}\""),
        }
    }
}
