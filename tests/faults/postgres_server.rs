//! A PostgreSQL of a scenario's own, where `penstock up`'s cannot be had: on a small disk, or with a replica.
//!
//! It is made with the programs and the account of the one that `up` runs.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tests::child::{Child, send};
use tests::{Pipeline, eventually, ports};

/// Two busy cores, and a recovery.
const READY: Duration = Duration::from_mins(1);
const PASSWORD: &str = "a-password-of-the-tests";

/// Where a server has what, if not all of it in its folder.
#[derive(Clone, Copy, Default)]
pub(crate) struct Places<'a> {
    /// Its log of changes.
    pub(crate) wal: Option<&'a Path>,
    /// The tables.
    pub(crate) tables: Option<&'a Path>,
}

/// A server.
pub(crate) struct PostgresServer {
    programs: PathBuf,
    account: (u32, u32),
    folder: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

impl PostgresServer {
    /// A new one with an empty database, in folders that are there and empty.
    pub(crate) async fn new(pipeline: &Pipeline, folder: &Path, places: Places<'_>) -> Self {
        let postmaster = pipeline.run().pids.postgres.expect("up runs it");
        let process = PathBuf::from(format!("/proc/{postmaster}"));
        let program = process.join("exe").read_link().expect("the program of a process");
        let owner = process.metadata().expect("the account of a process");
        let programs = program.parent().expect("a program is in a folder").to_owned();
        let account = (owner.uid(), owner.gid());
        let mut server = Self::at(programs, account, folder);
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).expect("the password is written");
        chown(&password, Some(account.0), Some(account.1)).expect("a file for the account");
        let mut initdb = server.program("initdb");
        initdb.args(["--username", "penstock", "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]);
        // Small files: the disk may be small.
        initdb.args(["--wal-segsize", "1"]).arg("--pwfile").arg(&password).arg("--pgdata").arg(server.data());
        if let Some(wal) = places.wal {
            give(wal, account);
            initdb.arg("--waldir").arg(wal.join("wal"));
        }
        done(&mut initdb);
        server.start();
        server.ready().await;
        let mut connection = server.connect("postgres").await.expect("a connection");
        let mut create = "CREATE DATABASE penstock".to_owned();
        if let Some(tables) = places.tables {
            give(tables, account);
            let space = format!("CREATE TABLESPACE elsewhere LOCATION '{}'", tables.display());
            connection.execute(AssertSqlSafe(space)).await.expect("a tablespace");
            create += " TABLESPACE elsewhere";
        }
        connection.execute(AssertSqlSafe(create)).await.expect("a database");
        server
    }

    /// A copy that follows it from now on, and is waited for with every commit.
    pub(crate) async fn replica(&self, folder: &Path) -> Self {
        let mut replica = Self::at(self.programs.clone(), self.account, folder);
        let mut copy = replica.program("pg_basebackup");
        copy.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        copy.args(["-U", "penstock", "-R", "-X", "stream", "-c", "fast", "-D"]).arg(replica.data());
        done(&mut copy);
        replica.start();
        replica.ready().await;
        let mut primary = self.connect("penstock").await.expect("a connection");
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.expect("a setting");
        primary.execute("SELECT pg_reload_conf()").await.expect("a reload");
        replica
    }

    fn at(programs: PathBuf, account: (u32, u32), folder: &Path) -> Self {
        give(folder, account);
        let address = ports::free_address().parse().expect("an address");
        Self { programs, account, folder: folder.to_owned(), address, child: None }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir("/").env("LC_ALL", "C");
        if nix::unistd::geteuid().is_root() {
            command.uid(self.account.0).gid(self.account.1);
        }
        command
    }

    /// Starts it where it is down.
    pub(crate) fn start(&mut self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.address.port().to_string()]);
        let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB"];
        for setting in settings.into_iter().chain(["max_wal_size=16MB", "min_wal_size=2MB"]) {
            command.args(["-c", setting]);
        }
        let log = self.folder.parent().expect("a folder is in another").join("postgres-of-a-scenario.log");
        self.child = Some(Child::start("postgres", &mut command, &log, Signal::SIGQUIT));
    }

    /// Waits until it takes connections. One that found another's remains, or no room, is started again.
    pub(crate) async fn ready(&mut self) {
        eventually(READY, "a PostgreSQL takes connections", async || {
            if self.child.as_mut().is_none_or(|child| child.exited().is_some()) {
                self.start();
            }
            self.connect("postgres").await.map(drop)
        })
        .await;
    }

    /// `kill -9` of the process that all others of it depend on.
    pub(crate) fn kill(&mut self) {
        self.child = None;
    }

    /// Whether it still runs.
    pub(crate) fn is_up(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.exited().is_none())
    }

    /// Makes a replica one that takes records.
    pub(crate) async fn promote(&self) {
        let mut connection = self.connect("penstock").await.expect("a replica answers");
        connection.execute("SELECT pg_promote()").await.expect("it is promoted");
    }

    pub(crate) async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&url(self.address.port(), database)).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        url(self.address.port(), "penstock")
    }
}

/// Where one of them is reached by a port that leads to it.
pub(crate) fn url(port: u16, database: &str) -> String {
    format!("postgres://penstock:{PASSWORD}@127.0.0.1:{port}/{database}?sslmode=disable")
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child
            && child.exited().is_none()
        {
            send(child.pid(), Signal::SIGQUIT);
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// A folder that is the account's own.
fn give(folder: &Path, account: (u32, u32)) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o700)).expect("the mode of a folder");
    chown(folder, Some(account.0), Some(account.1)).expect("a folder for the account");
}

fn done(command: &mut Command) {
    let output = command.output().expect("the programs of PostgreSQL can be run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
