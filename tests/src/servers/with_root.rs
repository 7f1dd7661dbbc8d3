//! Experiments on the servers that need root or a tool that is not everywhere: a disk of a few megabytes, a limit of
//! memory, `strace`. Each can be called alone, cleans up after itself, and says in a line what it saw.
//!
//! They are no tests: `cargo test` has to pass for an ordinary user, and must not skip anything in silence.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::wire::Wire;
use super::{NatsServer, Postgres, postgres};
use crate::child::Child;
use crate::eventually::{ensure, eventually};
use crate::up;

/// What an experiment saw, or what was not as expected.
pub type Seen = Result<String, String>;
/// An experiment.
pub type Experiment = fn() -> LocalBoxFuture<'static, Seen>;

/// All of them, by the numbers they have in `docs/servers.md`.
pub const ALL: [(&str, Experiment); 4] = [
    ("X2", || Box::pin(a_full_disk_under_the_broker())),
    ("X8", || Box::pin(a_flush_for_each_acknowledgement())),
    ("X9", || Box::pin(a_full_disk_under_the_database())),
    ("X12", || Box::pin(a_broker_killed_for_its_memory())),
];

/// Not answered for so long is not answered.
const NO_ANSWER: Duration = Duration::from_secs(2);

/// A disk of a few megabytes, in a folder of its own.
#[derive(Debug)]
struct SmallDisk {
    path: PathBuf,
    _folder: TempDir,
}

impl SmallDisk {
    fn of(megabytes: u32) -> Result<Self, String> {
        let folder = up::folder();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).map_err(|error| error.to_string())?;
        up::open_to_the_database(folder.path());
        let disk = Self { path, _folder: folder };
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"]).arg(&disk.path))?;
        Ok(disk)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that is still ending has files open on it.
        if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.path)) {
            println!("{} is still mounted: {error}", self.path.display());
        }
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let name = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(format!("{name}: {}", text(&output.stderr))) }
}

/// A connection that does not wait long for an answer.
async fn hasty(server: &NatsServer) -> Result<Wire, String> {
    let options = async_nats::ConnectOptions::new().request_timeout(Some(NO_ANSWER));
    let client = options.connect(server.address()).await.map_err(|error| error.to_string())?;
    Ok(Wire { client })
}

/// Publishes until something is refused or not answered: how many were acknowledged, and the reason.
async fn fill(wire: &Wire, subject: &str) -> (u64, String) {
    let mut acknowledged = 0;
    loop {
        match wire.try_publish(subject, &[], vec![7; 64 * 1024]).await {
            Ok(answer) if answer.get("error").is_none() => acknowledged += 1,
            Ok(answer) => return (acknowledged, answer["error"].to_string()),
            Err(error) => return (acknowledged, error),
        }
    }
}

async fn a_full_disk_under_the_broker() -> Seen {
    let disk = SmallDisk::of(48)?;
    let mut server = NatsServer::launch(Some(&disk.path.join("store")), "max_file_store: 1GB", "").await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_bytes": -1 })).await;
    let wire = hasty(&server).await?;
    let (acknowledged, reason) = fill(&wire, "raw.a").await;
    let health = server.monitor("/healthz").await.0;
    ensure(acknowledged > 100 && health == 503, || format!("{acknowledged} acknowledged, then {reason}; {health}"))?;
    // Room again: what else lay on the disk is gone.
    run(Command::new("mount").args(["-o", "remount,size=96m"]).arg(&disk.path))?;
    let still = wire.try_publish("raw.a", &[], "1").await;
    let stuck = still.as_ref().map_or(true, |answer| answer.get("error").is_some());
    ensure(stuck, || format!("it came back by itself: {still:?}"))?;
    server.child().kill();
    server.again().await;
    let wire = server.connect().await;
    let kept = wire.messages("RAW").await;
    ensure(kept >= acknowledged, || format!("{kept} of {acknowledged} acknowledged are there"))?;
    let again = wire.publish("raw.a", &[], "1").await;
    ensure(again.get("error").is_none(), || format!("after the restart: {again}"))?;
    Ok(format!(
        "{acknowledged} acknowledged, then \"{reason}\" and /healthz 503; stuck with room again; after a restart {kept} there"
    ))
}

async fn a_flush_for_each_acknowledgement() -> Seen {
    let mut seen = Vec::new();
    for (setting, least, most) in [("", 0, 10), ("sync_interval: always", 50, 500)] {
        let mut server = NatsServer::start_with(setting, "").await;
        let wire = server.connect().await;
        wire.stream("RAW", json!({})).await;
        let counts = up::folder();
        let file = counts.path().join("strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(&file);
        strace.args(["-p", &server.child().pid().to_string()]);
        let mut tracer = Child::start("strace", &mut strace, &counts.path().join("log"), Signal::SIGTERM);
        let status = format!("/proc/{}/status", server.child().pid());
        eventually(Duration::from_secs(10), "strace is attached", async || {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            ensure(!text.contains("TracerPid:\t0\n") && tracer.exited().is_none(), || tracer.tail())
        })
        .await;
        for _ in 0..50 {
            wire.publish("raw.a", &[], "1").await;
        }
        tracer.signal(Signal::SIGINT);
        tracer.end(Duration::from_secs(10)).await;
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let flushes = text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed")).count();
        ensure(flushes >= least && flushes <= most, || {
            format!("{flushes} flushes for 50 messages with \"{setting}\"")
        })?;
        seen.push(flushes.to_string());
    }
    Ok(format!("flushes for 50 acknowledgements: {} by default, {} with sync_interval: always", seen[0], seen[1]))
}

async fn a_full_disk_under_the_database() -> Seen {
    let disk = SmallDisk::of(160)?;
    let data = disk.path.join("data");
    std::fs::create_dir(&data).map_err(|error| error.to_string())?;
    // The log of changes may not be what fills the disk: that stops the server, and it begins anew.
    let settings = ["max_wal_size=32MB", "min_wal_size=32MB", "wal_recycle=off", "fsync=off"];
    let server = Postgres::start_in(up::folder(), &data, &settings).await;
    let mut connection = postgres::connect(&server.options()).await;
    postgres::run(&mut connection, "CREATE UNLOGGED TABLE t (b text)").await;
    let row = "INSERT INTO t SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 32768)";
    let mut state = String::new();
    for _ in 0..400 {
        if let Err(error) = sqlx::query(row).execute(&mut connection).await {
            state = postgres::sqlstate(&error);
            break;
        }
    }
    ensure(state == "53100", || format!("the disk is full and the state is \"{state}\""))?;
    let there = postgres::number(&mut connection, "SELECT count(*) FROM t").await;
    run(Command::new("mount").args(["-o", "remount,size=256m"]).arg(&disk.path))?;
    postgres::run(&mut connection, row).await;
    let after = postgres::number(&mut connection, "SELECT count(*) FROM t").await;
    ensure(after == there + 1, || format!("{there} rows and then {after}"))?;
    Ok(format!("{there} rows, then 53100; with room again the same connection goes on, without a restart"))
}

async fn a_broker_killed_for_its_memory() -> Seen {
    let group = Path::new("/sys/fs/cgroup/memory/penstock-contract");
    let (group, limit, members) = if group.parent().is_some_and(Path::is_dir) {
        (group.to_owned(), "memory.limit_in_bytes", "cgroup.procs")
    } else {
        (PathBuf::from("/sys/fs/cgroup/penstock-contract"), "memory.max", "cgroup.procs")
    };
    let mut server = NatsServer::start().await;
    let wire = server.connect().await;
    wire.stream("RAW", json!({ "max_bytes": 1024 * 1024 * 1024 })).await;
    let wire = hasty(&server).await?;
    let write = |name: &str, text: String| {
        std::fs::write(group.join(name), text).map_err(|error| format!("{}/{name}: {error}", group.display()))
    };
    std::fs::create_dir_all(&group).map_err(|error| format!("{}: {error}", group.display()))?;
    let done = async {
        write(limit, (24 * 1024 * 1024).to_string())?;
        write(members, server.child().pid().to_string())?;
        let filling = futures::future::join_all((0..16).map(|_| fill(&wire, "raw.a")));
        let acknowledged: u64 = tokio::time::timeout(Duration::from_mins(1), filling)
            .await
            .map_or(0, |all| all.iter().map(|one| one.0).sum());
        let status = server.child().exited();
        ensure(status.is_some(), || format!("it lives on after {acknowledged} messages"))?;
        Ok::<_, String>((acknowledged, status))
    }
    .await;
    server.child().kill();
    std::fs::remove_dir(&group).map_err(|error| format!("{}: {error}", group.display()))?;
    let (acknowledged, status) = done?;
    server.again().await;
    let kept = server.connect().await.messages("RAW").await;
    ensure(kept >= acknowledged, || format!("{kept} of {acknowledged} acknowledged are there"))?;
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    Ok(format!("ended with {status} after {acknowledged} acknowledgements; {kept} are there after a restart"))
}
