//! How many files, and so connections, this process may have open.
//!
//! A listener that takes connections until no file is left takes them from everything else as well: the connections to
//! NATS and PostgreSQL when they have to be made anew, and the admin address, whose silence gets a process killed that
//! is well. So what is served is bounded by what is left over for it.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{info, warn};

/// For everything but the connections of the listener that asks: the admin address may have 64, the rest is for
/// servers, files and their changes.
const RESERVED: u64 = 128;

/// Has the process be allowed as many files as the system lets it have, and says how many of `wanted` connections fit.
/// Many systems allow 1,024 at first and far more on demand.
pub fn connections(wanted: usize) -> usize {
    let allowed = match raise() {
        Ok(allowed) => allowed,
        Err(error) => {
            warn!(%error, "could not ask how many files may be open");
            return wanted;
        }
    };
    let fit = fitting(wanted, allowed);
    if fit < wanted {
        info!(files = allowed, connections = fit, "fewer connections than configured: raise the limit of open files");
    }
    fit
}

/// Raises the limit as far as it goes, and gives it.
fn raise() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        return Ok(hard);
    }
    Ok(soft)
}

/// A process that may open almost nothing serves a few all the same: it has to try.
fn fitting(wanted: usize, allowed: u64) -> usize {
    let left = usize::try_from(allowed.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    wanted.min(left.max(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_leaves_files_for_the_rest() {
        for (wanted, allowed, fit) in
            [(10_000, 1_048_576, 10_000), (10_000, 1_024, 896), (10, 1_024, 10), (10_000, 100, 16), (5, 0, 5)]
        {
            assert_eq!(fitting(wanted, allowed), fit, "{wanted} of {allowed}");
        }
        assert_eq!(fitting(usize::MAX, u64::MAX), usize::try_from(u64::MAX - RESERVED).unwrap());
    }
}
