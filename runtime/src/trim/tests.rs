//! What may go and what may not, case by case: each is a way to lose a message, or a way to keep one for ever.

use super::*;

fn view() -> View {
    View {
        layout_is_known: true,
        first_sequence: 1,
        last_sequence: 1_000_000,
        messages: 1_000_000,
        bytes: 100,
        max_bytes: Some(1000),
        consumers: vec![reads_everything(500)],
    }
}

fn keep() -> Keep {
    Keep { since: 0, most_messages: None, under_pressure: true }
}

#[expect(clippy::unnecessary_wraps, reason = "as a view has it")]
fn reads_everything(ack_floor: u64) -> Result<Progress, Stopped> {
    Ok(Progress { ack_floor, waiting: 0, reads: Reads::Everything })
}

#[expect(clippy::unnecessary_wraps, reason = "as a view has it")]
fn filtered(ack_floor: u64, next: Option<u64>) -> Result<Progress, Stopped> {
    Ok(Progress { ack_floor, waiting: 0, reads: Reads::Filtered { next } })
}

#[test]
fn nothing_goes_while_a_consumer_is_missing() {
    let mut view = View { bytes: 1000, ..view() };
    view.consumers.push(Err(Stopped::ConsumerMissing));
    assert_eq!(plan(&view, keep()), Plan::Stopped(Stopped::ConsumerMissing));
}

#[test]
fn nothing_goes_of_a_stream_whose_layout_is_not_known() {
    let view = View { layout_is_known: false, bytes: 1000, consumers: vec![], ..view() };
    assert_eq!(plan(&view, keep()), Plan::Stopped(Stopped::UnknownLayout));
}

#[test]
fn what_is_not_processed_stays_at_any_pressure() {
    let full = View { bytes: 1000, ..view() };
    assert_eq!(plan(&full, keep()), Plan::Pressed { before: 501 });
    let unread = View { bytes: 1000, consumers: vec![reads_everything(0)], ..view() };
    assert_eq!(plan(&unread, keep()), Plan::Nothing);
}

#[test]
fn the_slowest_consumer_counts() {
    let mut view = view();
    view.consumers.push(reads_everything(3));
    assert_eq!(needed_from(&view), Ok(4));
    view.consumers.push(filtered(0, Some(2)));
    assert_eq!(needed_from(&view), Ok(2));
}

// A member of a cluster that was just given the consumer knows no floor and no pending message.
#[test]
fn a_consumer_that_answers_with_zeros_holds_all_that_is_for_it() {
    let everything = View { bytes: 1000, consumers: vec![reads_everything(0)], ..view() };
    assert_eq!(plan(&everything, keep()), Plan::Nothing);
    let some = View { bytes: 1000, consumers: vec![filtered(0, Some(7))], ..view() };
    assert_eq!(plan(&some, keep()), Plan::Pressed { before: 7 });
}

// The consumer has not heard of a message that the stream has: on one server for a moment, in a cluster for longer.
#[test]
fn a_message_that_its_consumer_has_not_heard_of_stays() {
    let everything = View { consumers: vec![reads_everything(999_999)], ..view() };
    assert_eq!(needed_from(&everything), Ok(1_000_000));
    let some = View { consumers: vec![filtered(999_990, Some(999_995))], ..view() };
    assert_eq!(needed_from(&some), Ok(999_995));
}

#[test]
fn a_floor_told_too_low_costs_room_and_no_message() {
    let view = View { consumers: vec![reads_everything(10), filtered(10, Some(600))], ..view() };
    assert_eq!(needed_from(&view), Ok(11));
}

#[test]
fn an_idle_consumer_holds_nothing_that_is_not_its_own() {
    let view = View { consumers: vec![filtered(3, None)], ..view() };
    assert_eq!(needed_from(&view), Ok(1_000_001));
}

#[test]
fn a_stream_that_finds_no_message_for_a_consumer_that_waits_for_some_is_not_believed() {
    let waits = Progress { ack_floor: 3, waiting: 1, reads: Reads::Filtered { next: None } };
    let view = View { consumers: vec![Ok(waits)], ..view() };
    assert_eq!(needed_from(&view), Ok(4));
}

#[test]
fn what_came_after_the_stream_was_looked_at_stays() {
    let view = View { consumers: vec![reads_everything(1_000_900), filtered(0, Some(1_000_800))], ..view() };
    assert_eq!(needed_from(&view), Ok(1_000_001));
}

#[test]
fn one_unacknowledged_message_holds_everything_after_it() {
    let view = View { consumers: vec![filtered(3, Some(4))], ..view() };
    assert_eq!(needed_from(&view), Ok(4));
}

#[test]
fn a_pass_takes_at_most_a_tenth() {
    let view = View { consumers: vec![], ..view() };
    assert_eq!(plan(&view, keep()), Plan::Aged { before: 100_001 });
}

#[test]
fn pressure_takes_the_stream_down_to_where_there_is_room_again() {
    let view = View { consumers: vec![], bytes: 900, ..view() };
    assert_eq!(plan(&view, keep()), Plan::Pressed { before: 222_223 });
    let kept = Keep { under_pressure: false, ..keep() };
    assert_eq!(plan(&view, kept), Plan::Aged { before: 100_001 });
}

#[test]
fn too_many_messages_are_pressure_too() {
    let view = View { consumers: vec![], ..view() };
    let kept = Keep { most_messages: Some(1_000_000), ..keep() };
    assert_eq!(plan(&view, kept), Plan::Pressed { before: 300_001 });
}

#[test]
fn an_empty_stream_is_left_alone() {
    let view = View { messages: 0, first_sequence: 8, last_sequence: 7, consumers: vec![], ..view() };
    assert_eq!(plan(&view, keep()), Plan::Nothing);
}
