//! The question some providers ask before they deliver: is this address really its user's, and may I deliver to it? It
//! carries no message, so it is answered on the spot and nothing of it is kept.
//!
//! A subscription that has to be confirmed is not among these: it comes as a POST like any message, and is stored.

use std::fmt;

use proto::header::Pair;

use crate::request::BadRequest;
use crate::verdict::Flaw;

/// What became of a handshake.
#[derive(Clone, PartialEq, Eq)]
pub enum Handshake {
    /// This is to be said back, the body as `text/plain` and as nothing else, because a stranger may have chosen it and a
    /// browser may be looking.
    Accepted {
        /// Headers of the answer, each of them a valid one.
        headers: Vec<Pair>,
        /// Its body.
        body: String,
    },
    /// The token does not fit, or it is no handshake at all.
    Refused(Flaw),
    /// The token fits, and there is nothing to say back.
    Bad(BadRequest),
}

impl Handshake {
    /// The answer that is only this text.
    pub fn echo(body: impl Into<String>) -> Self {
        Self::Accepted { headers: Vec::new(), body: body.into() }
    }
}

/// Says what became of it, and never what was asked.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { headers, body } => {
                write!(f, "Accepted({} headers, {} bytes)", headers.len(), body.len())
            }
            Self::Refused(flaw) => write!(f, "Refused({})", flaw.as_str()),
            Self::Bad(bad) => write!(f, "Bad({})", bad.as_str()),
        }
    }
}
