//! Getting the two servers ready to be started: their programs, their files, their ports.

use std::path::PathBuf;

use super::children;
use super::data_dir::DataDir;
use super::error::UpError;
use super::kind::Kind;
use super::secrets::{Secrets, password};
use crate::servers::account;
use crate::servers::console::Console;
use crate::servers::nats::{self, NatsServer};
use crate::servers::ports::Ports;
use crate::servers::postgres::{self, PostgresServer};
use crate::servers::{Env, ServerError, find, postgres_data};

const NATS_FOLDER: &str = "nats";

/// Stops what a killed `up` left running on this folder.
pub(crate) async fn stop_leftovers(data: &DataDir, console: &Console) -> Result<(), UpError> {
    let doing = "stopping what an earlier run has left";
    let mut stopped = children::stop_leftovers(&data.at("children.json")).await.map_err(UpError::system(doing))?;
    // Servers that the list does not know, because the run was killed before it could note them.
    let database = postgres_data::existing(data.path()).map_err(UpError::system(doing))?;
    let servers = [
        ("nats", Kind::Nats, nats::server_on(&data.at(NATS_FOLDER))),
        ("postgres", Kind::Postgres, postgres::server_on(&database)),
    ];
    for (name, kind, pid) in servers {
        if let Some(pid) = pid {
            children::stop_server(kind, pid).await.map_err(UpError::system(doing))?;
            stopped.push(name.to_owned());
        }
    }
    if !stopped.is_empty() {
        console.line(&format!("  stopped what an earlier run has left: {}", stopped.join(", ")));
    }
    Ok(())
}

/// A nats-server that can be started.
pub(crate) async fn nats(
    data: &DataDir,
    secrets: &Secrets,
    env: &Env,
    console: &Console,
) -> Result<NatsServer, ServerError> {
    let found = find::nats_server(env, console).await?;
    console.line(&format!("  nats-server {} ({})", found.version, found.path.display()));
    let mut ports = Ports::default();
    let server = NatsServer {
        program: found.path,
        folder: data.at(NATS_FOLDER),
        port: ports.free().map_err(ServerError::Port)?,
        monitor_port: ports.free().map_err(ServerError::Port)?,
        passwords: secrets.nats.clone(),
    };
    server.prepare()?;
    Ok(server)
}

/// A PostgreSQL that can be started, and where its files are if that is not in the data folder.
pub(crate) async fn postgres(
    data: &DataDir,
    secrets: &Secrets,
    env: &Env,
    console: &Console,
) -> Result<(PostgresServer, Option<PathBuf>), ServerError> {
    let account = account::for_postgres().await?;
    let place = postgres_data::place(data.path(), account.as_ref()).await;
    let place =
        place.map_err(|source| ServerError::Write { path: data.at("postgres").display().to_string(), source })?;
    let major = postgres::major_of_data(&place.folder);
    let found = find::postgres(env, account.as_ref(), major, console).await?;
    let as_whom = account.as_ref().map(|account| format!(", as `{}`", account.name)).unwrap_or_default();
    console.line(&format!("  PostgreSQL {} ({}{as_whom})", found.version, found.path.display()));
    if let (true, Some(account)) = (place.elsewhere, &account) {
        console.line(&format!(
            "  `{}` cannot enter {}, so the database's files are in {}",
            account.name,
            data.path().display(),
            place.folder.display()
        ));
    }
    let server = PostgresServer {
        programs: found.path,
        folder: place.folder.clone(),
        account,
        port: Ports::default().free().map_err(ServerError::Port)?,
        password: secrets.postgres.clone(),
        persister_password: password(),
    };
    server.prepare(console).await?;
    Ok((server, place.elsewhere.then_some(place.folder)))
}
