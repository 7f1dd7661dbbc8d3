//! `run.json`: where everything is, as `penstock up` tells programs.

use std::path::Path;

use serde::Deserialize;

use crate::Role;

/// The content of `run.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct RunFile {
    /// Absent where only the servers run.
    pub gateway_url: Option<String>,
    /// With credentials.
    pub nats_url: String,
    /// With credentials.
    pub postgres_url: String,
    /// The admin addresses of each role.
    pub admin: PerRole<String>,
    /// The process numbers.
    pub pids: Pids,
}

/// One list for each role.
#[derive(Clone, Debug, Deserialize)]
pub struct PerRole<T> {
    gateway: Vec<T>,
    normalizer: Vec<T>,
    dedup: Vec<T>,
    persister: Vec<T>,
}

/// The process numbers.
#[derive(Clone, Debug, Deserialize)]
pub struct Pids {
    /// `penstock up` itself.
    pub up: i32,
    /// Its nats-server.
    pub nats: Option<i32>,
    /// Its PostgreSQL.
    pub postgres: Option<i32>,
    /// Its roles.
    #[serde(flatten)]
    pub roles: PerRole<i32>,
}

impl<T> PerRole<T> {
    /// Those of one role.
    pub fn of(&self, role: Role) -> &[T] {
        match role {
            Role::Gateway => &self.gateway,
            Role::Normalizer => &self.normalizer,
            Role::Dedup => &self.dedup,
            Role::Persister => &self.persister,
        }
    }
}

impl RunFile {
    /// Reads it; the reason where it is not there or not whole.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    }
}
