//! A private PostgreSQL for one test binary, and a database of its own for each test.
//!
//! The server ends with the test process, however that ends: it is started by a shell that waits for its standard
//! input to close. Where there is no server to start, the test fails and says how to get one.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use persister::Store;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor as _};

/// A database with Penstock's tables in it.
pub(crate) struct Database {
    /// Where it is.
    pub(crate) url: String,
    /// Connections for looking at it, with the server's own settings.
    pub(crate) pool: PgPool,
    /// The store under test.
    pub(crate) store: Store,
}

impl Database {
    /// Makes one, tables included.
    pub(crate) async fn new() -> Self {
        let database = Self::without_tables().await;
        database.store.migrate().await.unwrap();
        database
    }

    /// Makes an empty one.
    pub(crate) async fn without_tables() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let server = server();
        let admin = PgPool::connect(&server.url("postgres")).await.unwrap();
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        admin.close().await;
        let url = server.url(&name);
        let pool = PgPool::connect(&url).await.unwrap();
        let store = Store::connect(&url, 8).await.unwrap();
        Self { url, pool, store }
    }

    /// The one number that a statement answers.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&self.pool).await.unwrap()
    }

    /// The texts that a statement answers.
    pub(crate) async fn texts(&self, statement: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_all(&self.pool).await.unwrap()
    }

    /// Runs a statement.
    pub(crate) async fn run(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&self.pool).await.unwrap();
    }
}

/// Where another database of the tests' server is.
pub(crate) fn url_of(name: &str) -> String {
    server().url(name)
}

/// Asks again until the answer is yes; fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ask().await {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Server {
    port: u16,
    _shell: Child,
}

impl Server {
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

fn start() -> Server {
    let programs = programs();
    let user = other_user();
    let home = tempfile::Builder::new().prefix("penstock-pg-").tempdir().unwrap().keep();
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(&home, Some(uid), Some(gid)).unwrap();
    }
    let run_as = |command: &mut Command| {
        if let Some((uid, gid)) = user {
            command.uid(uid).gid(gid);
        }
        command.current_dir(&home);
    };
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    run_as(&mut initdb);
    let made = initdb.output().unwrap();
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        r#""$0/postgres" -D data -p "$1" -k '' -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200 \
            </dev/null >log 2>&1 &
        server=$!; cat >/dev/null; kill -QUIT $server; wait $server; rm -rf "$PWD""#,
    ]);
    shell.arg(&programs).arg(port.to_string()).stdin(Stdio::piped());
    run_as(&mut shell);
    let shell = shell.spawn().unwrap();

    // The server writes its state into the eighth line.
    let ready = || {
        let state = std::fs::read_to_string(home.join("data/postmaster.pid")).unwrap_or_default();
        state.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ready() {
        let log = std::fs::read_to_string(home.join("log")).unwrap_or_default();
        assert!(Instant::now() < deadline, "PostgreSQL did not start:\n{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Server { port, _shell: shell }
}

/// The folder with `initdb` and `postgres`: the one in `PENSTOCK_POSTGRES_BIN`, one on PATH, or the newest installed.
fn programs() -> PathBuf {
    let named = std::env::var_os("PENSTOCK_POSTGRES_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let installed = (15..40).rev().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let has_server = |folder: &Path| folder.join("initdb").exists() && folder.join("postgres").exists();
    named.into_iter().chain(on_path).chain(installed).find(|folder| has_server(folder)).expect(
        "no PostgreSQL server found: `apt-get install postgresql`, or name the folder of its programs in \
         PENSTOCK_POSTGRES_BIN",
    )
}

/// Whom to run the server as, where the tests run as root: PostgreSQL refuses to.
fn other_user() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).or(Some((65_534, 65_534)))
}
