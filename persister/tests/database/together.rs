//! Several sessions at the same keys at the same time, and writes that are cut off.

#![expect(clippy::disallowed_methods, reason = "every task is awaited by its test")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::postgres::{Database, eventually};
use crate::records::{Dice, MINUTE, Record, START, key_of, letter, outcome, record, repeat_of, write};
use persister::Outcome::{self, Redelivered, Stored};
use persister::{Expired, Settled, Store};
use proto::{Kind, Millis};
use sqlx::Row as _;
use uuid::Uuid;

/// Gives records until every one of them has ended, as the broker does.
async fn deliver(store: &Store, records: Vec<Record>) -> Vec<Outcome> {
    for _ in 0..50 {
        let report = write(store, &records).await;
        let ended: Option<Vec<Outcome>> = report
            .rows
            .iter()
            .map(|settled| match settled {
                Settled::Ended(outcome) => Some(*outcome),
                Settled::Waits => None,
                Settled::Dead(refusal) => panic!("{refusal:?}"),
            })
            .collect();
        if let Some(ended) = ended {
            return ended;
        }
    }
    panic!("never ended")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_sessions_with_the_same_keys_make_one_row_a_key() {
    let db = Arc::new(Database::new().await);
    for round in 0..25_u128 {
        let mut sessions = Vec::new();
        for session in 0..3_u128 {
            let db = Arc::clone(&db);
            let keys = (0..40_u128).map(|n| record(round * 1000 + session * 100 + n, 0, &format!("{round}/{n}")));
            // Each in an order of its own.
            let batch = Dice(u64::try_from(round * 3 + session).unwrap()).shuffled(keys.collect());
            sessions.push(tokio::task::spawn(async move { deliver(&db.store, batch).await }));
        }
        let mut stored = 0;
        for session in sessions {
            stored += session.await.unwrap().iter().filter(|outcome| **outcome == Stored).count();
        }
        assert_eq!(stored, 40, "round {round}");
    }
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 25 * 40);
    assert_eq!(db.number("SELECT count(DISTINCT dedup_key) FROM messages").await, 25 * 40);
    assert_eq!(db.number("SELECT count(*) FROM duplicates").await, 25 * 80);
}

/// What has to hold whatever the order was: every id has one ending; two rows of one key are a window apart; a repeat
/// is inside the window of its original, which is a row.
async fn check(db: &Database, sent: &HashSet<Uuid>) {
    let read = |table: &'static str, original: &'static str| {
        let statement = format!(
            "SELECT id, encode(dedup_key, 'hex'), (extract(epoch from received_at) * 1000)::bigint, {original} FROM {table}"
        );
        async move {
            let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&db.pool).await.unwrap();
            rows.iter()
                .map(|row| {
                    (row.get::<Uuid, _>(0), row.get::<String, _>(1), row.get::<i64, _>(2), row.get::<Uuid, _>(3))
                })
                .collect::<Vec<_>>()
        }
    };
    let mut rows = read("messages", "id").await;
    rows.extend(read("message_statuses", "id").await);
    let repeats = read("duplicates", "original_id").await;
    let mut endings: Vec<Uuid> = rows.iter().chain(&repeats).map(|entry| entry.0).collect();
    endings.sort_unstable();
    let mut expected: Vec<Uuid> = sent.iter().copied().collect();
    expected.sort_unstable();
    assert_eq!(endings, expected, "one ending for each id");

    let mut by_key: HashMap<&str, Vec<i64>> = HashMap::new();
    for (_, key, at, _) in &rows {
        by_key.entry(key).or_default().push(*at);
    }
    for (key, mut times) in by_key {
        times.sort_unstable();
        let apart = times.windows(2).all(|pair| pair[1] - pair[0] >= 10 * MINUTE);
        assert!(apart, "two rows of {key} in one window: {times:?}");
    }
    let by_id: HashMap<Uuid, i64> = rows.iter().map(|(id, _, at, _)| (*id, *at)).collect();
    for (id, _, at, original) in repeats {
        let original_at = by_id.get(&original).unwrap_or_else(|| panic!("{id} repeats {original}, which is no row"));
        assert!((original_at - at).abs() < 10 * MINUTE, "{id} repeats {original}, which is out of its window");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_order_each_id_ends_once_and_no_window_has_two_rows() {
    for seed in 0..4_u64 {
        let db = Arc::new(Database::new().await);
        let mut dice = Dice(seed);
        // 12 keys, an hour and a half of messages, each delivered one to three times, half of these as replays.
        let messages: Vec<Record> = (0..400_u128)
            .map(|n| {
                let at = i64::try_from(dice.below(90 * 60_000)).unwrap();
                record(n, at, &format!("k{}", dice.below(12)))
            })
            .collect();
        let sent: HashSet<Uuid> = messages.iter().map(Record::id).collect();
        let mut deliveries = Vec::new();
        for message in messages {
            for _ in 0..=dice.below(3) {
                let copy = message.clone();
                deliveries.push(match dice.below(8) {
                    0 => copy.replayed(dice.below(4)),
                    1 => copy.of_kind(Kind::Status).replayed(dice.below(4)),
                    _ => copy,
                });
            }
        }
        // The first of each id could have been lost above only if it had no delivery at all; there is always one.
        let deliveries = dice.shuffled(deliveries);
        let mut sessions = Vec::new();
        for session in 0..3 {
            let db = Arc::clone(&db);
            let own: Vec<Record> = deliveries.iter().skip(session).step_by(3).cloned().collect();
            let size = usize::try_from(1 + dice.below(40)).unwrap();
            sessions.push(tokio::task::spawn(async move {
                for batch in own.chunks(size) {
                    deliver(&db.store, batch.to_vec()).await;
                }
            }));
        }
        for session in sessions {
            session.await.unwrap();
        }
        check(&db, &sent).await;
    }
}

/// A session of ours that holds the lock of a key.
async fn hold<'p>(db: &'p Database, key: &str) -> sqlx::Transaction<'p, sqlx::Postgres> {
    let mut other = db.pool.begin().await.unwrap();
    sqlx::query("SELECT FROM message_keys WHERE dedup_key = $1 FOR UPDATE")
        .bind(&key_of(key).as_bytes()[..])
        .fetch_one(&mut *other)
        .await
        .unwrap();
    other
}

async fn somebody_waits(db: &Database) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    eventually("a session waits for a lock", async || db.number(waiting).await > 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_while_waiting_for_the_key_is_seen() {
    let db = Arc::new(Database::new().await);
    let (first, repeat) = (record(1, 0, "k"), record(2, MINUTE, "k"));
    outcome(&db.store, &first).await;
    let mut other = hold(&db, "k").await;
    let waiting = {
        let (db, repeat) = (Arc::clone(&db), repeat.clone());
        tokio::task::spawn(async move { outcome(&db.store, &repeat).await })
    };
    somebody_waits(&db).await;
    // Another session ends the same id as a repeat; then the key goes to a record of which it would be none. A
    // statement that kept the snapshot it began with would make the id a row as well.
    let take = format!(
        "INSERT INTO duplicates SELECT '{}', '{}', request_id, 0, id, channel, source, NULL, 'auto', 'repeat', dedup_key, 0
             FROM messages;
         UPDATE message_keys SET id = gen_random_uuid(), received_at = received_at + interval '1 h',
             expires_at = expires_at + interval '1 h'",
        repeat.id(),
        repeat.message.received_at
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(take)).execute(&mut *other).await.unwrap();
    other.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), repeat_of(&first));
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_deleted_while_waiting_for_it_is_claimed_anew() {
    let db = Arc::new(Database::new().await);
    outcome(&db.store, &record(1, 0, "k")).await;
    let mut other = hold(&db, "k").await;
    let second = record(2, 20 * MINUTE, "k");
    let waiting = {
        let (db, second) = (Arc::clone(&db), second.clone());
        tokio::task::spawn(async move { outcome(&db.store, &second).await })
    };
    somebody_waits(&db).await;
    sqlx::query("DELETE FROM message_keys").execute(&mut *other).await.unwrap();
    other.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Stored);
    assert_eq!(db.number("SELECT count(*) FROM message_keys").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_caller_is_gone_is_committed_and_leaves_no_open_transaction() {
    let db = Arc::new(Database::new().await);
    outcome(&db.store, &record(1, 0, "k")).await;
    let other = hold(&db, "k").await;
    let caller = {
        let db = Arc::clone(&db);
        tokio::task::spawn(async move { write(&db.store, &[record(2, 0, "k"), record(3, 0, "l")]).await })
    };
    somebody_waits(&db).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    other.rollback().await.unwrap();
    let stored = "SELECT count(*) FROM messages";
    eventually("the batch is committed all the same", async || db.number(stored).await == 2).await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    eventually("no transaction stays open", async || db.number(open).await == 0).await;
    assert_eq!(outcome(&db.store, &record(3, 0, "l")).await, Redelivered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_not_judged_beside_another_batch() {
    let db = Arc::new(Database::new().await);
    let first = record(1, 0, "k");
    outcome(&db.store, &first).await;
    let other = hold(&db, "k").await;
    let spawn = |record: Record| {
        let db = Arc::clone(&db);
        tokio::task::spawn(async move { outcome(&db.store, &record).await })
    };
    // The same id at the same time under two keys, one of them somebody else's: a row or a repeat, never both.
    let repeat = record(2, MINUTE, "k");
    let plain = spawn(repeat.clone());
    somebody_waits(&db).await;
    let replayed = spawn(repeat.clone().keyed("own").replayed(1));
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()";
    eventually("the replay waits for the batch", async || db.number(waiting).await == 1).await;
    other.rollback().await.unwrap();
    assert_eq!(plain.await.unwrap(), repeat_of(&first));
    // Judged beside it, the replay would have found no repeat yet and have made a row under its own key.
    assert_eq!(replayed.await.unwrap(), repeat_of(&first));
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 1);
    assert_eq!(db.number("SELECT count(*) FROM duplicates").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_can_be_swept_while_others_are_judged() {
    let db = Arc::new(Database::new().await);
    let sweeping = {
        let db = Arc::clone(&db);
        tokio::task::spawn(async move {
            let mut deleted = 0;
            for _ in 0..200 {
                let at = Millis::from_unix(START + 20 * MINUTE).unwrap();
                let expired = Expired { before: at, erased_before: at };
                deleted += db.store.delete_expired_keys(expired, 2, Duration::ZERO).await.unwrap().deleted;
            }
            deleted
        })
    };
    for round in 0..20_u128 {
        let batch = (0..50).map(|n| record(round * 100 + n, 5 * MINUTE, &format!("{round}/{n}"))).collect();
        deliver(&db.store, batch).await;
    }
    assert!(sweeping.await.unwrap() > 0);
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_recorded_beside_its_row_is_closed() {
    let db = Arc::new(Database::new().await);
    let letters: Vec<_> = (0..60_u128).map(|n| (record(n, 0, &format!("{n}")), n)).collect();
    let mut tasks = Vec::new();
    for (record, _) in letters {
        let letter = letter(&record, "refused");
        let (one, two) = (Arc::clone(&db), Arc::clone(&db));
        tasks.push(tokio::task::spawn(async move { drop(deliver(&one.store, vec![record]).await) }));
        tasks.push(tokio::task::spawn(async move { two.store.record_dead_letters(&[letter]).await.unwrap() }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(db.number("SELECT count(*) FROM dead_letters WHERE closed_by = 'row'").await, 60);
}
