//! Which record refers to which file, and when files go.

use std::path::Path;

use crate::postgres::Database;
use crate::records::{MINUTE, Record, outcome, outcomes, record, repeat_of};
use bytes::Bytes;
use persister::Outcome::{Stored, Updated};
use persister::housekeeping::clear_files;
use persister::metrics::Metrics;
use proto::{Attachment, Kind, Millis};
use runtime::config::{Config, Environment, Need, Requirements};
use runtime::objects::{ObjectName, Objects};

const REFERENCES: &str =
    "SELECT concat_ws(' ', left(id::text, 13), position, blake3, size) FROM message_attachments ORDER BY 1";

/// A record with files of these hashes; `-` is a reference of the provider's.
fn with_files(mut record: Record, hashes: &[&str]) -> Record {
    let file = |hash: &&str| match *hash {
        "-" => Attachment { location: Some("https://media.example/1".into()), ..Attachment::default() },
        hash => Attachment {
            blake3: Some(hash.into()),
            size: Some(3),
            location: Some(format!("file:///files/2026-11/{hash}")),
            ..Attachment::default()
        },
    };
    record.message.attachments = hashes.iter().map(file).collect();
    record
}

fn reference(record: &Record, position: u32, hash: &str) -> String {
    format!("{} {position} {hash} 3", &record.id().to_string()[..13])
}

#[tokio::test]
async fn a_table_says_which_record_refers_to_which_file() {
    let db = Database::new().await;
    let first = with_files(record(1, 0, "a"), &["aa", "-", "bb", "aa"]);
    let bounce = with_files(record(2, MINUTE, "b").of_kind(Kind::Bounce), &["bb"]);
    let repeat = with_files(record(3, 2 * MINUTE, "a"), &["aa"]);
    let batch = [first.clone(), bounce.clone(), repeat, record(4, 3 * MINUTE, "d")];
    assert_eq!(outcomes(&db.store, &batch).await, [Stored, Stored, repeat_of(&first), Stored]);
    let expected = [
        reference(&first, 0, "aa"),
        reference(&first, 2, "bb"),
        reference(&first, 3, "aa"),
        reference(&bounce, 0, "bb"),
    ];
    assert_eq!(db.texts(REFERENCES).await, expected);
    outcomes(&db.store, &batch).await;
    assert_eq!(db.texts(REFERENCES).await, expected, "a redelivery changes nothing");
}

#[tokio::test]
async fn a_file_that_was_not_stored_is_referred_to_by_nobody() {
    let db = Database::new().await;
    let mut record = with_files(record(1, 0, "a"), &["aa"]);
    record.message.attachments[0].location = None;
    outcome(&db.store, &record).await;
    assert_eq!(db.number("SELECT count(*) FROM message_attachments").await, 0);
}

#[tokio::test]
async fn a_corrected_row_refers_to_what_its_new_reading_has() {
    let db = Database::new().await;
    let first = with_files(record(1, 0, "a"), &["aa", "bb"]);
    outcome(&db.store, &first).await;
    let corrected = with_files(record(1, 0, "a"), &["cc"]).replayed(1);
    assert_eq!(outcome(&db.store, &corrected).await, Updated);
    assert_eq!(db.texts(REFERENCES).await, [reference(&first, 0, "cc")]);
    let moved = with_files(record(1, 0, "a"), &["dd"]).of_kind(Kind::Bounce).replayed(2);
    assert_eq!(outcome(&db.store, &moved).await, Updated);
    assert_eq!(db.texts(REFERENCES).await, [reference(&first, 0, "dd")]);
    let without = record(1, 0, "a").replayed(3);
    assert_eq!(outcome(&db.store, &without).await, Updated);
    assert_eq!(db.number("SELECT count(*) FROM message_attachments").await, 0);
}

/// A store in a folder.
fn store_in(folder: &Path) -> (Config, Objects) {
    let requirements = Requirements {
        nats: Need::Unused,
        postgres: Need::Unused,
        hash_key: Need::Unused,
        source_secrets: Need::Unused,
        attachments: Need::Unused,
    };
    let text = format!("[attachments]\nstore = \"file://{}\"", folder.display());
    let config = Config::parse_for(&text, "", &Environment::default(), requirements).unwrap();
    let objects = Objects::open(&config.attachments).unwrap().unwrap();
    (config, objects)
}

#[tokio::test]
async fn the_files_of_a_month_go_after_its_partition_and_never_before() {
    let (db, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let (config, objects) = store_in(folder.path());
    let metrics = Metrics::new(&config);
    outcomes(&db.store, &[record(1, 0, "a"), record(2, 31 * 24 * 60 * MINUTE, "b")]).await;
    let mut names = Vec::new();
    for month in ["2026-11", "2026-12", "2026-10"] {
        for content in ["a", "b"] {
            let name = ObjectName { month: month.into(), hash: blake3::hash(content.as_bytes()) };
            objects.put(&name, Bytes::from_static(content.as_bytes())).await.unwrap();
            names.push(folder.path().join(name.to_string()));
        }
    }
    let foreign = [folder.path().join("notes"), folder.path().join("2026-10").join("report.pdf")];
    for path in &foreign {
        std::fs::write(path, "not ours").unwrap();
    }
    // As a process leaves it that is killed while it writes.
    std::fs::write(folder.path().join("2026-11").join(format!("{}#1", blake3::hash(b"x").to_hex())), "half").unwrap();
    let left = || names.iter().map(|name| name.exists()).collect::<Vec<_>>();
    let clear = async |cutoff: &str| {
        clear_files(&db.store, &objects, Some(cutoff.parse::<Millis>().unwrap()), &metrics).await;
    };
    clear("2026-10-31T23:59:59Z").await;
    assert_eq!(left(), [true; 6], "October is not over");
    clear("2026-12-01T00:00:00Z").await;
    assert_eq!(left(), [true, true, true, true, false, false], "November is over, and still has its rows");
    db.store.drop_months("2026-12-01T00:00:00Z".parse().unwrap(), 10, &mut Vec::new()).await.unwrap();
    clear("2026-12-01T00:00:00Z").await;
    assert_eq!(left(), [false, false, true, true, false, false]);
    assert!(foreign.iter().all(|path| path.exists()) && !folder.path().join("2026-11").exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_deleted_is_told_and_does_not_keep_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (_, objects) = store_in(folder.path());
    let name = |n: u32| ObjectName { month: "2026-11".into(), hash: blake3::hash(&n.to_be_bytes()) };
    for n in 1..100 {
        objects.put(&name(n), Bytes::from_static(b"x")).await.unwrap();
    }
    // A folder in its place.
    std::fs::create_dir(folder.path().join(name(0).to_string())).unwrap();
    objects.delete("2026-11", (0..100).map(|n| name(n).hash).collect()).await.unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path().join("2026-11")).unwrap().count(), 1);
}
