//! What holds of every plan: on made-up streams ([`super::world`]), and on any numbers.

use proptest::prelude::*;

use super::world::{CONSUMERS, FILTERED, Filters, Lie, MIXED, Move, SUBJECTS, World};
use super::*;

fn moves(most: usize) -> impl Strategy<Value = Vec<Move>> {
    let consumer = 0..CONSUMERS;
    let one = prop_oneof![
        8 => (0..SUBJECTS).prop_map(Move::Publish),
        8 => (consumer.clone(), 0..8_usize).prop_map(|(consumer, which)| Move::Acknowledge(consumer, which)),
        3 => consumer.clone().prop_map(Move::CatchUp),
        1 => consumer.clone().prop_map(Move::Delete),
        2 => consumer.prop_map(Move::Make),
        1 => (0..100_usize).prop_map(Move::TakeOut),
        2 => (0..1000_i64).prop_map(Move::Wait),
    ];
    prop::collection::vec(one, 0..most)
}

/// Everybody there and done with most: what a running installation looks like.
fn settled() -> impl Strategy<Value = Vec<Move>> {
    (moves(60), moves(8)).prop_map(|(mut before, after)| {
        before.extend((0..CONSUMERS).filter(|at| at % 2 == 1).map(Move::Make));
        before.extend((0..CONSUMERS).flat_map(|at| [Move::Make(at), Move::CatchUp(at)]));
        before.extend(after.into_iter().filter(|step| !matches!(step, Move::Delete(_))));
        before
    })
}

fn filters() -> impl Strategy<Value = Filters> {
    prop_oneof![Just(FILTERED), Just(MIXED)]
}

fn lies() -> impl Strategy<Value = Vec<Lie>> {
    let lie = prop_oneof![
        4 => Just(Lie::None),
        1 => (1..20_u64).prop_map(Lie::FloorTooLow),
        1 => Just(Lie::Zeros),
        1 => Just(Lie::NothingWaits),
        1 => Just(Lie::NoMessage),
    ];
    prop::collection::vec(lie, CONSUMERS)
}

fn keep() -> impl Strategy<Value = Keep> {
    let most = prop::option::of(1..100_u64);
    (most, any::<bool>()).prop_map(|(most_messages, under_pressure)| Keep { since: 0, most_messages, under_pressure })
}

fn any_view() -> impl Strategy<Value = View> {
    const FIRST: u64 = 1_000_000;
    // Anywhere, and where one more or less makes the difference.
    let place = || prop_oneof![0..3_000_000_u64, FIRST - 2..FIRST + 2];
    let reads =
        prop_oneof![Just(Reads::Everything), prop::option::of(place()).prop_map(|next| Reads::Filtered { next })];
    let progress =
        (place(), 0..3_u64, reads).prop_map(|(ack_floor, waiting, reads)| Progress { ack_floor, waiting, reads });
    let why = prop_oneof![Just(Stopped::ConsumerMissing), Just(Stopped::ConsumerUnfit)];
    let consumer = prop_oneof![20 => progress.prop_map(Ok), 1 => why.prop_map(Err)];
    let consumers = prop::collection::vec(consumer, 0..4);
    let size = (prop_oneof![0..2_000_000_u64, 0..20_u64], prop_oneof![0..1_000_000_u64, 0..20_u64]);
    (size, 0..1_000_000_u64, prop::option::of(1..1_000_000_u64), consumers, prop::bool::weighted(0.95)).prop_map(
        |((messages, gaps), bytes, max_bytes, consumers, layout_is_known)| View {
            layout_is_known,
            first_sequence: FIRST,
            last_sequence: FIRST + messages + gaps - 1,
            messages,
            bytes,
            max_bytes,
            consumers,
        },
    )
}

fn before(plan: Plan) -> Option<u64> {
    match plan {
        Plan::Aged { before } | Plan::Pressed { before } => Some(before),
        Plan::Nothing | Plan::Stopped(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_planned_passes_no_message_that_somebody_has_not_acknowledged(
        filters in filters(),
        history in prop_oneof![moves(80), settled()],
        lies in lies(),
        meanwhile in prop::collection::vec(moves(6), 2 * CONSUMERS),
        last_moment in moves(6),
        keep in keep(),
    ) {
        let mut world = World::after(filters, &history);
        let (view, made) = world.look(&lies, &meanwhile);
        let Some(before) = before(plan(&view, keep)) else { return Ok(()) };
        world.live(&last_moment);
        for at in world.messages.keys().copied().filter(|at| *at < before) {
            for consumer in (0..CONSUMERS).filter(|consumer| world.is_for(*consumer, at)) {
                prop_assert!(world.ever[consumer].contains(&at), "{consumer} never acknowledged {at}: {view:?}");
                let same = world.made[consumer] == made[consumer] && world.readers[consumer].exists;
                let known = &world.readers[consumer].acknowledged;
                prop_assert!(!same || known.contains(&at), "{consumer}, made anew, has not acknowledged {at}: {view:?}");
            }
        }
    }

    #[test]
    fn whatever_may_go_goes_when_it_is_due(filters in filters(), history in settled(), keep_for in 0..2000_i64) {
        let mut world = World::after(filters, &history);
        let held = world.messages.len();
        let passes = (0..=held).take_while(|_| world.trim(keep_for, None)).count();
        prop_assert!(passes <= held, "it never ends");
        if let Some((at, (_, time))) = world.messages.first_key_value() {
            prop_assert!(!world.is_done(*at) || *time >= world.now - keep_for, "{at} is due and done, and stays");
        }
    }

    #[test]
    fn a_stream_that_all_are_done_with_becomes_empty(filters in filters(), history in settled(), keep_for in 0..2000_i64) {
        let mut world = World::after(filters, &history);
        world.live(&[Move::CatchUp(0), Move::CatchUp(1), Move::CatchUp(2), Move::CatchUp(3), Move::Wait(keep_for + 1)]);
        while world.trim(keep_for, None) {}
        prop_assert!(world.messages.is_empty(), "{:?}", world.messages);
    }

    #[test]
    fn too_many_go_oldest_first_down_to_where_there_is_room(filters in filters(), history in settled(), most in 1..60_u64) {
        let mut world = World::after(filters, &history);
        world.live(&[Move::CatchUp(0), Move::CatchUp(1), Move::CatchUp(2), Move::CatchUp(3)]);
        let held: Vec<u64> = world.messages.keys().copied().collect();
        while world.trim(i64::MAX / 2, Some(most)) {}
        let left: Vec<u64> = world.messages.keys().copied().collect();
        prop_assert!(held.ends_with(&left), "the youngest stay");
        prop_assert!(left.len() as u64 * 100 < most * NEARLY_FULL || left.is_empty(), "{} of {most}", left.len());
        let enough = most * ROOM_AGAIN / 100;
        prop_assert!(left.len() as u64 >= enough.min(held.len() as u64), "{} of {most} is more than it took", left.len());
    }

    #[test]
    fn nobody_can_be_passed_and_nothing_that_came_later(view in any_view(), keep in keep()) {
        let Some(before) = before(plan(&view, keep)) else { return Ok(()) };
        prop_assert!(before > view.first_sequence, "a plan does something");
        prop_assert!(before <= view.last_sequence + 1);
        for progress in view.consumers.iter().map(|progress| progress.expect("or there is no plan")) {
            let own = match progress.reads {
                Reads::Filtered { next: Some(next) } => next,
                Reads::Filtered { next: None } if progress.waiting == 0 => u64::MAX,
                Reads::Filtered { next: None } | Reads::Everything => progress.ack_floor + 1,
            };
            prop_assert!(before <= own, "{progress:?} is passed by {before}");
        }
    }

    #[test]
    fn it_stops_exactly_where_it_cannot_know(view in any_view(), keep in keep()) {
        let expected = if view.layout_is_known {
            view.consumers.iter().find_map(|consumer| consumer.err())
        } else {
            Some(Stopped::UnknownLayout)
        };
        let stopped = if let Plan::Stopped(why) = plan(&view, keep) { Some(why) } else { None };
        prop_assert_eq!(stopped, expected);
    }

    #[test]
    fn age_alone_takes_at_most_a_tenth_and_pressure_no_more_than_makes_room(view in any_view(), keep in keep()) {
        let is_full = |found: u64, limit: u64| found * 100 >= limit * NEARLY_FULL;
        let bytes = view.max_bytes.filter(|limit| is_full(view.bytes, *limit)).map(|limit| (view.bytes, limit));
        let many = keep.most_messages.filter(|limit| is_full(view.messages, *limit)).map(|limit| (view.messages, limit));
        match plan(&view, keep) {
            Plan::Aged { before } => {
                prop_assert!(before - view.first_sequence <= (view.messages / 10).max(10_000));
                prop_assert!(!keep.under_pressure || (bytes.is_none() && many.is_none()), "there is pressure");
            }
            Plan::Pressed { before } => {
                prop_assert!(keep.under_pressure && (bytes.is_some() || many.is_some()), "there is no pressure");
                let left = u128::from(view.messages.saturating_sub(before - view.first_sequence));
                // One of the two limits asked for it: what is left reaches up to its mark.
                let needed = [bytes, many].into_iter().flatten().any(|(found, limit)| {
                    left * u128::from(found) >= u128::from(view.messages) * (u128::from(limit) * 70 / 100)
                });
                prop_assert!(needed, "more goes than makes room");
            }
            Plan::Nothing | Plan::Stopped(_) => {}
        }
    }

    #[test]
    fn the_fuller_the_more_goes(view in any_view(), more in 0..1_000_000_u64, keep in keep()) {
        let fuller = View { bytes: view.bytes + more, ..view.clone() };
        if let Plan::Pressed { before: less } = plan(&view, keep) {
            prop_assert!(before(plan(&fuller, keep)).is_some_and(|before| before >= less));
        }
    }

    #[test]
    fn one_more_consumer_or_a_lower_floor_lets_less_go(view in any_view(), lower in 0..1000_u64, keep in keep()) {
        let told = before(plan(&view, keep)).unwrap_or(view.first_sequence);
        let lowered = view.consumers.iter().map(|progress| {
            progress.map(|told| Progress { ack_floor: told.ack_floor.saturating_sub(lower), waiting: 1, ..told })
        });
        let slower = View { consumers: lowered.collect(), ..view.clone() };
        prop_assert!(before(plan(&slower, keep)).is_none_or(|before| before <= told));
        let mut more = view.clone();
        more.consumers.push(Ok(Progress { ack_floor: lower, waiting: 0, reads: Reads::Everything }));
        prop_assert!(before(plan(&more, keep)).is_none_or(|before| before <= told));
    }
}
