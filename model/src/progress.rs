//! Why everything ends: a number that falls with every step.

use crate::state::{Canonical, Claim, Feed, RoutingStep, State, WritingStep};

/// What is left to happen, as a number that falls with every step. So no path comes back to where it was, which is
/// what makes "in the end" a thing that can be checked.
pub fn work_left(state: &State) -> u32 {
    let canonical = state.canonical.iter().flatten().map(|place| match place {
        Canonical::NotYet => 60,
        Canonical::There(Feed::Waits) => 50,
        Canonical::Never | Canonical::There(_) => 0,
    });
    let routing = state.routing.iter().flatten().map(|routing| match routing.next {
        RoutingStep::LookBack => 41,
        RoutingStep::Claim => 40,
        RoutingStep::Fill => 39,
        RoutingStep::SecondLook => 30,
        RoutingStep::Acknowledge => 10,
    });
    let of_feed = |feed: &Feed| match feed {
        Feed::Waits => 15,
        Feed::InHand => 2,
        Feed::Acknowledged => 1,
    };
    let unique = state.unique.iter().flatten().map(|claim| match claim {
        Claim::Message(_, feed) => of_feed(feed),
        Claim::Empty(_) => 0,
    });
    let duplicates = state.duplicates.iter().map(|duplicate| of_feed(&duplicate.feed));
    let writing = state.writing.iter().flatten().map(|writing| match writing.next {
        WritingStep::Transaction => 12,
        WritingStep::Write(_) => 11,
        WritingStep::Acknowledge => 5,
    });
    let late = state.late.iter().map(|_| 20);
    let given = 200 * u32::from(state.faults) + u32::from(state.erasures);
    given + canonical.chain(routing).chain(unique).chain(duplicates).chain(writing).chain(late).sum::<u32>()
}
