//! `penstock up`: everything on one machine with nothing prepared.
//!
//! Order: take the data folder, stop what a killed run left, find or fetch the servers, start them, make streams and
//! tables, start the roles, say where everything is, and keep it so until told to stop. Read [`bring_up`] for that,
//! [`supervisor`] for what happens when something dies, and [`prepare`] for the servers.
//!
//! What a reader would get wrong: whatever is started is in the supervisor from that moment on. The work can be dropped at
//! any await (Ctrl-C), and what runs is still stopped in order.

mod bring_up;
mod children;
mod data_dir;
mod demo;
mod demo_config;
mod error;
mod http;
mod kind;
mod log_file;
mod migrate;
mod prepare;
mod process_id;
mod program;
mod provision;
mod report;
mod roles;
mod run_file;
mod secrets;
mod settings;
mod signals;
mod site;
mod stream_sizes;
mod supervisor;

use std::path::{Path, PathBuf};

pub(crate) use error::UpError;
pub(crate) use roles::Role;

use bring_up::Up;
use children::Children;
use data_dir::DataDir;
use secrets::Secrets;
use settings::Settings;
use signals::Signals;
use supervisor::Supervisor;

use crate::servers::console::Console;
use crate::servers::{Env, files};

/// What the user asked for.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Wish {
    /// `None`: `./penstock.toml` where there is one, else the one made by `up`.
    pub(crate) config: Option<PathBuf>,
    pub(crate) data_dir: PathBuf,
    pub(crate) demo: bool,
    pub(crate) exit_after_demo: bool,
    pub(crate) infra_only: bool,
    pub(crate) fresh: bool,
    /// How many processes of each role.
    pub(crate) scale: Scale,
}

/// How many processes of each role; 1 where nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scale(pub(crate) Vec<(Role, usize)>);

impl Scale {
    pub(crate) fn of(&self, role: Role) -> usize {
        self.0.iter().rev().find(|(scaled, _)| *scaled == role).map_or(1, |(_, n)| *n)
    }
}

/// Runs until it is told to stop.
pub(crate) async fn run(wish: Wish, env: Env) -> Result<(), UpError> {
    let mut signals = Signals::listen().map_err(UpError::system("listening for signals"))?;
    let console = Console::for_stderr();
    let data = DataDir::open(&wish.data_dir)?;
    tokio::select! {
        cleared = clear(&data, wish.fresh, &console) => cleared?,
        () = signals.stop() => return Ok(()),
    }

    let logs = data.at("logs");
    files::make_dir(&logs, 0o700).map_err(UpError::system("making the folder for logs"))?;
    let secrets = Secrets::of(&data.at("secrets.json")).map_err(UpError::system("reading or drawing the secrets"))?;
    let config = choose_config(&wish, &data, &secrets)?;
    if !wish.infra_only {
        settings::check(&config.path, &env)?;
    }
    let settings = Settings::read(Some(&config.path), &env)?;
    let supervisor = Supervisor::new(Children::none(data.at("children.json")), logs);
    let mut up = Up::new(wish, env, data, console.clone(), secrets, settings, config, supervisor);

    let outcome = tokio::select! {
        outcome = up.work() => outcome,
        () = signals.stop() => Ok(()),
    };
    stop(&mut up, &mut signals, &console).await;
    outcome
}

/// Before anything is started: no leftovers, and with `--fresh` no data.
async fn clear(data: &DataDir, fresh: bool, console: &Console) -> Result<(), UpError> {
    files::remove(&data.at("run.json")).map_err(UpError::system("removing an old run.json"))?;
    prepare::stop_leftovers(data, console).await?;
    if fresh {
        data.start_over()?;
    }
    Ok(())
}

/// The configuration, and whether it is the one made by `up`.
#[derive(Debug)]
struct Config {
    path: PathBuf,
    made_by_up: bool,
}

fn choose_config(wish: &Wish, data: &DataDir, secrets: &Secrets) -> Result<Config, UpError> {
    let doing = "finding the configuration";
    let here = Path::new("penstock.toml");
    let named = wish.config.as_deref().or_else(|| here.is_file().then_some(here));
    if let Some(path) = named {
        let path = std::path::absolute(path).map_err(UpError::system(doing))?;
        return Ok(Config { path, made_by_up: false });
    }
    let path = demo_config::file(data, secrets).map_err(UpError::system("making a configuration"))?;
    Ok(Config { path, made_by_up: true })
}

/// Stops everything in order; a second signal ends it at once.
async fn stop(up: &mut Up, signals: &mut Signals, console: &Console) {
    up.forget_run_file();
    if up.supervisor.running().next().is_none() {
        return;
    }
    console.line("stopping (again to end it at once) ...");
    let hurried = tokio::select! {
        killed = up.supervisor.stop() => {
            if !killed.is_empty() {
                console.line(&format!("  did not end by themselves: {}", killed.join(", ")));
            }
            false
        }
        () = signals.stop() => true,
    };
    if hurried {
        up.supervisor.kill().await;
    }
    console.line("stopped");
}
