//! What can happen in a state, and what the state is then. Workers are small here: a batch of one, and one step at a
//! time, so that a crash can come between any two.
//!
//! A publish that is answered is one step: what others do before it arrives comes before the step, what they do before
//! the answer arrives comes after it. What is *not* answered is two: it is sent, and arrives later or never.

use stateright::{Model, Property};

use crate::action::{Action, Memory};
use crate::bounds::Bounds;
use crate::broker::{self, Answer};
use crate::judge;
use crate::progress::work_left;
use crate::promises;
use crate::state::{
    Canonical, Claim, Delivery, Duplicate, Feed, From, Late, Message, Routing, RoutingStep, State, Writing, WritingStep,
};
use crate::variant::Variant;

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.choices(state, actions);
    }

    fn next_state(&self, last_state: &State, action: Action) -> Option<State> {
        let mut state = last_state.clone();
        self.happens(&mut state, &action);
        for (was_row, row) in state.history.was_row.iter_mut().zip(&state.tables.rows) {
            *was_row |= row.is_some();
        }
        state.normalise();
        debug_assert!(work_left(&state) < work_left(last_state), "nothing happens in a circle");
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::of(self)
    }
}

impl Bounds {
    fn happens(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Replay(message) => *broker::canonical(state, message) = Canonical::There(Feed::Waits),
            Action::RecordComesAgain(message) => {
                state.faults -= 1;
                broker::record_comes_again(state, message);
            }
            Action::TakeRecord(message) => self.take_record(state, message),
            Action::LookBack(routing) => {
                let next = self.look_back(state, routing);
                replace(&mut state.routing, routing, Some(Routing { next, ..routing }));
            }
            Action::Publish(routing, memory) => {
                let next = self.publish(state, routing, memory);
                replace(&mut state.routing, routing, Some(Routing { next, ..routing }));
            }
            Action::PublishUnanswered(Routing { message, next, .. }) => {
                state.faults -= 1;
                let to_unique = next == RoutingStep::Claim;
                state.late.push(if to_unique { Late::Claim(message.record) } else { Late::SecondLook(message) });
            }
            Action::AcknowledgeRecord(routing) => {
                replace(&mut state.routing, routing, None);
                if routing.current {
                    *broker::canonical(state, routing.message) = Canonical::There(Feed::Acknowledged);
                }
            }
            Action::WorkerDies(routing) => {
                state.faults -= 1;
                replace(&mut state.routing, routing, None);
                if routing.current {
                    broker::record_is_given_back(state, routing.message);
                }
            }
            Action::Arrives(late, memory) => {
                remove(&mut state.late, late);
                self.arrives(state, late, memory);
            }
            Action::IsLost(late) => remove(&mut state.late, late),
            Action::TakeClaim(subject) => {
                let Some(Claim::Message(record, feed)) = &mut state.unique[subject] else { return };
                *feed = Feed::InHand;
                let delivery = Delivery { message: Message { record: *record, run: 0 }, sequence: 0 };
                self.take(state, delivery, From::Unique(subject));
            }
            Action::TakeDuplicate(duplicate) => {
                remove(&mut state.duplicates, duplicate);
                state.duplicates.push(Duplicate { feed: Feed::InHand, ..duplicate });
                let delivery = Delivery { message: duplicate.message, sequence: duplicate.sequence };
                self.take(state, delivery, From::Duplicates);
            }
            Action::ClaimComesAgain(subject) => {
                state.faults -= 1;
                if let Some(Claim::Message(_, feed)) = &mut state.unique[subject] {
                    *feed = Feed::Waits;
                }
            }
            Action::DuplicateComesAgain(duplicate) => {
                state.faults -= 1;
                remove(&mut state.duplicates, duplicate);
                state.duplicates.push(Duplicate { feed: Feed::Waits, ..duplicate });
            }
            Action::Commit(writing) => {
                let next = self.commit(state, writing);
                replace(&mut state.writing, writing, Some(Writing { next, ..writing }));
            }
            Action::CommitUnanswered(writing) => {
                state.faults -= 1;
                state.late.push(Late::Transaction(writing.delivery));
            }
            Action::Acknowledge(writing) => {
                replace(&mut state.writing, writing, None);
                broker::acknowledge(state, writing);
            }
            Action::PersisterDies(writing) => {
                state.faults -= 1;
                replace(&mut state.writing, writing, None);
                broker::is_given_back(state, writing);
            }
            Action::Trim(subject) => broker::trim(state, subject),
            Action::Erase(record) => {
                state.erasures -= 1;
                judge::erase(self, &mut state.tables, record);
                state.history.erased[record] = true;
            }
        }
    }

    fn take_record(&self, state: &mut State, message: Message) {
        let early = self.is(Variant::AcknowledgedBeforePublish);
        let next = match message.run {
            // A replay claims nothing (`decide.rs`: `claim`).
            1.. => RoutingStep::SecondLook,
            0 if self.is(Variant::LooksBackInsteadOfJudging) => RoutingStep::LookBack,
            0 => RoutingStep::Claim,
        };
        *broker::canonical(state, message) = Canonical::There(if early { Feed::Acknowledged } else { Feed::InHand });
        put(&mut state.routing, Routing { message, current: !early, next });
    }

    fn look_back(&self, state: &State, routing: Routing) -> RoutingStep {
        let record = routing.message.record;
        let before = self.subject_in(record, 1).and_then(|subject| state.unique[subject]);
        match before {
            Some(Claim::Message(other, _)) if self.after(other, record) < self.window => RoutingStep::SecondLook,
            _ => RoutingStep::Claim,
        }
    }

    fn publish(&self, state: &mut State, routing: Routing, memory: Memory) -> RoutingStep {
        let record = routing.message.record;
        match routing.next {
            RoutingStep::Claim => match broker::claim(self, state, record, memory) {
                Answer::Taken if self.is(Variant::ClaimedBeforePublish) => RoutingStep::Fill,
                Answer::Taken => RoutingStep::Acknowledge,
                Answer::Refused if self.is(Variant::RefusedIsDropped) => RoutingStep::Acknowledge,
                Answer::Refused if self.is(Variant::ClaimedBeforePublish) && self.is_own_claim(state, record) => {
                    RoutingStep::Acknowledge
                }
                Answer::Refused => RoutingStep::SecondLook,
            },
            RoutingStep::Fill => {
                state.unique[self.subject(record)] = Some(Claim::Message(record, Feed::Waits));
                RoutingStep::Acknowledge
            }
            _ => {
                broker::second_look(self, state, routing.message, memory);
                RoutingStep::Acknowledge
            }
        }
    }

    fn is_own_claim(&self, state: &State, record: usize) -> bool {
        matches!(
            state.unique[self.subject(record)],
            Some(Claim::Message(holder, _) | Claim::Empty(holder)) if holder == record
        )
    }

    fn arrives(&self, state: &mut State, late: Late, memory: Memory) {
        match late {
            Late::Claim(record) => {
                broker::claim(self, state, record, memory);
            }
            Late::SecondLook(message) => broker::second_look(self, state, message, memory),
            Late::Transaction(delivery) => {
                let decision = judge::judge(self, &state.tables, delivery);
                judge::write(self, &mut state.tables, delivery, decision);
            }
        }
    }

    fn take(&self, state: &mut State, delivery: Delivery, from: From) {
        let mut writing = Writing { delivery, from, next: WritingStep::Transaction };
        if self.is(Variant::AcknowledgedBeforeCommit) {
            broker::acknowledge(state, writing);
            writing.from = From::Nowhere;
        }
        put(&mut state.writing, writing);
    }

    fn commit(&self, state: &mut State, writing: Writing) -> WritingStep {
        let Writing { delivery, from, next } = writing;
        let believes_claims = self.is(Variant::ClaimsAreTrusted) || self.is(Variant::LooksBackInsteadOfJudging);
        let decision = match next {
            WritingStep::Write(decision) => decision,
            _ if believes_claims && from != From::Duplicates => {
                judge::write_unjudged(self, &mut state.tables, delivery);
                return WritingStep::Acknowledge;
            }
            _ => judge::judge(self, &state.tables, delivery),
        };
        if self.is(Variant::KeyIsNotLocked) && next == WritingStep::Transaction {
            return WritingStep::Write(decision);
        }
        judge::write(self, &mut state.tables, delivery, decision);
        WritingStep::Acknowledge
    }
}

/// Puts something into a free hand.
fn put<T>(hands: &mut [Option<T>], what: T) {
    if let Some(free) = hands.iter_mut().find(|hand| hand.is_none()) {
        *free = Some(what);
    }
}

/// Changes what one of those has in hand who have this.
fn replace<T: Copy + PartialEq>(hands: &mut [Option<T>], what: T, by: Option<T>) {
    if let Some(hand) = hands.iter_mut().find(|hand| hand.as_ref() == Some(&what)) {
        *hand = by;
    }
}

/// Takes one of these out.
fn remove<T: Copy + PartialEq>(of: &mut Vec<T>, what: T) {
    if let Some(place) = of.iter().position(|found| *found == what) {
        of.remove(place);
    }
}
