//! Whether a connection still does something, and what to do with one that does not. No I/O and no clock.
//!
//! A request is in hand until its handler has answered. That the answer was read is not known, so a client that does
//! not read looks like one that is idle, and is treated like one. Over HTTP/2 it could read one answer now and then to look
//! busy, and leave hundreds: so the oldest one that waits counts, too.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Version;

/// What a connection has been doing: counts up at the beginning and at the end of each request.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    http2: AtomicBool,
    unwritten: Mutex<Answers>,
}

/// The numbers of the HTTP/2 answers that are not written.
#[derive(Debug, Default)]
struct Answers {
    next: u64,
    open: BTreeSet<u64>,
}

impl Activity {
    /// The number of requests so far, if none is in hand.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::Acquire);
        (self.begun.load(Ordering::Acquire) == ended).then_some(ended)
    }

    /// The number of the oldest HTTP/2 answer that is not written.
    pub(super) fn oldest_unwritten(&self) -> Option<u64> {
        self.answers().open.first().copied()
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its last request came over HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }
}

/// Counts a request as ended also where its future is dropped, because the client went away.
pub(super) struct InHand(Arc<Activity>);

impl InHand {
    pub(super) fn begin(activity: &Arc<Activity>, version: Version) -> Self {
        activity.http2.store(version == Version::HTTP_2, Ordering::Relaxed);
        activity.begun.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// An answer that is not written, until it is dropped.
pub(super) struct Unwritten {
    activity: Arc<Activity>,
    number: u64,
}

impl Unwritten {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        let mut answers = activity.answers();
        let number = answers.next;
        answers.next += 1;
        answers.open.insert(number);
        drop(answers);
        Self { activity: Arc::clone(activity), number }
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.activity.answers().open.remove(&self.number);
    }
}

/// What to do with a connection after a look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Wait,
    /// Ask it to end: what is on its way is still finished.
    End,
    /// Make it end.
    Drop,
}

/// For how many looks nothing has happened on a connection.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    /// The number of requests at the last look, if none was in hand.
    at_last_look: Option<u64>,
    /// The oldest answer that was not written then.
    unwritten: Option<u64>,
    ending: bool,
}

impl Stillness {
    /// It was asked to end; a request that crosses this on its way has a whole period to arrive.
    pub(super) fn ending(&mut self) {
        *self = Self { ending: true, ..Self::default() };
    }

    /// Decides from [`Activity::idle_since`] and [`Activity::oldest_unwritten`]. A request in hand is not cut off, as its
    /// handler has limits of its own; but for one of a client that leaves answers unread.
    pub(super) fn look(&mut self, idle_since: Option<u64>, unwritten: Option<u64>) -> Step {
        let idle = idle_since.is_some() && idle_since == self.at_last_look;
        let unread = unwritten.is_some() && unwritten == self.unwritten;
        let still = idle || unread;
        (self.at_last_look, self.unwritten) = (idle_since, unwritten);
        match (idle_since, still, self.ending) {
            (Some(0), ..) | (_, true, true) => Step::Drop,
            (_, true, false) => {
                self.ending = true;
                Step::End
            }
            (_, false, _) => Step::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_asked_to_end_before_it_is_dropped_and_a_request_in_hand_is_left_alone() {
        let looks = |stillness: &mut Stillness, looks: &[Option<u64>]| -> Vec<Step> {
            looks.iter().map(|idle_since| stillness.look(*idle_since, None)).collect()
        };
        let mut kept = Stillness::default();
        assert_eq!(looks(&mut kept, &[Some(1), Some(2), None, None, Some(3)]), [Step::Wait; 5]);
        assert_eq!(
            looks(&mut kept, &[Some(3), None, Some(4), Some(4)]),
            [Step::End, Step::Wait, Step::Wait, Step::Drop]
        );
        assert_eq!(looks(&mut Stillness::default(), &[Some(0)]), [Step::Drop]);
        let mut told = Stillness::default();
        told.look(Some(1), None);
        told.ending();
        assert_eq!(looks(&mut told, &[Some(1), Some(1)]), [Step::Wait, Step::Drop]);
    }

    #[test]
    fn an_answer_that_is_left_unread_ends_a_connection_that_goes_on_asking() {
        let mut busy = Stillness::default();
        let looks: Vec<Step> =
            [(None, 1), (None, 2), (Some(7), 2), (None, 2)].map(|(idle, oldest)| busy.look(idle, Some(oldest))).into();
        assert_eq!(looks, [Step::Wait, Step::Wait, Step::End, Step::Drop]);
        let mut reading = Stillness::default();
        assert_eq!([Some(1), Some(2), None, Some(3)].map(|oldest| reading.look(None, oldest)), [Step::Wait; 4]);
    }

    #[test]
    fn the_oldest_answer_is_known_until_it_is_dropped() {
        let activity = Arc::<Activity>::default();
        let [first, second] = [(); 2].map(|()| Unwritten::begin(&activity));
        drop(second);
        assert_eq!(activity.oldest_unwritten(), Some(0));
        let third = Unwritten::begin(&activity);
        drop(first);
        assert_eq!(activity.oldest_unwritten(), Some(2));
        drop(third);
        assert_eq!(activity.oldest_unwritten(), None);
    }
}
