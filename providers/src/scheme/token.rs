//! Credentials that are the secret itself: a bearer token (RFC 6750), user and password (RFC 7617), a key in a header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::mac;
use crate::adapter::Signed;
use crate::keyring::Keyring;
use crate::request::Request;
use crate::verdict::Flaw;

/// Where RFC 9110 puts credentials.
pub(crate) const AUTHORIZATION: &str = "authorization";

/// Which secret is the bearer token.
pub(crate) fn bearer(request: &Request<'_>, keyring: &Keyring) -> Result<usize, Flaw> {
    fitting(keyring, credentials(request, "bearer")?.as_bytes())
}

/// Which secret (`user:password`) is in the basic credentials.
pub(crate) fn basic(request: &Request<'_>, keyring: &Keyring) -> Result<usize, Flaw> {
    let given = STANDARD.decode(credentials(request, "basic")?).map_err(|_| Flaw::Malformed)?;
    fitting(keyring, &given)
}

/// Which secret is the value of this header.
pub(crate) fn in_header(request: &Request<'_>, header: &str, keyring: &Keyring) -> Result<usize, Flaw> {
    fitting(keyring, request.single(header)?.as_bytes())
}

/// The header with the first secret as a bearer token.
pub(crate) fn sign_bearer(keyring: &Keyring) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    Some(Signed::header(AUTHORIZATION, [b"Bearer ", key].concat()))
}

/// The header with the first secret as basic credentials.
pub(crate) fn sign_basic(keyring: &Keyring) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    Some(Signed::header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(key))))
}

/// The header with the first secret as its value.
pub(crate) fn sign_header(header: &str, keyring: &Keyring) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    Some(Signed::header(header, key))
}

fn fitting(keyring: &Keyring, given: &[u8]) -> Result<usize, Flaw> {
    keyring.shared().find(|(_, key)| mac::equal(key, given)).map(|(index, _)| index).ok_or(Flaw::Mismatch)
}

/// The second of exactly two words in `Authorization`, the first being `scheme` in any case.
pub(crate) fn credentials<'a>(request: &Request<'a>, scheme: &str) -> Result<&'a str, Flaw> {
    let mut words = request.single(AUTHORIZATION)?.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(first), Some(second), None) if first.eq_ignore_ascii_case(scheme) => Ok(second),
        _ => Err(Flaw::Malformed),
    }
}
