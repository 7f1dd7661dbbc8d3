//! What a check has to have seen: one in which nothing was ever trimmed, corrected or erased would prove little.

use stateright::Property;

use crate::bounds::Bounds;
use crate::promises::{all_have_ended, each, has_ended, is_at_rest, is_row};
use crate::state::{Claim, Feed, Record, State};

/// What has to be seen within these bounds.
pub fn of(bounds: &Bounds) -> Vec<Property<Bounds>> {
    let records = 0..bounds.records.len();
    let are_copies = |one: Record, other: Record| bounds.records[one].key == bounds.records[other].key;
    let pairs = records.flat_map(|one| (0..one).map(move |other| (one, other)));
    let has = |relation: &dyn Fn(Record, Record) -> bool| pairs.clone().any(|(one, other)| relation(one, other));
    let mut sights = Vec::new();
    if has(&|one, other| bounds.are_repeats(one, other)) {
        sights.push(Property::sometimes("at rest, a row and its repeat", a_row_and_its_repeat));
    }
    if bounds.faults > 0 {
        sights.push(Property::sometimes("a record that has ended claims its key again", claimed_again));
        sights.push(Property::sometimes("something is late, and everything has ended", late_after_all));
    }
    if has(&|one, other| are_copies(one, other) && !bounds.are_repeats(one, other)) {
        sights.push(Property::sometimes("a key has a window beside its holder's", another_window));
        sights.push(Property::sometimes("two rows of one key", two_rows_of_one_key));
    }
    if bounds.records.iter().any(|record| !record.replays.is_empty()) {
        sights.push(Property::sometimes("a row is what a replay read", a_row_is_of_a_replay));
    }
    if bounds.erasures > 0 {
        sights.push(Property::sometimes("a copy of what was erased ends as erased", a_copy_ends_as_erased));
    }
    sights
}

fn a_row_and_its_repeat(bounds: &Bounds, state: &State) -> bool {
    is_at_rest(state) && all_have_ended(bounds, state) && !each(bounds, |record| is_row(state, record))
}

fn claimed_again(_: &Bounds, state: &State) -> bool {
    state.unique.iter().flatten().any(|claim| match claim {
        Claim::Message(record, Feed::Waits) => has_ended(state, *record),
        Claim::Message(..) | Claim::Empty(_) => false,
    })
}

fn late_after_all(bounds: &Bounds, state: &State) -> bool {
    !state.late.is_empty() && all_have_ended(bounds, state)
}

fn another_window(_: &Bounds, state: &State) -> bool {
    !state.tables.past.is_empty()
}

fn two_rows_of_one_key(_: &Bounds, state: &State) -> bool {
    let rows = || state.tables.rows.iter().flatten();
    rows().any(|row| rows().filter(|other| other.key == row.key).count() > 1)
}

fn a_row_is_of_a_replay(_: &Bounds, state: &State) -> bool {
    state.tables.rows.iter().flatten().any(|row| row.run > 0)
}

fn a_copy_ends_as_erased(bounds: &Bounds, state: &State) -> bool {
    !each(bounds, |record| {
        state.tables.repeats[record].is_none_or(|repeat| !repeat.erased || repeat.original == record)
    })
}
