//! What must hold in every state, and what must come in the end.
//!
//! Copies are told apart by the keys of their first readings here, not by what the tables say: the tables are what is
//! checked.

use stateright::{Model as _, Property};

use crate::bounds::Bounds;
use crate::sights;
use crate::state::{Canonical, Claim, Feed, History, Record, Repeat, State};

/// A record without an ending is in a stream, unacknowledged; so whoever dies, it comes again.
pub const NOTHING_IS_LOST: &str = "a record without an ending is still to be processed";
/// A row, or a repeat.
pub const ONE_ENDING: &str = "no record has two endings";
/// The window of section 5 of the design, from both sides.
pub const ONE_ROW: &str = "two rows of one message are a window apart";
/// A repeat points at a row in its window, or at what was erased. Else it is a message that was dropped.
pub const REPEATS_A_ROW: &str = "what is called a repeat has its original, in its window";
/// Whatever comes later.
pub const ROWS_STAY: &str = "a row goes only by an erasure";
/// Neither itself nor as a copy in its window.
pub const ERASED_STAYS_AWAY: &str = "what was erased stays away";
/// Trimming.
pub const NOTHING_UNPROCESSED_IS_TRIMMED: &str = "what is not processed is not trimmed";
/// Once nothing is left to do.
pub const NEWEST_REPLAY: &str = "at rest, a row is what its newest replay read";
/// Not promised: of two replays the one that came later through `DUPLICATES` is the newer, and a crash can make the
/// one that was begun first the later one there.
pub const LAST_REPLAY: &str = "at rest, a row is what the replay read that was begun last";
/// Nobody waits for what does not come.
pub const NOBODY_IS_STUCK: &str = "while there is something to do, somebody can do it";
/// On every path.
pub const EVERY_RECORD_ENDS: &str = "every record ends";

/// All of them, and what has to be seen within these bounds.
pub fn of(bounds: &Bounds) -> Vec<Property<Bounds>> {
    let mut properties = vec![
        Property::always(NOTHING_IS_LOST, nothing_is_lost),
        Property::always(ONE_ENDING, one_ending),
        Property::always(ONE_ROW, one_row),
        Property::always(REPEATS_A_ROW, repeats_a_row),
        Property::always(ROWS_STAY, rows_stay),
        Property::always(ERASED_STAYS_AWAY, erased_stays_away),
        Property::always(NOTHING_UNPROCESSED_IS_TRIMMED, nothing_unprocessed_is_trimmed),
        Property::always(NEWEST_REPLAY, newest_replay),
        Property::always(NOBODY_IS_STUCK, nobody_is_stuck),
        Property::eventually(EVERY_RECORD_ENDS, all_have_ended),
    ];
    if bounds.asks_for_more {
        properties.push(Property::always(LAST_REPLAY, last_replay));
    }
    properties.extend(sights::of(bounds));
    properties
}

fn nothing_is_lost(bounds: &Bounds, state: &State) -> bool {
    each(bounds, |record| has_ended(state, record) || is_to_come(bounds, state, record))
}

fn one_ending(bounds: &Bounds, state: &State) -> bool {
    each(bounds, |record| !is_row(state, record) || state.tables.repeats[record].is_none())
}

fn one_row(bounds: &Bounds, state: &State) -> bool {
    let are_too_near = |one, other| is_row(state, one) && is_row(state, other) && bounds.are_repeats(one, other);
    each(bounds, |one| !(0..one).any(|other| are_too_near(one, other)))
}

fn repeats_a_row(bounds: &Bounds, state: &State) -> bool {
    each(bounds, |record| {
        state.tables.repeats[record].is_none_or(|Repeat { original, erased, .. }| {
            let is_there = state.history.erased[original] || (is_row(state, original) && !erased);
            let is_it = if original == record { erased } else { bounds.are_repeats(original, record) };
            is_there && is_it
        })
    })
}

fn rows_stay(bounds: &Bounds, state: &State) -> bool {
    let History { was_row, erased, .. } = &state.history;
    each(bounds, |record| !was_row[record] || is_row(state, record) || erased[record])
}

fn erased_stays_away(bounds: &Bounds, state: &State) -> bool {
    let comes_back = |erased, record| is_row(state, record) && bounds.are_repeats(erased, record);
    each(bounds, |erased| !state.history.erased[erased] || each(bounds, |record| !comes_back(erased, record)))
}

fn nothing_unprocessed_is_trimmed(_: &Bounds, state: &State) -> bool {
    !state.history.trimmed_unprocessed
}

fn newest_replay(bounds: &Bounds, state: &State) -> bool {
    let is_newest = |record: Record| {
        let newest = state.history.newest[record];
        let none_is_missing = newest > 0 || last_begun(bounds, state, record) == 0;
        state.tables.rows[record].is_none_or(|row| row.run == newest && none_is_missing)
    };
    !is_at_rest(state) || each(bounds, is_newest)
}

fn last_replay(bounds: &Bounds, state: &State) -> bool {
    let is_last =
        |record: Record| state.tables.rows[record].is_none_or(|row| row.run == last_begun(bounds, state, record));
    !is_at_rest(state) || each(bounds, is_last)
}

/// The run that was begun last of a record's; 0 where there was none.
fn last_begun(bounds: &Bounds, state: &State, record: Record) -> usize {
    let mut runs = 1..=bounds.records[record].replays.len();
    runs.rfind(|run| state.canonical[record][*run] != Canonical::NotYet).unwrap_or(0)
}

fn nobody_is_stuck(bounds: &Bounds, state: &State) -> bool {
    let can_go_on = || {
        let mut actions = Vec::new();
        bounds.actions(state, &mut actions);
        !actions.is_empty()
    };
    is_at_rest(state) || can_go_on()
}

/// Whether every record has an ending.
pub(crate) fn all_have_ended(bounds: &Bounds, state: &State) -> bool {
    each(bounds, |record| has_ended(state, record))
}

pub(crate) fn each(bounds: &Bounds, holds: impl Fn(Record) -> bool) -> bool {
    (0..bounds.records.len()).all(holds)
}

pub(crate) fn is_row(state: &State, record: Record) -> bool {
    state.tables.rows[record].is_some()
}

pub(crate) fn has_ended(state: &State, record: Record) -> bool {
    is_row(state, record) || state.tables.repeats[record].is_some()
}

/// Whether some stream will deliver it. What is in a hand or on the wire does not count: both can be gone the next moment.
fn is_to_come(bounds: &Bounds, state: &State, record: Record) -> bool {
    let waits = |feed| feed != Feed::Acknowledged;
    let in_canonical = state.canonical[record].iter().any(|place| match place {
        Canonical::There(feed) => waits(*feed),
        Canonical::Never | Canonical::NotYet => false,
    });
    let in_unique = match state.unique[bounds.subject(record)] {
        Some(Claim::Message(holder, feed)) => holder == record && waits(feed),
        Some(Claim::Empty(_)) | None => false,
    };
    in_canonical || in_unique || state.duplicates.iter().any(|duplicate| duplicate.message.record == record)
}

pub(crate) fn is_at_rest(state: &State) -> bool {
    let canonical = state.canonical.iter().flatten();
    let mut unique = state.unique.iter().flatten();
    canonical.copied().all(|place| !matches!(place, Canonical::There(Feed::Waits | Feed::InHand)))
        && unique.all(|claim| matches!(claim, Claim::Message(_, Feed::Acknowledged) | Claim::Empty(_)))
        && state.duplicates.is_empty()
        && state.late.is_empty()
        && state.routing.iter().all(Option::is_none)
        && state.writing.iter().all(Option::is_none)
}
