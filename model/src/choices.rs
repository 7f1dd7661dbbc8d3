//! What can happen in a state. Whether it is a choice of ours, of the broker or a fault makes no difference here: all of
//! it is gone through.

use crate::action::{Action, Memory};
use crate::bounds::Bounds;
use crate::broker;
use crate::promises;
use crate::state::{Canonical, Claim, Feed, Late, Message, READINGS, RoutingStep, State, WritingStep};

/// Adds what those who have something in hand can do: once, where two have the same.
fn by_hand<T: Copy + PartialEq>(hands: &[Option<T>], mut add: impl FnMut(T)) {
    let mut last = None;
    for hand in hands.iter().copied().flatten() {
        if last != Some(hand) {
            add(hand);
        }
        last = Some(hand);
    }
}

/// The choices that the broker has about an id that it once had, or had not.
fn memories(once_known: bool) -> impl Iterator<Item = Memory> {
    [Memory::Gone].into_iter().chain(once_known.then_some(Memory::Kept))
}

impl Bounds {
    /// Everything that can happen.
    pub fn choices(&self, state: &State, actions: &mut Vec<Action>) {
        self.of_canonical(state, actions);
        self.of_workers(state, actions);
        self.of_unique_and_duplicates(state, actions);
        of_persisters(state, actions);
        self.of_what_is_late(state, actions);
        if state.erasures > 0 {
            let rows = (0..self.records.len()).filter(|record| state.tables.rows[*record].is_some());
            actions.extend(rows.map(Action::Erase));
        }
    }

    fn of_canonical(&self, state: &State, actions: &mut Vec<Action>) {
        let worker_is_free = state.routing.contains(&None);
        for record in 0..self.records.len() {
            for run in 0..READINGS {
                let message = Message { record, run };
                match state.canonical[record][run] {
                    Canonical::NotYet if self.may_be_replayed(state, message) => {
                        actions.push(Action::Replay(message));
                    }
                    Canonical::There(Feed::Waits) if worker_is_free => actions.push(Action::TakeRecord(message)),
                    Canonical::There(Feed::InHand | Feed::Acknowledged) if state.faults > 0 => {
                        actions.push(Action::RecordComesAgain(message));
                    }
                    Canonical::Never | Canonical::NotYet | Canonical::There(_) => {}
                }
            }
        }
    }

    /// A run is begun after the one before it.
    fn may_be_replayed(&self, state: &State, Message { record, run }: Message) -> bool {
        let begun_before = run == 1 || state.canonical[record][run - 1] != Canonical::NotYet;
        begun_before && (!self.replays_wait || promises::all_have_ended(self, state))
    }

    fn of_workers(&self, state: &State, actions: &mut Vec<Action>) {
        by_hand(&state.routing, |routing| {
            let mut publish = |known| actions.extend(memories(known).map(|memory| Action::Publish(routing, memory)));
            match routing.next {
                RoutingStep::LookBack => actions.push(Action::LookBack(routing)),
                RoutingStep::Claim => publish(broker::knew_claim(self, state, routing.message.record)),
                RoutingStep::Fill => publish(false),
                RoutingStep::SecondLook => publish(broker::knew_second_look(self, state, routing.message)),
                RoutingStep::Acknowledge => actions.push(Action::AcknowledgeRecord(routing)),
            }
            if state.faults > 0 {
                actions.push(Action::WorkerDies(routing));
                if matches!(routing.next, RoutingStep::Claim | RoutingStep::SecondLook) {
                    actions.push(Action::PublishUnanswered(routing));
                }
            }
        });
    }

    fn of_unique_and_duplicates(&self, state: &State, actions: &mut Vec<Action>) {
        let persister_is_free = state.writing.contains(&None);
        for (subject, claim) in state.unique.iter().enumerate() {
            let Some(claim) = *claim else { continue };
            match claim {
                Claim::Message(_, Feed::Waits) if persister_is_free => actions.push(Action::TakeClaim(subject)),
                Claim::Message(_, Feed::InHand) if state.faults > 0 => actions.push(Action::ClaimComesAgain(subject)),
                Claim::Message(..) | Claim::Empty(_) => {}
            }
            if broker::may_be_trimmed(self, claim) {
                actions.push(Action::Trim(subject));
            }
        }
        let mut last = None;
        for duplicate in state.duplicates.iter().copied() {
            if last != Some(duplicate) {
                match duplicate.feed {
                    Feed::Waits if persister_is_free => actions.push(Action::TakeDuplicate(duplicate)),
                    Feed::InHand if state.faults > 0 => actions.push(Action::DuplicateComesAgain(duplicate)),
                    _ => {}
                }
            }
            last = Some(duplicate);
        }
    }

    fn of_what_is_late(&self, state: &State, actions: &mut Vec<Action>) {
        let mut last = None;
        for late in state.late.iter().copied() {
            if last != Some(late) {
                let known = match late {
                    Late::Claim(record) => broker::knew_claim(self, state, record),
                    Late::SecondLook(message) => broker::knew_second_look(self, state, message),
                    Late::Transaction(_) => false,
                };
                actions.extend(memories(known).map(|memory| Action::Arrives(late, memory)));
                actions.push(Action::IsLost(late));
            }
            last = Some(late);
        }
    }
}

fn of_persisters(state: &State, actions: &mut Vec<Action>) {
    by_hand(&state.writing, |writing| {
        actions.push(match writing.next {
            WritingStep::Transaction | WritingStep::Write(_) => Action::Commit(writing),
            WritingStep::Acknowledge => Action::Acknowledge(writing),
        });
        if state.faults > 0 {
            actions.push(Action::PersisterDies(writing));
            if writing.next == WritingStep::Transaction {
                actions.push(Action::CommitUnanswered(writing));
            }
        }
    });
}
