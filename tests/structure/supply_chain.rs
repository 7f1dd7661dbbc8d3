//! What we are made of, as far as it can be seen without asking anybody. The crates themselves are judged by
//! `.ci/supply-chain`: a test here that is green says nothing about an advisory or a licence.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{MAY_USE, manifest, root};

/// Every file of the repository of which `wanted` is true of its name. Folders that are hidden or built are left out.
fn files(folder: &Path, wanted: fn(&str) -> bool) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.is_file() && wanted(name) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "nothing in {}", folder.display());
    found
}

/// Looks for manifests and not at the list of members: a crate beside the workspace would have lints of its own.
#[test]
fn every_crate_keeps_the_lints_of_the_workspace_and_has_no_unsafe_code() {
    let lints = &manifest(root())["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let mut seen = BTreeSet::new();
    for file in files(root(), |name| name == "Cargo.toml") {
        let folder = file.parent().unwrap();
        if folder != root() {
            let lints = manifest(folder).get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
            assert_eq!(lints, Some(true), "{} does not say `[lints] workspace = true`", file.display());
            seen.insert(folder.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
        }
    }
    let members: BTreeSet<String> = MAY_USE.iter().map(|(krate, _)| (*krate).to_owned()).collect();
    assert_eq!(seen, members, "a crate is no member of the workspace");
}

/// Of a text, the commands that make or run something and would take newer crates than those of Cargo.lock.
fn unlocked(text: &str) -> Vec<&str> {
    const VERBS: [&str; 11] =
        ["bench", "build", "check", "clippy", "doc", "fetch", "install", "metadata", "run", "test", "tree"];
    let commands = text.lines().flat_map(|line| {
        let starts = line.match_indices("cargo ").map(|(start, _)| start);
        starts.filter_map(|start| line.get(start..)?.split('`').next())
    });
    let takes_crates = |command: &&str| {
        // A verb with nothing behind it is a name for the thing, and no command.
        let mut words = command.split(' ').skip(1);
        words.next().is_some_and(|verb| VERBS.contains(&verb)) && words.next().is_some()
    };
    commands.filter(takes_crates).filter(|command| !command.contains(" --locked")).collect()
}

#[test]
fn whatever_we_say_to_run_takes_the_crates_of_cargo_lock() {
    assert_eq!(unlocked("As `cargo test` does:\ncargo run -- up\ncargo run --locked -- up"), ["cargo run -- up"]);
    assert_eq!(unlocked("`cargo build -p a`, and `cargo build --locked`"), ["cargo build -p a"]);
    let documents = files(&root().join("docs"), |name| name != "README.md");
    let scripts = [".ci", ".github/workflows", "deploy"].map(|folder| files(&root().join(folder), |_| true)).concat();
    let others = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root().join(name));
    let mut commands = 0;
    for file in documents.into_iter().chain(scripts).chain(others) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let found = unlocked(&text);
        assert!(found.is_empty(), "{}: {found:?} without --locked", file.display());
        commands += text.matches(" --locked").count();
    }
    assert!(commands > 20, "only {commands} commands were found");
}

/// A tag can be moved to other code, a commit cannot.
#[test]
fn every_action_of_the_public_ci_is_named_by_its_commit() {
    let mut seen = 0;
    for file in files(&root().join(".github/workflows"), |_| true) {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses:")) {
            let commit = line.split('@').nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
            let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit, "{}: {line}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 0, "no action was found");
}
