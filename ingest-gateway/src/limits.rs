//! How much is taken from one address, from one source, and of one address's failed authentications.
//!
//! Memory is bounded whatever is tried: addresses that have been quiet are forgotten every second, and beyond
//! 100,000 those that come share 1,024 places. Time is read by the limiters themselves.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use proto::Verified;
use runtime::config::{AuthFailures, Rate};

use crate::address::limited_as;

/// Addresses told apart at once: about 10 MiB.
const MOST_ADDRESSES: usize = 100_000;
/// The places that all share when there are more.
const SHARED: u64 = 1024;

/// A limit that was reached, as the answer tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which limit: `default` per address, `webhook` per source, `auth` for failed authentications.
    pub policy: &'static str,
    /// Requests at once.
    pub quota: u32,
    /// For how long such a quota lasts, in seconds.
    pub window_s: u64,
    /// How long until one more is taken.
    pub wait: Duration,
}

impl Over {
    fn new<P: governor::clock::Reference>(policy: &'static str, not_until: &NotUntil<P>, now: P) -> Self {
        let quota = not_until.quota();
        Self {
            policy,
            quota: quota.burst_size().get(),
            window_s: whole_seconds(quota.burst_size_replenished_in()),
            wait: not_until.wait_time_from(now),
        }
    }
}

/// Rounded up, and never zero: "wait no time" is not what a limit says.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// So many a second and at once, `times` over.
fn quota(rate: Rate, times: u32) -> Quota {
    Quota::per_second(at_least_one(rate.per_second.saturating_mul(times)))
        .allow_burst(at_least_one(rate.burst.saturating_mul(times)))
}

/// One limit for each address.
#[derive(Debug)]
pub struct PerAddress<C: Clock = DefaultClock> {
    policy: &'static str,
    limiter: RateLimiter<u64, DashMapStateStore<u64>, C, NoOpMiddleware<C::Instant>>,
    /// Where an address lands must not be for the sender to choose.
    hasher: RandomState,
    /// At least as many as are tracked: those at the last tidying, and every check since.
    tracked: AtomicUsize,
    most: usize,
}

impl PerAddress {
    /// The limit on all requests of an address.
    pub fn requests(rate: Rate) -> Self {
        Self::new("default", quota(rate, 1), MOST_ADDRESSES, DefaultClock::default())
    }

    /// The limit on an address's failed authentications.
    pub fn failures(limit: AuthFailures) -> Self {
        let quota = Quota::per_minute(at_least_one(limit.per_minute)).allow_burst(at_least_one(limit.burst));
        Self::new("auth", quota, MOST_ADDRESSES, DefaultClock::default())
    }
}

impl<C: Clock> PerAddress<C> {
    fn new(policy: &'static str, quota: Quota, most: usize, clock: C) -> Self {
        let limiter = RateLimiter::dashmap_with_clock(quota, clock);
        Self { policy, limiter, hasher: RandomState::new(), tracked: AtomicUsize::new(0), most }
    }

    /// Takes one from the address's budget.
    pub fn check(&self, address: IpAddr) -> Result<(), Over> {
        let crowded = self.tracked.fetch_add(1, Ordering::Relaxed) >= self.most;
        let hash = self.hasher.hash_one(limited_as(address));
        let key = if crowded { hash % SHARED } else { hash | 1 << 63 };
        self.limiter.check_key(&key).map_err(|error| Over::new(self.policy, &error, self.limiter.clock().now()))
    }

    /// Forgets addresses whose budget is whole again. Called every second.
    pub fn tidy(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
        self.tracked.store(self.limiter.len(), Ordering::Relaxed);
    }
}

/// A budget that belongs to nobody else.
#[derive(Debug)]
struct Single<C: Clock>(RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>);

impl<C: Clock> Single<C> {
    fn new(quota: Quota, clock: C) -> Self {
        Self(RateLimiter::direct_with_clock(quota, clock))
    }

    fn check(&self) -> Result<(), Over> {
        self.0.check().map_err(|error| Over::new("webhook", &error, self.0.clock().now()))
    }
}

/// A budget, and ten times of it for a source that takes more than its limit.
#[derive(Debug)]
struct Graded<C: Clock> {
    own: Single<C>,
    tenfold: Single<C>,
}

impl<C: Clock + Clone> Graded<C> {
    fn new(rate: Rate, clock: &C) -> Self {
        let single = |times| Single::new(quota(rate, times), clock.clone());
        Self { own: single(1), tenfold: single(10) }
    }

    fn check(&self) -> Pressure {
        match (self.own.check(), self.tenfold.check()) {
            (Ok(()), _) => Pressure::Within,
            (Err(over), Ok(())) => Pressure::Over(over),
            (Err(_), Err(over)) => Pressure::FarOver(over),
        }
    }
}

/// The limits of one source.
#[derive(Debug)]
pub struct PerSource<C: Clock = DefaultClock> {
    provider: Graded<C>,
    /// For requests whose signature is wrong and that are accepted all the same (`verify = "observe"`): whoever sends
    /// them must not eat the provider's budget.
    unverified: Graded<C>,
}

/// What the limits of a source say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// Within the limit.
    Within,
    /// Over it, and within ten times of it.
    Over(Over),
    /// Over ten times of it.
    FarOver(Over),
}

impl PerSource {
    /// The limits of a source with this rate.
    pub fn new(rate: Rate) -> Self {
        Self::with_clock(rate, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> PerSource<C> {
    fn with_clock(rate: Rate, clock: &C) -> Self {
        Self { provider: Graded::new(rate, clock), unverified: Graded::new(rate, clock) }
    }

    /// Takes one from the budget that a request with this verdict may use: the provider's own, or that of those who
    /// cannot prove who they are.
    pub fn check(&self, verified: Verified) -> Pressure {
        match verified {
            Verified::No => self.unverified.check(),
            Verified::Yes | Verified::None => self.provider.check(),
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const RATE: Rate = Rate { per_second: 2, burst: 4 };

    fn address(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn a_budget_is_spent_refilled_and_nobody_elses() {
        let clock = FakeRelativeClock::default();
        let limit = PerAddress::new("default", quota(RATE, 1), 1000, clock.clone());
        let taken = |number, times: usize| (0..times).filter(|_| limit.check(address(number)).is_ok()).count();
        assert_eq!(taken(1, 10), 4);
        assert_eq!(taken(2, 1), 1);
        let over = limit.check(address(1)).unwrap_err();
        assert_eq!(over, Over { policy: "default", quota: 4, window_s: 2, wait: Duration::from_millis(500) });
        clock.advance(Duration::from_secs(1));
        assert_eq!(taken(1, 10), 2);
    }

    #[test]
    fn memory_stays_bounded_however_many_addresses_come() {
        let clock = FakeRelativeClock::default();
        let limit = PerAddress::new("default", quota(RATE, 1), 100, clock.clone());
        for number in 0..100_000_u32 {
            assert!(limit.check(IpAddr::from(number.to_be_bytes())).is_ok() || number > 100);
        }
        assert!(limit.limiter.len() <= 100 + 1024, "{}", limit.limiter.len());
        // The crowd is still limited, and forgotten once it is gone.
        let refused = (0..10_000_u32).filter(|number| limit.check(IpAddr::from(number.to_be_bytes())).is_err()).count();
        assert!(refused > 0);
        clock.advance(Duration::from_mins(1));
        limit.tidy();
        assert_eq!(limit.limiter.len(), 0);
        assert!(limit.check(address(1)).is_ok());
    }

    #[test]
    fn a_source_knows_over_from_far_over_whoever_sends() {
        for verified in [Verified::Yes, Verified::None, Verified::No] {
            let source = PerSource::with_clock(RATE, &FakeRelativeClock::default());
            let pressures: Vec<Pressure> = (0..60).map(|_| source.check(verified)).collect();
            let count = |wanted: fn(&Pressure) -> bool| pressures.iter().filter(|pressure| wanted(pressure)).count();
            assert_eq!(count(|pressure| *pressure == Pressure::Within), 4);
            assert_eq!(count(|pressure| matches!(pressure, Pressure::Over(_))), 36);
            assert_eq!(count(|pressure| matches!(pressure, Pressure::FarOver(_))), 20);
        }
    }

    #[test]
    fn who_cannot_prove_who_he_is_does_not_eat_the_sources_budget() {
        let source = PerSource::with_clock(RATE, &FakeRelativeClock::default());
        let within = |times: usize, verified| (0..times).filter(|_| source.check(verified) == Pressure::Within).count();
        assert_eq!(within(100, Verified::No), 4);
        assert_eq!(within(100, Verified::Yes), 4);
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
