//! What is *not* promised: the checker shows how it happens. A test here that goes red means that something became
//! better than the documents say.

use model::bounds::{Bounds, Intake, NEW_KEYS, TWO_REPLAYS};
use model::check::check;
use model::promises::{LAST_REPLAY, ONE_ROW};

fn shows(bounds: &Bounds, promise: &str) {
    let report = check(bounds, 1, |_| {});
    println!("{report}");
    assert!(report.broken.iter().any(|broken| broken.promise == promise), "{report}");
}

#[test]
fn keys_that_change_while_copies_are_on_their_way_can_make_two_rows_of_them() {
    shows(&Bounds { replays_wait: false, faults: 0, ..NEW_KEYS }, ONE_ROW);
}

#[test]
fn keys_that_change_twice_can_make_two_rows_of_copies_that_are_replayed_out_of_order() {
    const TWICE: &[Intake] =
        &[Intake { key: 0, received_at: 0, replays: &[1, 2] }, Intake { key: 0, received_at: 1, replays: &[1, 2] }];
    shows(&Bounds { records: TWICE, faults: 0, ..NEW_KEYS }, ONE_ROW);
}

#[test]
fn of_two_replays_the_one_that_was_begun_first_can_have_the_last_word() {
    shows(&Bounds { asks_for_more: true, ..TWO_REPLAYS }, LAST_REPLAY);
}
