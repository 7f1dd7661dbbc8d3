//! PostgreSQL for a contract test: a database of its own in a server that all of them share, or a server of its own
//! where the test does something to the server.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::found::found;
use crate::child::Child;
use crate::{eventually, ports, up};

const READY: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(20);
const USER: &str = "penstock";

/// Makes a database in the shared server, and says how to connect to it.
pub async fn database() -> PgConnectOptions {
    let options: PgConnectOptions = found().await.postgres_url().parse().expect("a URL of a database");
    let name = format!("contract_{}", uuid::Uuid::new_v4().simple());
    let mut connection = connect(&options).await;
    run(&mut connection, &format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")).await;
    connection.close().await.expect("the connection is closed");
    options.database(&name)
}

/// A connection.
pub async fn connect(options: &PgConnectOptions) -> PgConnection {
    options.connect().await.expect("PostgreSQL takes a connection")
}

/// Runs statements that have to succeed.
pub async fn run(connection: &mut PgConnection, sql: &str) {
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The first column of the first row of a query.
pub async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    let answer = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await;
    answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Runs statements that have to fail, and gives the SQLSTATE.
pub async fn refused(connection: &mut PgConnection, sql: &str) -> String {
    let error = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    sqlstate(&error.expect_err(sql))
}

/// The SQLSTATE of an error of the server; the whole error in words where it is none.
pub fn sqlstate(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    code.unwrap_or_else(|| format!("no SQLSTATE: {error}"))
}

/// A server of a test's own.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    programs: PathBuf,
    account: Option<(u32, u32)>,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    settings: Vec<String>,
    _folder: TempDir,
}

impl Postgres {
    /// One with these settings (`name=value`), ready.
    pub async fn start(settings: &[&str]) -> Self {
        let folder = up::folder();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder for the data");
        Self::start_in(folder, &data, settings).await
    }

    /// One whose data are in `data`, an empty folder.
    pub async fn start_in(folder: TempDir, data: &Path, settings: &[&str]) -> Self {
        let found = found().await;
        let (programs, account) = (found.postgres.clone(), found.account);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).expect("a mode is set");
        std::os::unix::fs::chown(data, account.map(|(uid, _)| uid), account.map(|(_, gid)| gid))
            .expect("an owner is set");
        let mut initdb = program(&programs, "initdb", account);
        initdb.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]);
        let made = initdb.arg("--pgdata").arg(data).output().expect("initdb can be run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let (port, log) = (ports::free(), folder.path().join("postgres.log"));
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let child = serve(&programs, account, data, port, &settings, &log);
        let server = Self { child, programs, account, data: data.to_owned(), log, port, settings, _folder: folder };
        server.ready().await;
        server
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(USER)
            .database("postgres")
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Ends it as a restart does (SIGINT: "fast"), and waits until it is gone.
    pub async fn stop(&mut self) {
        self.child.signal(Signal::SIGINT);
        self.child.end(STOP).await;
    }

    /// Starts it again after it was stopped or killed, and waits until it takes connections.
    pub async fn again(&mut self) {
        // A server that was killed leaves its children to end by themselves, and until then no other one starts.
        let mut started = async || {
            self.child = serve(&self.programs, self.account, &self.data, self.port, &self.settings, &self.log);
            eventually(READY, "it runs or it ends", async || match self.options().connect().await {
                Ok(_) => Ok(true),
                Err(_) if self.child.exited().is_some() => Ok(false),
                Err(error) => Err(error.to_string()),
            })
            .await
        };
        eventually(READY, "PostgreSQL starts again", async || {
            if started().await { Ok(()) } else { Err("it ended at once".to_owned()) }
        })
        .await;
    }

    async fn ready(&self) {
        eventually(READY, "PostgreSQL takes connections", async || {
            self.options().connect().await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }
}

fn program(programs: &Path, name: &str, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(programs.join(name));
    command.current_dir("/").env_remove("PGDATA").env("LC_ALL", "C");
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    command
}

fn serve(
    programs: &Path,
    account: Option<(u32, u32)>,
    data: &Path,
    port: u16,
    settings: &[String],
    log: &Path,
) -> Child {
    let mut command = program(programs, "postgres", account);
    command.arg("-D").arg(data).args(["-p", &port.to_string()]);
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=16MB"] {
        command.args(["-c", setting]);
    }
    for setting in settings {
        command.args(["-c", setting]);
    }
    Child::start("postgres", &mut command, log, Signal::SIGINT)
}
