//! What came of looking at a signature or credential.

use std::fmt;

use proto::Verified;

/// The verdict on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A live secret fits.
    Fits {
        /// Its place in the source's `secrets`, from 0: shows when an old one can go.
        secret: usize,
    },
    /// None fits.
    Wrong(Flaw),
    /// The source has no secret, and its provider allows that.
    NothingToVerify,
}

/// What is wrong with a signature or credential. A closed set: it is a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Flaw {
    /// A header or parameter that the scheme needs is not there, or empty.
    #[error("the signature or credential is missing")]
    Missing,
    /// It is there more than once, so that two readers could disagree.
    #[error("the signature or credential is there more than once")]
    Repeated,
    /// It is not in the form that the scheme says.
    #[error("the signature or credential cannot be read")]
    Malformed,
    /// It is well formed, and no secret of the source makes it.
    #[error("no secret of the source fits: wrong secret, changed bytes, or another public URL")]
    Mismatch,
    /// It fits, and was made too long ago: a replay, or a late clock.
    #[error("the signature is right, but too old")]
    Stale,
    /// It fits, and was made in the future: somebody's clock is wrong.
    #[error("the signature is right, but from the future")]
    Early,
    /// It covers the URL, and nothing binds the body to it.
    #[error("the signature does not cover the body")]
    Unbound,
    /// It was made with an algorithm that the source is not configured for.
    #[error("the signature's algorithm is not the one configured")]
    Algorithm,
    /// It fits and does not cover the message, and came beside another one before.
    #[error("the signature is right, but was used for another message")]
    Reused,
    /// The certificate it names lies elsewhere than at the provider, or there is none that is in force.
    #[error("the certificate that should have signed is not the provider's, or not in force")]
    Certificate,
    /// It comes from a topic that is not the source's: anybody can have one that signs as well.
    #[error("the topic is not one of the source's `topics`")]
    Topic,
    /// There is no credential, from a sender who shows its own only when it is asked: that takes a 401, whatever `verify`
    /// says.
    #[error("the credential is missing")]
    Unasked,
    /// The client shows no certificate with a name of the source's `client_names`.
    #[error("the client shows no certificate with a name that the source asks for")]
    Client,
}

impl Flaw {
    /// Every flaw, so that counters can be present at zero.
    pub const ALL: [Self; 13] = [
        Self::Missing,
        Self::Repeated,
        Self::Malformed,
        Self::Mismatch,
        Self::Stale,
        Self::Early,
        Self::Unbound,
        Self::Algorithm,
        Self::Reused,
        Self::Certificate,
        Self::Topic,
        Self::Unasked,
        Self::Client,
    ];

    /// The word used in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Malformed => "malformed",
            Self::Mismatch => "mismatch",
            Self::Stale => "stale",
            Self::Early => "early",
            Self::Unbound => "unbound",
            Self::Algorithm => "algorithm",
            Self::Reused => "reused",
            Self::Certificate => "certificate",
            Self::Topic => "topic",
            Self::Unasked => "unasked",
            Self::Client => "client",
        }
    }
}

impl Verdict {
    /// The word that travels with the request.
    pub fn verified(self) -> Verified {
        match self {
            Self::Fits { .. } => Verified::Yes,
            Self::Wrong(_) => Verified::No,
            Self::NothingToVerify => Verified::None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fits { secret } => write!(f, "secret {} fits", secret + 1),
            Self::Wrong(flaw) => flaw.fmt(f),
            Self::NothingToVerify => f.write_str("the source has nothing to verify with"),
        }
    }
}

/// Where a scheme gives up early.
impl From<Flaw> for Verdict {
    fn from(flaw: Flaw) -> Self {
        Self::Wrong(flaw)
    }
}

impl From<Result<usize, Flaw>> for Verdict {
    fn from(result: Result<usize, Flaw>) -> Self {
        match result {
            Ok(secret) => Self::Fits { secret },
            Err(flaw) => Self::Wrong(flaw),
        }
    }
}
