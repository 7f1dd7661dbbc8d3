//! A `penstock up` of a test's own, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::child::Child;
use crate::run_file::RunFile;
use crate::{binary, eventually};

/// A first start fetches servers where none are found.
const READY: Duration = Duration::from_mins(4);
const STOP: Duration = Duration::from_secs(40);
const PREFIX: &str = "penstock-test-";

/// It, while it runs.
#[derive(Debug)]
pub struct Up {
    child: Child,
    /// Kept where a test has failed: its logs are named in the failure.
    folder: Option<TempDir>,
    path: PathBuf,
}

impl Up {
    /// Starts one and waits until all is ready. `config` is the text of the configuration; `None` starts the servers
    /// only. `more` goes on the command line.
    pub async fn start(config: Option<&str>, more: &[&str]) -> Self {
        let folder = folder();
        let path = folder.path().to_owned();
        open_to_the_database(&path);
        if let Some(text) = config {
            std::fs::write(path.join("penstock.toml"), text).expect("the configuration is written");
        }
        let child = launch(&path, more);
        let mut up = Self { child, folder: Some(folder), path };
        up.wait().await;
        up
    }

    /// Ends it, and starts one on the same folder.
    pub async fn restart(&mut self) {
        self.child.stop(STOP).await;
        self.child = launch(&self.path, &[]);
        self.wait().await;
    }

    async fn wait(&mut self) {
        eventually(READY, "penstock up writes run.json", async || {
            if let Some(status) = self.child.exited() {
                panic!("penstock up ended with {status}; it says how to mend it:\n{}", self.child.tail());
            }
            self.run()
        })
        .await;
    }

    /// Where everything is now; the reason where `run.json` is not there.
    pub fn run(&self) -> Result<RunFile, String> {
        RunFile::read(&self.path.join("data/run.json"))
    }

    /// The folder above the data folder.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// Where the logs of what it has started are.
    pub fn logs(&self) -> PathBuf {
        self.path.join("data/logs")
    }

    /// The process itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Stops it, and tells what was wrong with that.
    pub(crate) fn stop_blocking(&mut self) -> Result<(), String> {
        match self.child.stop_blocking(STOP) {
            Some(status) if status.code() == Some(0) => Ok(()),
            Some(status) => Err(format!("penstock up ended with {status} after SIGTERM\n{}", self.child.tail())),
            None => Err(format!("penstock up did not end within {STOP:?} after SIGTERM\n{}", self.child.tail())),
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Killed, it would leave its servers behind.
        self.child.stop_blocking(STOP);
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            println!("the logs are kept in {}", folder.keep().display());
        }
    }
}

/// `penstock up` on a folder: with the configuration that is in it, or the servers only.
fn launch(path: &Path, more: &[&str]) -> Child {
    let mut command = Command::new(binary::penstock());
    command.arg("up").args(more).arg("--data-dir").arg(path.join("data")).current_dir(path);
    let config = path.join("penstock.toml");
    if config.exists() {
        command.arg("--config").arg(config);
    } else {
        command.arg("--infra-only");
    }
    Child::start("penstock up", &mut command, &path.join("up.log"), Signal::SIGTERM)
}

/// A folder of this test process, which a later one removes where this one cannot.
pub(crate) fn folder() -> TempDir {
    sweep();
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder for the data")
}

/// PostgreSQL runs as another user where this is root, and has to pass through.
pub(crate) fn open_to_the_database(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).expect("the folder's mode is set");
}

/// Removes the folders of test processes that are gone: those of failed tests, and of systems that were shared to the
/// end. So the logs of a run stay until the next one.
fn sweep() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
            if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                std::fs::remove_dir_all(entry.path()).ok();
            }
        }
    });
}
