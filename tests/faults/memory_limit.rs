//! A limit on the memory of the processes in it: a control group of the kernel's, of version 1 or 2, whichever is here.
//!
//! Its processes join by a line of shell before they become what they are. Removing it needs that they are gone.

use std::fs;
use std::path::{Path, PathBuf};

const FIRST: &str = "/sys/fs/cgroup/memory";
const SECOND: &str = "/sys/fs/cgroup";
/// What a process is left above what it uses, at first, and what of it is taken away with each squeeze.
const MORE: u64 = 6 << 20;
const LESS: u64 = 1 << 20;

/// The names of the files of a version.
struct Files {
    limit: &'static str,
    /// The line of `memory.stat` that says what cannot be given back.
    used: &'static str,
    events: &'static str,
    none: &'static str,
}

const V1: Files =
    Files { limit: "memory.limit_in_bytes", used: "total_rss ", events: "memory.oom_control", none: "-1" };
const V2: Files = Files { limit: "memory.max", used: "anon ", events: "memory.events", none: "max" };

/// A group.
pub(crate) struct MemoryLimit {
    folder: PathBuf,
    files: &'static Files,
    left: std::cell::Cell<u64>,
}

impl MemoryLimit {
    /// Makes one without a limit.
    pub(crate) fn new(name: &str) -> Self {
        let controllers = fs::read_to_string(Path::new(SECOND).join("cgroup.controllers")).unwrap_or_default();
        let (parent, files) = if controllers.split_whitespace().any(|controller| controller == "memory") {
            fs::write(Path::new(SECOND).join("cgroup.subtree_control"), "+memory").expect("memory can be limited");
            (SECOND, &V2)
        } else {
            assert!(Path::new(FIRST).is_dir(), "no control groups: mount them, or leave this scenario out");
            (FIRST, &V1)
        };
        let folder = Path::new(parent).join(format!("penstock-test-{}-{name}", std::process::id()));
        fs::create_dir(&folder).expect("a control group can be made");
        Self { folder, files, left: MORE.into() }
    }

    /// The line by which a process joins.
    pub(crate) fn join(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.folder.display())
    }

    /// Bytes that its processes hold and cannot give back.
    pub(crate) fn used(&self) -> u64 {
        self.line("memory.stat", self.files.used)
    }

    /// Processes that were killed for it.
    pub(crate) fn kills(&self) -> u64 {
        self.line(self.files.events, "oom_kill ")
    }

    /// Sets the limit to little more than is used now, and to less of that with each time.
    pub(crate) fn squeeze(&self) {
        let left = self.left.get();
        self.left.set(left.saturating_sub(LESS));
        // What is in use cannot be forbidden everywhere, but the next page is.
        fs::write(self.folder.join(self.files.limit), (self.used() + left).max(LESS).to_string()).ok();
    }

    /// Takes it away.
    pub(crate) fn lift(&self) {
        fs::write(self.folder.join(self.files.limit), self.files.none).expect("a limit can be lifted");
    }

    fn line(&self, file: &str, name: &str) -> u64 {
        let text = fs::read_to_string(self.folder.join(file)).expect("a control group tells of itself");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
        line.trim().parse().expect("a number")
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Where a test has failed its processes may still be in it: then it stays, empty, to the next boot.
        fs::remove_dir(&self.folder).ok();
    }
}
