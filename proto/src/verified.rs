//! What the gateway found when it looked at a request's signature.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The verdict on a request's signature or credential. It is part of the deduplication key: a forged copy must never
/// take the place of the real message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verified {
    /// A live secret of the source fits.
    Yes,
    /// The scheme asks for one, and none fits (`verify = "observe"`, or released without a second check).
    No,
    /// The source has nothing to verify with.
    None,
}

/// A text that is no verdict.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no verdict; there are yes, no, none")]
pub struct NoSuchVerdict(String);

impl Verified {
    /// The word used in headers, columns and keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verified {
    type Err = NoSuchVerdict;

    fn from_str(text: &str) -> Result<Self, NoSuchVerdict> {
        match text {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            "none" => Ok(Self::None),
            _ => Err(NoSuchVerdict(text.to_owned())),
        }
    }
}
