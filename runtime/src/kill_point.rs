//! Places between two steps at which a test can have the process die as `kill -9` would have it: nothing is flushed,
//! nothing is dropped.
//!
//! Only with the feature `kill-points`, which no release has: without it a place costs nothing and cannot be told from
//! the code around it. With it, the variable `FAILPOINTS` says where to die, in the words of the crate `fail`:
//! `publish.stored=7*off->return` at the eighth time.

/// The process has come to `place`.
#[cfg(feature = "kill-points")]
pub fn reached(place: &str) {
    fail::fail_point!(place, |_| std::process::abort());
}

/// The process has come to a place: nothing happens.
#[cfg(not(feature = "kill-points"))]
#[inline]
pub fn reached(_place: &str) {}

/// Reads `FAILPOINTS`, for as long as the process lives.
///
/// # Panics
/// Where it cannot be understood: a test that kills nobody would prove nothing.
#[cfg(feature = "kill-points")]
pub fn arm() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Nothing can be armed.
#[cfg(not(feature = "kill-points"))]
pub fn arm() {}
