//! What the steps between "the servers run" and "the roles run" need to know of this `up`.

use std::path::PathBuf;

use runtime::config::{Config, Environment, Need, Requirements};

use crate::servers::Env;

/// The servers of this `up`, and the configuration that its roles will read. Without `Debug`: it holds credentials.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) config: PathBuf,
    /// The environment to read that configuration with: this process's own, and the overrides by which the servers of
    /// this `up` are found, with administrator rights.
    pub(crate) env: Env,
    /// With credentials.
    pub(crate) postgres_url: String,
}

impl Site {
    /// The configuration as the roles of this `up` read it, with administrator rights.
    pub(crate) fn configuration(&self) -> Result<Config, StepError> {
        let environment: Environment = self.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        Config::load_for(Some(&self.config), &environment, Requirements::every(Need::Optional))
            .map_err(StepError::failed)
    }
}

/// A step failed. Exit code 70.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct StepError(Box<dyn std::error::Error + Send + Sync>);

impl StepError {
    /// For `map_err`.
    pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}
