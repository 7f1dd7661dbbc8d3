//! The question some providers ask when an address is entered in their console: is this yours? It is answered on the
//! spot, and nothing of it is kept.

use std::fmt;

use crate::request::BadRequest;
use crate::verdict::Flaw;

/// What became of a handshake.
#[derive(Clone, PartialEq, Eq)]
pub enum Handshake {
    /// The token fits: this text is to be said back, as `text/plain` and as nothing else, because a stranger may have
    /// chosen it and a browser may be looking.
    Echo(String),
    /// The token does not fit, or it is no handshake at all.
    Refused(Flaw),
    /// The token fits, and there is nothing to say back.
    Bad(BadRequest),
}

/// Says what became of it, and never what was asked.
impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo(text) => write!(f, "Echo({} bytes)", text.len()),
            Self::Refused(flaw) => write!(f, "Refused({})", flaw.as_str()),
            Self::Bad(bad) => write!(f, "Bad({})", bad.as_str()),
        }
    }
}
