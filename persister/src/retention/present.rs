//! What time it is where something is deleted for good: what two clocks agree has come.
//!
//! A broker that starts with a clock that is years ahead would have every month dropped in a minute. So the earlier of its
//! time and PostgreSQL's counts, and a single wrong clock deletes nothing too early: one that is ahead is not believed, one
//! that is behind deletes late.

use proto::Millis;
use runtime::nats::Nats;
use runtime::stream_info::{InfoError, Reach};
use tracing::warn;

use crate::housekeeping::RECORDS;
use crate::store::{Store, StoreError};

/// How far behind the broker PostgreSQL may be before somebody should know, in milliseconds.
const BEHIND: i64 = 5 * 60 * 1000;

/// Why it is not known what time it is.
#[derive(Debug, thiserror::Error)]
pub enum TimeError {
    /// Not by the broker.
    #[error(transparent)]
    Broker(#[from] InfoError),
    /// Not by the database.
    #[error(transparent)]
    Database(#[from] StoreError),
}

/// How far back the streams reach, by the earlier of the two clocks.
pub(crate) async fn reach(nats: &Nats, store: &Store) -> Result<Reach, TimeError> {
    let broker = nats.reach(&RECORDS).await?;
    let database = store.now().await?;
    if is_behind(broker, database) {
        let (broker, database) = (told(broker.now), told(database));
        warn!(
            broker,
            database, "PostgreSQL's clock is behind NATS's: retention goes by the earlier; set the wrong one"
        );
    }
    Ok(earlier(broker, database))
}

fn told(moment: i64) -> String {
    Millis::from_unix(moment).map_or_else(|| "unknown".to_owned(), |moment| moment.to_string())
}

fn is_behind(broker: Reach, database: i64) -> bool {
    broker.now.saturating_sub(database) > BEHIND
}

/// The oldest message is not younger than now: of empty streams it is the broker's own time.
fn earlier(broker: Reach, database: i64) -> Reach {
    let now = broker.now.min(database);
    Reach { now, oldest: broker.oldest.min(now) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_ahead_is_not_believed_whichever_it_is() {
        let ahead = earlier(Reach { now: 5000, oldest: 4000 }, 1000);
        assert_eq!((ahead.now, ahead.oldest), (1000, 1000));
        let behind = earlier(Reach { now: 1000, oldest: 400 }, 5000);
        assert_eq!((behind.now, behind.oldest), (1000, 400));
    }

    #[test]
    fn a_time_of_the_broker_that_cannot_be_read_stays_unknown() {
        let unknown = earlier(Reach { now: i64::MIN, oldest: i64::MIN }, 1000);
        assert_eq!((unknown.now, unknown.oldest), (i64::MIN, i64::MIN));
    }

    #[test]
    fn a_database_that_is_behind_for_more_than_five_minutes_is_told() {
        let broker = Reach { now: 10 * BEHIND, oldest: 0 };
        assert!(!is_behind(broker, broker.now - BEHIND) && is_behind(broker, broker.now - BEHIND - 1));
        assert!(!is_behind(broker, broker.now + 10 * BEHIND) && !is_behind(Reach { now: i64::MIN, oldest: 0 }, 0));
    }
}
