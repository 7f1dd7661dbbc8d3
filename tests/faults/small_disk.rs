//! A small disk, in memory. Mounting one takes root.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// It, while it is mounted.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many megabytes at this path.
    pub(crate) fn mount(path: &Path, megabytes: u32) -> Self {
        std::fs::create_dir(path).expect("a folder to mount at");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(path));
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file until there is room for no more than so many bytes.
    pub(crate) fn fill(&self, left: u64) {
        let mut file = File::create(self.0.join("filler")).expect("a file");
        let piece = [0; 4096];
        // Others write, too: how much is left is not known beforehand.
        while self.room() > left && file.write_all(&piece).is_ok() {}
    }

    fn room(&self) -> u64 {
        let disk = nix::sys::statvfs::statvfs(&self.0).expect("a disk tells its size");
        disk.blocks_available() * disk.fragment_size()
    }

    /// Removes that file.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what was killed on it may not be gone yet.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it can be run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
