//! The `penstock` binary, built once per test process from the same sources, for the same profile.
//!
//! `cargo test` builds only the binaries of the package under test; this crate uses none of the others, on purpose. By
//! the time a test runs, `cargo test` has given up its lock on the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of the binary. `PENSTOCK_TEST_BINARY`, set when the tests are compiled, names another one to be tested, such
/// as that of a release.
pub fn penstock() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| option_env!("PENSTOCK_TEST_BINARY").map_or_else(build, PathBuf::from))
}

/// The path of a binary with places at which it can be made to die.
pub fn penstock_with_kill_points() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = cargo_build(&["--features", "penstock/kill-points"]);
        let kept = built.with_file_name("penstock-kill-points");
        // One that runs cannot be written to, but can be replaced.
        std::fs::remove_file(&kept).ok();
        std::fs::copy(&built, &kept).expect("a copy of the binary");
        // The other one takes its place back.
        cargo_build(&[]);
        kept
    })
}

fn build() -> PathBuf {
    cargo_build(&[])
}

fn cargo_build(more: &[&str]) -> PathBuf {
    // target/<profile>/deps/<this test>
    let this = std::env::current_exe().expect("this program's own path");
    let profile = this.ancestors().nth(2).expect("a test is built into <target>/<profile>/deps");
    let target = profile.parent().expect("a profile's folder is in the target folder");
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bin", "penstock", "--profile", name, "--target-dir"]);
    cargo.arg(target).args(more).current_dir(root());
    // What `cargo test` tells a test of its package is not for another build: some build scripts (ring's) look at it, and
    // half of the dependencies would be compiled anew.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    // A test that is run by itself, under a debugger, is told of no toolchain by anybody.
    if let Some(toolchain) = option_env!("RUSTUP_TOOLCHAIN") {
        cargo.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the penstock binary cannot be built: run `cargo build --bin penstock` to see why");
    profile.join("penstock")
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
