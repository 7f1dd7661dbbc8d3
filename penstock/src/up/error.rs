//! How an `up` can end badly, and with which exit code.

use std::path::PathBuf;

use super::data_dir::DataDirError;
use super::kind::Kind;
use super::settings::SettingsError;
use super::site::StepError;
use super::supervisor::GaveUp;
use crate::servers::ServerError;

/// `up` could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A server could not be had.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A child is not started again.
    #[error("{} {}; the end of {}:\n{}", .0.name, describe(.0), .0.log.display(), indent(&.0.tail))]
    GaveUp(GaveUp),
    /// A child runs and does not get ready.
    #[error("{name} is not ready after {seconds} s; the end of {}:\n{}", .log.display(), indent(.tail))]
    NotReady { name: String, kind: Kind, seconds: u64, log: PathBuf, tail: String },
    /// Provisioning, migrating or the demonstration.
    #[error("{doing} failed")]
    Step {
        doing: &'static str,
        #[source]
        source: StepError,
    },
    /// The demonstration ended otherwise than in one row a message and its repeats.
    #[error("the demonstration did not end as it must: each message in one row, each copy of it in one repeat")]
    DemoWrong,
    /// Anything of the operating system.
    #[error("{doing} failed")]
    System {
        doing: &'static str,
        #[source]
        source: std::io::Error,
    },
}

impl UpError {
    /// 64: the configuration; 69: a server could not be had or started; 1: the demonstration did not end as it must; 70.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => 64,
            Self::GaveUp(end) if end.bad_configuration => 64,
            Self::Server(_) => 69,
            Self::GaveUp(GaveUp { kind, .. }) | Self::NotReady { kind, .. } if *kind != Kind::Role => 69,
            Self::DemoWrong => 1,
            _ => 70,
        }
    }

    /// For `map_err` on an operation of the system.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}

fn describe(end: &GaveUp) -> String {
    if end.bad_configuration {
        "does not accept its configuration".to_owned()
    } else {
        format!("dies again and again ({})", end.how)
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
