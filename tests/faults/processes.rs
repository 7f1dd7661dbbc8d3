//! What can happen to a process, other than being killed at once: stopped, frozen, short of files, of memory, of a disk
//! for its log.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::child::send;
use tests::mix::{Kind, Mix};
use tests::scrape::Metrics;
use tests::{Pipeline, Role, eventually};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::memory_limit::MemoryLimit;
use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::{FILES_RUN_OUT, RESTARTS};
use crate::trial::Trial;

const WRITERS: usize = 4;
const STOP: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_secs(30);
/// Longer than the acknowledgement time of a consumer: what a frozen process has in hand is delivered to another.
const FROZEN: Duration = Duration::from_secs(45);
/// Longer than PostgreSQL lets a transaction idle: the frozen one finds its connection gone.
const FROZEN_IN_A_TRANSACTION: Duration = Duration::from_secs(75);
/// Files that a process may open, and connections that ask for more.
pub(crate) const FILES: u32 = 768;
const CONNECTIONS: usize = 900;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, what, bounded, root, run| Scenario { name, what, bounded, root, run };
    vec![
        scenario("processes/rolling-restart", "SIGTERM to one after the other, two of each", false, false, |run| {
            Box::pin(rolling_restart(run))
        }),
        scenario(
            "processes/frozen-gateway",
            "one of two gateways stopped by SIGSTOP, then SIGCONT",
            false,
            false,
            |run| Box::pin(frozen(run, Role::Gateway)),
        ),
        scenario("processes/frozen-normalizer", "the same; another gets what it has in hand", false, false, |run| {
            Box::pin(frozen(run, Role::Normalizer))
        }),
        scenario("processes/frozen-dedup", "the same; another gets what it has in hand", false, false, |run| {
            Box::pin(frozen(run, Role::Dedup))
        }),
        scenario("processes/frozen-persister", "the same in the middle of a transaction", false, false, |run| {
            Box::pin(frozen(run, Role::Persister))
        }),
        scenario("processes/memory-limit", "each role killed for its memory, again and again", false, true, |run| {
            Box::pin(memory_limit(run))
        }),
        scenario("processes/no-file-descriptors", "more connections than files may be open", false, false, |run| {
            Box::pin(no_file_descriptors(run))
        }),
        scenario("processes/log-disk-full", "no role can write its log", true, false, |run| {
            Box::pin(log_disk_full(run))
        }),
    ]
}

async fn rolling_restart(mut run: Run) -> Report {
    let times = run.length(1, 5);
    let mix = Mix::of_everything();
    let mut pipeline = Trial::system(None, &mix, "").await;
    for role in Role::ALL {
        pipeline.start_role(role).await;
    }
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    for _ in 0..times {
        for place in 0..trial.pipeline.role_list().len() {
            let process = &mut trial.pipeline.role_list()[place];
            process.stop(STOP).await;
            process.start_again();
            process.ready().await;
            trial.goes_on().await;
        }
    }
    let (report, _pipeline) = trial.end_accepted().await;
    Report { note: format!("{times} rounds over two of each role"), ..report }
}

async fn frozen(mut run: Run, role: Role) -> Report {
    let mix = Mix::of_everything();
    let mut pipeline = Trial::system(None, &mix, "").await;
    if role == Role::Gateway {
        pipeline.start_role(role).await;
    }
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    let pid = trial.pipeline.role(role).child().pid();
    let lasts = if role == Role::Persister { FROZEN_IN_A_TRANSACTION } else { FROZEN };
    let begun = Instant::now();
    if role == Role::Persister {
        freeze_in_a_transaction(&trial.pipeline, pid).await;
    } else {
        send(pid, Signal::SIGSTOP);
    }
    if role != Role::Gateway {
        trial.pipeline.start_role(role).await;
    }
    let admin = trial.pipeline.admin_url(role);
    let told = trial.silent(&admin).await;
    sleep_until(begun + lasts).await;
    trial.goes_on().await;
    send(pid, Signal::SIGCONT);
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    let note = format!("frozen for {} s beside another of its role", lasts.as_secs());
    Report { healed: Some(healed), told, note, ..report }
}

/// Stops the only persister while it holds a transaction open.
async fn freeze_in_a_transaction(pipeline: &Pipeline, pid: i32) {
    const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock-persister' AND state \
                        LIKE 'idle in transaction%' AND backend_xid IS NOT NULL";
    eventually(SOON, "the persister is stopped in a transaction that has written", async || {
        send(pid, Signal::SIGSTOP);
        // What it had sent is done by now, and it can send nothing more.
        sleep(Duration::from_millis(200)).await;
        if pipeline.database.number(OPEN).await > 0 {
            return Ok(());
        }
        send(pid, Signal::SIGCONT);
        sleep(Duration::from_millis(7)).await;
        Err("it was between two")
    })
    .await;
}

async fn memory_limit(mut run: Run) -> Report {
    let deaths = run.length(2, 5);
    // What piles up while a stage dies again and again has to be worked off afterwards: not only large ones.
    let mix = Mix(vec![Kind::Large, Kind::Webhook, Kind::Mail, Kind::Form, Kind::Webhook, Kind::Form]);
    let mut trial = Trial::start(mix, "", 2, &mut run.random).await;
    let mut healed = Duration::ZERO;
    for role in Role::ALL {
        let limit = MemoryLimit::new(role.name());
        let process = trial.pipeline.role(role);
        process.after(Some(&limit.join()));
        process.kill();
        process.start_again();
        process.ready().await;
        let before = started(&process.admin_url()).await;
        for death in 1..=deaths {
            let process = trial.pipeline.role(role);
            process.start_again();
            let what = format!("the {} is killed for its memory, the {death}. time", role.name());
            eventually(Duration::from_mins(2), &what, async || {
                limit.squeeze();
                sleep(Duration::from_secs(1)).await;
                process.child().exited().ok_or_else(|| format!("it lives, with {} kB", limit.used() / 1024))
            })
            .await;
            assert!(limit.kills() >= death, "{what}: by somebody else");
            process.kill();
        }
        limit.lift();
        trial.pipeline.role(role).start_again();
        healed = healed.max(trial.healed().await);
        let admin = trial.pipeline.admin_url(role);
        assert!(RESTARTS.holds(started(&admin).await - before), "a restart of the {} is not told", role.name());
        trial.pipeline.role(role).after(None);
        trial.pipeline.role(role).kill();
        trial.pipeline.role(role).start_again();
        trial.goes_on().await;
    }
    let (report, _pipeline) = trial.end().await;
    let note = format!("each role killed {deaths} times by the kernel; it lives once its limit allows it");
    Report { healed: Some(healed), told: RESTARTS.told("moves"), note, ..report }
}

/// When a process was started, as its metrics say.
async fn started(admin: &str) -> f64 {
    RESTARTS.value(&Metrics::of(admin).await.unwrap()).expect("every process tells when it was started")
}

async fn no_file_descriptors(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(5), Duration::from_secs(20));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let gateway = trial.pipeline.role(Role::Gateway);
    gateway.after(Some(&format!("ulimit -n {FILES}")));
    gateway.kill();
    gateway.start_again();
    gateway.ready().await;
    let (address, admin) = (gateway.url().replace("http://", ""), gateway.admin_url());
    let end = Instant::now() + lasts;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(TcpStream::connect(&address).await.expect("the kernel takes it"));
    }
    let told = trial.tells(Role::Gateway, &FILES_RUN_OUT, SOON).await;
    while Instant::now() < end {
        let asked = Instant::now();
        let answer = tests::Request::get("/livez").send(&admin).await.expect("the admin address answers");
        assert!(answer.status == 200 && asked.elapsed() < Duration::from_secs(2), "{answer} {:?}", asked.elapsed());
        sleep(Duration::from_millis(300)).await;
    }
    drop(open);
    let healed = trial.healed().await;
    assert!(trial.pipeline.role(Role::Gateway).child().exited().is_none(), "it goes on");
    let (report, _pipeline) = trial.end().await;
    let note = format!("{CONNECTIONS} idle connections, {FILES} files; the admin address answers all the time");
    Report { healed: Some(healed), told, note, ..report }
}

async fn log_disk_full(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(5), Duration::from_mins(1));
    let mut trial = Trial::start(Mix::of_everything(), "log.level = \"debug\"", WRITERS, &mut run.random).await;
    let end = Instant::now() + lasts;
    for process in trial.pipeline.role_list() {
        process.after(Some("exec >/dev/full 2>&1"));
        process.kill();
        process.start_again();
    }
    trial.healed().await;
    // Something to complain about.
    send(trial.pipeline.run().pids.nats.expect("up runs it"), Signal::SIGKILL);
    sleep_until(end).await;
    let healed = trial.healed().await;
    for process in trial.pipeline.role_list() {
        assert!(process.child().exited().is_none(), "it goes on");
    }
    let (report, _pipeline) = trial.end().await;
    let note = "no metric of ours: watch the machine's disk; lines are lost, messages are not".to_owned();
    Report { healed: Some(healed), note, ..report }
}
