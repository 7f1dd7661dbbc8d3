//! The protocol as it is: every order, every fault, within the bounds. The numbers of states are in the output
//! (`cargo test -p model -- --nocapture`).

use model::bounds::{self, Bounds};
use model::check::check;

fn holds(bounds: &Bounds) {
    let report = check(bounds, 1, |_| {});
    println!("{report}");
    assert!(report.holds(), "{report}");
}

#[test]
fn two_copies_are_one_row_under_any_two_faults() {
    holds(&bounds::COPIES);
}

#[test]
fn another_message_is_another_row() {
    holds(&bounds::ANOTHER);
}

#[test]
fn copies_a_window_apart_are_two_rows_whichever_comes_first() {
    holds(&bounds::WINDOWS);
}

#[test]
fn copies_on_both_sides_of_a_border_of_short_windows_are_one_row() {
    holds(&bounds::SHORT_WINDOWS);
}

#[test]
fn a_replay_corrects_the_row_also_while_everything_is_on_its_way() {
    holds(&bounds::REPLAY);
}

#[test]
fn of_two_replays_the_newer_is_the_row() {
    holds(&bounds::TWO_REPLAYS);
}

#[test]
fn a_replay_under_new_keys_makes_no_second_row() {
    holds(&bounds::NEW_KEYS);
}

#[test]
fn what_was_erased_stays_away_whatever_comes_again() {
    holds(&bounds::ERASURE);
}

#[test]
fn what_lies_between_two_windows_repeats_one_of_them_in_any_order() {
    holds(&bounds::ORDERS);
}

#[test]
fn windows_that_lie_across_each_other_have_one_row_each() {
    holds(&bounds::FOUR_COPIES);
}
