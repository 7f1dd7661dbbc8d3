//! A value that is never printed, and the three ways to say where it is.
//!
//! No message made here holds a value: `{ value = ".." }`, what a file holds and what a variable
//! holds stay inside [`Secret`].

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use toml::de::DeValue;

use super::environment::Environment;
use super::format::Given;
use super::requirements::Need;

/// Longest secret: room for a PEM bundle, and an end to reading a file such as `/dev/zero`.
const MAX_FILE: u64 = 64 * 1024;

/// What a secret may look like in the file.
pub(super) const FORMS: &str = r#"{ env = ".." }, { file = ".." } or { value = ".." }"#;

/// A secret that can be compared, so that a reload sees whether it changed.
#[derive(Clone)]
pub struct Secret {
    text: SecretString,
    /// The file that it was read from.
    file: Option<PathBuf>,
}

impl Secret {
    /// For handing to a library that takes the type of the `secrecy` crate.
    pub fn into_inner(self) -> SecretString {
        self.text
    }

    /// What the file that it came from holds now, for who uses it again after a long time; itself where it came from
    /// elsewhere.
    pub fn read_again(&self) -> Result<Self, String> {
        match &self.file {
            None => Ok(self.clone()),
            Some(path) => Ok(Self { text: from_file(path)?.into(), file: Some(path.clone()) }),
        }
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self { text: text.into(), file: None }
    }
}

impl ExposeSecret<str> for Secret {
    fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Compares two configurations, not a secret with a guess: it takes no constant time.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret() == other.expose_secret()
    }
}

impl Eq for Secret {}

/// Gets a secret, or says why there is none. With `schemes` it is a URL that begins with one of them,
/// and may be a plain string.
pub(super) fn resolve(
    given: &Given<'_>,
    need: Need,
    schemes: &[&str],
    env: &Environment,
    folder: &Path,
) -> Result<Option<Secret>, String> {
    let keeper = Keeper::read(given, !schemes.is_empty())?;
    if need == Need::Unused {
        return Ok(None);
    }
    let text = keeper.fetch(env, folder)?;
    if !schemes.is_empty() && !schemes.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(format!("expected a URL that begins with {}", schemes.join(" or ")));
    }
    Ok(Some(Secret { text: text.into(), file: keeper.file(folder) }))
}

/// Where a secret is kept.
#[derive(Clone, Copy)]
enum Keeper<'a> {
    Env(&'a str),
    File(&'a str),
    Value(&'a str),
}

impl<'a> Keeper<'a> {
    /// Reads one of the [`FORMS`]. A bare string is only taken from the environment, where the
    /// value is no more exposed than by `{ env = ".." }`, or where `bare` says so.
    fn read(given: &Given<'a>, bare: bool) -> Result<Self, String> {
        let table = match given.value {
            DeValue::Table(table) => table,
            _ if given.raw.is_some() => return Ok(Self::Value(given.raw.unwrap_or_default())),
            DeValue::String(text) if bare => return Ok(Self::Value(text)),
            other => return Err(format!("expected {FORMS}, found a TOML {}", other.type_str())),
        };
        let mut entries = table.iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else {
            return Err(format!("expected exactly one of {FORMS}"));
        };
        let Some(text) = value.get_ref().as_str() else {
            return Err(format!("expected {FORMS} with a string in it"));
        };
        match key.get_ref().as_ref() {
            "env" => Ok(Self::Env(text)),
            "file" => Ok(Self::File(text)),
            "value" => Ok(Self::Value(text)),
            other => Err(format!("expected {FORMS}, found the key {other:?}")),
        }
    }

    /// Where its file is, if it is in one.
    fn file(self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::File(name) => Some(folder.join(name)),
            Self::Env(_) | Self::Value(_) => None,
        }
    }

    /// Gets the secret. A relative file is looked for in `folder`.
    fn fetch(self, env: &Environment, folder: &Path) -> Result<String, String> {
        match self {
            Self::Value("") => Err("the secret is empty".to_owned()),
            Self::Value(text) => Ok(text.to_owned()),
            Self::Env(name) => from_variable(name, env),
            Self::File(name) => from_file(&folder.join(name)),
        }
    }
}

fn from_variable(name: &str, env: &Environment) -> Result<String, String> {
    // Someone who pasted the secret itself here should not find it in a log.
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err("expected the name of an environment variable after env".to_owned());
    }
    match env.get(name) {
        Ok("") => Err(format!("the environment variable {name} is empty")),
        Ok(text) => Ok(text.to_owned()),
        Err(why) => Err(format!("the environment variable {name} {why}")),
    }
}

fn from_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let text =
        read_limited(path, MAX_FILE).map_err(|error| format!("the secret file {shown} cannot be read: {error}"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("the secret file {shown} is empty")),
        secret => Ok(secret.to_owned()),
    }
}

/// The text of a file of at most `limit` bytes.
pub(super) fn read_limited(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        let message = format!("it is larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}
