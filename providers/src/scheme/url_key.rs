//! A secret in the URL, `?key=...`: for providers that sign nothing. Weak, because URLs end up in logs; so it is never
//! stored and never logged by us.

use super::mac;
use crate::adapter::Signed;
use crate::keyring::Keyring;
use crate::request::Request;
use crate::verdict::Flaw;

/// The name of the query parameter.
pub(crate) const PARAMETER: &str = "key";

/// Which secret is in the URL.
pub(crate) fn authenticate(request: &Request<'_>, keyring: &Keyring) -> Result<usize, Flaw> {
    among(request, &[PARAMETER], keyring)
}

/// Which secret is in the URL under one of these names.
pub(crate) fn among(request: &Request<'_>, names: &[&str], keyring: &Keyring) -> Result<usize, Flaw> {
    let query = request.query.unwrap_or_default();
    let mut given = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| names.contains(&&**name));
    let (_, value) = given.next().filter(|(_, value)| !value.is_empty()).ok_or(Flaw::Missing)?;
    if given.next().is_some() {
        return Err(Flaw::Repeated);
    }
    let mut keys = keyring.shared();
    keys.find(|(_, key)| mac::equal(key, value.as_bytes())).map(|(index, _)| index).ok_or(Flaw::Mismatch)
}

/// The piece of the query that makes the request verify with the first secret.
pub(crate) fn sign(keyring: &Keyring) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    let key: String = form_urlencoded::byte_serialize(key).collect();
    Some(Signed { query: Some(format!("{PARAMETER}={key}")), ..Signed::default() })
}
