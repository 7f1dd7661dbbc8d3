//! What may differ between the request that was signed and the one that was judged: one file for each kind of thing,
//! each with a list to be tried in order. Pure.
//!
//! A way is only a description; what it makes of a request is made when it is tried, so that at most two copies of a
//! body exist at a time.

pub(crate) mod body;
pub(crate) mod header;
pub(crate) mod json_text;
pub(crate) mod scheme;
pub(crate) mod secret;
pub(crate) mod url;

use std::borrow::Cow;

use proto::Channel;
use providers::{Adapter, Scheme};
use runtime::config::Secret;
use secrecy::ExposeSecret as _;

use self::body::BodyWay;
use self::header::HeaderWay;
use self::secret::SecretWay;
use super::case::{Case, Trial};
use super::expected::Expected;

/// One thing that may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A header, or a parameter of the query.
    Header(HeaderWay),
    /// The secret.
    Secret(SecretWay),
    /// The URL, which is this whole one.
    Url(String),
    /// The body.
    Body(BodyWay),
    /// The source's settings of the scheme.
    Scheme(Box<Scheme>),
    /// Another provider than the source's.
    Provider(Channel, &'static str),
}

/// A kind of thing that may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Header,
    Secret,
    Url,
    Body,
    Scheme,
    Provider,
}

impl Kind {
    /// Every way of this kind that could make a difference here, the likely first.
    pub(crate) fn ways(self, case: &Case, expected: &Expected) -> Vec<Way> {
        let covers = expected.covers;
        match self {
            Self::Header => header::ways(case, expected).into_iter().map(Way::Header).collect(),
            Self::Secret => secret::ways(case).into_iter().map(Way::Secret).collect(),
            Self::Url if covers.url || covers.query => url::candidates(case).into_iter().map(Way::Url).collect(),
            Self::Body if covers.body => BodyWay::all().map(Way::Body).collect(),
            Self::Url | Self::Body => Vec::new(),
            Self::Scheme => scheme::candidates(case).into_iter().map(|scheme| Way::Scheme(Box::new(scheme))).collect(),
            Self::Provider => {
                let others = providers::registry::ALL.iter().filter(|other| !is_same(**other, case.adapter));
                others.map(|other| Way::Provider(other.channel(), other.name())).collect()
            }
        }
    }
}

fn is_same(one: &dyn Adapter, other: &dyn Adapter) -> bool {
    (one.channel(), one.name()) == (other.channel(), other.name())
}

impl Way {
    /// The trial with this changed; `None` where it changes nothing or cannot be done.
    pub(crate) fn apply<'c>(&self, case: &'c Case, trial: &Trial<'c>) -> Option<Trial<'c>> {
        let mut changed = trial.clone();
        match self {
            Self::Header(way) => way.apply(&mut changed)?,
            Self::Secret(way) => changed.keyring = Cow::Owned(way.keyring(case)?),
            Self::Url(url) => changed.url = Cow::Owned(url.clone()),
            Self::Body(way) => changed.body = Cow::Owned(way.apply(&trial.body, case.max_body)?),
            Self::Scheme(scheme) => changed.scheme = Cow::Owned(Scheme::clone(scheme)),
            Self::Provider(channel, name) => {
                let adapter = providers::find(*channel, name)?;
                let secrets: Vec<&str> = case.secrets.iter().map(Secret::expose_secret).collect();
                let scheme = Scheme::default();
                let keyring = adapter.keyring(&secrets, &scheme).ok()?;
                (changed.adapter, changed.keyring, changed.scheme) = (adapter, Cow::Owned(keyring), Cow::Owned(scheme));
            }
        }
        Some(changed)
    }
}
