//! What one process says of itself at its admin address.

use std::time::Duration;

use serde::Deserialize;

use super::numbers::Samples;
use crate::http_client;

/// Longest wait for an answer: a status that hangs is no status.
const LIMIT: Duration = Duration::from_secs(2);

/// One look at one process.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) url: String,
    /// What it said, or why it said nothing.
    pub(crate) said: Result<Said, String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) health: HealthSaid,
    pub(crate) samples: Samples,
}

/// `/health`, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct HealthSaid {
    pub(crate) ready: bool,
    #[serde(default)]
    pub(crate) dependencies: Vec<DependencySaid>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct DependencySaid {
    pub(crate) name: String,
    pub(crate) ok: bool,
    #[serde(default)]
    pub(crate) detail: String,
    /// In milliseconds since 1970.
    #[serde(default)]
    pub(crate) told_at: i64,
}

/// Asks one process.
pub(crate) async fn look(url: &str) -> Look {
    Look { url: url.to_owned(), said: ask(url).await.map_err(|error| runtime::error_chain::Chain(&error).to_string()) }
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("not reachable")]
    Http(#[from] http_client::HttpError),
    #[error("its /health is not what a process of ours says")]
    Health(#[from] serde_json::Error),
}

async fn ask(url: &str) -> Result<Said, AskError> {
    let (health, metrics) =
        futures::join!(http_client::get(url, "/health", LIMIT), http_client::get(url, "/metrics", LIMIT));
    Ok(Said {
        health: serde_json::from_slice(&health?.body)?,
        samples: Samples::parse(&String::from_utf8_lossy(&metrics?.body)),
    })
}
