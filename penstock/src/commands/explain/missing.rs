//! Which records of a request have no ending yet. Pure.
//!
//! What a reader would get wrong: only a row says how many records its request has. Where all that is known are repeats
//! and dead letters, the highest place among them is the least there can be.

use std::collections::BTreeSet;

use persister::Found;
use proto::Millis;
use proto::id::record_id;
use uuid::Uuid;

/// The most that one look-up gives; of a request with more, what is missing is not known.
const LOOKED_UP: usize = 1000;

/// Place and id of every record without an ending; `parts` is how many there are, where a row says it.
pub(super) fn records(found: &[Found], parts: Option<u32>) -> Vec<(u32, Uuid)> {
    let Some(first) = found.first().filter(|_| found.len() < LOOKED_UP) else { return Vec::new() };
    let Some(received_at) = Millis::from_unix(first.received_at.timestamp_millis()) else { return Vec::new() };
    let known: BTreeSet<u32> = found.iter().filter_map(|found| u32::try_from(found.part).ok()).collect();
    let least = known.last().map_or(0, |last| last.saturating_add(1));
    let missing = (0..parts.unwrap_or(0).max(least)).filter(|part| !known.contains(part)).take(LOOKED_UP);
    missing.map(|part| (part, record_id(received_at, first.request_id, part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use persister::Ending;
    use proto::kind::Class;

    fn found(part: i32) -> Found {
        Found {
            id: Uuid::from_u128(1),
            request_id: Uuid::from_u128(100),
            part,
            received_at: "2026-11-23T05:53:10.123Z".parse().unwrap(),
            channel: "sms".into(),
            source: "support".into(),
            stored_at: "2026-11-23T05:53:11Z".parse().unwrap(),
            ending: Ending::Row {
                table: Class::Message,
                kind: "message".into(),
                updated_at: None,
                superseded_at: None,
            },
        }
    }

    fn places(found: &[Found], parts: Option<u32>) -> Vec<u32> {
        records(found, parts).into_iter().map(|(part, _)| part).collect()
    }

    #[test]
    fn the_records_between_and_after_those_that_ended_are_missing() {
        assert_eq!(places(&[found(0)], Some(1)), [0; 0]);
        assert_eq!(places(&[found(1)], Some(4)), [0, 2, 3]);
        assert_eq!(places(&[found(2)], None), [0, 1], "no row says how many there are");
        assert_eq!(places(&[], None), [0; 0]);
    }

    #[test]
    fn they_have_the_ids_that_the_normalizer_gives_them() {
        let time: Millis = "2026-11-23T05:53:10.123Z".parse().unwrap();
        assert_eq!(records(&[found(0)], Some(2)), [(1, record_id(time, Uuid::from_u128(100), 1))]);
    }
}
