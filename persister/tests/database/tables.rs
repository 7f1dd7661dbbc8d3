//! The tables: every column, the months, dead letters, and what can be looked up.

use crate::postgres::Database;
use crate::records::{MINUTE, Record, START, letter, outcome, outcomes, record};
use persister::Outcome::{Redelivered, Stored};
use persister::{DroppedMonth, Ending, Query};
use proto::kind::Class;
use proto::{Attachment, Kind, Millis, Recipient, Role, Truncation};

/// A record with something in every field.
fn full(kind: Kind) -> Record {
    let mut full = record(1, 0, "k").of_kind(kind);
    let message = &mut full.message;
    message.recipients.push(Recipient { address: None, name: Some("C".into()), role: Role::Cc });
    message.subject = Some("Subject".into());
    message.html = Some("<p>\u{e9}</p>".into());
    message.attachments = vec![Attachment {
        filename: Some("a.pdf".into()),
        content_type: None,
        size: Some(3),
        blake3: None,
        disposition: None,
        content_id: None,
        location: None,
    }];
    message.reply_to_id = Some("SM0".into());
    message.references = vec!["a".into(), "b".into()];
    message.sent_at = Millis::from_unix(START - 1);
    message.truncations = vec![Truncation { field: "text".into(), reason: "nul".into() }];
    full
}

const SHARED: &str = r#"jsonb_build_object('id', id, 'request_id', request_id, 'part', part, 'parts', parts,
    'channel', channel, 'source', source, 'provider', provider, 'verified', verified, 'kind', kind,
    'provider_message_id', provider_message_id, 'conversation', conversation,
    'sender', jsonb_build_object('address', sender_address, 'name', sender_name), 'recipients', recipients,
    'subject', subject, 'text', text, 'html', html, 'attachments', attachments, 'reply_to_id', reply_to_id,
    'references', thread_references, 'metadata', metadata, 'truncations', truncations,
    'raw_sequence', raw_sequence, 'normalizer_version', normalizer_version, 'schema_version', 1,
    'sent_at', to_char(sent_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'received_at', to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))"#;
const STATUS: &str = r#"|| jsonb_build_object('status', jsonb_build_object('status', status, 'recipient', recipient,
    'error_code', error_code,
    'occurred_at', to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))"#;

#[tokio::test]
async fn every_field_of_a_record_has_its_column() {
    for (kind, table, more) in [(Kind::Message, "messages", ""), (Kind::Bounce, "message_statuses", STATUS)] {
        let db = Database::new().await;
        let full = full(kind);
        assert_eq!(outcome(&db.store, &full).await, Stored);
        let stored = db.texts(&format!("SELECT ({SHARED} {more})::text FROM {table}")).await.remove(0);
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
        let sent: serde_json::Value = serde_json::from_slice(&full.payload()).unwrap();
        assert_eq!(stored, sent, "numbers keep their digits, too");
        let rest = format!(
            "SELECT concat_ws(' ', encode(dedup_key, 'hex'), stored_at IS NOT NULL, replay_sequence, updated_at,
                superseded_at) FROM {table}"
        );
        assert_eq!(db.texts(&rest).await, [format!("{} t", full.envelope.key)]);

        let again = Record { replay: Some(3), ..full.clone() };
        outcome(&db.store, &again).await;
        let corrected = db.texts(&format!("SELECT ({SHARED} {more})::text FROM {table}")).await.remove(0);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&corrected).unwrap(), sent);
    }
}

#[tokio::test]
async fn long_texts_are_compressed_with_lz4_where_the_server_has_it() {
    let db = Database::new().await;
    outcome(&db.store, &record(1, 0, "k").saying(&"Lorem ipsum ".repeat(1000))).await;
    let lz4 = "SELECT count(*) FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";
    let expected = if db.number(lz4).await == 1 { "lz4" } else { "pglz" };
    assert_eq!(db.texts("SELECT pg_column_compression(text) FROM messages").await, [expected]);
}

#[tokio::test]
async fn two_persisters_can_make_the_same_months() {
    let db = Database::new().await;
    let other = persister::Store::connect(&db.url, 2).await.unwrap();
    let year = 365 * 24 * 60 * MINUTE;
    for n in 0..12_u128 {
        let at = i64::try_from(n).unwrap() * year / 12;
        let (one, two) = ([record(n, at, "a")], [record(100 + n, at, "b")]);
        let (one, two) = tokio::join!(outcomes(&db.store, &one), outcomes(&other, &two));
        assert_eq!((one[0], two[0]), (Stored, Stored));
    }
    assert_eq!(db.number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'messages'::regclass").await, 12);
}

const MONTHLY: [&str; 4] = ["messages", "message_statuses", "duplicates", "message_attachments"];

fn told(dropped: &[DroppedMonth]) -> Vec<String> {
    dropped.iter().map(|dropped| format!("{} {}", dropped.table, dropped.month)).collect()
}

#[tokio::test]
async fn a_month_that_is_being_read_waits_whole_and_does_not_keep_the_next_one() {
    let db = Database::new().await;
    outcomes(&db.store, &[record(1, 0, "k"), record(2, 31 * 24 * 60 * MINUTE, "l")]).await;
    let mut reader = db.pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM message_statuses_2026_11").execute(&mut *reader).await.unwrap();
    let mut dropped = Vec::new();
    let cutoff: Millis = "2027-02-01T00:00:00Z".parse().unwrap();
    db.store.drop_months(cutoff, 10, &mut dropped).await.unwrap_err();
    let next = MONTHLY.map(|table| format!("{table} 2026-12"));
    assert_eq!(told(&dropped), [&["messages 2026-11".to_owned()][..], &next].concat());
    reader.rollback().await.unwrap();
    dropped.clear();
    db.store.drop_months(cutoff, 10, &mut dropped).await.unwrap();
    assert_eq!(told(&dropped), MONTHLY[1..].iter().map(|table| format!("{table} 2026-11")).collect::<Vec<_>>());
}

#[tokio::test]
async fn months_are_made_ahead_and_dropped_when_their_retention_is_over() {
    let db = Database::new().await;
    let month = 30 * 24 * 60 * MINUTE;
    db.store.make_months(Millis::from_unix(START).unwrap()).await.unwrap();
    let names = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'messages'::regclass ORDER BY 1";
    assert_eq!(db.texts(names).await, ["messages_2026_11", "messages_2026_12"]);
    outcomes(&db.store, &[record(1, 0, "k"), record(2, month, "l")]).await;
    let at = |text: &str| text.parse::<Millis>().unwrap();
    let mut dropped = Vec::new();
    db.store.drop_months(at("2026-11-30T23:59:59.999Z"), 10, &mut dropped).await.unwrap();
    assert_eq!(dropped, []);
    db.store.drop_months(at("2026-12-01T00:00:00Z"), 10, &mut dropped).await.unwrap();
    assert_eq!(told(&dropped), MONTHLY.map(|table| format!("{table} 2026-11")));
    assert_eq!(db.texts(names).await, ["messages_2026_12"]);
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 1);
}

#[tokio::test]
async fn a_month_is_made_while_somebody_reads() {
    let db = Database::new().await;
    outcome(&db.store, &record(1, 0, "k")).await;
    let mut reader = db.pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM messages").execute(&mut *reader).await.unwrap();
    assert_eq!(outcome(&db.store, &record(2, 40 * 24 * 60 * MINUTE, "l")).await, Stored);
    reader.rollback().await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_is_recorded_once_and_closed_by_its_ending() {
    let db = Database::new().await;
    let entries = "SELECT concat_ws(' ', stage, reason, closed_by) FROM dead_letters ORDER BY id";
    let (row, repeat, alone) = (record(1, 0, "k"), record(2, MINUTE, "k"), record(3, 2 * MINUTE, "l"));
    let letters = [letter(&row, "crash"), letter(&repeat, "crash"), letter(&alone, "crash")];
    for _ in 0..2 {
        db.store.record_dead_letters(&letters).await.unwrap();
        assert_eq!(db.texts(entries).await, ["normalizer crash"; 3]);
    }
    outcomes(&db.store, &[row.clone(), repeat.clone()]).await;
    let closed = ["normalizer crash row", "normalizer crash duplicate", "normalizer crash"];
    assert_eq!(db.texts(entries).await, closed);
    db.store.record_dead_letters(&letters).await.unwrap();
    assert_eq!(db.texts(entries).await, closed, "a late delivery opens nothing that has ended");
    db.run("UPDATE dead_letters SET closed_at = now(), closed_by = 'operator' WHERE closed_at IS NULL").await;
    db.store.record_dead_letters(&[letter(&alone, "crash"), letter(&alone, "unreadable")]).await.unwrap();
    assert_eq!(db.texts(entries).await[2], "normalizer unreadable", "it failed again: somebody has to look");
    assert_eq!(outcome(&db.store, &row).await, Redelivered);
}

#[tokio::test]
async fn every_ending_can_be_looked_up_by_every_id() {
    let db = Database::new().await;
    let (row, repeat, dead) = (record(1, 0, "k"), record(2, MINUTE, "k"), record(3, 2 * MINUTE, "l"));
    let status = record(1, 0, "s").part(1, 2).of_kind(Kind::Status);
    outcomes(&db.store, &[row.clone(), repeat.clone(), status.clone()]).await;
    db.store.record_dead_letters(&[letter(&dead, "crash")]).await.unwrap();

    for (record, expected) in [
        (&row, Ending::Row { table: Class::Message, kind: "message".into(), updated_at: None, superseded_at: None }),
        (&status, Ending::Row { table: Class::Status, kind: "status".into(), updated_at: None, superseded_at: None }),
        (&repeat, Ending::Duplicate { original_id: row.id(), verdict: "repeat".into(), policy: "auto".into() }),
        (
            &dead,
            Ending::DeadLetter {
                stage: "normalizer".into(),
                reason: "crash".into(),
                detail: "a sentence".into(),
                closed_at: None,
                closed_by: None,
            },
        ),
    ] {
        let found = db.store.lookup(Query::Id(record.id())).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, &found[0].ending), (record.id(), &expected));
        let of_request = db.store.lookup(Query::Request(record.message.request_id)).await.unwrap();
        assert!(of_request.iter().any(|found| found.id == record.id()));
    }
    let of_request = db.store.lookup(Query::Request(row.message.request_id)).await.unwrap();
    assert_eq!(of_request.iter().map(|found| found.part).collect::<Vec<_>>(), [0, 1]);
    let by_provider = db.store.lookup(Query::ProviderMessage("SMk")).await.unwrap();
    assert_eq!(by_provider.iter().map(|found| found.id).collect::<Vec<_>>(), [row.id(), repeat.id()]);
    assert_eq!(db.store.lookup(Query::Id(uuid::Uuid::nil())).await.unwrap(), []);
}
