//! Goes through everything within some bounds and says what was found. The checker is `stateright`'s, breadth first, so
//! what it finds is short.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use stateright::report::{ReportData, ReportDiscovery, Reporter};
use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::bounds::Bounds;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The bounds.
    pub name: &'static str,
    /// Different states.
    pub states: usize,
    /// Steps from one to another, and the beginning.
    pub steps: usize,
    /// The longest way to a state.
    pub depth: usize,
    /// What fell, and how. The check ends with the first, so these are all that fell about then.
    pub broken: Vec<Broken>,
    /// What should have been seen within these bounds, and was not. Meaningless where something is broken.
    pub unseen: Vec<&'static str>,
}

/// A promise that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The promise.
    pub promise: &'static str,
    /// How to get there.
    pub events: Vec<String>,
}

impl Report {
    /// Whether everything holds, and what had to be seen was seen.
    pub fn holds(&self) -> bool {
        self.broken.is_empty() && self.unseen.is_empty()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, states, steps, depth, .. } = self;
        write!(f, "{name}: {states} states, {steps} steps, depth {depth}")?;
        for Broken { promise, events } in &self.broken {
            write!(f, "\n  BROKEN: {promise}")?;
            for (number, event) in (1..).zip(events) {
                write!(f, "\n    {number:>2}. {event}")?;
            }
        }
        if self.broken.is_empty() {
            for unseen in &self.unseen {
                write!(f, "\n  NOT {unseen}")?;
            }
        }
        Ok(())
    }
}

/// Goes through everything, or until something is broken. `progress` is told the number of states from time to time.
pub fn check(bounds: &Bounds, threads: usize, progress: impl FnMut(usize) + Send) -> Report {
    let checker = bounds.clone().checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs();
    let checker = checker.join_and_report(&mut Progress(progress));
    let found = checker.discoveries();
    let properties = bounds.properties();
    let mut report = Report {
        name: bounds.name,
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        broken: Vec::new(),
        unseen: Vec::new(),
    };
    for property in properties {
        match found.get(property.name) {
            Some(path) if property.expectation.discovery_is_failure() => {
                let events = path.clone().into_actions().iter().map(ToString::to_string).collect();
                report.broken.push(Broken { promise: property.name, events });
            }
            None if !property.expectation.discovery_is_failure() => report.unseen.push(property.name),
            _ => {}
        }
    }
    report
}

/// Passes the number of states on.
struct Progress<F>(F);

impl<F: FnMut(usize)> Reporter<Bounds> for Progress<F> {
    fn report_checking(&mut self, data: ReportData) {
        if !data.done {
            self.0(data.unique_states);
        }
    }

    fn report_discoveries(&mut self, _: &Bounds, _: std::collections::BTreeMap<&'static str, ReportDiscovery<Bounds>>) {
    }

    /// The check is not over before one of these is.
    fn delay(&self) -> Duration {
        Duration::from_millis(20)
    }
}
