//! What this run has started, on disk, so that the next run can stop what a killed one left behind.
//!
//! `kill -9` of `up` leaves its children running: they hold the ports, the streams and the database's files. They are
//! known by number and birth together, so that a process which has the number by now is left alone.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::process_id;
use crate::servers::files;

const POLL: Duration = Duration::from_millis(30);

/// The children of this run, as the file says.
#[derive(Debug)]
pub(crate) struct Children {
    path: PathBuf,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    kind: Kind,
    name: String,
    pid: i32,
    birth: String,
}

impl Children {
    /// None yet.
    pub(crate) fn none(path: PathBuf) -> Self {
        Self { path, entries: Vec::new() }
    }

    /// Notes a child, at once after it was started.
    pub(crate) fn add(&mut self, kind: Kind, name: &str, pid: i32) -> io::Result<()> {
        // Without a birth it has ended already: there is nothing to stop later.
        if let Some(birth) = process_id::birth(pid) {
            self.entries.push(Entry { kind, name: name.to_owned(), pid, birth });
            self.write()?;
        }
        Ok(())
    }

    /// Forgets a child that has ended.
    pub(crate) fn remove(&mut self, pid: i32) -> io::Result<()> {
        self.entries.retain(|entry| entry.pid != pid);
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        if self.entries.is_empty() {
            return files::remove(&self.path);
        }
        files::write(&self.path, &serde_json::to_vec_pretty(&self.entries)?, 0o600)
    }
}

/// Stops what an earlier run has left, first the roles, then the servers they need; gives the names of what it stopped.
pub(crate) async fn stop_leftovers(path: &Path) -> io::Result<Vec<String>> {
    let entries: Vec<Entry> = match std::fs::read(path) {
        // A file that cannot be read as ours says nothing that could be acted upon.
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let alive: Vec<Entry> = entries.into_iter().filter(Entry::is_alive).collect();
    let (roles, servers): (Vec<&Entry>, Vec<&Entry>) = alive.iter().partition(|entry| entry.kind == Kind::Role);
    stop_all(&roles).await?;
    stop_all(&servers).await?;
    files::remove(path)?;
    Ok(alive.into_iter().map(|entry| entry.name).collect())
}

/// Stops a server that is known by its number only.
pub(crate) async fn stop_server(kind: Kind, pid: i32) -> io::Result<()> {
    let Some(birth) = process_id::birth(pid) else { return Ok(()) };
    stop_all(&[&Entry { kind, name: String::new(), pid, birth }]).await
}

async fn stop_all(entries: &[&Entry]) -> io::Result<()> {
    for stage in 0.. {
        let mut limit = Duration::ZERO;
        for entry in entries.iter().filter(|entry| entry.is_alive()) {
            if let Some((signal, wait)) = entry.kind.ending().get(stage) {
                process_id::send(entry.pid, *signal)?;
                limit = limit.max(*wait);
            }
        }
        if limit.is_zero() {
            break;
        }
        let until = Instant::now() + limit;
        while entries.iter().any(|entry| entry.is_alive()) && Instant::now() < until {
            tokio::time::sleep(POLL).await;
        }
    }
    match entries.iter().find(|entry| entry.is_alive()) {
        None => Ok(()),
        Some(entry) => {
            Err(io::Error::other(format!("process {} ({}) of an earlier run does not end", entry.pid, entry.name)))
        }
    }
}

impl Entry {
    fn is_alive(&self) -> bool {
        process_id::birth(self.pid).as_ref() == Some(&self.birth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    fn pid(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[tokio::test]
    async fn what_a_killed_run_left_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("children.json");
        let mut left = sleeper();
        Children::none(path.clone()).add(Kind::Role, "gateway-1", pid(&left)).unwrap();
        assert_eq!(stop_leftovers(&path).await.unwrap(), ["gateway-1"]);
        assert!(!left.wait().unwrap().success());
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stranger_with_the_same_number_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("children.json");
        let mut stranger = sleeper();
        let entry = Entry { kind: Kind::Role, name: "gateway-1".into(), pid: pid(&stranger), birth: "long ago".into() };
        std::fs::write(&path, serde_json::to_vec(&[entry]).unwrap()).unwrap();
        assert!(stop_leftovers(&path).await.unwrap().is_empty());
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[tokio::test]
    async fn nothing_left_is_nothing_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("children.json");
        assert!(stop_leftovers(&path).await.unwrap().is_empty());
        std::fs::write(&path, "not json").unwrap();
        assert!(stop_leftovers(&path).await.unwrap().is_empty());
    }
}
