//! What a scenario is: one kind of fault, with what it needs and how it is brought about.

use std::future::Future;
use std::pin::Pin;

use tests::random::Random;

use crate::report::Report;

/// One kind of fault.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// `area/fault`, as it stands in the table.
    pub(crate) name: &'static str,
    /// What is done, in a sentence.
    pub(crate) what: &'static str,
    /// Whether it belongs to the bounded run as well.
    pub(crate) bounded: bool,
    /// Whether only root can bring it about: network namespaces, mounts, memory limits.
    pub(crate) root: bool,
    /// Brings it about. It panics where a promise is broken.
    pub(crate) run: fn(Run) -> Running,
}

/// A scenario that runs.
pub(crate) type Running = Pin<Box<dyn Future<Output = Report>>>;

/// How it is to run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) full: bool,
    pub(crate) random: Random,
}

impl Run {
    /// A number for each of the two lengths.
    pub(crate) fn length<T>(&self, bounded: T, full: T) -> T {
        if self.full { full } else { bounded }
    }
}
