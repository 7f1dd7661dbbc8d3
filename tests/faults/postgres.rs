//! What can happen to PostgreSQL: gone, out of connections, locked, changed, slow, interrupted. What takes a server of
//! the scenario's own is in `failover.rs`.

use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tests::child::send;
use tests::mix::Mix;
use tests::{Role, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::NOT_READY;
use crate::trial::Trial;

pub(crate) const WRITERS: usize = 4;
/// How soon an operator's metric says it: a lock is waited for before it is given up on.
pub(crate) const TOLD: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_secs(30);
const WAITS: &str = "penstock_persister_waits_total";

const DEADLOCKS: &str = "SELECT sum(deadlocks)::bigint FROM pg_stat_database";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, what, bounded, run| Scenario { name, what, bounded, root: false, run };
    vec![
        scenario("postgres/killed", "kill -9 of the postmaster, again and again", false, |run| {
            Box::pin(restarted(run, Signal::SIGKILL))
        }),
        scenario("postgres/immediate-shutdown", "stopped without a checkpoint, again and again", false, |run| {
            Box::pin(restarted(run, Signal::SIGQUIT))
        }),
        scenario("postgres/fast-shutdown", "stopped with its sessions cut, again and again", false, |run| {
            Box::pin(restarted(run, Signal::SIGINT))
        }),
        scenario("postgres/connections-exhausted", "other clients take every connection", false, |run| {
            Box::pin(connections_exhausted(run))
        }),
        scenario("postgres/read-only", "every transaction becomes read-only", false, |run| Box::pin(read_only(run))),
        scenario("postgres/lock-held", "another client locks the table", false, |run| Box::pin(lock_held(run))),
        scenario("postgres/column-missing", "a column has another name for a while", true, |run| {
            Box::pin(column_missing(run))
        }),
        scenario("postgres/slow-commits", "every commit takes 100 ms longer", false, |run| Box::pin(slow_commits(run))),
        scenario("postgres/deadlock", "another client locks the tables in the other order", false, |run| {
            Box::pin(deadlock(run))
        }),
        scenario("postgres/interrupted", "statements cancelled and sessions terminated", false, |run| {
            Box::pin(interrupted(run))
        }),
    ]
}

async fn connect(trial: &Trial) -> PgConnection {
    PgConnection::connect(&trial.pipeline.run().postgres_url).await.expect("an administrator's connection")
}

async fn restarted(mut run: Run, signal: Signal) -> Report {
    let times = run.length(2, 10);
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let waits = trial.counter(Role::Persister, WAITS).await;
    let mut healed = Duration::ZERO;
    for _ in 0..times {
        let postmaster = trial.pipeline.run().pids.postgres.expect("up runs it");
        send(postmaster, signal);
        eventually(SOON, "up has started it again", async || match trial.pipeline.run().pids.postgres {
            Some(pid) if pid != postmaster => Ok(()),
            _ => Err("not yet"),
        })
        .await;
        healed = healed.max(trial.healed().await);
    }
    let told = trial.counted(Role::Persister, WAITS, waits).await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, note: format!("{times} times; `up` starts it again"), ..report }
}

async fn connections_exhausted(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(10), Duration::from_mins(1));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let url = trial.pipeline.run().postgres_url;
    let mut administrator = connect(&trial).await;
    let mut others = JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        others.spawn(async move {
            let mut taken = Vec::new();
            loop {
                match PgConnection::connect(&url).await {
                    Ok(connection) => taken.push(connection),
                    Err(_) => sleep(Duration::from_millis(2)).await,
                }
            }
        });
    }
    // What the persister has it keeps: it is taken away, and the others are faster.
    let end = Instant::now() + lasts;
    let mut cut = JoinSet::new();
    cut.spawn(async move {
        loop {
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'penstock-%'";
            administrator.execute(cut).await.expect("an administrator may");
            sleep(Duration::from_millis(100)).await;
        }
    });
    let told = trial.tells(Role::Persister, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    others.shutdown().await;
    cut.shutdown().await;
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, ..report }
}

async fn read_only(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(10), Duration::from_mins(1));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let mut administrator = connect(&trial).await;
    let end = Instant::now() + lasts;
    for statement in ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"] {
        administrator.execute(statement).await.expect("an administrator may");
    }
    let told = trial.tells(Role::Persister, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    for statement in ["ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"] {
        administrator.execute(statement).await.expect("an administrator may");
    }
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, ..report }
}

async fn lock_held(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(15), Duration::from_mins(1));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let mut other = connect(&trial).await;
    let end = Instant::now() + lasts;
    other.execute("BEGIN").await.expect("a transaction");
    other.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let told = trial.tells(Role::Persister, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    other.execute("ROLLBACK").await.expect("a transaction");
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, note: format!("held for {} s", lasts.as_secs()), ..report }
}

async fn column_missing(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(6), Duration::from_secs(30));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let mut administrator = connect(&trial).await;
    let end = Instant::now() + lasts;
    administrator.execute("ALTER TABLE messages RENAME COLUMN text TO text_away").await.expect("a new name");
    let told = trial.tells(Role::Persister, &NOT_READY, TOLD).await;
    sleep_until(end).await;
    administrator.execute("ALTER TABLE messages RENAME COLUMN text_away TO text").await.expect("the old name");
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, note: "who renamed it has to name it back".to_owned(), ..report }
}

/// Once for each transaction, at its commit.
const SLOW: &str = "
    CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('slow.done', true) IS DISTINCT FROM txid_current()::text THEN
            PERFORM pg_sleep(0.1), set_config('slow.done', txid_current()::text, true);
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON message_keys DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION be_slow()";

async fn slow_commits(mut run: Run) -> Report {
    let lasts = run.length(Duration::from_secs(8), Duration::from_mins(1));
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    connect(&trial).await.execute(SLOW).await.expect("a trigger");
    let before = trial.pipeline.scrape(Role::Persister).await;
    sleep(lasts).await;
    let after = trial.pipeline.scrape(Role::Persister).await;
    let grown = |part: &str| {
        let name = format!("penstock_persister_batch_duration_seconds_{part}");
        after.sum(&name, &[]).unwrap_or(0.0) - before.sum(&name, &[]).unwrap_or(0.0)
    };
    let mean = grown("sum") / grown("count");
    assert!(mean > 0.1, "a batch takes {mean:.3} s: the commits are not slow");
    assert!(!NOT_READY.holds(NOT_READY.value(&after).unwrap()), "a persister that is slow is ready all the same");
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    let told = format!("`penstock_persister_batch_duration_seconds` = {mean:.2} in the mean; no alert is on it");
    Report { healed: Some(healed), told, note: "the persister stays ready".to_owned(), ..report }
}

async fn deadlock(mut run: Run) -> Report {
    let times = run.length(2, 10);
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, &mut run.random).await;
    let waits = trial.counter(Role::Persister, WAITS).await;
    let mut other = connect(&trial).await;
    // The persister is the one that finds out, and is taken back.
    other.execute("SET deadlock_timeout = '20s'").await.expect("an administrator may");
    let mut tries = 0;
    while trial.pipeline.database.number(DEADLOCKS).await < times {
        tries += 1;
        assert!(tries < 20 * times, "the locks never cross");
        for statement in [
            "BEGIN",
            "LOCK TABLE messages IN SHARE ROW EXCLUSIVE MODE",
            // The persister has its keys by then, and waits for the other table.
            "SELECT pg_sleep(0.3)",
            "LOCK TABLE message_keys IN SHARE MODE",
            "ROLLBACK",
        ] {
            other.execute(statement).await.expect("it is not the one that is taken back");
        }
        trial.goes_on().await;
    }
    let told = trial.counted(Role::Persister, WAITS, waits).await;
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, note: format!("{times} deadlocks"), ..report }
}

async fn interrupted(mut run: Run) -> Report {
    let times = run.length(30, 300);
    let random = &mut run.random;
    let mut trial = Trial::start(Mix::of_everything(), "", WRITERS, random).await;
    let waits = trial.counter(Role::Persister, WAITS).await;
    let mut administrator = connect(&trial).await;
    let mut hits = 0;
    for _ in 0..times {
        sleep(Duration::from_millis(random.below(200))).await;
        let how = if random.below(2) == 0 { "pg_cancel_backend" } else { "pg_terminate_backend" };
        let statement = format!(
            "SELECT {how}(pid) FROM pg_stat_activity WHERE application_name = 'penstock-persister' AND state <> 'idle'"
        );
        hits += administrator.fetch_all(AssertSqlSafe(statement)).await.expect("an administrator may").len();
    }
    assert!(hits > 0, "nothing was ever under way");
    let told = trial.counted(Role::Persister, WAITS, waits).await;
    let healed = trial.healed().await;
    let (report, _pipeline) = trial.end().await;
    Report { healed: Some(healed), told, note: format!("{hits} statements hit"), ..report }
}
