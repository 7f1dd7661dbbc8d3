//! The configurable HMAC: a MAC of the body, or of `{timestamp}.{body}`, in a header of the operator's choice.

use proto::Millis;

use super::mac;
use crate::adapter::Signed;
use crate::keyring::Keyring;
use crate::request::Request;
use crate::settings::{Algorithm, Encoding, Scheme};
use crate::verdict::Flaw;

/// The settings with their defaults filled in.
struct Form<'a> {
    header: &'a str,
    algorithm: Algorithm,
    encoding: Encoding,
}

impl<'a> Form<'a> {
    fn of(scheme: &'a Scheme) -> Option<Self> {
        Some(Self {
            header: scheme.header.as_deref()?,
            algorithm: scheme.algorithm.unwrap_or(Algorithm::Sha256),
            encoding: scheme.encoding.unwrap_or(Encoding::Hex),
        })
    }
}

/// Which secret made the MAC in the configured header.
pub(crate) fn authenticate(
    request: &Request<'_>,
    keyring: &Keyring,
    scheme: &Scheme,
    now: Millis,
) -> Result<usize, Flaw> {
    let form = Form::of(scheme).ok_or(Flaw::Missing)?;
    let given = request.single(form.header)?.strip_prefix(scheme.prefix.as_str()).ok_or(Flaw::Malformed)?;
    let given = mac::decode(form.encoding, given)?;
    let Some(timestamp_header) = &scheme.timestamp_header else {
        return mac::fitting(keyring, form.algorithm, &[request.body], &given);
    };
    let timestamp = request.single(timestamp_header)?;
    let signed_at = mac::seconds(timestamp)?;
    let fits = mac::fitting(keyring, form.algorithm, &[timestamp.as_bytes(), b".", request.body], &given)?;
    mac::in_time(signed_at, now, scheme.tolerance_ms())?;
    Ok(fits)
}

/// The headers that make the request verify with the first secret.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
    let form = Form::of(scheme)?;
    let (_, key) = keyring.shared().next()?;
    let mut headers = Vec::with_capacity(2);
    let bytes = match &scheme.timestamp_header {
        None => mac::compute(form.algorithm, key, &[request.body]),
        Some(name) => {
            let timestamp = now.as_unix().div_euclid(1000).to_string();
            let bytes = mac::compute(form.algorithm, key, &[timestamp.as_bytes(), b".", request.body]);
            headers.push((name.clone(), timestamp.into_bytes()));
            bytes
        }
    };
    let value = format!("{}{}", scheme.prefix, mac::encode(form.encoding, &bytes));
    headers.push((form.header.to_owned(), value.into_bytes()));
    Some(Signed { headers, ..Signed::default() })
}
