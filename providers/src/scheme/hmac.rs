//! The configurable HMAC: a MAC of the body, or of `{timestamp}.{body}`, in a header of the operator's choice.

use proto::Millis;

use super::mac;
use super::token::AUTHORIZATION;
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

    /// The MAC in the header.
    fn given(&self, request: &Request<'_>, scheme: &Scheme) -> Result<Vec<u8>, Flaw> {
        let given = request.single(self.header)?.strip_prefix(scheme.prefix.as_str()).ok_or(Flaw::Malformed)?;
        mac::decode(self.encoding, given)
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
    let given = form.given(request, scheme)?;
    let Some(timestamp_header) = &scheme.timestamp_header else {
        return mac::fitting(keyring, form.algorithm, &[request.body], &given);
    };
    let timestamp = request.single(timestamp_header)?;
    let signed_at = mac::seconds(timestamp)?;
    let fits = mac::fitting(keyring, form.algorithm, &[timestamp.as_bytes(), b".", request.body], &given)?;
    mac::in_time(signed_at, now, scheme.tolerance_ms())?;
    Ok(fits)
}

/// `Authorization`, where that is the configured header and holds what can be a MAC: some senders sign in it. Whatever
/// else is in it may be a credential.
pub(crate) fn signature_headers(request: &Request<'_>, scheme: &Scheme) -> &'static [&'static str] {
    let Some(form) = Form::of(scheme).filter(|form| form.header.eq_ignore_ascii_case(AUTHORIZATION)) else {
        return &[];
    };
    let length = mac::compute(form.algorithm, b"", &[]).len();
    match form.given(request, scheme) {
        Ok(given) if given.len() == length => &[AUTHORIZATION],
        _ => &[],
    }
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

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn authorization_is_a_signature_where_it_is_configured_and_can_be_one() {
        let scheme = |header: Option<&str>| Scheme {
            header: header.map(str::to_owned),
            encoding: Some(Encoding::Base64),
            prefix: "HMAC ".to_owned(),
            ..Scheme::default()
        };
        let headers_of = |value: &str, header: Option<&str>| {
            let headers = [("Authorization".to_owned(), value.as_bytes().to_vec())];
            let request = Request { method: &Method::POST, url: "", query: None, headers: &headers, body: b"{}" };
            signature_headers(&request, &scheme(header))
        };
        let mac = format!("HMAC {}", mac::encode(Encoding::Base64, &[7; 32]));
        assert_eq!(headers_of(&mac, Some("authorization")), [AUTHORIZATION]);
        assert!(headers_of(&mac, Some("x-signature")).is_empty());
        assert!(headers_of(&mac, None).is_empty());
        for credential in ["Bearer secret", "HMAC c2VjcmV0", "HMAC secret", ""] {
            assert!(headers_of(credential, Some("authorization")).is_empty(), "{credential}");
        }
    }
}
