//! The attackers' process, as the one that measures sees it: begun, at work, ended.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tests::child::Child;
use tests::eventually::{ensure, eventually};

/// From the first sign of work until it is measured, and from the end until it is quiet again.
pub(crate) const SETTLE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(30);

/// Attackers at work until ended.
pub(crate) struct Attackers {
    child: Child,
    _folder: TempDir,
    before: u64,
}

impl Attackers {
    /// Starts them, at the lowest priority, and waits until they are at work.
    pub(crate) async fn start(name: &str, url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a log");
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe().expect("this program's own path"));
        command.args(["--attack", &format!("{name}@{url}")]);
        let child = Child::start("attackers", &mut command, &folder.path().join("log"), Signal::SIGKILL);
        let mut attackers = Self { child, _folder: folder, before: 0 };
        eventually(SOON, "the attackers are at work", async || {
            ensure(attackers.events() > 0, || attackers.child.tail())
        })
        .await;
        tokio::time::sleep(SETTLE).await;
        attackers.before = attackers.events();
        attackers
    }

    /// What they said last that they have done.
    fn events(&self) -> u64 {
        self.child.log().lines().filter_map(|line| line.parse().ok()).next_back().unwrap_or(0)
    }

    /// Ends them; what they did since they were settled.
    pub(crate) fn end(mut self) -> u64 {
        let events = self.events() - self.before;
        self.child.kill();
        events
    }
}
