//! Why a command could not do what it was asked, and what the user can do about it.
//!
//! One type for all commands, because all a caller does with it is print it and end with its code. Whoever makes one
//! also says the next step: an error without one is a dead end at three in the morning.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use runtime::config::Problems;

type Cause = Box<dyn Error + Send + Sync>;

/// The code of what cannot be judged.
const UNJUDGED: u8 = 2;

/// What a command that ran to its end found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing to worry about: code 0.
    Clean,
    /// Something that the user should look at; it has been printed: code 1.
    Finding,
    /// What the command was given cannot be judged; why has been printed: code 2.
    Unjudged,
}

impl Ending {
    /// `Finding` where `found`.
    pub(crate) fn finding_if(found: bool) -> Self {
        if found { Self::Finding } else { Self::Clean }
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Clean => ExitCode::SUCCESS,
            Self::Finding => ExitCode::from(1),
            Self::Unjudged => ExitCode::from(UNJUDGED),
        }
    }
}

/// What a command gives back.
pub(crate) type Answer = Result<Ending, CommandError>;

/// Why a command did not run to its end.
#[derive(Debug)]
pub(crate) struct CommandError {
    code: u8,
    what: String,
    next: String,
    cause: Option<Cause>,
}

impl CommandError {
    fn new(code: u8, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code, what: what.into(), next: next.into(), cause: None }
    }

    /// What was asked for is not there: 1.
    pub(crate) fn finding(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(1, what, next)
    }

    /// What was given to be judged cannot be: 2.
    pub(crate) fn unjudged(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(UNJUDGED, what, next)
    }

    /// The command line cannot be meant: 64.
    pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(runtime::process::EXIT_CONFIG, what, next)
    }

    /// The configuration is wrong: 64. The problems say what to do themselves.
    pub(crate) fn config(problems: &Problems) -> Self {
        Self::new(runtime::process::EXIT_CONFIG, problems.to_string(), "")
    }

    /// Something that the command needs does not answer: 69.
    pub(crate) fn unreachable(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::new(runtime::process::EXIT_UNAVAILABLE, what, next)
    }

    /// With what is underneath.
    pub(crate) fn because(self, cause: impl Into<Cause>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }

    /// The next step; empty where the error itself says it.
    pub(crate) fn next(&self) -> &str {
        &self.next
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// The broker was there a moment ago.
impl From<runtime::stream_info::InfoError> for CommandError {
    fn from(error: runtime::stream_info::InfoError) -> Self {
        if error.is_missing() {
            let next = "make the streams with `penstock provision` (`penstock up` does it by itself)";
            return Self::finding("NATS does not have what this command looks at", next).because(error);
        }
        Self::unreachable("NATS does not answer", "look at its log, then try again").because(error)
    }
}

impl From<persister::StoreError> for CommandError {
    fn from(error: persister::StoreError) -> Self {
        Self::unreachable("PostgreSQL does not do what was asked", "see the cause; then try again").because(error)
    }
}

impl From<persister::erasure::ErasureError> for CommandError {
    fn from(error: persister::erasure::ErasureError) -> Self {
        let next = "see the cause, then run this again: what was done stays done, and the rest is found again";
        Self::unreachable("PostgreSQL does not do what was asked", next).because(error)
    }
}

impl From<runtime::objects::ObjectsError> for CommandError {
    fn from(error: runtime::objects::ObjectsError) -> Self {
        let next = "see the cause, then run this again: what was done stays done, and the rest is found again";
        Self::unreachable("the attachment store does not do what was asked", next).because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_says_whose_turn_it_is() {
        let codes = [
            CommandError::finding("a", "b"),
            CommandError::unjudged("a", "b"),
            CommandError::usage("a", "b"),
            CommandError::config(&Problems::at("f", 1, "k", "m")),
            CommandError::unreachable("a", "b").because("c"),
        ]
        .map(|error| error.exit_code());
        assert_eq!(codes, [1, 2, 64, 64, 69]);
    }
}
