//! Asks a person before something that cannot be taken back.

use std::io::{IsTerminal as _, Write as _};

use super::error::CommandError;

/// Whether somebody sits there who can be asked.
pub(crate) fn is_anybody_there() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks, and reads the answer.
pub(crate) fn agreed(question: &str) -> Result<bool, CommandError> {
    write!(std::io::stderr(), "{question} [y/N] ").ok();
    std::io::stderr().flush().ok();
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| CommandError::usage("could not read the answer", "say --yes").because(error))?;
    Ok(is_yes(&answer))
}

/// Anything but a clear yes is a no.
fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        assert!(is_yes("y\n") && is_yes(" YES "));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("yep") && !is_yes("n"));
    }
}
