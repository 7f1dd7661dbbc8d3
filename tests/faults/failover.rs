//! PostgreSQL on a small disk, and with a replica that takes over: servers of the scenario's own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::Executor as _;
use tempfile::TempDir;
use tests::Role;
use tests::database::Database;
use tests::mix::Mix;
use tokio::time::{Instant, sleep, sleep_until};

use crate::forwarder::Forwarder;
use crate::postgres::{TOLD, WRITERS};
use crate::postgres_server::{Places, PostgresServer, url};
use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::NOT_READY;
use crate::small_disk::SmallDisk;
use crate::trial::Trial;

/// Megabytes: an empty database takes eight.
const DISK: u32 = 40;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, what, bounded, root, run| Scenario { name, what, bounded, root, run };
    vec![
        scenario("postgres/failover", "killed; its replica is read-only first, then takes over", true, false, |run| {
            Box::pin(failover(run))
        }),
        scenario("postgres/old-primary", "after a failover the address leads to the old one", false, false, |run| {
            Box::pin(old_primary(run))
        }),
        scenario("postgres/disk-full", "no room for another page of a table", false, true, |run| {
            Box::pin(disk_full(run))
        }),
        scenario("postgres/wal-full", "no room for its log: the server dies of it", false, true, |run| {
            Box::pin(wal_full(run))
        }),
    ]
}

/// A server, and the address by which the persister reaches it.
struct Own {
    server: PostgresServer,
    forwarder: Forwarder,
    folder: TempDir,
}

impl Own {
    fn subfolder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).expect("a folder");
        path
    }

    /// The server goes before its disk, and that before the folder that it is mounted in.
    fn leave(self, disk: SmallDisk) {
        let Self { server, folder, .. } = self;
        drop(server);
        drop(disk);
        drop(folder);
    }
}

fn folder() -> TempDir {
    // What a failed run leaves is swept by the next one, which knows this name.
    let prefix = format!("penstock-test-{}-", std::process::id());
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder");
    // The account of the server has to pass through.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).expect("the mode of a folder");
    folder
}

async fn start(run: &mut Run, folder: TempDir, places: Places<'_>) -> (Own, Trial) {
    let mix = Mix::of_everything();
    let mut pipeline = Trial::system(None, &mix, "").await;
    let home = folder.path().join("first");
    std::fs::create_dir(&home).expect("a folder");
    let server = PostgresServer::new(&pipeline, &home, places).await;
    let forwarder = Forwarder::to(server.address()).await;
    pipeline.move_to(&url(forwarder.port(), "penstock"), &server.url()).await;
    let persister = pipeline.role(Role::Persister);
    persister.kill();
    persister.start_again();
    persister.ready().await;
    let trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    (Own { server, forwarder, folder }, trial)
}

/// The first is killed, and its replica is promoted after a while. Gives it with the time that healing took.
async fn fail_over(own: &mut Own, trial: &mut Trial, lasts: Duration) -> (PostgresServer, String, Duration) {
    let home = own.subfolder("second");
    let replica = own.server.replica(&home).await;
    trial.goes_on().await;
    let end = Instant::now() + lasts;
    own.server.kill();
    own.forwarder.switch(replica.address());
    let told = trial.tells(Role::Persister, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    replica.promote().await;
    trial.pipeline.database = Database::new(&replica.url());
    let healed = trial.healed().await;
    (replica, told, healed)
}

async fn failover(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(5), Duration::from_secs(30));
    let (mut own, mut trial) = start(&mut run, folder(), Places::default()).await;
    let (_second, told, healed) = fail_over(&mut own, &mut trial, lasts).await;
    let (report, _pipeline) = trial.end().await;
    let note = "synchronous replica, promoted by whoever watches the pair; read-only until then".to_owned();
    Report { healed: Some(healed), told, note, ..report }
}

async fn old_primary(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(5), Duration::from_secs(30));
    let (mut own, mut trial) = start(&mut run, folder(), Places::default()).await;
    let (second, _, _) = fail_over(&mut own, &mut trial, Duration::from_secs(2)).await;

    // It takes reads, with the rows that it had: what is judged there would be judged by old keys.
    own.server.ready().await;
    let mut administrator = own.server.connect("penstock").await.expect("the old one answers");
    for statement in ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"] {
        administrator.execute(statement).await.expect("an administrator may");
    }
    drop(administrator);
    sleep(Duration::from_secs(1)).await;
    let end = Instant::now() + lasts;
    own.forwarder.switch(own.server.address());
    let told = trial.tells(Role::Persister, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    own.forwarder.switch(second.address());
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    let note = "an old primary must come back read-only or not at all: that is the operator's tool's part".to_owned();
    Report { healed: Some(healed), told, note, ..report }
}

async fn disk_full(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(10), Duration::from_mins(1));
    let folder = folder();
    let disk = SmallDisk::mount(&folder.path().join("small"), DISK);
    let tables = Some(disk.path());
    let (mut own, mut trial) = start(&mut run, folder, Places { tables, ..Places::default() }).await;
    let end = Instant::now() + lasts;
    disk.fill(0);
    let told = trial.tells(Role::Persister, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    assert!(own.server.is_up(), "a full disk for tables is an error of statements");
    disk.free();
    let healed = trial.healed().await;
    let (report, pipeline) = trial.end().await;
    let note = "a person makes room; then it goes on by itself".to_owned();
    drop(pipeline);
    own.leave(disk);
    Report { healed: Some(healed), told, note, ..report }
}

async fn wal_full(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(10), Duration::from_mins(1));
    let folder = folder();
    let disk = SmallDisk::mount(&folder.path().join("small"), DISK);
    let wal = Some(disk.path());
    let (mut own, mut trial) = start(&mut run, folder, Places { wal, ..Places::default() }).await;
    let end = Instant::now() + lasts;
    disk.fill(0);
    let told = trial.tells(Role::Persister, &NOT_READY, 3 * TOLD).await;
    sleep_until(end).await;
    disk.free();
    own.server.ready().await;
    let healed = trial.healed().await;
    let (report, pipeline) = trial.end().await;
    let note = "a person makes room and starts PostgreSQL; then it goes on by itself".to_owned();
    drop(pipeline);
    own.leave(disk);
    Report { healed: Some(healed), told, note, ..report }
}
