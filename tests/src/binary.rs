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
        let kept = keep(&built, built.with_file_name("penstock-kill-points"));
        // The other one takes its place back.
        cargo_build(&[]);
        kept
    })
}

/// A binary of the version before this one: of the last commit but one that changed a stage.
pub fn previous() -> PathBuf {
    let crates = ["proto", "runtime", "providers", "ingest-gateway", "normalizer", "dedup-worker", "persister"];
    let mut log = Command::new("git");
    let output = log.args(["log", "-2", "--format=%H", "--"]).args(crates).current_dir(root()).output().expect("git");
    let commits = String::from_utf8_lossy(&output.stdout).into_owned();
    let commit =
        commits.lines().nth(1).expect("the version before this is built from the history: clone the repository");
    version("previous", commit, |_| {})
}

/// A binary of the last commit with another line in a file.
pub fn with_another_line(name: &str, file: &str, from: &str, to: &str) -> PathBuf {
    version(name, "HEAD", |sources| {
        let path = sources.join(file);
        let text = std::fs::read_to_string(&path).expect("the file of the line");
        assert!(text.contains(from), "{file} has no line {from}");
        std::fs::write(&path, text.replace(from, to)).expect("the file is written");
    })
}

/// Builds what was committed then, with a change, beside this and with the same libraries.
fn version(name: &str, commit: &str, change: impl FnOnce(&Path)) -> PathBuf {
    let (profile, target) = folders();
    let sources = target.join("versions").join(name);
    std::fs::create_dir_all(&sources).expect("a folder for the sources");
    let unpack = format!("git archive {commit} | tar -x -C '{}'", sources.display());
    let unpacked = Command::new("sh").args(["-c", &unpack]).current_dir(root()).status().expect("sh");
    assert!(unpacked.success(), "{unpack}");
    change(&sources);
    // Cargo takes packages of one name and version, at the same place below their workspaces, for one another.
    let manifest = sources.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("the manifest of the workspace");
    let own = concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(text.contains(own), "{} has another version", manifest.display());
    let other = format!("version = \"{}-{name}\"", env!("CARGO_PKG_VERSION"));
    std::fs::write(&manifest, text.replacen(own, &other, 1)).expect("the manifest is written");
    let kept = keep(&cargo_build_in(&sources, &[]), profile.join(format!("penstock-{name}")));
    let this = cargo_build(&[]);
    let bytes = |path: &Path| std::fs::read(path).expect("a binary");
    assert!(bytes(&kept) != bytes(&this), "{name} is no other version");
    kept
}

/// A copy that the next build does not replace.
fn keep(built: &Path, kept: PathBuf) -> PathBuf {
    // One that runs cannot be written to, but can be replaced.
    std::fs::remove_file(&kept).ok();
    std::fs::copy(built, &kept).expect("a copy of the binary");
    kept
}

fn build() -> PathBuf {
    cargo_build(&[])
}

/// The folder of the profile, and that of all.
fn folders() -> (PathBuf, PathBuf) {
    // target/<profile>/deps/<this test>
    let this = std::env::current_exe().expect("this program's own path");
    let profile = this.ancestors().nth(2).expect("a test is built into <target>/<profile>/deps");
    let target = profile.parent().expect("a profile's folder is in the target folder");
    (profile.to_owned(), target.to_owned())
}

fn cargo_build(more: &[&str]) -> PathBuf {
    cargo_build_in(root(), &[&["--locked"], more].concat())
}

fn cargo_build_in(sources: &Path, more: &[&str]) -> PathBuf {
    let (profile, target) = folders();
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bin", "penstock", "--profile", name, "--target-dir"]);
    cargo.arg(target).args(more).current_dir(sources);
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
