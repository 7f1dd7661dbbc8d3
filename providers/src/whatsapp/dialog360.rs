//! WhatsApp by 360dialog, which passes Meta's bodies on unchanged and vouches for them itself: Meta's own signature is not
//! forwarded and never enough here, and there is no handshake.
//!
//! Partners' requests carry an HMAC under the secret of their Partner Hub. Direct clients choose headers in the call that
//! sets their webhook's URL; with `header` in the source, a secret is that header's whole value, or for `Authorization`
//! also `user:password`. Such a header covers nothing of the body.

use http::Method;
use proto::{Channel, Millis};

use super::cloud;
use crate::adapter::{Adapter, Signed};
use crate::contract::{Contract, MIB, Media, OverLimit, Reaction, Success};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::{check, media};
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::{hmac, token};
use crate::settings::{Scheme, SourceSettings};
use crate::verdict::{Flaw, Verdict};

static CONTRACT: Contract = Contract {
    methods: &[Method::POST],
    media: Media::Only(&[media::JSON]),
    success: Success::Json,
    on_401: Reaction::Retries,
    on_429: Reaction::Retries,
    over_limit: OverLimit::Reject,
    retries: "on anything but 200, with growing pauses for up to 7 days; redirects are not followed \
              (docs.360dialog.com, receiving messages via webhook)",
    max_body: 4 * MIB,
};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Dialog360;

impl Adapter for Dialog360 {
    fn channel(&self) -> Channel {
        Channel::WhatsApp
    }

    fn name(&self) -> &'static str {
        "360dialog"
    }

    fn contract(&self) -> &'static Contract {
        &CONTRACT
    }

    fn keyring(&self, secrets: &[&str], _scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Keyring::parse(
            secrets,
            "the platform secret of the Partner Hub, or with `header` that header's value",
            Key::text,
        )
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        match &scheme.header {
            Some(header) => in_header(request, header, keyring).into(),
            None => hmac::authenticate(request, keyring, &partner(), now).into(),
        }
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        match &scheme.header {
            Some(header) => token::sign_header(header, keyring),
            None => hmac::sign(request, keyring, &partner(), now),
        }
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        cloud::normalize(raw, settings)
    }

    fn secret_headers<'a>(&self, scheme: &'a Scheme) -> Vec<&'a str> {
        scheme.header.as_deref().into_iter().collect()
    }
}

/// The partners' HMAC, without a prefix.
fn partner() -> Scheme {
    Scheme { header: Some("x-360dialog-signature".to_owned()), ..Scheme::default() }
}

/// Which secret is the header's value, or the user and password in it.
fn in_header(request: &Request<'_>, header: &str, keyring: &Keyring) -> Result<usize, Flaw> {
    match token::in_header(request, header, keyring) {
        Err(Flaw::Mismatch) if header.eq_ignore_ascii_case(token::AUTHORIZATION) => {
            token::basic(request, keyring).map_err(|_| Flaw::Mismatch)
        }
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(header: &str, secret: &str, given: &[(&str, &str)]) -> Verdict {
        let scheme = Scheme { header: Some(header.to_owned()), ..Scheme::default() };
        let keyring = Dialog360.keyring(&["other", secret], &scheme).unwrap();
        let headers: Vec<_> =
            given.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let request = Request { method: &Method::POST, url: "", query: None, headers: &headers, body: b"{}" };
        Dialog360.authenticate(&request, &keyring, &scheme, Millis::from_unix(1_785_564_409_000).unwrap())
    }

    #[test]
    fn a_direct_client_is_known_by_the_header_it_chose() {
        let fits = Verdict::Fits { secret: 1 };
        assert_eq!(judge("Authorization", "Bearer t", &[("authorization", "Bearer t")]), fits);
        assert_eq!(judge("authorization", "t", &[("Authorization", "t")]), fits);
        assert_eq!(judge("X-Token", "t", &[("x-token", "t")]), fits);
        assert_eq!(judge("authorization", "jo:pw", &[("Authorization", "Basic am86cHc=")]), fits);
        assert_eq!(judge("X-Token", "t", &[]), Verdict::Wrong(Flaw::Missing));
        assert_eq!(judge("X-Token", "t", &[("x-token", "T")]), Verdict::Wrong(Flaw::Mismatch));
        assert_eq!(judge("authorization", "t", &[("authorization", "Basic %")]), Verdict::Wrong(Flaw::Mismatch));
        let twice = [("x-token", "t"), ("x-token", "t")];
        assert_eq!(judge("X-Token", "t", &twice), Verdict::Wrong(Flaw::Repeated));
    }

    #[test]
    fn a_chosen_header_is_never_stored_as_it_came() {
        let scheme = Scheme { header: Some("x-token".to_owned()), ..Scheme::default() };
        assert_eq!(Dialog360.secret_headers(&scheme), ["x-token"]);
    }

    #[test]
    fn a_partner_s_signature_has_no_prefix() {
        let keyring = Dialog360.keyring(&["test-secret"], &Scheme::default()).unwrap();
        let body = br#"{"text":"caf\u00e9 \ud83d\ude00 1\/2"}"#;
        let request = Request { method: &Method::POST, url: "", query: None, headers: &[], body };
        let now = Millis::from_unix(1_785_564_409_000).unwrap();
        let signed = Dialog360.sign(&request, &keyring, &Scheme::default(), now).unwrap();
        let expected = "5b22e047587be8432dcae01b79c751ddc21f22b2a5011648d89bfc6e2db2571c";
        assert_eq!(signed, Signed::header("x-360dialog-signature", expected));
    }
}
