//! What a process says of itself: alive, ready, and why not.
//!
//! Live never depends on another system: restarting a process does not mend a broker. Ready means that it can do its
//! job now, as each dependency last told.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::clock::now_millis;

/// The health of a process. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    dependencies: Vec<Report>,
}

/// How a dependency is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What it is: `nats`, `postgres`, `raw`, ...
    pub name: &'static str,
    /// Whether it does what this process needs of it.
    pub ok: bool,
    /// Why not, or since what.
    pub detail: String,
    /// When this was last told, in milliseconds since 1970.
    pub told_at: i64,
}

/// Tells how one dependency is.
#[derive(Clone, Debug)]
pub struct Dependency {
    health: Health,
    index: usize,
}

impl Health {
    /// Adds a dependency; until it is heard of, the process is not ready.
    pub fn dependency(&self, name: &'static str) -> Dependency {
        let mut state = self.lock();
        state.dependencies.push(Report { name, ok: false, detail: "not heard of yet".into(), told_at: now_millis() });
        Dependency { health: self.clone(), index: state.dependencies.len() - 1 }
    }

    /// Shutdown has begun: not ready from here on, whatever the dependencies say.
    pub fn stop(&self) {
        self.lock().stopping = true;
    }

    /// Whether the process can do its job now. One that has not yet said what it depends on has not begun.
    pub fn is_ready(&self) -> bool {
        let state = self.lock();
        !state.stopping && !state.dependencies.is_empty() && state.dependencies.iter().all(|report| report.ok)
    }

    /// Whether shutdown has begun.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Every dependency's last word.
    pub fn reports(&self) -> Vec<Report> {
        self.lock().dependencies.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dependency {
    /// It does what is needed of it.
    pub fn ok(&self, detail: impl Into<String>) {
        self.tell(true, detail.into());
    }

    /// It does not.
    pub fn failed(&self, detail: impl Into<String>) {
        self.tell(false, detail.into());
    }

    fn tell(&self, ok: bool, detail: String) {
        let mut state = self.health.lock();
        if let Some(report) = state.dependencies.get_mut(self.index) {
            if report.ok != ok {
                tracing::info!(dependency = report.name, ok, detail, "dependency changed");
            }
            report.ok = ok;
            report.detail = detail;
            report.told_at = now_millis();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_every_dependency_said_so_and_nobody_is_stopping() {
        let health = Health::default();
        assert!(!health.is_ready(), "nothing is known of it yet");
        let (nats, postgres) = (health.dependency("nats"), health.dependency("postgres"));
        assert!(!health.is_ready());
        nats.ok("connected");
        assert!(!health.is_ready());
        postgres.ok("connected");
        assert!(health.is_ready());
        nats.failed("gone");
        assert!(!health.is_ready());
        nats.ok("back");
        health.stop();
        assert!(!health.is_ready());
    }
}
