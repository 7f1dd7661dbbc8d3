//! The whole system of one test: where it is, what is posted to it, and what becomes of that.
//!
//! Three ways to have one: [`Pipeline::start`] is `penstock up`, as users run it; [`Pipeline::by_hand`] has only its
//! servers from `up` and runs the roles itself, so that a test can kill and stop them one by one; [`Pipeline::of`] is a
//! handle on one that several tests share.
//!
//! Dropped by a test that has not failed, a private one asserts that nothing is left unsettled and that every process
//! exits with 0.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::broker::Broker;
use crate::client::{Answer, Request};
use crate::database::Database;
use crate::eventually::ensure;
use crate::role::RoleProcess;
use crate::run_file::RunFile;
use crate::scrape::Metrics;
use crate::up::Up;
use crate::{Role, binary, eventually};

/// A row on two busy cores, in a debug build.
const ROW: Duration = Duration::from_mins(1);
const COMMAND: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_secs(40);

/// A running system.
#[derive(Debug)]
pub struct Pipeline {
    system: System,
    /// The servers are reached by the same URLs for as long as they live, also over restarts.
    run: RunFile,
    config: PathBuf,
    /// The tables.
    pub database: Database,
    /// The broker.
    pub broker: Broker,
    may_be_unsettled: bool,
}

#[derive(Debug)]
enum System {
    Whole(Box<Up>),
    /// The roles first: they go before their servers, also where nobody stops them.
    ByHand {
        roles: Vec<RoleProcess>,
        up: Box<Up>,
    },
    Shared(&'static Up),
}

impl Pipeline {
    /// Everything, by `penstock up`.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// Everything, by `penstock up` with more on its command line.
    pub async fn start_with(config: &str, more: &[&str]) -> Self {
        let up = Up::start(Some(config), more).await;
        let (run, config) = (up.run().unwrap(), up.folder().join("penstock.toml"));
        Self::new(System::Whole(Box::new(up)), run, config).await
    }

    /// A handle on a system that several tests share.
    pub async fn of(up: &'static Up) -> Self {
        let (run, config) = (up.run().unwrap(), up.folder().join("penstock.toml"));
        Self::new(System::Shared(up), run, config).await
    }

    /// Servers by `penstock up --infra-only`; streams, tables and these roles by the commands for each.
    pub async fn by_hand(config: &str, roles: &[Role]) -> Self {
        let up = Up::start(None, &[]).await;
        let nats_url = up.run().unwrap().nats_url;
        Self::by_hand_on(up, &nats_url, config, roles).await
    }

    /// The same with servers that were started before, of which NATS may be another one.
    pub async fn by_hand_on(up: Up, nats_url: &str, config: &str, roles: &[Role]) -> Self {
        let (mut run, path) = (up.run().unwrap(), up.folder().join("penstock.toml"));
        nats_url.clone_into(&mut run.nats_url);
        std::fs::write(&path, config).unwrap();
        let logs = up.logs();
        let mut pipeline = Self::new(System::ByHand { up: Box::new(up), roles: Vec::new() }, run, path).await;
        pipeline.command(&["provision"]).await;
        pipeline.command(&["migrate"]).await;
        let servers = pipeline.environment();
        for (number, role) in roles.iter().enumerate() {
            let process = RoleProcess::start(*role, number, &pipeline.config, &logs, &servers);
            pipeline.role_list().push(process);
        }
        for process in pipeline.role_list() {
            process.ready().await;
        }
        pipeline
    }

    async fn new(system: System, run: RunFile, config: PathBuf) -> Self {
        let (database, broker) = (Database::new(&run.postgres_url), Broker::connect(&run.nats_url).await.unwrap());
        Self { system, run, config, database, broker, may_be_unsettled: false }
    }

    /// Where everything is now.
    pub fn run(&self) -> RunFile {
        self.up().run().unwrap()
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where the logs of all processes are.
    pub fn logs(&self) -> PathBuf {
        self.up().logs()
    }

    /// The `penstock up` behind it.
    pub fn up(&self) -> &Up {
        match &self.system {
            System::Whole(up) | System::ByHand { up, .. } => up,
            System::Shared(up) => up,
        }
    }

    /// What tells a command where the servers are, with an administrator's rights.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("PENSTOCK__NATS__URL".to_owned(), self.run.nats_url.clone()),
            ("PENSTOCK__POSTGRES__URL".to_owned(), self.run.postgres_url.clone()),
        ]
    }

    /// The processes that this test runs by hand.
    pub fn role_list(&mut self) -> &mut Vec<RoleProcess> {
        match &mut self.system {
            System::ByHand { roles, .. } => roles,
            _ => panic!("only a pipeline by hand has roles of its own"),
        }
    }

    /// From here on the tables are in another database, which commands and roles reach by `through` and this test by
    /// `directly`. Roles that run learn of it at their next start.
    pub async fn move_to(&mut self, through: &str, directly: &str) {
        through.clone_into(&mut self.run.postgres_url);
        self.database = Database::new(directly);
        self.command(&["migrate"]).await;
        for process in self.role_list() {
            process.set("PENSTOCK__POSTGRES__URL", Some(through));
        }
    }

    /// Starts a process of a role beside those that this test runs by hand, and waits until it is ready.
    pub async fn start_role(&mut self, role: Role) {
        let (config, logs, servers) = (self.config.clone(), self.logs(), self.environment());
        let number = self.role_list().len();
        let first = self.role_list().iter().find(|process| process.role == role);
        let mut process = match first {
            Some(first) => first.beside(number, &logs),
            None => RoleProcess::start(role, number, &config, &logs, &servers),
        };
        process.ready().await;
        self.role_list().push(process);
    }

    /// The first process of a role that this test runs by hand.
    pub fn role(&mut self, role: Role) -> &mut RoleProcess {
        self.role_list().iter_mut().find(|process| process.role == role).expect("the role is run")
    }

    /// All gateways.
    pub fn gateways(&self) -> Vec<String> {
        match &self.system {
            System::ByHand { roles, .. } => {
                roles.iter().filter(|process| process.role == Role::Gateway).map(RoleProcess::url).collect()
            }
            _ => vec![self.run.gateway_url.clone().expect("a gateway runs")],
        }
    }

    /// The first admin address of a role.
    pub fn admin_url(&self, role: Role) -> String {
        match &self.system {
            System::ByHand { roles, .. } => {
                roles.iter().find(|process| process.role == role).expect("the role is run").admin_url()
            }
            _ => self.run.admin.of(role)[0].clone(),
        }
    }

    /// Sends a request to the first gateway; there has to be an answer.
    pub async fn post(&self, request: &Request) -> Answer {
        match request.send(&self.gateways()[0]).await {
            Ok(answer) => answer,
            Err(error) => panic!("{} {}: {error}\nlogs: {}", request.method, request.path, self.logs().display()),
        }
    }

    /// What `/metrics` of a role says.
    pub async fn scrape(&self, role: Role) -> Metrics {
        Metrics::of(&self.admin_url(role)).await.unwrap()
    }

    /// Waits until everything accepted so far has come to its end.
    pub async fn settled(&self) {
        self.broker.settled().await;
    }

    /// The only row of a request, once it is there.
    pub async fn row(&self, table: &str, request: Uuid) -> Value {
        let what = format!("{request} is in {table} (logs: {})", self.logs().display());
        let mut rows = eventually(ROW, &what, async || {
            let rows = self.database.of_request(table, request).await;
            ensure(!rows.is_empty(), || "no row".to_owned()).map(|()| rows)
        })
        .await;
        assert_eq!(rows.len(), 1, "{table} holds one row of {request}: {rows:#?}");
        rows.remove(0)
    }

    /// Waits until a source has exactly this many rows and duplicates and everything of it has ended, and gives the rows.
    pub async fn rows(&self, source: &str, rows: usize, duplicates: usize) -> Vec<Value> {
        let what = format!("{source} has {rows} rows and {duplicates} duplicates (logs: {})", self.logs().display());
        eventually(ROW, &what, async || {
            let found = self.database.rows("messages", source).await;
            let repeats = self.database.rows("duplicates", source).await;
            ensure(found.len() + repeats.len() >= rows + duplicates, || {
                format!("{} rows and {} duplicates", found.len(), repeats.len())
            })?;
            assert_eq!((found.len(), repeats.len()), (rows, duplicates), "{what}: {found:#?} {repeats:#?}");
            Ok::<_, String>(found)
        })
        .await
    }

    /// Runs another `penstock` command with this configuration and these servers; expects exit code 0.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let output = self.try_command(arguments).await;
        let told = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "penstock {arguments:?}: {}\n{said}\n{told}", output.status);
        output
    }

    /// Runs another `penstock` command, however it ends.
    pub async fn try_command(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(binary::penstock());
        command.args(arguments).arg("--config").arg(&self.config).envs(self.environment()).kill_on_drop(true);
        let output = tokio::time::timeout(COMMAND, command.output()).await;
        output.unwrap_or_else(|_| panic!("penstock {arguments:?} did not end within {COMMAND:?}")).unwrap()
    }

    /// This test leaves something unsettled on purpose.
    pub fn may_be_unsettled(&mut self) {
        self.may_be_unsettled = true;
    }

    fn stop(&mut self) -> Result<(), String> {
        match &mut self.system {
            System::Shared(_) => Ok(()),
            System::Whole(up) => up.stop_blocking(),
            System::ByHand { up, roles } => {
                let roles = roles.iter_mut().map(|process| process.stop_blocking(STOP));
                roles.collect::<Result<Vec<()>, String>>()?;
                up.stop_blocking()
            }
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if std::thread::panicking() || matches!(self.system, System::Shared(_)) {
            return;
        }
        if !self.may_be_unsettled {
            settled_elsewhere(&self.run.nats_url);
        }
        if let Err(problem) = self.stop() {
            panic!("{problem}");
        }
    }
}

/// Asks the broker from a thread of its own: a `Drop` cannot wait for its own runtime.
fn settled_elsewhere(url: &str) {
    let url = url.to_owned();
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Broker::connect(&url).await.unwrap().settled().await });
    });
    assert!(asked.join().is_ok(), "the test has left something unsettled: see above");
}
