//! Rows that are kept for a shorter time than all rows, and the files of theirs.

use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use bytes::Bytes;
use persister::Outcome::{Redelivered, Stored};
use persister::metrics::Metrics;
use persister::retention::files::clear_unneeded;
use persister::retention::kept::Kept;
use persister::retention::rows::Sweeper;
use proto::{Attachment, Kind, Millis};
use runtime::config::{Config, Environment, Need, Requirements};
use runtime::objects::{ObjectName, Objects};
use runtime::stream_info::Reach;

use crate::postgres::Database;
use crate::records::{MINUTE, Record, START, outcome, outcomes, record, repeat_of};

const DAY: i64 = 24 * 60 * MINUTE;
/// `support` keeps its rows for ten days.
const TEN_DAYS: &str = "[[sources]]\nname = 'support'\nchannel = 'sms'\nprovider = 'twilio'\nretention = '10d'\n";
/// As long as it takes.
const BUDGET: Duration = Duration::from_mins(1);

fn config(text: &str) -> Config {
    let requirements = Requirements {
        nats: Need::Unused,
        postgres: Need::Unused,
        hash_key: Need::Unused,
        source_secrets: Need::Unused,
        attachments: Need::Optional,
    };
    Config::parse_for(text, "", &Environment::default(), requirements).unwrap()
}

/// A persister that deletes, so long after the tests' moment.
struct Process {
    sweeper: Sweeper,
    kept: Kept,
    metrics: Metrics,
}

impl Process {
    fn with(text: &str) -> Self {
        let config = config(text);
        Self { sweeper: Sweeper::default(), kept: Kept::of(&config), metrics: Metrics::new(&config) }
    }

    fn reload(&mut self, text: &str) {
        self.kept = Kept::of(&config(text));
    }

    /// What it does in a minute that is `after` the tests' moment, where nothing comes that is 60 days old.
    async fn minute(&mut self, db: &Database, after: i64, budget: Duration) {
        let now = START + after;
        let (reach, late) = (Reach { now, oldest: now }, Millis::from_unix(now - 60 * DAY));
        self.sweeper.sweep(&db.store, &self.kept, reach, late, budget, &self.metrics).await.unwrap();
    }
}

/// A database in which everything is stored as if it had been two days ago.
async fn stored_long_ago() -> Database {
    let db = Database::new().await;
    for table in ["messages", "message_statuses", "duplicates"] {
        db.run(&format!("ALTER TABLE {table} ALTER stored_at SET DEFAULT now() - interval '2 days'")).await;
    }
    db
}

/// The rows of all tables: the table, and the texts or ids by which a test knows them.
async fn left(db: &Database) -> Vec<String> {
    db.texts(
        "SELECT 'message ' || text FROM messages UNION ALL SELECT 'status ' || text FROM message_statuses
         UNION ALL SELECT 'duplicate ' || source FROM duplicates
         UNION ALL SELECT 'file ' || blake3 FROM message_attachments ORDER BY 1",
    )
    .await
}

fn with_file(mut record: Record, hash: &str) -> Record {
    let location = Some(format!("file:///files/2026-11/{hash}"));
    record.message.attachments =
        vec![Attachment { blake3: Some(hash.to_owned()), size: Some(3), location, ..Attachment::default() }];
    record
}

#[tokio::test]
async fn rows_of_a_source_go_after_its_own_time_with_all_that_is_said_of_them_and_those_of_others_stay() {
    let db = stored_long_ago().await;
    let of_others = [
        with_file(record(5, 0, "e").sent_by("sales").saying("other"), "bb"),
        record(6, 1, "e").sent_by("sales"),
        record(7, 0, "f").sent_by("sales").of_kind(Kind::Bounce).saying("other"),
    ];
    let records = [
        with_file(record(1, 0, "a").saying("old"), "aa"),
        record(2, 1, "a"),
        with_file(record(3, 0, "b").of_kind(Kind::Bounce).saying("old"), "cc"),
        record(4, MINUTE, "c").saying("young"),
    ];
    outcomes(&db.store, &[&records[..], &of_others].concat()).await;
    let mut process = Process::with(TEN_DAYS);
    process.minute(&db, 10 * DAY, BUDGET).await;
    assert_eq!(left(&db).await.len(), 10, "at ten days nothing is older than that");
    process.minute(&db, 10 * DAY + 2, BUDGET).await;
    let others = ["duplicate sales", "file bb", "message other"];
    assert_eq!(left(&db).await, [&others[..], &["message young", "status other"]].concat());
    process.minute(&db, 10 * DAY + MINUTE + 1, BUDGET).await;
    assert_eq!(left(&db).await, [&others[..], &["status other"]].concat());
}

#[tokio::test]
async fn a_source_has_its_own_time_or_its_channels_and_one_that_is_not_in_the_file_keeps_its_rows() {
    let db = stored_long_ago().await;
    let of = |request, name: &str| record(request, 0, name).sent_by(name).saying(name);
    outcomes(&db.store, &[of(1, "support"), of(2, "sales"), of(3, "gone")]).await;
    let longer = TEN_DAYS.replace("10d", "30d");
    let as_channel = "[[sources]]\nname = 'sales'\nchannel = 'sms'\nprovider = 'twilio'\n";
    let channels = "retention.channels = { sms = '20d', form = '8d' }\n";
    let mut process = Process::with(&format!("{channels}{longer}{as_channel}"));
    process.minute(&db, 21 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, ["message gone", "message support"]);
    // The source is taken out of the file, or is not in it yet: somebody is still writing it.
    process.reload(&format!("{channels}{as_channel}"));
    process.minute(&db, 31 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, ["message gone", "message support"]);
    process.reload(&format!("{channels}{longer}{as_channel}"));
    process.minute(&db, 31 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, ["message gone"]);
}

#[tokio::test]
async fn nothing_is_deleted_where_the_brokers_time_is_not_known() {
    let db = stored_long_ago().await;
    outcome(&db.store, &record(1, 0, "a").saying("old")).await;
    let mut process = Process::with(TEN_DAYS);
    for now in [i64::MIN, i64::MAX] {
        let reach = Reach { now, oldest: now };
        process.sweeper.sweep(&db.store, &process.kept, reach, None, BUDGET, &process.metrics).await.unwrap();
    }
    assert_eq!(left(&db).await, ["message old"]);
}

#[tokio::test]
async fn a_row_that_comes_too_late_goes_within_a_day() {
    let db = stored_long_ago().await;
    let mut process = Process::with(TEN_DAYS);
    outcome(&db.store, &record(2, DAY, "b").sent_by("sales").saying("where it has come to")).await;
    process.minute(&db, 20 * DAY, BUDGET).await;
    outcome(&db.store, &record(1, 0, "a").saying("a dead letter that was replayed")).await;
    process.minute(&db, 20 * DAY + MINUTE, BUDGET).await;
    process.minute(&db, 21 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, ["message where it has come to"]);
}

#[tokio::test]
async fn a_row_that_is_too_old_when_it_is_stored_stays_for_a_day_and_goes_within_two() {
    let db = Database::new().await;
    let copies =
        [record(1, 0, "a").saying("late"), record(2, 0, "a"), record(3, 0, "b").of_kind(Kind::Bounce).saying("late")];
    outcomes(&db.store, &copies).await;
    let mut process = Process::with(TEN_DAYS);
    // Nothing comes from there any more: only that it was seen brings the walk back to it.
    let stored = 80 * DAY;
    process.minute(&db, stored, BUDGET).await;
    process.minute(&db, stored + DAY, BUDGET).await;
    let all = ["duplicate support", "message late", "status late"];
    assert_eq!(left(&db).await, all);
    for table in ["messages", "message_statuses", "duplicates"] {
        db.run(&format!("UPDATE {table} SET stored_at = now() - interval '25 hours'")).await;
    }
    process.minute(&db, stored + DAY + MINUTE, BUDGET).await;
    assert_eq!(left(&db).await, all, "the walk is at the front");
    process.minute(&db, stored + 2 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_table_that_fails_is_told_and_does_not_keep_the_rows_of_others() {
    let db = stored_long_ago().await;
    let copies =
        [record(1, 0, "a").saying("old"), record(2, 0, "a"), record(3, 0, "b").of_kind(Kind::Bounce).saying("old")];
    outcomes(&db.store, &copies).await;
    let mut process = Process::with(TEN_DAYS);
    db.run("ALTER TABLE message_statuses RENAME TO elsewhere").await;
    let (now, late) = (START + 20 * DAY, Millis::from_unix(START));
    let reach = Reach { now, oldest: now };
    process.sweeper.sweep(&db.store, &process.kept, reach, late, BUDGET, &process.metrics).await.unwrap_err();
    db.run("ALTER TABLE elsewhere RENAME TO message_statuses").await;
    assert_eq!(left(&db).await, ["status old"]);
    process.minute(&db, 20 * DAY + MINUTE, BUDGET).await;
    assert_eq!(left(&db).await, Vec::<String>::new());
}

/// Rows of `support` and of `sales`, one a minute each from the tests' moment on.
async fn many_rows(db: &Database, rows: i64) {
    outcome(&db.store, &record(1, 0, "a").saying("first")).await;
    outcome(&db.store, &record(2, rows * MINUTE - 1, "b").sent_by("sales").saying("last")).await;
    let columns = "request_id, part, parts, channel, provider, verified, kind, recipients, attachments, \
                   thread_references, metadata, truncations, raw_sequence, normalizer_version, dedup_key, text";
    db.run(&format!(
        "INSERT INTO messages (id, received_at, source, {columns})
         SELECT gen_random_uuid(), received_at + n * interval '1 min', s, {columns}
         FROM messages, generate_series(1, {rows} - 1) n, unnest(ARRAY['support', 'sales']) s WHERE text = 'first'"
    ))
    .await;
}

const OF_SUPPORT: &str = "SELECT count(*) FROM messages WHERE source = 'support'";
const OF_OTHERS: &str = "SELECT count(*) FROM messages WHERE source <> 'support'";

#[tokio::test]
async fn processes_that_never_live_to_the_end_reach_every_row() {
    let db = stored_long_ago().await;
    many_rows(&db, 5000).await;
    for _ in 0..500 {
        Process::with(TEN_DAYS).minute(&db, 20 * DAY, Duration::ZERO).await;
        if db.number(OF_SUPPORT).await == 0 {
            assert_eq!(db.number(OF_OTHERS).await, 5000);
            return;
        }
    }
    panic!("{} rows are left", db.number(OF_SUPPORT).await);
}

#[tokio::test]
async fn a_process_that_has_little_time_each_minute_comes_to_the_end() {
    let db = stored_long_ago().await;
    many_rows(&db, 3000).await;
    let mut process = Process::with(TEN_DAYS);
    let mut minutes = 0;
    while db.number(OF_SUPPORT).await > 0 {
        process.minute(&db, 20 * DAY, Duration::ZERO).await;
        minutes += 1;
        assert!(minutes < 100, "{} rows are left", db.number(OF_SUPPORT).await);
    }
    assert!(minutes > 1, "a stretch is not the whole table");
    assert_eq!(db.number(OF_OTHERS).await, 3000);
}

#[tokio::test]
async fn several_do_it_at_once_and_nobody_waits_for_a_row_that_somebody_holds() {
    let db = stored_long_ago().await;
    many_rows(&db, 4000).await;
    let mut held = db.pool.begin().await.unwrap();
    sqlx::query(
        "SELECT FROM messages WHERE text = 'first' AND source = 'support' ORDER BY received_at LIMIT 1 FOR UPDATE",
    )
    .execute(&mut *held)
    .await
    .unwrap();
    let [mut one, mut two, mut three] = [(); 3].map(|()| Process::with(TEN_DAYS));
    tokio::join!(
        one.minute(&db, 80 * DAY, BUDGET),
        two.minute(&db, 80 * DAY, BUDGET),
        three.minute(&db, 80 * DAY, BUDGET)
    );
    assert_eq!((db.number(OF_SUPPORT).await, db.number(OF_OTHERS).await), (1, 4000));
    // Nothing comes from there any more.
    held.rollback().await.unwrap();
    one.minute(&db, 81 * DAY, BUDGET).await;
    assert_eq!(db.number(OF_SUPPORT).await, 0, "it is found another time");
}

#[tokio::test]
async fn a_repeat_of_a_row_that_is_gone_is_still_a_repeat() {
    let db = stored_long_ago().await;
    let first = record(1, 0, "a").saying("first");
    let earlier_repeat = record(2, MINUTE, "a");
    assert_eq!(outcomes(&db.store, &[first.clone(), earlier_repeat.clone()]).await, [Stored, repeat_of(&first)]);
    let mut process = Process::with(TEN_DAYS);
    process.minute(&db, 10 * DAY + 1, BUDGET).await;
    assert_eq!(left(&db).await, ["duplicate support"]);
    // Another copy, late; and the one that was a repeat, once more and by a replay.
    assert_eq!(outcome(&db.store, &record(3, 2 * MINUTE, "a")).await, repeat_of(&first));
    assert_eq!(outcome(&db.store, &earlier_repeat).await, repeat_of(&first));
    assert_eq!(outcome(&db.store, &earlier_repeat.clone().replayed(1)).await, repeat_of(&first));
    assert_eq!(left(&db).await, ["duplicate support"; 2]);
    // Once they are gone too, it is the same.
    process.minute(&db, 12 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, Vec::<String>::new());
    assert_eq!(outcome(&db.store, &earlier_repeat.replayed(2)).await, repeat_of(&first));
    process.minute(&db, 13 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_is_read_again_after_its_row_went_comes_back_once_and_goes_again() {
    let db = stored_long_ago().await;
    let first = record(1, 0, "a").saying("first");
    outcome(&db.store, &first).await;
    let mut process = Process::with(TEN_DAYS);
    process.minute(&db, 10 * DAY + 1, BUDGET).await;
    assert_eq!(outcome(&db.store, &first.clone().replayed(1)).await, Stored);
    assert_eq!(outcome(&db.store, &first).await, Redelivered);
    assert_eq!(left(&db).await, ["message first"]);
    process.minute(&db, 12 * DAY, BUDGET).await;
    assert_eq!(left(&db).await, Vec::<String>::new());
}

#[tokio::test]
async fn files_go_when_no_row_of_their_month_refers_to_them_and_nothing_can_come_that_would() {
    let db = stored_long_ago().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&format!("[attachments]\nstore = \"file://{}\"", folder.path().display()));
    let (objects, metrics) = (Objects::open(&config.attachments).unwrap().unwrap(), Metrics::new(&config));
    let hash_of = |content: &str| blake3::hash(content.as_bytes());
    let hex = |content: &str| hash_of(content).to_hex().to_string();
    let mut paths = Vec::new();
    for (month, content) in [
        ("2026-11", "old"),
        ("2026-11", "shared"),
        ("2026-11", "of another"),
        ("2026-11", "never referred to"),
        ("2026-12", "shared"),
        ("2026-08", "of a month that has no tables"),
    ] {
        let name = ObjectName { month: month.to_owned(), hash: hash_of(content) };
        objects.put(&name, Bytes::from_static(content.as_bytes())).await.unwrap();
        paths.push(folder.path().join(name.to_string()));
    }
    let foreign = folder.path().join("2026-11").join("report.pdf");
    std::fs::write(&foreign, "not ours").unwrap();
    let there = || paths.iter().map(|path| path.exists()).collect::<Vec<_>>();
    outcomes(
        &db.store,
        &[
            with_file(record(1, 0, "a"), &hex("old")),
            with_file(record(2, 0, "b"), &hex("shared")),
            with_file(record(3, 0, "c").sent_by("sales"), &hex("shared")),
            with_file(record(4, 0, "d").sent_by("sales"), &hex("of another")),
            // Of December, with what November has too.
            with_file(record(5, 20 * DAY, "e"), &hex("of another")),
        ],
    )
    .await;
    Process::with(TEN_DAYS).minute(&db, 15 * DAY, BUDGET).await;
    let clear = async |settled: &str| {
        clear_unneeded(&db.store, &objects, settled.parse::<Millis>().unwrap(), &metrics).await.unwrap();
    };
    clear("2026-11-30T23:59:59.999Z").await;
    assert_eq!(there(), [true; 6], "something of November may still come");
    // Stored again since: whoever did that may be about to pass its record on.
    let stored = |path: &std::path::Path, time: &str| {
        let time: Millis = time.parse().unwrap();
        let time = std::time::UNIX_EPOCH + Duration::from_millis(time.as_unix().unsigned_abs());
        std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    for path in &paths {
        stored(path, "2026-11-24T00:00:00Z");
    }
    stored(&paths[3], "2027-01-02T00:00:00Z");
    clear("2027-01-01T00:00:00Z").await;
    assert_eq!(there(), [false, true, true, true, false, true]);
    clear("2027-01-03T00:00:00Z").await;
    assert_eq!(there(), [false, true, true, false, false, true]);
    assert!(foreign.exists());
}

#[tokio::test]
async fn a_month_whose_files_cannot_be_listed_is_told_and_does_not_keep_those_of_the_next() {
    let db = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&format!("[attachments]\nstore = \"file://{}\"", folder.path().display()));
    let (objects, metrics) = (Objects::open(&config.attachments).unwrap().unwrap(), Metrics::new(&config));
    outcomes(&db.store, &[record(1, 0, "a"), record(2, 31 * DAY, "b")]).await;
    let mut paths = Vec::new();
    for month in ["2026-11", "2026-12"] {
        let name = ObjectName { month: month.to_owned(), hash: blake3::hash(b"old") };
        objects.put(&name, Bytes::from_static(b"old")).await.unwrap();
        paths.push(folder.path().join(name.to_string()));
    }
    // No text: the store does not know what to call it.
    let unnamed = std::ffi::OsStr::from_bytes(b"\xff");
    std::fs::write(folder.path().join("2026-11").join(unnamed), "not ours").unwrap();
    let settled: Millis = "2099-01-01T00:00:00Z".parse().unwrap();
    clear_unneeded(&db.store, &objects, settled, &metrics).await.unwrap_err();
    assert!(!paths[1].exists());
}
