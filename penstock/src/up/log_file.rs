//! The log of one child: appended to over restarts, bounded, and quoted where the child failed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A log that is longer than this at a start is set aside (`.old`), so that there are never more than two of them.
const LONGEST: u64 = 64 * 1024 * 1024;
const QUOTED_BYTES: u64 = 8 * 1024;
const QUOTED_LINES: usize = 15;

/// Where a child's output goes.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// Where the output of the present start begins.
    begins: u64,
}

impl LogFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, begins: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it for a child that is about to start.
    pub(crate) fn open(&mut self) -> io::Result<File> {
        if std::fs::metadata(&self.path).is_ok_and(|found| found.len() > LONGEST) {
            std::fs::rename(&self.path, self.path.with_extension("log.old"))?;
        }
        let file = File::options().append(true).create(true).open(&self.path)?;
        self.begins = file.metadata()?.len();
        Ok(file)
    }

    /// The last lines of the present start.
    pub(crate) fn tail(&self) -> String {
        let text = self.read_end().unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(QUOTED_LINES);
        lines.into_iter().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    fn read_end(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES).max(self.begins)))?;
        let mut bytes = Vec::new();
        file.take(QUOTED_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_the_present_start_is_quoted_and_only_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFile::new(folder.path().join("x.log"));
        writeln!(log.open().unwrap(), "the start before").unwrap();
        let mut file = log.open().unwrap();
        for n in 0..40 {
            writeln!(file, "line {n}").unwrap();
        }
        let tail = log.tail();
        assert!(tail.starts_with("line 25") && tail.ends_with("line 39"), "{tail}");
    }
}
