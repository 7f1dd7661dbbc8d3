//! The control: a ledger that cannot find what is missing or there twice proves nothing.

use uuid::Uuid;

use super::ledger::{Answer, Ending, Fault, Ledger, Place, Sent, classify};
use super::message::Message;

fn message(number: u32) -> Message {
    Message { connection: 1, number }
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn accepted(number: u32, request: u128) -> Sent {
    Sent { message: message(number), answer: Answer::Accepted(id(request)) }
}

fn ended(request: u128, number: u32, place: Place) -> Ending {
    Ending { request: id(request), message: Some(message(number)), place }
}

fn row(request: u128, number: u32) -> Ending {
    ended(request, number, Place::Row)
}

#[test]
fn every_ending_is_counted_where_it_belongs() {
    let sent = [
        accepted(0, 10),
        accepted(1, 11),
        accepted(0, 12),
        accepted(2, 13),
        Sent { message: message(3), answer: Answer::Refused(429) },
        Sent { message: message(4), answer: Answer::Unanswered },
        Sent { message: message(5), answer: Answer::Held },
    ];
    // A dead letter's table has no provider's id; a row of somebody else is none of ours.
    let dead = Ending { request: id(13), message: None, place: Place::DeadLetter };
    let foreign = Ending { request: id(99), message: None, place: Place::Row };
    let ledger = classify(&sent, [row(10, 0), row(11, 1), ended(12, 0, Place::Repeat), dead, foreign]);
    let expected = Ledger {
        sent: 7,
        messages: 6,
        rows: 2,
        repeats: 1,
        dead_letters: 1,
        held: 1,
        refused: 1,
        unanswered: 1,
        ..Ledger::default()
    };
    assert_eq!(ledger, expected);
    assert!(ledger.is_exact());
}

#[test]
fn a_missing_message_is_found_and_named() {
    let ledger = classify(&[accepted(0, 10), accepted(1, 11)], [row(10, 0)]);
    assert_eq!(ledger.faults, [Fault::NoEnding(message(1), Some(id(11)))]);
    assert_eq!((ledger.rows, ledger.missing, ledger.is_exact()), (1, 1, false));
}

#[test]
fn a_doubled_message_is_found_although_the_sums_are_right() {
    // Two requests with one message, and both became rows: sent = rows, and yet it is wrong.
    let ledger = classify(&[accepted(0, 10), accepted(0, 11)], [row(10, 0), row(11, 0)]);
    assert_eq!(ledger.sum(), ledger.sent);
    assert_eq!(ledger.faults, [Fault::ManyRows(message(0))]);
    assert!(!ledger.is_exact());
}

#[test]
fn one_missing_and_one_doubled_do_not_cancel_out() {
    let sent = [accepted(0, 10), accepted(1, 11), accepted(1, 12)];
    let ledger = classify(&sent, [row(11, 1), row(12, 1), row(99, 7)]);
    assert_eq!(ledger.missing, 1);
    assert!(ledger.faults.contains(&Fault::NoEnding(message(0), Some(id(10)))));
    assert!(ledger.faults.contains(&Fault::ManyRows(message(1))));
    assert!(ledger.faults.contains(&Fault::Unasked(message(7), id(99))));
}

#[test]
fn a_request_that_ended_twice_is_found() {
    let ledger = classify(&[accepted(0, 10)], [row(10, 0), ended(10, 0, Place::Repeat)]);
    assert_eq!(ledger.faults, [Fault::ManyEndings(message(0), id(10))]);
}

#[test]
fn a_message_taken_for_a_repeat_of_another_is_found() {
    let ledger = classify(&[accepted(0, 10)], [ended(10, 0, Place::Repeat)]);
    assert_eq!(ledger.sum(), ledger.sent);
    assert_eq!(ledger.faults, [Fault::NoRow(message(0))]);
}

#[test]
fn what_was_stored_without_an_answer_counts_as_what_it_became() {
    let unanswered = Sent { message: message(0), answer: Answer::Unanswered };
    let refused = Sent { message: message(1), answer: Answer::Refused(503) };
    // The retry of each was accepted, and is the repeat.
    let sent = [unanswered, accepted(0, 20), refused, accepted(1, 21)];
    let endings = [row(10, 0), ended(20, 0, Place::Repeat), row(11, 1), ended(21, 1, Place::Repeat)];
    let ledger = classify(&sent, endings);
    assert!(ledger.is_exact(), "{ledger:?}");
    assert_eq!((ledger.rows, ledger.repeats, ledger.stored_without_a_2xx), (2, 2, 2));
}

#[test]
fn a_2xx_that_cannot_be_traced_is_no_success() {
    let nameless = Sent { message: message(0), answer: Answer::Nameless };
    assert_eq!(classify(&[nameless], []).faults, [Fault::NoEnding(message(0), None)]);
    assert!(classify(&[nameless], [row(10, 0)]).is_exact());
}
