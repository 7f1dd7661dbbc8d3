//! How large the streams of a private broker may become: as configured, or less where the disk is small.
//!
//! The broker reserves what its streams may take, and refuses to make one that would not fit. The defaults are made for
//! a server; on a small disk they are halved until they fit, in steps, so that they do not change with every file that
//! somebody saves.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use runtime::config::{Config, Environment, Need, Requirements, Streams};

/// The broker takes three quarters of what is free when it starts for all streams together; this leaves room.
const SHARE_PERCENT: u128 = 50;
/// No stream is made smaller than this: it must hold some of the largest messages.
const LEAST: u64 = 64 * 1024 * 1024;

/// The key and size in bytes of every stream, where the defaults do not fit on the disk of `folder`.
pub(crate) fn for_disk_of(folder: &Path) -> std::io::Result<Vec<(&'static str, u64)>> {
    let disk = statvfs(folder).map_err(std::io::Error::from)?;
    let free = u128::from(disk.blocks_available()) * u128::from(disk.fragment_size());
    let defaults = Config::load_for(None, &Environment::default(), Requirements::every(Need::Unused));
    Ok(defaults.map(|config| sizes(&config.streams, free)).unwrap_or_default())
}

fn sizes(defaults: &Streams, free: u128) -> Vec<(&'static str, u64)> {
    let all = [
        ("raw", defaults.raw),
        ("bodies", defaults.bodies),
        ("held", defaults.held),
        ("replay", defaults.replay),
        ("canonical", defaults.canonical),
        ("unique", defaults.unique),
        ("duplicates", defaults.duplicates),
        ("dlq", defaults.dlq),
    ];
    let total: u128 = all.iter().map(|(_, size)| u128::from(*size)).sum();
    let fits = |halvings: u32| (total >> halvings) * 100 <= free * SHARE_PERCENT;
    let halvings = (0..16).find(|halvings| fits(*halvings)).unwrap_or(16);
    if halvings == 0 {
        return Vec::new();
    }
    all.into_iter().map(|(key, size)| (key, (size >> halvings).max(LEAST))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn defaults() -> Streams {
        Config::load_for(None, &Environment::default(), Requirements::every(Need::Unused)).unwrap().streams
    }

    fn total(free_gib: u64) -> u64 {
        sizes(&defaults(), u128::from(free_gib * GIB)).iter().map(|(_, size)| size).sum()
    }

    #[test]
    fn a_large_disk_gets_the_defaults() {
        assert_eq!(sizes(&defaults(), u128::from(1000 * GIB)), []);
    }

    #[test]
    fn a_small_disk_is_not_asked_for_more_than_half_of_what_is_free() {
        for free in [4, 10, 20, 45, 70] {
            assert!(total(free) * 2 <= free * GIB, "{free} GiB free, {} asked for", total(free));
        }
    }
}
