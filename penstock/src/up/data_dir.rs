//! The data folder of one `up`: who holds it, what is in it, and starting over.
//!
//! The lock is the kernel's (`flock`), so it ends with the process that holds it, however that ended; the number in the
//! file is only for the message. Children do not inherit it. `--fresh` removes the names below and nothing else: a
//! folder given by mistake keeps what is in it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::servers::{account, files, postgres_data};

/// Everything that `up` makes in the folder, apart from the lock and the database (see [`postgres_data`]).
const OURS: [&str; 8] =
    ["run.json", "children.json", "secrets.json", "penstock.toml", "dedup.key", "nats", "logs", "attachments"];

/// A data folder that this process holds.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Holds the lock; never read again.
    _lock: File,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another `up` runs on it.
    #[error("another `penstock up` (process {holder}) runs on {path}: stop it, or take another folder with --data-dir")]
    Held { path: String, holder: String },
    /// `--fresh` on a folder that has our names in it and was not made by us.
    #[error("{0} was not made by `penstock up`: --fresh removes nothing there")]
    NotOurs(String),
    /// The folder or a file in it.
    #[error("the data folder {path} cannot be used")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the folder where it is missing, and takes it for this process.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |path: &Path, source| DataDirError::File { path: path.display().to_string(), source };
        let path = std::path::absolute(path).map_err(|e| failed(path, e))?;
        // As root the database's account has to pass through; every secret in here has a mode of its own.
        files::make_dir(&path, if account::is_root() { 0o711 } else { 0o700 }).map_err(|e| failed(&path, e))?;
        let path = path.canonicalize().map_err(|e| failed(&path, e))?;

        let name = path.join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .map_err(|e| failed(&name, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(|e| failed(&name, e))?;
                return Err(DataDirError::Held { path: path.display().to_string(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&name, error)),
        }
        write_holder(&mut file).map_err(|e| failed(&name, e))?;
        Ok(Self { path, _lock: file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes what earlier runs have made. Only after their processes were stopped.
    pub(crate) fn start_over(&self) -> Result<(), DataDirError> {
        let failed = |path: PathBuf, source| DataDirError::File { path: path.display().to_string(), source };
        let ours = self.at("secrets.json").is_file();
        if !ours && OURS.iter().chain(&["postgres"]).any(|name| self.at(name).exists()) {
            return Err(DataDirError::NotOurs(self.path.display().to_string()));
        }
        postgres_data::forget(&self.path).map_err(|e| failed(self.at("postgres"), e))?;
        // The secrets last: they are what says that the rest is ours, also after a removal that was cut short.
        for name in OURS.iter().filter(|name| **name != "secrets.json").chain(&["secrets.json"]) {
            files::remove(&self.at(name)).map_err(|e| failed(self.at(name), e))?;
        }
        Ok(())
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        let error = DataDir::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        DataDir::open(folder.path()).unwrap();
    }

    #[test]
    fn starting_over_leaves_what_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["secrets.json", "run.json", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        DataDir::open(folder.path()).unwrap().start_over().unwrap();
        assert!(folder.path().join("notes.txt").exists());
        assert!(!folder.path().join("run.json").exists() && !folder.path().join("secrets.json").exists());
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_emptied() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert!(matches!(data.start_over(), Err(DataDirError::NotOurs(_))));
        assert!(folder.path().join("logs").exists());
    }
}
