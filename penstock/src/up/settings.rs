//! The few things that `up` has to know of the configuration before any process starts: which of the two servers it
//! names itself, and which addresses are taken by it.
//!
//! [`runtime::config`] says what a file may hold, and [`check`] asks it before anything is started. It fills in defaults,
//! though, and here the question is what was *not* said: what is missing, `up` supplies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use runtime::config::{Config, Environment, Need, Problems, Requirements};
use toml::{Table, Value};

use super::roles::Role;
use crate::servers::Env;

/// What the configuration says, the environment's overrides included. Without `Debug`: those may hold credentials.
#[derive(Default)]
pub(crate) struct Settings {
    table: Table,
    overrides: Env,
    /// Where secrets in relative files are.
    folder: PathBuf,
}

/// The configuration cannot be used. Exit code 64.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// All that is wrong with it.
    #[error("the configuration cannot be used:\n{0}")]
    Problems(Problems),
    /// The file is missing or closed.
    #[error("the configuration {path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Not TOML; the cause says where.
    #[error("the configuration {path} is not TOML")]
    Syntax {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that `up` itself needs.
    #[error("{key}: {problem}")]
    Value { key: String, problem: String },
}

/// Whether the processes will understand the file; all problems at once, with their lines. Nothing has to be in it: what
/// is missing, `up` supplies.
pub(crate) fn check(file: &Path, env: &Env) -> Result<(), SettingsError> {
    let environment: Environment = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let read = Config::load_for(Some(file), &environment, Requirements::every(Need::Optional));
    read.map(drop).map_err(SettingsError::Problems)
}

impl Settings {
    /// Reads a file; `None` stands for an empty one.
    pub(crate) fn read(file: Option<&Path>, env: &Env) -> Result<Self, SettingsError> {
        let overrides = env.iter().filter(|(name, _)| name.starts_with("PENSTOCK__"));
        let overrides = overrides.map(|(name, value)| (name.clone(), value.clone())).collect();
        let Some(path) = file else { return Ok(Self { overrides, ..Self::default() }) };
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let table =
            text.parse().map_err(|source| SettingsError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { table, overrides, folder })
    }

    /// `nats.url`, where the user brings a broker.
    pub(crate) fn nats_url(&self, env: &Env) -> Result<Option<String>, SettingsError> {
        self.secret("nats", "url", env)
    }

    /// `postgres.url`, where the user brings a database.
    pub(crate) fn postgres_url(&self, env: &Env) -> Result<Option<String>, SettingsError> {
        self.secret("postgres", "url", env)
    }

    /// `listen` or `admin` of a role.
    pub(crate) fn address(&self, role: Role, key: &str) -> Result<Option<SocketAddr>, SettingsError> {
        let Some(value) = self.get(role.name(), key) else { return Ok(None) };
        let parsed = value.as_str().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| SettingsError::Value {
            key: format!("{}.{key}", role.name()),
            problem: "an address and a port are needed, like 127.0.0.1:8080".to_owned(),
        })
    }

    /// Whether a key is there, whatever it says.
    pub(crate) fn has(&self, section: &str, key: &str) -> bool {
        self.get(section, key).is_some()
    }

    fn get(&self, section: &str, key: &str) -> Option<Value> {
        let variable = format!("PENSTOCK__{}__{}", section.to_uppercase(), key.to_uppercase());
        if let Some(text) = self.overrides.get(&variable) {
            return Some(Value::String(text.clone()));
        }
        self.table.get(section)?.get(key).cloned()
    }

    /// A plain string, or `{ env = ".." }`, `{ file = ".." }`, `{ value = ".." }`.
    fn secret(&self, section: &str, key: &str, env: &Env) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.get(section, key) else { return Ok(None) };
        let wrong = |problem: String| SettingsError::Value { key: format!("{section}.{key}"), problem };
        let part = |name: &str| value.get(name).and_then(Value::as_str);
        if let Some(text) = value.as_str().or(part("value")) {
            Ok(Some(text.to_owned()))
        } else if let Some(name) = part("env") {
            env.get(name).cloned().map(Some).ok_or_else(|| wrong(format!("the environment variable {name} is not set")))
        } else if let Some(path) = part("file") {
            let text =
                std::fs::read_to_string(self.folder.join(path)).map_err(|error| wrong(format!("{path}: {error}")))?;
            Ok(Some(text.trim_end().to_owned()))
        } else {
            Err(wrong("a string or one of env, file, value is needed".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn settings(text: &str, env: &Env) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("penstock.toml");
        std::fs::write(&path, text).unwrap();
        Settings::read(Some(&path), env).unwrap()
    }

    #[test]
    fn no_file_names_no_server() {
        let settings = Settings::read(None, &Env::new()).unwrap();
        assert_eq!(settings.nats_url(&Env::new()).unwrap(), None);
        assert_eq!(settings.address(Role::Gateway, "listen").unwrap(), None);
    }

    #[test]
    fn a_url_may_be_plain_or_a_secret() {
        let env = env(&[("DATABASE_URL", "postgres://db")]);
        let settings = settings("nats.url = 'nats://a'\npostgres.url = { env = 'DATABASE_URL' }", &env);
        assert_eq!(settings.nats_url(&env).unwrap().as_deref(), Some("nats://a"));
        assert_eq!(settings.postgres_url(&env).unwrap().as_deref(), Some("postgres://db"));
        assert!(settings.postgres_url(&Env::new()).unwrap_err().to_string().contains("DATABASE_URL"));
    }

    #[test]
    fn a_secret_in_a_relative_file_is_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("penstock.toml");
        std::fs::write(&path, "nats.url = { file = 'url' }").unwrap();
        std::fs::write(folder.path().join("url"), "nats://b\n").unwrap();
        let settings = Settings::read(Some(&path), &Env::new()).unwrap();
        assert_eq!(settings.nats_url(&Env::new()).unwrap().as_deref(), Some("nats://b"));
    }

    #[test]
    fn what_the_processes_would_refuse_is_told_before_they_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("penstock.toml");
        std::fs::write(&path, "[gateway]\nlisten = 'here'\nlisen = 1\n").unwrap();
        let text = check(&path, &Env::new()).unwrap_err().to_string();
        assert!(text.contains("penstock.toml:2") && text.contains("penstock.toml:3"), "{text}");
        std::fs::write(&path, "").unwrap();
        check(&path, &Env::new()).unwrap();
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let env = env(&[("PENSTOCK__GATEWAY__LISTEN", "127.0.0.1:9")]);
        let settings = settings("gateway.listen = '0.0.0.0:8080'", &env);
        assert_eq!(settings.address(Role::Gateway, "listen").unwrap(), "127.0.0.1:9".parse().ok());
        assert!(!settings.has("dedup", "hash_key"));
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        let settings = settings("dedup.admin = 9103", &Env::new());
        assert!(settings.address(Role::Dedup, "admin").unwrap_err().to_string().starts_with("dedup.admin"));
    }
}
