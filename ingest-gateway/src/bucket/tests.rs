//! Gateways, a counter and a network that is slow and loses messages, in a world where time is a number.

#![expect(clippy::cast_precision_loss, reason = "numbers of tokens, far below what a float holds")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use proptest::prelude::*;

use super::*;

const START: Micros = 1_795_412_009_120_000;
const MILLISECOND: u64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A request comes to a gateway.
    Request(usize),
    /// A request that waited is looked at again.
    Again(usize),
    /// An increment arrives at the counter.
    Asked(usize, u64, u128, Option<u64>),
    /// Its answer arrives at the gateway: the value, or that it was raised before.
    Answered(usize, u64, Option<u128>),
    /// Nothing arrives at the gateway in time.
    Lost(usize),
}

/// What a run is made of.
#[derive(Debug, Clone)]
struct Plan {
    limit: Limit,
    /// Requests a second at each gateway.
    loads: Vec<u64>,
    /// Longest time of a message to the counter or back.
    slowest: u64,
    /// Of 1000 messages, so many are lost.
    lost: u64,
    /// How far the clock of each gateway is off: 0 to twice this, in microseconds.
    skew: u64,
    seconds: u64,
    seed: u64,
}

struct World {
    plan: Plan,
    now: Micros,
    events: BinaryHeap<Reverse<(Micros, u64, Event)>>,
    order: u64,
    random: u64,
    counter: u128,
    raised: HashSet<u64>,
    buckets: Vec<Bucket>,
    /// Increments of the lease that each has on its way.
    tries: Vec<u32>,
    /// When a token was used, and where.
    used: Vec<(Micros, usize)>,
    leases: u64,
}

impl World {
    fn run(plan: Plan) -> Self {
        let buckets = plan.loads.iter().map(|_| Bucket::new(plan.limit)).collect();
        let random = plan.seed | 1;
        let tries = vec![0; plan.loads.len()];
        let mut world = Self {
            plan,
            now: START,
            events: BinaryHeap::new(),
            order: 0,
            random,
            counter: 0,
            raised: HashSet::new(),
            buckets,
            tries,
            used: Vec::new(),
            leases: 0,
        };
        for (gateway, load) in world.plan.loads.clone().into_iter().enumerate() {
            for request in 0..load * world.plan.seconds {
                let jitter = world.below(SECOND / load + 1);
                world.at(START + request * SECOND / load + jitter, Event::Request(gateway));
            }
        }
        while let Some(Reverse((at, _, event))) = world.events.pop() {
            world.now = at;
            world.happens(event);
        }
        world
    }

    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit.max(1)
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn clock(&self, gateway: usize) -> Micros {
        self.now + self.plan.skew * 2 * gateway as u64 / self.plan.loads.len() as u64
    }

    fn gateways(&self) -> u64 {
        self.plan.loads.len() as u64
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Request(gateway) => {
                let clock = self.clock(gateway);
                self.buckets[gateway].arrived(clock);
                self.look(gateway);
            }
            Event::Again(gateway) => self.look(gateway),
            Event::Asked(gateway, count, amount, raise) => {
                let repeat = raise.is_some_and(|raise| !self.raised.insert(raise));
                if !repeat {
                    self.counter += amount;
                }
                let answer = (!repeat).then_some(self.counter);
                let event = if self.below(1000) < self.plan.lost {
                    Event::Lost(gateway)
                } else {
                    Event::Answered(gateway, count, answer)
                };
                let delay = self.delay(event);
                self.at(self.now + delay, event);
            }
            Event::Answered(gateway, count, value) => {
                let clock = self.clock(gateway);
                let bucket = &mut self.buckets[gateway];
                match value.map(|value| bucket.leased(value, count, clock)) {
                    Some(Leased::Tokens | Leased::Ahead) => {}
                    Some(Leased::Stale) => self.ask(gateway, count),
                    None => {
                        bucket.raised_by_another();
                        self.ask(gateway, count);
                    }
                }
            }
            Event::Lost(gateway) => {
                let clock = self.clock(gateway);
                self.buckets[gateway].failed(clock);
            }
        }
    }

    fn delay(&mut self, event: Event) -> u64 {
        if matches!(event, Event::Lost(_)) { 250 * MILLISECOND } else { 1 + self.below(self.plan.slowest) }
    }

    fn look(&mut self, gateway: usize) {
        let (clock, gateways) = (self.clock(gateway), self.gateways());
        let bucket = &mut self.buckets[gateway];
        let take = bucket.take(clock, gateways);
        let lease = bucket.lease(clock, gateways);
        if take == Take::Taken {
            self.used.push((self.now, gateway));
        }
        if let Some(count) = lease {
            self.leases += 1;
            self.tries[gateway] = 0;
            self.ask(gateway, count);
        }
        if take == Take::Unknown {
            self.at(self.now + MILLISECOND, Event::Again(gateway));
        }
    }

    fn ask(&mut self, gateway: usize, count: u64) {
        let clock = self.clock(gateway);
        self.tries[gateway] += 1;
        if self.tries[gateway] > TRIES {
            return self.buckets[gateway].failed(clock);
        }
        let Increment { amount, raise } = self.buckets[gateway].increment(count, clock);
        let event = if self.below(1000) < self.plan.lost {
            Event::Lost(gateway)
        } else {
            Event::Asked(gateway, count, amount, raise)
        };
        let delay = self.delay(event);
        self.at(self.now + delay, event);
    }

    /// The most that were ever used beyond what a bucket of this limit, and a clock that is so much faster, lets through.
    fn worst_excess(&self) -> f64 {
        let Limit { per_second, burst } = self.plan.limit;
        let (mut level, mut at, mut worst) = (burst as f64, START, 0.0_f64);
        let mut used: Vec<Micros> = self.used.iter().map(|(at, _)| *at).collect();
        used.sort_unstable();
        for time in used {
            level = (level + (time - at) as f64 * per_second as f64 / SECOND as f64).min(burst as f64);
            at = time;
            level -= 1.0;
            worst = worst.max(-level);
        }
        worst
    }

    fn used_by(&self, gateway: usize) -> u64 {
        self.used.iter().filter(|(_, by)| *by == gateway).count() as u64
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let limit = (1_u64..2000, 1_u64..2000).prop_map(|(per_second, burst)| Limit { per_second, burst });
    let loads = prop::collection::vec(1_u64..1500, 1..5);
    // A token lives as long as a burst takes to come due: longer than the counter takes to answer a few times.
    (limit, loads, 1_u64..40 * MILLISECOND, any::<u64>()).prop_map(|(limit, loads, slowest, seed)| Plan {
        limit,
        loads,
        slowest: slowest.min(limit.burst * SECOND / limit.per_second / 20).max(1),
        lost: 0,
        skew: 0,
        seconds: 2,
        seed,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_gateways_together_never_use_more_than_one_bucket_holds(plan in plan()) {
        let world = World::run(plan);
        prop_assert!(world.worst_excess() < 1.001, "{} too many", world.worst_excess());
    }

    // A share is used beside what others have leased before, so for a moment it can be twice the limit.
    #[test]
    fn where_the_counter_cannot_be_reached_each_keeps_to_its_share(plan in plan(), lost in 1_u64..1000) {
        let plan = Plan { lost, ..plan };
        let (burst, gateways) = (plan.limit.burst, plan.loads.len() as u64);
        let allowed = burst.max(gateways) + plan.limit.per_second * 2 * plan.seconds + gateways;
        let world = World::run(plan);
        prop_assert!(world.used.len() as u64 <= burst + allowed, "{} of {allowed}", world.used.len());
    }

    #[test]
    fn a_clock_that_is_off_adds_no_more_than_what_is_due_in_that_time(plan in plan(), skew in 0_u64..50) {
        // Where it is off by as long as a token lives, the share counts.
        let skew = (skew * MILLISECOND).min(plan.limit.burst * SECOND / plan.limit.per_second / 20);
        let plan = Plan { skew, ..plan };
        let more = plan.limit.per_second as f64 * 2.0 * plan.skew as f64 / SECOND as f64;
        let world = World::run(plan);
        prop_assert!(world.worst_excess() < more + 1.001, "{} more than {more}", world.worst_excess());
    }

    #[test]
    fn a_gateway_that_gets_all_the_traffic_gets_all_that_the_limit_lets_through(
        per_second in 10_u64..1000, burst in 10_u64..1000, idle in 0_usize..4, slowest in 1_u64..MILLISECOND / 2, seed: u64,
    ) {
        let mut loads = vec![1; idle + 1];
        loads[0] = per_second * 3 + burst;
        let limit = Limit { per_second, burst };
        let world = World::run(Plan { limit, loads, slowest, lost: 0, skew: 0, seconds: 5, seed });
        // What the others take, and lease and do not use, is not the busy one's.
        let others = idle as u64 * 5 * 2;
        let (used, of) = (world.used_by(0), (burst + per_second * 5).saturating_sub(others));
        prop_assert!(used * 100 >= of * 95, "{used} of {of}");
    }
}

#[test]
fn a_full_bucket_gives_a_burst_at_once_and_then_one_after_the_other() {
    let limit = Limit { per_second: 2, burst: 4 };
    let plan = Plan { limit, loads: vec![200], slowest: 100, lost: 0, skew: 0, seconds: 3, seed: 7 };
    let world = World::run(plan);
    let in_time = |from: u64, to: u64| {
        world.used.iter().filter(|(at, _)| (START + from * MILLISECOND..START + to * MILLISECOND).contains(at)).count()
    };
    assert_eq!((in_time(0, 100), in_time(0, 3000)), (4, 10));
}

#[test]
fn a_lease_is_shared_by_many_requests() {
    let limit = Limit { per_second: 10_000, burst: 20_000 };
    let plan = Plan { limit, loads: vec![5000], slowest: 2 * MILLISECOND, lost: 0, skew: 0, seconds: 3, seed: 7 };
    let world = World::run(plan);
    assert_eq!(world.used.len(), 15_000, "all are within the limit");
    assert!(world.leases < 150, "{} leases", world.leases);
}

#[test]
fn over_the_limit_it_is_told_when_the_next_one_may_pass() {
    let mut bucket = Bucket::new(Limit { per_second: 2, burst: 1 });
    bucket.arrived(START);
    assert_eq!(bucket.take(START, 1), Take::Unknown);
    assert_eq!(bucket.lease(START, 1), Some(1));
    assert_eq!(bucket.lease(START, 1), None, "one at a time");
    let behind = u128::from(bucket.limit.due(START)) - 100;
    assert_eq!(bucket.leased(behind, 1, START), Leased::Stale);
    let increment = bucket.increment(1, START);
    assert_eq!(increment, Increment { amount: (1 << 64) + 101, raise: Some(0) });
    assert_eq!(bucket.leased(behind + increment.amount, 1, START), Leased::Tokens);
    assert_eq!(bucket.take(START, 1), Take::Taken);
    assert_eq!(bucket.take(START + 1, 1), Take::Over(Duration::from_micros(379_999)));
}

#[test]
fn a_counter_that_is_far_ahead_of_the_clock_blocks_nobody() {
    let mut bucket = Bucket::new(Limit { per_second: 10, burst: 10 });
    bucket.arrived(START);
    let count = bucket.lease(START, 2).unwrap();
    let hour_ahead = u128::from(bucket.limit.due(START + 3600 * SECOND));
    assert_eq!(bucket.leased(hour_ahead, count, START), Leased::Ahead);
    let taken = (0..20).filter(|_| bucket.take(START, 2) == Take::Taken).count();
    assert_eq!(taken, 5, "its share of two");
}

#[test]
fn a_counter_that_was_lost_gives_nothing_twice() {
    let mut bucket = Bucket::new(Limit { per_second: 10, burst: 100 });
    for _ in 0..20 {
        bucket.arrived(START);
    }
    let due = u128::from(bucket.limit.due(START));
    let count = bucket.lease(START, 1).unwrap();
    assert_eq!(bucket.leased(due + 50, count, START), Leased::Tokens);
    for _ in 0..100 {
        bucket.arrived(START);
    }
    let count = bucket.lease(START, 1).unwrap();
    assert_eq!(bucket.leased(due + u128::from(count), count, START), Leased::Tokens);
    let taken = (0..200).filter(|_| bucket.take(START, 1) == Take::Taken).count() as u64;
    assert_eq!(taken, count, "only what was leased after it was lost");
}
