//! Which accepted requests have no ending yet, and how far back the database has to be asked. Pure.
//!
//! Rows become visible in almost the order in which their requests arrived. So one look takes the rows from the oldest
//! open request on: an index range about as long as what was committed since. What hangs far behind its successors would
//! make that range longer with every look; it is asked for by its id instead, less often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::message::{first_id_of, millis_of};

/// How far behind the newest row a request may be and still be found by a look at the range.
const RANGE: u64 = 500;

/// An accepted request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Posted {
    /// `Penstock-Id`.
    pub(crate) id: Uuid,
    /// When it was due, or, flat out, sent.
    pub(crate) at: Instant,
}

/// The requests without an ending.
#[derive(Debug, Default)]
pub(crate) struct Open {
    requests: BTreeMap<Uuid, Instant>,
    /// The newest row seen, in milliseconds since 1970.
    newest: u64,
}

impl Open {
    /// A request was accepted.
    pub(crate) fn accepted(&mut self, posted: Posted) {
        self.requests.insert(posted.id, posted.at);
    }

    /// An ending is visible; since the request was due, where it was open.
    pub(crate) fn ended(&mut self, id: Uuid, at: Instant) -> Option<Duration> {
        let posted = self.requests.remove(&id)?;
        self.newest = self.newest.max(millis_of(id));
        Some(at.saturating_duration_since(posted))
    }

    /// From which `received_at` on rows have to be looked at; `None` where nothing is open.
    pub(crate) fn floor(&self) -> Option<u64> {
        let (oldest, _) = self.requests.first_key_value()?;
        Some(millis_of(*oldest).max(self.newest.saturating_sub(RANGE)))
    }

    /// Up to `limit` requests that a look at the range does not find any more.
    pub(crate) fn stragglers(&self, limit: usize) -> Vec<Uuid> {
        let floor = self.newest.saturating_sub(RANGE);
        self.requests.range(..first_id_of(floor)).take(limit).map(|(id, _)| *id).collect()
    }

    /// Up to `limit` requests that have been open for so long: what ended elsewhere than in the tables that are looked at.
    pub(crate) fn overdue(&self, now: Instant, age: Duration, limit: usize) -> Vec<Uuid> {
        let old = self.requests.iter().take(limit).filter(|(_, at)| now.saturating_duration_since(**at) > age);
        old.map(|(id, _)| *id).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(millis: u64) -> Uuid {
        Uuid::from_u128((u128::from(millis) << 80) + 7)
    }

    fn open(millis: &[u64], at: Instant) -> Open {
        let mut open = Open::default();
        for millis in millis {
            open.accepted(Posted { id: id(*millis), at });
        }
        open
    }

    #[test]
    fn a_look_begins_at_the_oldest_open_request() {
        let now = Instant::now();
        let mut open = open(&[1002, 1000, 1001], now);
        assert_eq!(open.floor(), Some(1000));
        assert_eq!(open.ended(id(1000), now + Duration::from_millis(9)), Some(Duration::from_millis(9)));
        assert_eq!(open.floor(), Some(1001));
        open.ended(id(1002), now);
        assert_eq!((open.floor(), open.len()), (Some(1001), 1));
        open.ended(id(1001), now);
        assert!(open.floor().is_none() && open.is_empty());
    }

    #[test]
    fn a_row_counts_once_and_a_foreign_one_never() {
        let now = Instant::now();
        let mut open = open(&[1000], now);
        assert!(open.ended(id(5), now).is_none());
        assert!(open.ended(id(1000), now).is_some());
        assert!(open.ended(id(1000), now).is_none());
    }

    #[test]
    fn what_hangs_behind_does_not_make_every_look_longer() {
        let now = Instant::now();
        let mut open = open(&[1000, 9000, 9001], now);
        open.ended(id(9000), now);
        assert_eq!(open.floor(), Some(8500));
        assert_eq!(open.stragglers(10), [id(1000)]);
        assert!(open.overdue(now, Duration::from_secs(1), 10).is_empty());
        assert_eq!(open.overdue(now + Duration::from_secs(2), Duration::from_secs(1), 10).len(), 2);
    }
}
