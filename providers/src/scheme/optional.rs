//! For providers that sign nothing of their own: a configurable HMAC where `header` is set, a secret in the URL where
//! there are only secrets, nothing where there are none.

use proto::Millis;

use super::{hmac, mac, url_key};
use crate::adapter::Signed;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::request::Request;
use crate::settings::Scheme;
use crate::verdict::Verdict;

/// What a secret is, for the error.
const EXPECTED: &str = "the secret of the HMAC in `header`";

/// Parses a source's secrets, if it has any.
pub(crate) fn keyring(secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
    mac::no_md5(scheme)?;
    if scheme.header.is_some() {
        return Keyring::parse(secrets, EXPECTED, Key::text);
    }
    Keyring::parse_any(secrets, "the text of `?key=` in the URL", Key::text)
}

/// The verdict.
pub(crate) fn authenticate(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
    if keyring.is_empty() {
        return Verdict::NothingToVerify;
    }
    if scheme.header.is_some() {
        return hmac::authenticate(request, keyring, scheme, now).into();
    }
    url_key::authenticate(request, keyring).into()
}

/// What makes the request verify: nothing, where nothing is asked.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
    if keyring.is_empty() {
        return Some(Signed::default());
    }
    if scheme.header.is_some() { hmac::sign(request, keyring, scheme, now) } else { url_key::sign(keyring) }
}
