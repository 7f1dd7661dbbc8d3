//! The operator's command, which can also play every role.
//!
//! Exit codes: 0 clean, 1 something to look at, 2 what `verify` cannot judge, 64 a command line or a configuration that is
//! not understood, 69 a server that could not be had, 70 anything else.

mod bench;
mod cli;
mod commands;
mod http_client;
mod servers;
mod up;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use ::runtime::process::EXIT_CONFIG;
use cli::{Cli, Command};
use commands::error::Answer;
use commands::roles;

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(asked) => {
            asked.print().ok();
            // `--help` and `--version` come this way too.
            return if asked.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS };
        }
    };
    match command {
        // A role starts its own threads, so none may be running here.
        Command::Gateway(args) => commands::roles::play(ingest_gateway::ROLE, &args),
        Command::Normalizer(args) => roles::play(normalizer::ROLE, &args),
        Command::Dedup(args) => roles::play(dedup_worker::ROLE, &args),
        Command::Persister(args) => match args.migration() {
            Some(args) => on_threads(Command::Migrate(args)),
            None => commands::roles::play(persister::ROLE, &args.role()),
        },
        command => on_threads(command),
    }
}

fn on_threads(command: Command) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(command)),
        Err(error) => fail(&error, 70),
    }
}

/// Everything but the roles.
async fn run(command: Command) -> ExitCode {
    match command {
        Command::Up(args) => {
            // Variables that are not text cannot be ours.
            let variables = std::env::vars_os();
            let env = variables.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
            match up::run(args.into(), env).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error, error.exit_code()),
            }
        }
        Command::Provision(args) => told(commands::provision::run(args).await),
        Command::Bench(args) => told(bench::run(args).await),
        Command::Migrate(args) => told(commands::migrate::run(args).await),
        Command::Send(args) => told(commands::send::run(args).await),
        Command::Verify(args) => told(commands::verify::run(*args).await),
        Command::Status(args) => told(commands::status::run(args).await),
        Command::Explain(args) => told(commands::explain::run(args).await),
        Command::Audit(args) => told(commands::audit::run(args).await),
        Command::Dlq(args) => told(commands::dlq::run(args).await),
        Command::Replay(args) => told(commands::replay::run(args).await),
        Command::Held(args) => told(commands::held::run(args).await),
        Command::Export(args) => told(commands::person::export(args).await),
        Command::Erase(args) => told(commands::person::erase(args).await),
        Command::Check(args) => told(commands::check::run(&args)),
        Command::Gateway(_) | Command::Normalizer(_) | Command::Dedup(_) | Command::Persister(_) => {
            fail(&std::io::Error::other("a role is played before threads are started"), 70)
        }
    }
}

/// How a command of the operator's ended.
fn told(answer: Answer) -> ExitCode {
    match answer {
        Ok(ending) => ending.exit_code(),
        Err(error) => {
            let code = fail(&error, error.exit_code());
            if !error.next().is_empty() {
                writeln!(std::io::stderr(), "  next: {}", error.next()).ok();
            }
            code
        }
    }
}

/// Says what went wrong, with its causes, and gives the exit code.
fn fail(error: &dyn Error, code: u8) -> ExitCode {
    let mut lines = vec![format!("penstock: {error}")];
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
        let text = cause.to_string();
        // Some libraries put a cause into their own text as well.
        if lines.last().is_none_or(|line| !line.ends_with(&text)) {
            lines.push(format!("  because: {text}"));
        }
    }
    writeln!(std::io::stderr(), "{}", lines.join("\n")).ok();
    ExitCode::from(code)
}
