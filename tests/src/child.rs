//! A process that a test has started: its log, its signals, its end.
//!
//! It dies with the test process, however that ends: a small shell holds the reading end of a pipe from us, and stops
//! the child when the pipe breaks.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PAUSE: Duration = Duration::from_millis(10);
/// What of a log goes into a failure message.
const TAIL: usize = 4_000;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: Process,
    watchdog: Process,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Child {
    /// Starts it, with everything it writes appended to `log`. `farewell` is the signal it gets when this test process
    /// ends without having stopped it.
    pub fn start(name: &str, command: &mut Command, log: &Path, farewell: Signal) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        let errors = file.try_clone().expect("a second handle of the log file");
        let process = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        let process = process.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let signal = farewell.as_str().trim_start_matches("SIG");
        let script = format!("read -r _; kill -{signal} {} 2>/dev/null", process.id());
        let watchdog = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("sh");
        Self { name: name.to_owned(), process, watchdog, log: log.to_owned(), ended: None }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap_or(-1)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            send(self.pid(), signal);
        }
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().expect("a child can be asked for its end");
        }
        self.ended
    }

    /// Waits for its end; past the limit it is killed and the test fails.
    pub async fn end(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(status) = self.exited() {
                return status;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.signal(Signal::SIGKILL);
        panic!("{} did not end within {within:?}\n{}", self.name, self.tail());
    }

    /// Sends SIGTERM, and expects exit code 0.
    pub async fn stop(&mut self, within: Duration) {
        self.signal(Signal::SIGTERM);
        let status = self.end(within).await;
        assert_eq!(status.code(), Some(0), "{} ended with {status} after SIGTERM\n{}", self.name, self.tail());
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.exited().is_none() {
            send(self.pid(), Signal::SIGKILL);
            self.ended = self.process.wait().ok();
        }
    }

    /// Everything it has written.
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// The end of its log and where all of it is, for messages.
    pub fn tail(&self) -> String {
        format!("log of {} ({}):\n{}", self.name, self.log.display(), tail(&self.log))
    }

    /// Like [`Self::stop`], for `Drop`: waits without a runtime, and tells how it ended.
    pub(crate) fn stop_blocking(&mut self, within: Duration) -> Option<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            std::thread::sleep(PAUSE);
        }
        None
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
    }
}

/// Sends a signal to a process that somebody else has started. One that is gone is no fault: it may be dying already.
pub fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).ok();
}

/// Resident memory in bytes; 0 where the process is gone.
pub fn resident(pid: i32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most resident memory that it has had so far.
pub fn most_resident(pid: i32) -> u64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: i32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// A log, as text.
pub fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of a log.
pub fn tail(path: &Path) -> String {
    let text = read(path);
    let from = text.len().saturating_sub(TAIL);
    let from = (from..text.len()).find(|index| text.is_char_boundary(*index)).unwrap_or(0);
    text[from..].to_owned()
}
