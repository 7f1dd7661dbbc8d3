//! How much is taken from one address, and of one address's failed authentications; and what is said of a limit.
//!
//! A source's limit is one for all gateways ([`crate::source_limits`]). An address's is each gateway's own: whoever is over it is a
//! nuisance to the gateway that it comes to, and asking the others about each of a million addresses would be a greater one.
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
use governor::{NotUntil, Quota, RateLimiter};
use runtime::config::{AuthFailures, Rate};

use crate::address::limited_as;
use crate::bucket::Limit;

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

    /// Over the limit of a source.
    pub(crate) fn of_source(limit: Limit, wait: Duration) -> Self {
        let Limit { per_second, burst } = limit;
        let quota = u32::try_from(burst).unwrap_or(u32::MAX);
        Self { policy: "webhook", quota, window_s: burst.div_ceil(per_second.max(1)).max(1), wait }
    }
}

/// Rounded up, and never zero: "wait no time" is not what a limit says.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn quota(rate: Rate) -> Quota {
    Quota::per_second(at_least_one(rate.per_second)).allow_burst(at_least_one(rate.burst))
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
        Self::new("default", quota(rate), MOST_ADDRESSES, DefaultClock::default())
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
        let limit = PerAddress::new("default", quota(RATE), 1000, clock.clone());
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
        let limit = PerAddress::new("default", quota(RATE), 100, clock.clone());
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
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
