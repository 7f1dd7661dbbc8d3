//! What a row costs: batches of 500 records with a text of 1 KiB, parsed, judged and written; new ones, their repeats
//! and their redeliveries.
//!
//! `cargo run --release -p persister --example batches -- postgres://user@host/an_empty_database [batches]`
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a program for measuring: what is wrong ends it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use persister::{Outcome, Row, Settled, Store};
use proto::subject::SourceName;
use proto::{
    CanonicalMessage, Channel, DedupRule, HashKey, KeyHasher, Kind, Millis, Party, Policy, Recipient, RecordEnvelope,
    Verified, id,
};
use serde_json::value::RawValue;
use tokio::task::JoinSet;

const BATCH: u32 = 500;
const RULE: DedupRule = DedupRule { policy: Policy::Auto, window_ms: 691_200_000 };

struct Delivered {
    envelope: RecordEnvelope,
    payload: Vec<u8>,
}

/// Record `n`; `copy` 0 is the first, every other one a repeat of it in a request of its own.
fn delivered(n: u32, copy: u32) -> Delivered {
    let received_at = Millis::from_unix(1_795_412_009_120 + i64::from(n / 10)).unwrap();
    let request_id = id::request_id(received_at, blake(n, copy));
    let source = SourceName::parse("support").unwrap();
    let message = CanonicalMessage {
        id: id::record_id(received_at, request_id, 0),
        schema_version: 1,
        normalizer_version: 1,
        request_id,
        part: 0,
        parts: 1,
        channel: Channel::Sms,
        source: source.as_str().to_owned(),
        provider: "twilio".to_owned(),
        verified: Verified::Yes,
        kind: Kind::Message,
        provider_message_id: Some(format!("SM{:032x}", u128::from(n) * 0x9e37_79b9_7f4a_7c15)),
        conversation: Some(format!("support +4930111 +49151{:08}", n % 20_000)),
        sender: Some(Party::of(format!("+49151{:08}", n % 20_000))),
        recipients: vec![Recipient::to("+4930111")],
        subject: None,
        text: Some("Lorem ipsum dolor sit amet, ".repeat(37)),
        html: None,
        attachments: Vec::new(),
        reply_to_id: None,
        references: Vec::new(),
        sent_at: None,
        received_at,
        metadata: RawValue::from_string(r#"{"num_media":0,"from_country":"DE"}"#.to_owned()).unwrap(),
        truncations: Vec::new(),
        raw_sequence: n.into(),
        status: None,
    };
    let envelope = RecordEnvelope {
        request_id,
        part: 0,
        record: message.id,
        key: KeyHasher::new(&HashKey::derive(b"s")).part(n.to_le_bytes()).finish(),
        channel: Channel::Sms,
        source,
        received_at,
        replay: None,
        dedup: Some(RULE),
        body: None,
        traceparent: None,
    };
    Delivered { payload: serde_json::to_vec(&message).unwrap(), envelope }
}

/// Ten bytes that differ for every copy of every record.
fn blake(n: u32, copy: u32) -> [u8; 10] {
    let key = KeyHasher::new(&HashKey::derive(b"r")).part(n.to_le_bytes()).part(copy.to_le_bytes()).finish();
    key.as_bytes().first_chunk().copied().unwrap()
}

async fn write(store: &Store, batch: &[Delivered]) -> (Duration, Vec<Settled>) {
    let start = Instant::now();
    let rows: Vec<Row<'_>> =
        batch.iter().map(|one| Row::read(&one.payload, &one.envelope, RULE, None).unwrap()).collect();
    let parsed = start.elapsed();
    let report = store.write(&rows).await;
    assert!(report.wait.is_none(), "{:?}", report.wait);
    (parsed, report.rows)
}

/// Writes all batches over `sessions` at once and prints what a row took.
async fn measure(store: &Arc<Store>, what: &str, sessions: u32, batches: u32, copy: u32, first: u32) {
    let batch = |n| (first + n * BATCH..first + (n + 1) * BATCH).map(|n| delivered(n, copy)).collect::<Vec<_>>();
    let work: Vec<Vec<_>> =
        (0..sessions).map(|session| (session..batches).step_by(sessions as usize).map(batch).collect()).collect();
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for batches in work {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let (mut parsing, mut stored) = (Duration::ZERO, 0);
            for batch in &batches {
                let (parsed, settled) = write(&store, batch).await;
                parsing += parsed;
                stored += settled.iter().filter(|one| **one == Settled::Ended(Outcome::Stored)).count();
            }
            (parsing, stored)
        });
    }
    let (mut parsing, mut stored) = (Duration::ZERO, 0);
    while let Some(task) = tasks.join_next().await {
        let (parsed, rows) = task.unwrap();
        parsing += parsed;
        stored += rows;
    }
    let rows = f64::from(batches * BATCH);
    let micros = start.elapsed().as_secs_f64() * 1e6;
    println!(
        "{what:<22} {sessions} session(s): {:>6.0} rows/s, {:>5.1} us a row, {:.2} of them parsing; {stored} stored",
        rows / micros * 1e6,
        micros / rows,
        parsing.as_secs_f64() * 1e6 / rows,
    );
}

/// What the cheapest possible insert of the same payloads takes here and now: two indexes, no judging. The machine
/// differs from day to day; the ratio to this does not.
async fn measure_floor(url: &str, batches: u32) {
    let pool = sqlx::PgPool::connect(url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE floor (id uuid PRIMARY KEY, key bytea UNIQUE, payload text)")
        .execute(&pool)
        .await
        .unwrap();
    let work: Vec<Vec<Delivered>> =
        (0..batches).map(|n| (n * BATCH..(n + 1) * BATCH).map(|n| delivered(n, 0)).collect()).collect();
    let start = Instant::now();
    for batch in &work {
        sqlx::query(
            "INSERT INTO floor SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::text[]) ON CONFLICT DO NOTHING",
        )
        .bind(batch.iter().map(|one| one.envelope.record).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| &one.envelope.key.as_bytes()[..]).collect::<Vec<_>>())
        .bind(batch.iter().map(|one| std::str::from_utf8(&one.payload).unwrap()).collect::<Vec<_>>())
        .execute(&pool)
        .await
        .unwrap();
    }
    let (rows, micros) = (f64::from(batches * BATCH), start.elapsed().as_secs_f64() * 1e6);
    println!("{:<22} 1 session(s): {:>6.0} rows/s, {:>5.1} us a row", "floor", rows / micros * 1e6, micros / rows);
    sqlx::raw_sql("DROP TABLE floor").execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().expect("the URL of an empty database");
    let batches: u32 = arguments.next().map_or(200, |text| text.parse().expect("how many batches"));
    let store = Arc::new(Store::connect(&url, 4).await.unwrap());
    store.migrate().await.unwrap();
    let next = batches * BATCH;
    measure_floor(&url, batches).await;
    measure(&store, "new", 1, batches, 0, 0).await;
    measure(&store, "new", 2, batches, 0, next).await;
    measure(&store, "new", 2, batches, 0, 2 * next).await;
    measure(&store, "repeats", 1, batches, 1, 0).await;
    measure(&store, "repeats", 2, batches, 1, next).await;
    measure(&store, "redelivered", 1, batches, 0, 0).await;
    measure(&store, "repeats, redelivered", 1, batches, 1, 0).await;
    measure_floor(&url, batches).await;
    store.close().await;
}
