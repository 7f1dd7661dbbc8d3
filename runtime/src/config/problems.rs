//! Everything that is wrong with a configuration, at once.
//!
//! A problem names settings and shows what was found there, except for secrets: whoever makes one
//! must not put a secret's value into the message.

use std::error::Error;
use std::fmt;

/// Where a value was written. Ordered: by line, and the environment last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In the file; without a line where something is missing from the file as a whole.
    File {
        /// The name the file was opened by.
        file: String,
        /// From 1.
        line: Option<usize>,
        /// In characters, from 1.
        column: Option<usize>,
    },
    /// In this environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => {
                f.write_str(file)?;
                for number in [line, column].into_iter().flatten() {
                    write!(f, ":{number}")?;
                }
                Ok(())
            }
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One thing that has to be put right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where to look.
    pub place: Place,
    /// The setting, such as `gateway.limits.address.burst`; empty where the file cannot be read.
    pub key: String,
    /// What was found and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// All problems of a configuration, sorted by line; printed one per line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// One problem found after reading, by whoever knows more than the reader. `line` is that of
    /// [`Source::line`](super::Source::line) or `None`.
    pub fn at(file: &str, line: impl Into<Option<usize>>, key: impl Into<String>, message: impl Into<String>) -> Self {
        let place = Place::File { file: file.to_owned(), line: line.into(), column: None };
        Self(vec![Problem { place, key: key.into(), message: message.into() }])
    }

    /// Adds one, in its place.
    pub fn push(&mut self, problem: Problem) {
        let index = self.0.partition_point(|other| *other <= problem);
        self.0.insert(index, problem);
    }

    /// Adds all of another list, in their places.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort();
    }

    /// Each problem, by line.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error where anything is wrong.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Error for Problems {}
