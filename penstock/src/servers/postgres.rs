//! A private PostgreSQL: made once, started on a port given each time, ready when a connection works.
//!
//! It listens on the loopback address only and has no socket file: a path longer than about a hundred bytes cannot be
//! one, and a clone may be anywhere. `initdb` works beside the final place and the result is renamed, so that a start
//! which was killed halfway leaves nothing that looks like a database.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::process::Command;

use super::account::Account;
use super::fetch::last_words;
use super::{console::Console, files, pid_file};

/// The superuser of the private server, and the database that Penstock uses.
const NAME: &str = "penstock";
/// Whom the persister signs in as.
const PERSISTER: &str = "persister";
/// The roles that `persister/src/sql/grants.sql` gives rights to, and the persister's user, who has those of one of them.
const USERS: &str = "DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'penstock_writer') THEN
        CREATE ROLE penstock_writer NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'penstock_reader') THEN
        CREATE ROLE penstock_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'persister') THEN
        CREATE ROLE persister LOGIN IN ROLE penstock_writer;
    END IF;
END $$";
const INITDB_LIMIT: Duration = Duration::from_mins(3);
const ATTEMPT: Duration = Duration::from_secs(3);

/// Modest: this shares a machine with everything else.
const SETTINGS: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=100",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
    "synchronous_commit=on",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_line_prefix=%m [%p] ",
    // Otherwise it writes down the row that it refuses.
    "log_error_verbosity=terse",
];

/// Why the database could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostgresError {
    /// `initdb` ran and failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// `initdb` did not end in time: a very slow disk.
    #[error("initdb did not end within {} s", INITDB_LIMIT.as_secs())]
    Slow,
    /// A file or folder.
    #[error("{path}")]
    File {
        path: String,
        #[source]
        source: io::Error,
    },
    /// The database or its users could not be created in a running server.
    #[error("the database `{NAME}` and its users could not be created")]
    Database(#[source] sqlx::Error),
}

/// A PostgreSQL of our own, on the loopback address.
#[derive(Clone)]
pub(crate) struct PostgresServer {
    /// The folder with `initdb` and `postgres`.
    pub(crate) programs: PathBuf,
    /// The folder that holds the cluster; it belongs to the account.
    pub(crate) folder: PathBuf,
    /// Whom to run as, where that is not ourselves.
    pub(crate) account: Option<Account>,
    pub(crate) port: u16,
    pub(crate) password: String,
    /// Another one in each life of `up`: the user is given it before anybody signs in with it.
    pub(crate) persister_password: String,
}

impl std::fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresServer").field("folder", &self.folder).field("port", &self.port).finish_non_exhaustive()
    }
}

/// The major version that made the data in `folder`, where there are any: only the same one can read them.
pub(crate) fn major_of_data(folder: &Path) -> Option<u32> {
    std::fs::read_to_string(folder.join("data/PG_VERSION")).ok()?.trim().parse().ok()
}

impl PostgresServer {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Makes the cluster where there is none, and clears away what a killed server left.
    pub(crate) async fn prepare(&self, console: &Console) -> Result<(), PostgresError> {
        if self.data().join("PG_VERSION").is_file() {
            return self.clear_stale_pid_file();
        }
        let step = console.step("making a PostgreSQL database".to_owned());
        self.initialise().await?;
        step.done("made a PostgreSQL database");
        Ok(())
    }

    async fn initialise(&self) -> Result<(), PostgresError> {
        let failed = |path: &Path, source| PostgresError::File { path: path.display().to_string(), source };
        let half = self.folder.join("data.new");
        files::remove(&half).map_err(|e| failed(&half, e))?;
        // A file and not a pipe: another account may not open our pipe by its name.
        let password = self.folder.join("password.new");
        self.write_for_account(&password, &self.password).map_err(|e| failed(&password, e))?;

        let mut command = self.program("initdb");
        command.args(["--username", NAME, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]);
        command.arg("--data-checksums").arg("--pwfile").arg(&password).arg("--pgdata").arg(&half);
        command.kill_on_drop(true).process_group(0).stdin(Stdio::null());
        let finished = tokio::time::timeout(INITDB_LIMIT, command.output()).await;
        files::remove(&password).map_err(|e| failed(&password, e))?;
        let output =
            finished.map_err(|_| PostgresError::Slow)?.map_err(|e| failed(&self.programs.join("initdb"), e))?;
        if !output.status.success() {
            return Err(PostgresError::Initdb(last_words(&output.stderr)));
        }
        std::fs::rename(&half, self.data()).map_err(|e| failed(&half, e))
    }

    fn write_for_account(&self, path: &Path, content: &str) -> io::Result<()> {
        files::write(path, content.as_bytes(), 0o600)?;
        self.account.as_ref().map_or(Ok(()), |account| account.own(path))
    }

    /// A killed server leaves `postmaster.pid`, and a new one believes it where some process has that number now. The
    /// caller holds the data folder's lock and has stopped what an earlier run left, so only a stranger can have it.
    fn clear_stale_pid_file(&self) -> Result<(), PostgresError> {
        let path = self.data().join("postmaster.pid");
        if server_on(&self.folder).is_some() {
            return Ok(());
        }
        files::remove(&path).map_err(|source| PostgresError::File { path: path.display().to_string(), source })
    }

    /// The command that runs it in the foreground.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder).env_remove("PGDATA").env("LC_ALL", "C");
        if let Some(account) = &self.account {
            account.apply(&mut command);
        }
        command
    }

    /// With credentials, for the database that Penstock uses, as who owns it.
    pub(crate) fn url(&self) -> String {
        self.url_of(NAME, &self.password, NAME)
    }

    /// The same, as who may only do the persister's work.
    pub(crate) fn persister_url(&self) -> String {
        self.url_of(PERSISTER, &self.persister_password, NAME)
    }

    fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url_of(NAME, &self.password, "postgres")).await
    }

    /// Whether a connection works. Only our server knows the password, so another one on this port is not taken for it.
    pub(crate) async fn ready(&self) -> bool {
        match tokio::time::timeout(ATTEMPT, self.connect()).await {
            Ok(Ok(connection)) => connection.close().await.is_ok(),
            _ => false,
        }
    }

    /// Creates the database and its users in a running server, where they are missing.
    pub(crate) async fn create_database(&self) -> Result<(), PostgresError> {
        let mut connection = self.connect().await.map_err(PostgresError::Database)?;
        self.create_in(&mut connection).await.map_err(PostgresError::Database)?;
        connection.close().await.map_err(PostgresError::Database)
    }

    async fn create_in(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let found: Option<i32> = sqlx::query_scalar("select 1 from pg_database where datname = $1")
            .bind(NAME)
            .fetch_optional(&mut *connection)
            .await?;
        if found.is_none() {
            sqlx::query("create database penstock").execute(&mut *connection).await?;
        }
        sqlx::raw_sql(USERS).execute(&mut *connection).await?;
        // Letters and digits, by whoever drew it (`up::secrets`).
        let password = format!("ALTER ROLE {PERSISTER} PASSWORD '{}'", self.persister_password);
        sqlx::raw_sql(AssertSqlSafe(password)).execute(connection).await.map(drop)
    }
}

/// The process of a server that runs on `folder` now: not ours, or from an earlier life of `up`.
pub(crate) fn server_on(folder: &Path) -> Option<i32> {
    let data = folder.join("data");
    pid_file::server_on(&data, &data.join("postmaster.pid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(folder: &Path) -> PostgresServer {
        PostgresServer {
            programs: "/usr/bin".into(),
            folder: folder.to_owned(),
            account: None,
            port: 5432,
            password: "secret".into(),
            persister_password: "secret-too".into(),
        }
    }

    #[test]
    fn the_pid_file_of_a_killed_server_does_not_stop_the_next() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let file = folder.path().join("data/postmaster.pid");
        // This very process has the number now, and is no server on that folder.
        std::fs::write(&file, format!("{}\n/somewhere\n", std::process::id())).unwrap();
        server(folder.path()).clear_stale_pid_file().unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn the_password_is_not_on_the_command_line_nor_in_debug_output() {
        let server = server(Path::new("/x"));
        assert!(!format!("{:?} {server:?}", server.command()).contains("secret"));
    }
}
