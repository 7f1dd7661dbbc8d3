//! Somebody taken out of the tables: what is about him is found, goes, and stays away.

use chrono::DateTime;
use persister::Outcome::Stored;
use persister::erasure::{Erased, Erasure, FileName, PersonsRow};
use proto::kind::Class;
use proto::{Attachment, Kind, Party, Recipient};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::postgres::Database;
use crate::records::{MINUTE, Record, erased, outcome, outcomes, record, repeat_of};

impl Database {
    async fn erasure(&self) -> Erasure {
        Erasure::connect(&self.url).await.unwrap()
    }

    /// Erases one record, as `penstock erase` does.
    pub(crate) async fn erase(&self, record: &Record) {
        let message = &record.message;
        let row = PersonsRow {
            table: Class::Message,
            id: message.id,
            received_at: DateTime::from_timestamp_millis(message.received_at.as_unix()).unwrap(),
            request_id: message.request_id,
            raw_sequence: message.raw_sequence,
            sender: None,
            wrote: true,
        };
        let erasure = self.erasure().await;
        erasure.erase(&[row]).await.unwrap();
        erasure.close().await;
    }

    async fn found(&self, address: &str) -> Vec<PersonsRow> {
        self.erasure().await.find(&[address.to_owned()]).await.unwrap()
    }
}

fn ids(rows: &[PersonsRow]) -> Vec<Uuid> {
    rows.iter().map(|row| row.id).collect()
}

fn from(address: &str, mut record: Record) -> Record {
    record.message.sender = Some(Party::of(address));
    record
}

fn with_file(content: &str, mut record: Record) -> Record {
    let hash = blake3::hash(content.as_bytes()).to_hex().to_string();
    let location = Some(format!("file:///files/{hash}"));
    let size = Some(content.len() as u64);
    record.message.attachments = vec![Attachment { blake3: Some(hash), location, size, ..Attachment::default() }];
    record
}

#[tokio::test]
async fn every_row_that_somebody_is_in_is_found_and_no_other() {
    let db = Database::new().await;
    let wrote = from("Jo@Example.com", record(1, 0, "a"));
    let mut copied = record(2, 1, "b");
    copied.message.recipients = vec![Recipient::to("+4930111"), Recipient::to("jo@example.COM")];
    let mut named = record(3, 2, "c");
    let fields = r#"{"fields": {"contact": ["x", {"mail": "JO@example.com"}]}}"#;
    named.message.metadata = RawValue::from_string(fields.to_owned()).unwrap();
    let mut status = from("+4930111", record(4, 3, "d").of_kind(Kind::Status));
    status.message.status.as_mut().unwrap().recipient = Some("jo@example.com".to_owned());
    let others = [
        from("banjo@example.com", record(5, 4, "e")),
        record(6, 5, "f").saying("write to jo@example.com"),
        from("jo@example.com.evil", record(7, 6, "g")),
    ];
    outcomes(&db.store, &[wrote.clone(), copied.clone(), named.clone(), status.clone()]).await;
    outcomes(&db.store, &others).await;

    let found = db.found("jo@example.com").await;
    assert_eq!(ids(&found), [wrote.id(), copied.id(), named.id(), status.id()]);
    assert_eq!(found.iter().map(|row| row.wrote).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(found[3].table, Class::Status);
    let content = db.erasure().await.content(&found).await.unwrap();
    assert_eq!(content.len(), 4);
    assert_eq!(
        (content[0]["table"].as_str(), content[0]["sender_address"].as_str()),
        (Some("messages"), Some("Jo@Example.com"))
    );
}

#[tokio::test]
async fn an_erased_row_leaves_an_ending_and_nothing_that_says_who_it_was() {
    let db = Database::new().await;
    let (row, repeat, late) = (record(1, 0, "k"), record(2, MINUTE, "k"), record(3, 2 * MINUTE, "k"));
    let status = from("+4915112345678", record(4, 0, "s").of_kind(Kind::Status));
    assert_eq!(outcomes(&db.store, &[row.clone(), status.clone()]).await, [Stored, Stored]);
    assert_eq!(outcome(&db.store, &repeat).await, repeat_of(&row));

    let erasure = db.erasure().await;
    let found = db.found("+4915112345678").await;
    assert_eq!(erasure.repeats(&found).await.unwrap().len(), 1);
    assert_eq!(erasure.erase(&found).await.unwrap(), Erased { messages: 1, statuses: 1 });
    assert_eq!(erasure.blank_repeats().await.unwrap(), 1);
    assert_eq!(erasure.erase(&found).await.unwrap(), Erased::default(), "a second time there is nothing left");

    assert_eq!(outcome(&db.store, &late).await, erased(&row), "a late copy");
    assert_eq!(outcome(&db.store, &status).await, erased(&status), "a redelivery");
    assert_eq!(outcome(&db.store, &row.clone().replayed(9)).await, erased(&row), "a replay");
    assert_eq!(db.found("+4915112345678").await.len(), 0);
    let entries =
        "SELECT concat_ws(' ', id, original_id, verdict, provider_message_id) FROM duplicates ORDER BY received_at, id";
    let expected =
        [(&row, &row, "erased"), (&status, &status, "erased"), (&repeat, &row, "repeat"), (&late, &row, "erased")];
    let mut expected = expected.map(|(entry, original, word)| {
        (entry.message.received_at, entry.id(), format!("{} {} {word}", entry.id(), original.id()))
    });
    expected.sort();
    assert_eq!(db.texts(entries).await, expected.map(|(_, _, text)| text));
}

#[tokio::test]
async fn a_file_goes_only_when_nobody_else_of_its_month_needs_it() {
    let db = Database::new().await;
    let shared = with_file("shared", from("jo@example.com", record(1, 0, "a")));
    let own = with_file("own", from("jo@example.com", record(2, 0, "b")));
    let other = with_file("shared", record(3, MINUTE, "c"));
    outcomes(&db.store, &[shared, own, other.clone()]).await;
    let erasure = db.erasure().await;
    let found = db.found("jo@example.com").await;
    let name = |content: &str| FileName {
        month: "2026-11".into(),
        blake3: blake3::hash(content.as_bytes()).to_hex().to_string(),
    };
    assert_eq!(erasure.files(&found).await.unwrap(), [name("own")]);
    assert_eq!(erasure.all_files(&found).await.unwrap().len(), 2);
    // Behind the file and before his rows.
    assert_eq!(erasure.referring(&[name("own"), name("shared")], &found).await.unwrap(), [other.message.request_id]);
    erasure.erase(&found).await.unwrap();
    assert!(erasure.referring(&[name("own")], &[]).await.unwrap().is_empty());
    assert_eq!(erasure.referring(&[name("shared")], &[]).await.unwrap(), [other.message.request_id]);
}

#[tokio::test]
async fn whoever_is_judged_while_the_original_is_erased_ends_as_a_repeat_or_as_erased_and_never_as_a_row() {
    let db = Database::new().await;
    for round in 0..20 {
        let key = format!("key {round}");
        let original = record(10 * round + 1, 0, &key);
        assert_eq!(outcome(&db.store, &original).await, Stored);
        let copies: Vec<Record> = (2..8).map(|copy| record(10 * round + copy, MINUTE, &key)).collect();
        let judged = futures::future::join_all(copies.iter().map(|copy| outcome(&db.store, copy)));
        let (outcomes, ()) = tokio::join!(judged, db.erase(&original));
        for outcome in outcomes {
            assert!(outcome == repeat_of(&original) || outcome == erased(&original), "{outcome:?}");
        }
    }
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 0);
}
