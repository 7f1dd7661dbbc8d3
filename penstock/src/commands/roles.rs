//! `penstock gateway|normalizer|dedup|persister`: plays a role, so that one binary is all there is to ship.
//!
//! What a reader would get wrong: a role starts its own threads, so it must be called before any are started.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use runtime::process::{self, Role};

use super::migrate::MigrateArgs;
use super::site::{DATA_DIR, Where};

/// One process of a role.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// The configuration; without it ./penstock.toml, and where there is none, the environment alone
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The persister can also bring its tables up to date.
#[derive(Debug, Args)]
pub(crate) struct PersisterArgs {
    #[command(flatten)]
    role: RoleArgs,
    #[command(subcommand)]
    what: Option<PersisterCommand>,
}

#[derive(Debug, Subcommand)]
enum PersisterCommand {
    /// Bring the tables up to date, and end
    Migrate,
}

impl PersisterArgs {
    /// The migration, where that is what was asked for.
    pub(crate) fn migration(&self) -> Option<MigrateArgs> {
        let PersisterCommand::Migrate = self.what.as_ref()?;
        let place = Where { config: self.role.file(), data_dir: DATA_DIR.into() };
        Some(MigrateArgs { place })
    }

    pub(crate) fn role(self) -> RoleArgs {
        self.role
    }
}

impl RoleArgs {
    fn file(&self) -> Option<PathBuf> {
        let here = Path::new("penstock.toml");
        self.config.clone().or_else(|| here.is_file().then(|| here.to_owned()))
    }
}

/// Plays the role until it is told to stop.
pub(crate) fn play(role: Role, args: &RoleArgs) -> ExitCode {
    process::run(role, args.file())
}
