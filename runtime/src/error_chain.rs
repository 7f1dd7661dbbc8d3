//! Prints an error with its causes on one line, each said once.

use std::error::Error;
use std::fmt;

/// An error and everything under it, separated by `: `.
///
/// Some libraries put the cause into their own text and return it from `source()` as well; a cause whose text the line
/// already ends with is not said again.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        f.write_str(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not open the file")]
    struct Outer(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("publishing failed: {0}")]
    struct Repeating(#[source] std::io::Error);

    #[test]
    fn every_cause_is_said_once() {
        let cause = || std::io::Error::other("no space");
        assert_eq!(Chain(&Outer(cause())).to_string(), "could not open the file: no space");
        assert_eq!(Chain(&Repeating(cause())).to_string(), "publishing failed: no space");
    }
}
