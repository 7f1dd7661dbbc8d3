//! No core dump of a process that has secrets and what people wrote in its memory.
//!
//! Only the limit is lowered, which is what a core file obeys, and systemd's collector too. A machine whose
//! `core_pattern` pipes to a program that does not look at it is its operator's to set up.

use nix::sys::resource::{Resource, setrlimit};
use tracing::warn;

/// From here on this process leaves none, and nothing in it can take that back.
pub fn forbid() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        warn!(%error, "could not forbid core dumps: what is in memory may end in a file");
    }
}
