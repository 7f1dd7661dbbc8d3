//! What a provider that signs nothing can be given in the URL it calls: a user and a password, which it sends as Basic
//! credentials, or `?key=`. The body is not covered: whoever knows the secret can send anything.

use super::{token, url_key};
use crate::adapter::Signed;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::request::Request;
use crate::verdict::{Flaw, Verdict};

/// Parses a source's secrets, if it has any.
pub(crate) fn keyring(secrets: &[&str]) -> Result<Keyring, KeyringError> {
    Keyring::parse_any(secrets, "`user:password`, or the text of `?key=`, as in the URL", Key::text)
}

/// The verdict. A request with both is refused: one would be verified and the other believed.
pub(crate) fn authenticate(request: &Request<'_>, keyring: &Keyring) -> Verdict {
    if keyring.is_empty() {
        return Verdict::NothingToVerify;
    }
    let judged = match (token::basic(request, keyring), url_key::authenticate(request, keyring)) {
        (Err(Flaw::Missing), judged) | (judged, Err(Flaw::Missing)) => judged,
        _ => Err(Flaw::Repeated),
    };
    judged.into()
}

/// What makes the request verify: nothing, where nothing is asked.
pub(crate) fn sign(keyring: &Keyring) -> Option<Signed> {
    let Some((_, key)) = keyring.shared().next() else { return Some(Signed::default()) };
    if key.contains(&b':') { token::sign_basic(keyring) } else { url_key::sign(keyring) }
}
