//! Asks the tables what of some requests has ended.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use proto::Millis;
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};
use uuid::Uuid;

use crate::audit::endings::{Ended, Ending, Endings};

/// Times at most this far from each other, in milliseconds, are looked up as one stretch.
const GAP: i64 = 20;

/// What of these requests has ended, by their ids. Every one of them is in the answer.
pub(crate) async fn endings(
    pool: &PgPool,
    requests: impl Iterator<Item = (Uuid, Millis)>,
) -> Result<HashMap<Uuid, Endings>, sqlx::Error> {
    let mut times = Vec::new();
    let mut endings: HashMap<Uuid, Endings> = HashMap::new();
    for (id, received_at) in requests {
        times.push(received_at);
        endings.entry(id).or_default();
    }
    let (first, last): (Vec<_>, Vec<_>) =
        stretches(times).into_iter().map(|(first, last)| (first.to_datetime(), last.to_datetime())).unzip();
    let mut rows = sqlx::query(include_str!("../sql/endings.sql")).bind(first).bind(last).fetch(pool);
    while let Some(row) = rows.try_next().await? {
        // Of the same time, and another request's.
        if let Some(endings) = endings.get_mut(&row.try_get::<Uuid, _>(0)?) {
            endings.add(ended(&row)?);
        }
    }
    drop(rows);
    let left: Vec<Uuid> = endings.iter().filter(|(_, endings)| !endings.are_whole()).map(|(id, _)| *id).collect();
    if !left.is_empty() {
        let letters = sqlx::query("SELECT request_id, part FROM dead_letters WHERE request_id = ANY($1)");
        for row in letters.bind(left).fetch_all(pool).await? {
            if let Some(endings) = endings.get_mut(&row.try_get::<Uuid, _>(0)?) {
                let part = place(row.try_get(1)?);
                endings.add(Ended { part, parts: None, superseded: false, ending: Ending::DeadLetter });
            }
        }
    }
    Ok(endings)
}

fn ended(row: &PgRow) -> Result<Ended, sqlx::Error> {
    Ok(Ended {
        part: place(row.try_get(1)?),
        parts: row.try_get::<Option<i32>, _>(2)?.map(place),
        superseded: row.try_get(3)?,
        ending: match row.try_get::<i16, _>(4)? {
            0 => Ending::Message,
            1 => Ending::Status,
            _ => Ending::Repeat,
        },
    })
}

fn place(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The least stretches of time that hold all of these, without long ones that hold none.
fn stretches(mut times: Vec<Millis>) -> Vec<(Millis, Millis)> {
    times.sort_unstable();
    let mut stretches: Vec<(Millis, Millis)> = Vec::new();
    for time in times {
        match stretches.last_mut() {
            Some((_, last)) if time.as_unix() - last.as_unix() <= GAP => *last = time,
            _ => stretches.push((time, time)),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_another_time_does_not_widen_the_look() {
        let at = |millis| Millis::from_unix(millis).unwrap();
        let found = stretches(vec![at(1000), at(1015), at(5), at(1035), at(1056), at(1035)]);
        assert_eq!(found, [(at(5), at(5)), (at(1000), at(1035)), (at(1056), at(1056))]);
        assert!(stretches(Vec::new()).is_empty());
    }
}
