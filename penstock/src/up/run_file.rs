//! `run.json`: where everything is, for programs.
//!
//! Written when all are ready, whole or not at all, and again after every restart; absent while `up` is starting and after
//! it has stopped. It holds credentials, so only its owner can read it.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::program::Program;
use super::roles::Role;
use super::supervisor::Supervisor;
use crate::servers::files;

/// The content of `run.json`. Without `Debug`: it holds credentials.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RunFile {
    /// The first gateway; `null` with `--infra-only`.
    pub(crate) gateway_url: Option<String>,
    /// With the credentials of `admin`.
    pub(crate) nats_url: String,
    /// With credentials.
    pub(crate) postgres_url: String,
    /// The configuration in use, absolute; `null` where its path is no text.
    pub(crate) config: Option<String>,
    pub(crate) admin: PerRole<String>,
    pub(crate) pids: Pids,
}

/// One list for each role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PerRole<T> {
    pub(crate) gateway: Vec<T>,
    pub(crate) normalizer: Vec<T>,
    pub(crate) dedup: Vec<T>,
    pub(crate) persister: Vec<T>,
}

/// Process numbers; a server that is the user's own has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Pids {
    pub(crate) up: u32,
    pub(crate) nats: Option<i32>,
    pub(crate) postgres: Option<i32>,
    #[serde(flatten)]
    pub(crate) roles: PerRole<i32>,
}

impl<T> PerRole<T> {
    fn of(&mut self, role: Role) -> &mut Vec<T> {
        match role {
            Role::Gateway => &mut self.gateway,
            Role::Normalizer => &mut self.normalizer,
            Role::Dedup => &mut self.dedup,
            Role::Persister => &mut self.persister,
        }
    }
}

impl RunFile {
    /// As things are now. `config` is absolute; `tls`: whether the gateway speaks HTTPS.
    pub(crate) fn now(supervisor: &Supervisor, nats_url: &str, postgres_url: &str, config: &Path, tls: bool) -> Self {
        let mut file = Self {
            gateway_url: None,
            nats_url: nats_url.to_owned(),
            postgres_url: postgres_url.to_owned(),
            config: config.to_str().map(str::to_owned),
            admin: PerRole::default(),
            pids: Pids { up: std::process::id(), nats: None, postgres: None, roles: PerRole::default() },
        };
        for (program, pid) in supervisor.running() {
            match program {
                Program::Nats(_) => file.pids.nats = pid,
                Program::Postgres(_) => file.pids.postgres = pid,
                Program::Role(process) => {
                    file.admin.of(process.role).push(format!("http://{}", process.admin.reachable()));
                    file.pids.roles.of(process.role).extend(pid);
                    if let (None, Some(listen)) = (&file.gateway_url, process.listen) {
                        let scheme = if tls { "https" } else { "http" };
                        file.gateway_url = Some(format!("{scheme}://{}", listen.reachable()));
                    }
                }
                #[cfg(test)]
                Program::Script(_) => {}
            }
        }
        file
    }

    /// Puts it in the place of the one before.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        files::write(path, &text, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_others_rely_on() {
        let file = RunFile {
            gateway_url: Some("http://127.0.0.1:1".into()),
            nats_url: "nats://x".into(),
            postgres_url: "postgres://x".into(),
            config: Some("/etc/penstock.toml".into()),
            admin: PerRole { normalizer: vec!["http://127.0.0.1:2".into()], ..PerRole::default() },
            pids: Pids {
                up: 1,
                nats: Some(2),
                postgres: None,
                roles: PerRole { gateway: vec![3], ..PerRole::default() },
            },
        };
        let expected = serde_json::json!({
            "gateway_url": "http://127.0.0.1:1", "nats_url": "nats://x", "postgres_url": "postgres://x",
            "config": "/etc/penstock.toml",
            "admin": {"gateway": [], "normalizer": ["http://127.0.0.1:2"], "dedup": [], "persister": []},
            "pids": {"up": 1, "nats": 2, "postgres": null, "gateway": [3], "normalizer": [], "dedup": [], "persister": []},
        });
        assert_eq!(serde_json::to_value(&file).unwrap(), expected);
    }
}
