//! Which stretch of a table is gone through next: a state machine. Pure.
//!
//! A walk goes forwards to the front, which is the moment before which rows of its group are too old, and then moves with
//! it: what has become too old since the last look. Behind it nothing is left, but for what was written there later:
//!
//! - It begins anywhere, and once it has come to the front at the beginning. If it always began there, a process that is
//!   restarted often would never come to the front of a large table.
//! - Once a day, if it is at the front, it goes back: to the first row that it had to leave (stored too lately, or held by
//!   somebody), and to where the oldest record could come from when it last went back (a request that was held, a dead
//!   letter that was replayed). Where that is today would not do: after a long outage it leaps over what has just come.

use chrono::{DateTime, Utc};
use proto::Millis;
use uuid::Uuid;

/// How long until it goes back, in milliseconds.
const AGAIN: i64 = 24 * 60 * 60 * 1000;

/// A place in a table: after the row with this primary key. The default is before every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) id: Uuid,
}

impl Place {
    /// Before every row from a moment on.
    pub(crate) fn at(received_at: DateTime<Utc>) -> Self {
        Self { received_at, id: Uuid::nil() }
    }
}

/// How far a table was gone through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Where the next stretch begins; before the first none, which means anywhere.
    place: Option<Place>,
    /// Whether it began at the beginning by now.
    whole: bool,
    /// When it last went back.
    back: Option<Millis>,
    /// Where nothing that has come since then can be before.
    late: Place,
    /// The first row that it has left since then, though it was old enough.
    left: Option<Place>,
    at_front: bool,
    /// Whether a stretch failed in this look.
    failed: bool,
}

impl Walk {
    /// Where the next stretch begins.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place
    }

    /// Whether there is nothing to do before the next look: it has come to the front, or does not get on.
    pub(crate) fn rests(&self) -> bool {
        self.at_front || self.failed
    }

    /// Begins a look: the front has moved. Nothing that was received before `late` comes any more.
    pub(crate) fn look(&mut self, now: Millis, late: Option<Millis>) {
        self.failed = false;
        let was_at_front = std::mem::replace(&mut self.at_front, false);
        let late = late.map(|late| Place::at(late.to_datetime()));
        let Some(back) = self.back else {
            (self.back, self.late) = (Some(now), late.unwrap_or_default());
            return;
        };
        // A clock that was ahead and was set right: without this it would wait until then.
        let back = back.min(now);
        self.back = Some(back);
        // Not before it has come to the front: else it would never get there where a day is not enough.
        let is_due = was_at_front && now.as_unix().saturating_sub(back.as_unix()) >= AGAIN;
        if let (true, Some(place), Some(late)) = (is_due, self.place, late) {
            let first = place.min(self.late).min(late);
            self.place = Some(self.left.take().map_or(first, |left| left.min(first)));
            (self.back, self.late) = (Some(now), late);
        }
    }

    /// Notes that a stretch failed: it is tried again with the next look.
    pub(crate) fn fails(&mut self) {
        self.failed = true;
    }

    /// Notes that it leaves a row that was old enough: it will come back to it.
    pub(crate) fn leaves(&mut self, row: Place) {
        self.left = Some(self.left.map_or(row, |left| left.min(row)));
    }

    /// Notes that it has come as far as `place`; `at_front` where there is no row between that and the front.
    pub(crate) fn came_to(&mut self, place: Place, at_front: bool) {
        self.place = Some(place);
        if at_front && !self.whole {
            self.whole = true;
            self.place = Some(Place::default());
        } else {
            self.at_front = at_front;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Millis {
        Millis::from_unix(millis).unwrap()
    }

    fn place(millis: i64) -> Place {
        Place::at(at(millis).to_datetime())
    }

    /// A walk that has gone through everything up to 1000.
    fn at_front(now: Millis) -> Walk {
        let mut walk = Walk::default();
        walk.look(now, Some(at(500)));
        walk.came_to(place(1000), true);
        walk.came_to(place(1000), true);
        assert!(walk.rests());
        walk
    }

    #[test]
    fn what_is_before_where_it_began_is_gone_through_too() {
        let mut walk = Walk::default();
        walk.look(at(0), None);
        assert_eq!(walk.place(), None, "anywhere");
        walk.came_to(place(700), false);
        assert_eq!(walk.place(), Some(place(700)));
        walk.came_to(place(1000), true);
        assert_eq!((walk.place(), walk.rests()), (Some(place(0)), false));
        walk.came_to(place(1000), true);
        assert_eq!((walk.place(), walk.rests()), (Some(place(1000)), true));
    }

    #[test]
    fn it_moves_with_the_front() {
        let mut walk = at_front(at(0));
        walk.look(at(60_000), Some(at(500)));
        assert_eq!((walk.place(), walk.rests()), (Some(place(1000)), false));
        walk.came_to(place(1060), true);
        assert_eq!((walk.place(), walk.rests()), (Some(place(1060)), true));
    }

    #[test]
    fn a_walk_that_failed_rests_where_it_is_until_the_next_look() {
        let mut walk = at_front(at(0));
        walk.look(at(60_000), Some(at(500)));
        walk.fails();
        assert!(walk.rests());
        walk.look(at(AGAIN), Some(at(500)));
        assert_eq!((walk.place(), walk.rests()), (Some(place(1000)), false), "it is not at the front");
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_keep_it_from_going_back() {
        let mut walk = at_front(at(1000 * AGAIN));
        walk.look(at(10), Some(at(500)));
        walk.came_to(place(1000), true);
        walk.look(at(10 + AGAIN), Some(at(500)));
        assert_eq!(walk.place(), Some(place(500)));
    }

    #[test]
    fn once_a_day_it_looks_for_what_has_come_late() {
        let mut walk = at_front(at(0));
        walk.look(at(AGAIN - 1), Some(at(500)));
        assert_eq!(walk.place(), Some(place(1000)));
        walk.came_to(place(1000), true);
        walk.look(at(AGAIN), None);
        assert_eq!(walk.place(), Some(place(1000)), "it is not known from where");
        walk.came_to(place(1000), true);
        walk.look(at(AGAIN + 1), Some(at(500)));
        assert_eq!(walk.place(), Some(place(500)));
        walk.came_to(place(1000), true);
        assert!(walk.rests(), "once");
        walk.look(at(2 * AGAIN), Some(at(500)));
        assert_eq!(walk.place(), Some(place(1000)));
    }

    #[test]
    fn it_goes_back_to_where_something_could_come_from_since_it_last_did() {
        let mut walk = at_front(at(0));
        walk.look(at(AGAIN), Some(at(800)));
        assert_eq!(walk.place(), Some(place(500)), "the backlog that moved this on has come since");
        walk.came_to(place(1000), true);
        walk.look(at(2 * AGAIN), Some(at(2000)));
        assert_eq!(walk.place(), Some(place(800)));
        walk.came_to(place(1000), true);
        walk.look(at(3 * AGAIN), Some(at(2000)));
        assert_eq!(walk.place(), Some(place(1000)), "it does not leave anything out");
    }

    #[test]
    fn it_comes_back_to_the_first_row_that_it_had_to_leave() {
        let mut walk = at_front(at(0));
        walk.leaves(place(300));
        walk.leaves(place(400));
        walk.look(at(AGAIN), Some(at(800)));
        assert_eq!(walk.place(), Some(place(300)));
        walk.came_to(place(1000), true);
        walk.look(at(2 * AGAIN), Some(at(800)));
        assert_eq!(walk.place(), Some(place(800)), "nothing was left this time");
    }

    #[test]
    fn it_comes_to_the_front_before_it_goes_back_however_long_that_takes() {
        let mut walk = at_front(at(0));
        walk.look(at(AGAIN), Some(at(500)));
        for day in 2..5 {
            walk.came_to(place(500 + day), false);
            walk.look(at(day * AGAIN), Some(at(500)));
            assert_eq!(walk.place(), Some(place(500 + day)));
        }
        walk.came_to(place(1000), true);
        walk.look(at(5 * AGAIN), Some(at(500)));
        assert_eq!(walk.place(), Some(place(500)));
    }
}
