//! The one adapter of every form: a provider is a row of facts and the function that reads its bodies, so the next one is
//! short.

use std::fmt;

use proto::{Channel, Millis};

use crate::adapter::{Adapter, Signed};
use crate::contract::Contract;
use crate::keyring::{Key, Keyring, KeyringError};
use crate::read::check;
use crate::record::{BadReason, Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::scheme::{hmac, optional, url_key};
use crate::settings::{Encoding, Scheme, SourceSettings};
use crate::verdict::Verdict;

/// A provider of forms.
pub(crate) struct Form {
    /// Its name in the configuration.
    pub(crate) name: &'static str,
    pub(crate) contract: &'static Contract,
    pub(crate) proof: Proof,
    /// Reads the records out of a request.
    pub(crate) read: fn(&RawRequest, &SourceSettings) -> Result<Normalized, BadReason>,
}

/// How a provider proves that it is the sender.
pub(crate) enum Proof {
    /// HMAC-SHA256 of the body in base64.
    Hmac {
        /// The header with it.
        header: &'static str,
        /// What stands before it there.
        prefix: &'static str,
        /// What the secret is, for who configures it.
        secret: &'static str,
    },
    /// It signs nothing of its own: by whatever the source is configured for.
    Configured,
}

/// Where a key may be in the URL of who signs nothing.
const PARAMETERS: [&str; 1] = [url_key::PARAMETER];

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({})", self.name)
    }
}

impl Proof {
    /// The provider's own scheme, if it has one.
    fn scheme(&self) -> Option<Scheme> {
        let Self::Hmac { header, prefix, .. } = self else { return None };
        Some(Scheme {
            header: Some((*header).to_owned()),
            prefix: (*prefix).to_owned(),
            encoding: Some(Encoding::Base64),
            ..Scheme::default()
        })
    }
}

impl Adapter for Form {
    fn channel(&self) -> Channel {
        Channel::Form
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn contract(&self) -> &'static Contract {
        self.contract
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        match self.proof {
            Proof::Hmac { secret, .. } => Keyring::parse(secrets, secret, Key::text),
            Proof::Configured => optional::keyring(secrets, scheme),
        }
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        match self.proof.scheme() {
            Some(own) => hmac::authenticate(request, keyring, &own, now).into(),
            None => optional::authenticate(request, keyring, scheme, now),
        }
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        check::well_formed(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        match self.proof.scheme() {
            Some(own) => hmac::sign(request, keyring, &own, now),
            None => optional::sign(request, keyring, scheme, now),
        }
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        (self.read)(raw, settings).unwrap_or_else(Normalized::bad)
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        match self.proof {
            Proof::Hmac { .. } => &[],
            Proof::Configured => &PARAMETERS,
        }
    }
}
