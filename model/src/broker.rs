//! The broker: what it answers to a publish, what it does with an acknowledgement, a worker that is gone, a purge.
//!
//! The order of its checks matters: the message id first, then the limit of the subject. So a claim that is published
//! again is told `duplicate: true` for two minutes, and refused by itself after them.

use crate::action::Memory;
use crate::bounds::Bounds;
use crate::state::{Canonical, Claim, Duplicate, Feed, From, Message, Record, State, Subject, Writing};
use crate::variant::Variant;

/// The broker's answer to a publish (`publish.rs`: `Published`, `PublishError::SubjectTaken`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stored, or `duplicate: true`.
    Taken,
    /// "maximum messages per subject exceeded".
    Refused,
}

/// The place of the message id of a claim: ids are per record.
fn claim_id(bounds: &Bounds, record: Record) -> Record {
    if bounds.is(Variant::IdIsTheKey) { bounds.records[record].key } else { record }
}

/// The run in the message id of a second look: ids are per record and run.
fn second_look_run(bounds: &Bounds, message: Message) -> usize {
    if bounds.is(Variant::IdWithoutRun) { 0 } else { message.run }
}

/// Whether `UNIQUE` once stored something under the message id of a claim.
pub fn knew_claim(bounds: &Bounds, state: &State, record: Record) -> bool {
    state.ids_in_unique[claim_id(bounds, record)]
}

/// Whether `DUPLICATES` once stored something under the message id of a second look.
pub fn knew_second_look(bounds: &Bounds, state: &State, message: Message) -> bool {
    state.ids_in_duplicates[message.record][second_look_run(bounds, message)]
}

/// A publish to `UNIQUE`: one message per subject, and the next is refused.
pub fn claim(bounds: &Bounds, state: &mut State, record: Record, memory: Memory) -> Answer {
    if memory == Memory::Kept {
        return Answer::Taken;
    }
    let subject = bounds.subject(record);
    if state.unique[subject].is_some() {
        return Answer::Refused;
    }
    let empty = bounds.is(Variant::ClaimedBeforePublish);
    state.unique[subject] = Some(if empty { Claim::Empty(record) } else { Claim::Message(record, Feed::Waits) });
    state.ids_in_unique[claim_id(bounds, record)] = true;
    Answer::Taken
}

/// A publish to `DUPLICATES`, which takes any number.
pub fn second_look(bounds: &Bounds, state: &mut State, message: Message, memory: Memory) {
    if memory == Memory::Kept {
        return;
    }
    let mut sequence = 0;
    if message.run > 0 {
        state.last_sequence += 1;
        sequence = state.last_sequence;
        state.history.newest[message.record] = message.run;
    }
    state.duplicates.push(Duplicate { message, sequence, feed: Feed::Waits });
    state.ids_in_duplicates[message.record][second_look_run(bounds, message)] = true;
}

/// The slot of a message in `CANONICAL`.
pub fn canonical(state: &mut State, message: Message) -> &mut Canonical {
    &mut state.canonical[message.record][message.run]
}

/// A message of `CANONICAL` comes again. Where it was acknowledged this is another message with the same content, and
/// who still holds the first one cannot acknowledge it.
pub fn record_comes_again(state: &mut State, message: Message) {
    if *canonical(state, message) == Canonical::There(Feed::Acknowledged) {
        for routing in state.routing.iter_mut().flatten().filter(|routing| routing.message == message) {
            routing.current = false;
        }
    }
    *canonical(state, message) = Canonical::There(Feed::Waits);
}

/// What a dedup worker had, which is gone, is delivered again, unless it was acknowledged or somebody else has it.
pub fn record_is_given_back(state: &mut State, message: Message) {
    let others = state.routing.iter().flatten().any(|other| other.message == message && other.current);
    let place = canonical(state, message);
    if *place == Canonical::There(Feed::InHand) && !others {
        *place = Canonical::There(Feed::Waits);
    }
}

/// A persister's message is acknowledged.
pub fn acknowledge(state: &mut State, writing: Writing) {
    match writing.from {
        From::Unique(subject) => {
            if let Some(Claim::Message(_, feed)) = &mut state.unique[subject] {
                *feed = Feed::Acknowledged;
            }
        }
        From::Duplicates => {
            let same = |found: &Duplicate| {
                found.message == writing.delivery.message && found.sequence == writing.delivery.sequence
            };
            // The one in hand; or, where it was about to come again, that one.
            let in_hand = state.duplicates.iter().position(|found| same(found) && found.feed == Feed::InHand);
            if let Some(place) = in_hand.or_else(|| state.duplicates.iter().position(same)) {
                state.duplicates.remove(place);
            }
        }
        From::Nowhere => {}
    }
}

/// What a persister had, which is gone, is delivered again, unless it was acknowledged or somebody else has it.
pub fn is_given_back(state: &mut State, writing: Writing) {
    let same_delivery = |other: &&Writing| other.delivery == writing.delivery && other.from == writing.from;
    let others = state.writing.iter().flatten().filter(same_delivery).count();
    match writing.from {
        From::Unique(subject) => {
            if let Some(Claim::Message(_, feed)) = &mut state.unique[subject]
                && *feed == Feed::InHand
                && others == 0
            {
                *feed = Feed::Waits;
            }
        }
        From::Duplicates => {
            let Writing { delivery, .. } = writing;
            let mut in_hand: Vec<&mut Duplicate> = state
                .duplicates
                .iter_mut()
                .filter(|found| found.message == delivery.message && found.sequence == delivery.sequence)
                .filter(|found| found.feed == Feed::InHand)
                .collect();
            if in_hand.len() > others
                && let Some(found) = in_hand.first_mut()
            {
                found.feed = Feed::Waits;
            }
        }
        From::Nowhere => {}
    }
}

/// Whether a claim may be trimmed now (`trim.rs`: everything up to the acknowledgement floor).
pub fn may_be_trimmed(bounds: &Bounds, claim: Claim) -> bool {
    match claim {
        Claim::Message(_, Feed::Acknowledged) => true,
        Claim::Message(_, Feed::InHand) => bounds.is(Variant::DeliveredIsTrimmed),
        Claim::Message(_, Feed::Waits) | Claim::Empty(_) => false,
    }
}

/// A purge. Who still holds the message cannot acknowledge it any more.
pub fn trim(state: &mut State, subject: Subject) {
    if let Some(Claim::Message(_, feed)) = state.unique[subject].take()
        && feed != Feed::Acknowledged
    {
        state.history.trimmed_unprocessed = true;
    }
    for writing in state.writing.iter_mut().flatten().filter(|writing| writing.from == From::Unique(subject)) {
        writing.from = From::Nowhere;
    }
}
