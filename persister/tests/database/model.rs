//! The judge of the model (`model/tests/judged.rs` says how to read its file) and the real one: the same records in the
//! same order end in the same way and leave the same tables.

use std::collections::BTreeMap;

use crate::postgres::Database;
use crate::records::{MINUTE, Record, key_of, outcome, record};
use persister::Outcome::{self, Redelivered, Stored, Updated};
use sqlx::AssertSqlSafe;

const JUDGED: &str = include_str!("../../../model/tests/data/judged.txt");

/// The records of a line, in a corner of the database where nobody else's keys and requests are.
struct Case {
    number: usize,
    times: Vec<i64>,
}

impl Case {
    fn key(&self, digit: &str) -> String {
        format!("{}/{digit}", self.number)
    }

    /// The record with this letter, whose text is the number of its reading.
    fn record(&self, letter: &str, digit: &str, sequence: u64) -> Record {
        let place = "ABCD".find(letter).unwrap();
        let request = u128::try_from(self.number * 10 + place).unwrap();
        let record = record(request, self.times[place], &self.key(digit)).saying(&sequence.to_string());
        if sequence > 0 { record.replayed(sequence) } else { record }
    }

    /// Ids and keys, and what they are called in the line.
    fn names(&self) -> BTreeMap<String, &'static str> {
        let ids = ["A", "B", "C", "D"].map(|letter| (self.record(letter, "0", 0).id().to_string(), letter));
        let keys =
            ["0", "1"].map(|digit| (key_of(&self.key(digit)).as_bytes().map(|b| format!("{b:02x}")).concat(), digit));
        ids.into_iter().chain(keys).collect()
    }

    /// The tables in the words of the line.
    async fn tables(&self, db: &Database) -> String {
        let names = self.names();
        let known = names.keys().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(",");
        let mut entries = Vec::new();
        for statement in [
            "SELECT 'row:' || id || ' ' || encode(dedup_key, 'hex') || ' .' || coalesce(replay_sequence, 0)
                 || CASE WHEN text <> coalesce(replay_sequence, 0)::text THEN ' of another reading' ELSE '' END
             FROM messages WHERE id::text IN",
            "SELECT verdict || ':' || id || ' ' || encode(dedup_key, 'hex') || ' >' || original_id
             FROM duplicates WHERE id::text IN",
            "SELECT 'key:' || encode(dedup_key, 'hex') || ' ' || id || CASE WHEN erased_at IS NULL THEN '' ELSE ' !' END
             FROM message_keys WHERE encode(dedup_key, 'hex') IN",
            "SELECT 'past:' || encode(dedup_key, 'hex') || ' ' || id || CASE WHEN erased_at IS NULL THEN '' ELSE ' !' END
             FROM past_keys WHERE encode(dedup_key, 'hex') IN",
        ] {
            let statement = format!("{statement} ({known})");
            entries.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(statement)).fetch_all(&db.pool).await.unwrap());
        }
        sorted(entries.iter().map(|entry| {
            names.iter().fold(entry.clone(), |text, (name, word)| text.replace(name, word)).replace(' ', "")
        }))
    }

    fn word(&self, outcome: Outcome) -> String {
        let names = self.names();
        match outcome {
            Stored => "stored".to_owned(),
            Updated => "updated".to_owned(),
            Redelivered => "redelivered".to_owned(),
            Outcome::Duplicate { original_id } => format!("repeat:{}", names[&original_id.to_string()]),
            Outcome::Erased { original_id } => format!("erased:{}", names[&original_id.to_string()]),
        }
    }
}

fn sorted(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    words.sort_unstable();
    words.join(" ")
}

#[tokio::test]
async fn the_real_judge_says_what_the_model_says() {
    let db = Database::new().await;
    let mut steps = 0;
    for (number, line) in (1..).zip(JUDGED.lines()) {
        let [setting, events, tables] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (window, times) = setting.split_once(' ').unwrap();
        let unit = 10 * MINUTE / window.parse::<i64>().unwrap();
        let times = times.trim_matches(['[', ']']).split(',').map(|time| time.parse::<i64>().unwrap() * unit).collect();
        let case = Case { number, times };
        for event in events.split(' ') {
            steps += 1;
            if let Some(letter) = event.strip_prefix('!') {
                db.erase(&case.record(letter, "0", 0)).await;
                continue;
            }
            let (reading, expected) = event.split_once('=').unwrap();
            let (letter, digit) = (&reading[..1], &reading[1..2]);
            let delivered = case.record(letter, digit, reading[3..].parse().unwrap());
            let word = case.word(outcome(&db.store, &delivered).await);
            assert_eq!(word, expected, "line {number}, {event}: {line}");
        }
        let expected = sorted(tables.split(' ').map(str::to_owned));
        assert_eq!(case.tables(&db).await, expected, "line {number}: {line}");
    }
    assert!(steps > 1_000, "{steps} steps");
}

/// A limit, not a promise (`docs/model.md`): the model found the way, and this is it.
#[tokio::test]
async fn keys_that_change_while_copies_are_on_their_way_can_make_two_rows_of_them() {
    let db = Database::new().await;
    let (first, copy) = (record(1, 0, "old"), record(2, MINUTE, "old"));
    assert_eq!(outcome(&db.store, &first.clone().keyed("new").replayed(1)).await, Stored, "before the record itself");
    assert_eq!(outcome(&db.store, &copy).await, Stored);
    assert_eq!(outcome(&db.store, &first).await, Redelivered);
    assert_eq!(outcome(&db.store, &copy.keyed("new").replayed(2)).await, Updated);
    assert_eq!(db.number("SELECT count(*) FROM messages").await, 2);
}
