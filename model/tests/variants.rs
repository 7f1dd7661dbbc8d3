//! The protocol with a piece of its safety taken out: the checker has to find each, or its silence about the real one
//! says nothing. The ways there are in the output (`cargo test -p model --test variants -- --nocapture`).

use model::bounds::{Bounds, COPIES, ERASURE, REPLAY, SHORT_WINDOWS, TWO_REPLAYS, WINDOWS};
use model::check::check;
use model::promises::{
    ERASED_STAYS_AWAY, NEWEST_REPLAY, NOTHING_IS_LOST, NOTHING_UNPROCESSED_IS_TRIMMED, ONE_ROW, REPEATS_A_ROW,
};
use model::variant::Variant;

fn breaks(bounds: Bounds, variant: Variant, promise: &str) {
    let report = check(&bounds.broken(variant), 1, |_| {});
    println!("{variant:?}, {report}");
    let fallen: Vec<&str> = report.broken.iter().map(|broken| broken.promise).collect();
    assert!(fallen.contains(&promise), "{variant:?} has to break {promise:?}, and breaks {fallen:?}: {report}");
}

#[test]
fn reading_the_claim_and_dropping_loses_a_message() {
    breaks(COPIES, Variant::RefusedIsDropped, NOTHING_IS_LOST);
}

#[test]
fn acknowledging_before_publishing_loses_a_message() {
    breaks(COPIES, Variant::AcknowledgedBeforePublish, NOTHING_IS_LOST);
}

#[test]
fn claiming_in_one_step_and_publishing_in_another_loses_a_message() {
    breaks(COPIES, Variant::ClaimedBeforePublish, NOTHING_IS_LOST);
}

#[test]
fn taking_the_brokers_duplicate_for_stored_loses_a_message_where_the_id_is_the_key() {
    breaks(COPIES, Variant::IdIsTheKey, NOTHING_IS_LOST);
}

#[test]
fn taking_the_brokers_duplicate_for_stored_loses_a_replay_where_the_id_has_no_run() {
    breaks(REPLAY, Variant::IdWithoutRun, NEWEST_REPLAY);
}

#[test]
fn looking_back_one_window_in_place_of_judging_makes_two_rows() {
    breaks(SHORT_WINDOWS, Variant::LooksBackInsteadOfJudging, ONE_ROW);
}

#[test]
fn trusting_a_claim_that_may_have_been_trimmed_makes_two_rows() {
    breaks(COPIES, Variant::ClaimsAreTrusted, ONE_ROW);
}

#[test]
fn acknowledging_before_the_commit_loses_a_message() {
    breaks(COPIES, Variant::AcknowledgedBeforeCommit, NOTHING_IS_LOST);
}

#[test]
fn judging_without_the_lock_of_the_key_makes_two_rows() {
    breaks(COPIES, Variant::KeyIsNotLocked, ONE_ROW);
}

#[test]
fn forgetting_the_windows_of_a_key_that_was_taken_over_makes_two_rows() {
    breaks(WINDOWS, Variant::PastWindowsAreForgotten, ONE_ROW);
}

#[test]
fn a_window_without_a_beginning_drops_a_message() {
    breaks(WINDOWS, Variant::WindowHasNoBeginning, REPEATS_A_ROW);
}

#[test]
fn correcting_by_any_replay_leaves_an_old_reading() {
    breaks(TWO_REPLAYS, Variant::AnyReplayCorrects, NEWEST_REPLAY);
}

#[test]
fn erasing_the_key_with_the_row_brings_a_copy_back() {
    breaks(ERASURE, Variant::ErasureForgetsTheKey, ERASED_STAYS_AWAY);
}

#[test]
fn an_erasure_that_leaves_no_entry_loses_an_ending() {
    breaks(ERASURE, Variant::ErasureLeavesNoEntry, NOTHING_IS_LOST);
}

#[test]
fn trimming_what_was_delivered_loses_a_message() {
    breaks(COPIES, Variant::DeliveredIsTrimmed, NOTHING_UNPROCESSED_IS_TRIMMED);
}
