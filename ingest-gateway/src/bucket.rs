//! A token bucket that all gateways share, as far as one of them knows it. No I/O and no clock.
//!
//! Tokens are numbered, and so many of them are due each second, counted from 1970. Token `n` may be used from the moment
//! when `n - burst` are due until the moment when `n` are. A counter in NATS gives each number to one gateway only; so all
//! of them together use at most `burst + per_second * t` in any time `t`, whatever is late, lost, asked for twice, or
//! leased and never used. Nothing has to be given back, and a lease may reach ahead: what is not due yet is used later.
//!
//! The counter falls behind where fewer come than the limit lets in, and gives numbers whose time is over. It is raised
//! then, and only once however many find out at the same time: its upper half counts how often it was raised, and the
//! message that raises it has that number as its id, which the broker takes once. Raised twice by what an idle hour has
//! left, it would give nothing for an hour.
//!
//! Where the counter cannot be had, or is far ahead of the clock, a gateway keeps to its share of the limit. So it does where
//! tokens live no longer than the counter takes to answer some times (`burst / per_second`), because they come too late.

use std::collections::VecDeque;
use std::time::Duration;

/// A moment, in microseconds since 1970, by the broker's clock.
pub type Micros = u64;

const SECOND: u64 = 1_000_000;
/// How far back the requests count by which the next lease is measured; half as much counts what is that much older.
const RECENT: f64 = 100_000.0;
/// How long a gateway keeps to its share before it asks again.
const ALONE: u64 = SECOND;
/// Tokens that leases may be ahead of the clock beside one burst and one second: what many gateways have in hand.
const AHEAD: u64 = 100;
/// Increments that one lease may take: one that finds the counter behind and one that raises it, and more where others raise the counter at the same time.
pub const TRIES: u32 = 8;
/// Where the number of times that the counter was raised begins.
const RAISES: u32 = 64;

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Tokens a second; at least 1.
    pub per_second: u64,
    /// Tokens at once; at least 1.
    pub burst: u64,
}

impl Limit {
    /// The highest number whose time is over.
    fn due(self, now: Micros) -> u64 {
        let due = u128::from(self.per_second) * u128::from(now) / u128::from(SECOND);
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// The highest number that may be used.
    fn usable(self, now: Micros) -> u64 {
        self.due(now).saturating_add(self.burst)
    }

    /// How long until a number may be used.
    fn wait(self, number: u64, now: Micros) -> Duration {
        let at = (u128::from(number.saturating_sub(self.burst)) * u128::from(SECOND)).div_ceil(self.per_second.into());
        Duration::from_micros(u64::try_from(at).unwrap_or(u64::MAX).saturating_sub(now))
    }
}

/// What the counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counter {
    /// How often it was raised.
    raises: u64,
    /// The highest number that was given to anybody.
    highest: u64,
}

impl Counter {
    fn of(value: u128) -> Self {
        let low = value & u128::from(u64::MAX);
        Self { raises: (value >> RAISES).try_into().unwrap_or(u64::MAX), highest: low.try_into().unwrap_or(u64::MAX) }
    }
}

/// What to add to the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Increment {
    /// So much.
    pub amount: u128,
    /// It raises the counter, and must be taken once by the broker, under this number.
    pub raise: Option<u64>,
}

/// Whether a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// It may, and has used a token.
    Taken,
    /// It may not; the next one may after this time.
    Over(Duration),
    /// There is no token in hand, and there may be some to be had: see [`Bucket::lease`].
    Unknown,
}

/// What has become of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leased {
    /// The tokens are in hand.
    Tokens,
    /// The counter gave numbers whose time is over; now that it is known how far it is, the next increment raises it.
    Stale,
    /// The counter is further ahead than leases can be: somebody's clock is wrong, and the share counts for a while.
    Ahead,
}

/// One gateway's part of a bucket.
#[derive(Debug)]
pub struct Bucket {
    limit: Limit,
    /// Numbers in hand, first and last of each lease, in rising order.
    held: VecDeque<(u64, u64)>,
    counter: Option<Counter>,
    /// Whether the counter has fallen behind, as the last answer said just now. An older answer is not enough to raise it
    /// by: what others have leased since would be skipped.
    behind: bool,
    asked_at: Micros,
    /// Tokens that come due while the counter answers, twice over: it is raised by so many more, or those of a small lease
    /// would be over before they arrive.
    lead: u64,
    /// Requests of late, fading.
    recent: f64,
    recent_at: Micros,
    leasing: bool,
    /// Until then it keeps to its share.
    alone_until: Micros,
    /// When all that was taken of its share is due.
    share_used_until: Micros,
}

impl Bucket {
    /// A full bucket of which nothing is known yet.
    pub fn new(limit: Limit) -> Self {
        Self {
            limit,
            held: VecDeque::new(),
            counter: None,
            behind: false,
            asked_at: 0,
            lead: 0,
            recent: 0.0,
            recent_at: 0,
            leasing: false,
            alone_until: 0,
            share_used_until: 0,
        }
    }

    /// The limit.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Whether it keeps to its share.
    pub fn is_alone(&self, now: Micros) -> bool {
        now < self.alone_until
    }

    /// A request has come, for which [`Self::take`] will be asked, maybe more than once.
    pub fn arrived(&mut self, now: Micros) {
        self.fade(now);
        self.recent += 1.0;
    }

    fn fade(&mut self, now: Micros) {
        #[expect(clippy::cast_precision_loss, reason = "a time since the last request, to measure a lease by")]
        let passed = now.saturating_sub(self.recent_at) as f64;
        self.recent *= (-passed / RECENT).exp2();
        self.recent_at = now;
    }

    /// Takes a token, of this gateway's share of `gateways` where it is alone.
    pub fn take(&mut self, now: Micros, gateways: u64) -> Take {
        if self.is_alone(now) {
            return self.take_of_share(now, gateways);
        }
        self.drop_stale(now);
        let usable = self.limit.usable(now);
        match self.held.front_mut() {
            Some((first, _)) if *first <= usable => {
                *first += 1;
                Take::Taken
            }
            Some((first, _)) => Take::Over(self.limit.wait(*first, now)),
            None => match self.counter {
                // Whatever is leased next comes after that.
                Some(counter) if counter.highest >= usable => {
                    Take::Over(self.limit.wait(counter.highest.saturating_add(1), now))
                }
                _ => Take::Unknown,
            },
        }
    }

    /// Takes a token of this gateway's share, whatever the counter says.
    pub fn take_of_share(&mut self, now: Micros, gateways: u64) -> Take {
        let interval = (gateways.max(1) * SECOND / self.limit.per_second).max(1);
        let burst = (u128::from(self.limit.burst) * u128::from(SECOND) / u128::from(self.limit.per_second))
            .try_into()
            .unwrap_or(u64::MAX)
            .max(interval);
        let used_until = self.share_used_until.max(now).saturating_add(interval);
        let ahead = used_until - now;
        if ahead > burst {
            return Take::Over(Duration::from_micros(ahead - burst));
        }
        self.share_used_until = used_until;
        Take::Taken
    }

    fn drop_stale(&mut self, now: Micros) {
        let due = self.limit.due(now);
        while let Some((first, last)) = self.held.front_mut() {
            *first = (*first).max(due.saturating_add(1));
            if first <= last {
                return;
            }
            self.held.pop_front();
        }
    }

    /// How many tokens to lease, if it is time to: as many as requests have come of late. One lease at a time: it has to
    /// end with [`Self::leased`] or [`Self::failed`].
    pub fn lease(&mut self, now: Micros, gateways: u64) -> Option<u64> {
        if self.leasing || self.is_alone(now) {
            return None;
        }
        self.drop_stale(now);
        self.fade(now);
        let per_second = self.limit.per_second;
        let (due, usable) = (self.limit.due(now), self.limit.usable(now));
        let highest = self.counter.map_or(0, |counter| counter.highest).max(due);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of requests, rounded up")]
        let expected = (self.recent.ceil() as u64).max(1);
        let held: u64 = self.held.iter().map(|(first, last)| (last - first).saturating_add(1)).sum();
        // A fifth of a second ahead is enough for who has to wait anyhow.
        if held.saturating_mul(2) >= expected || highest >= usable.saturating_add(per_second / 5) {
            return None;
        }
        let most = (per_second / 10).max(usable.saturating_sub(highest) / 4) / gateways.max(1);
        self.leasing = true;
        Some(expected.min(most.max(1)))
    }

    /// What to add to the counter for a lease of `count`.
    pub fn increment(&mut self, count: u64, now: Micros) -> Increment {
        let due = self.limit.due(now);
        self.asked_at = now;
        match self.counter {
            Some(Counter { raises, highest }) if self.behind => {
                let up_to_now = due.saturating_sub(highest).saturating_add(self.lead);
                Increment { amount: (1 << RAISES) + u128::from(up_to_now) + u128::from(count), raise: Some(raises) }
            }
            _ => Increment { amount: count.into(), raise: None },
        }
    }

    /// The counter had this value after an increment for `count` tokens.
    pub fn leased(&mut self, value: u128, count: u64, now: Micros) -> Leased {
        let counter = Counter::of(value);
        self.counter = Some(counter);
        self.behind = false;
        let (first, last) = (counter.highest.saturating_sub(count - count.min(1)), counter.highest);
        let Limit { per_second, burst } = self.limit;
        let due = self.limit.due(now);
        if first > due.saturating_add(2 * burst).saturating_add(per_second).saturating_add(AHEAD) {
            self.failed(now);
            return Leased::Ahead;
        }
        if last.saturating_sub(due) < count.div_ceil(2) {
            self.behind = true;
            self.lead = due.saturating_sub(self.limit.due(self.asked_at)).saturating_mul(2).min(burst / 2);
            return Leased::Stale;
        }
        self.leasing = false;
        if self.held.back().is_some_and(|(_, newest)| *newest >= first) {
            // The counter was lost and begins anew: it may give what is in hand to somebody else.
            self.held.clear();
        }
        self.held.push_back((first, last));
        Leased::Tokens
    }

    /// Somebody else has raised the counter since: what was known of it does not count.
    pub fn raised_by_another(&mut self) {
        self.behind = false;
    }

    /// The counter cannot be had: for a while this gateway keeps to its share.
    pub fn failed(&mut self, now: Micros) {
        self.leasing = false;
        self.behind = false;
        self.counter = None;
        self.alone_until = now.saturating_add(ALONE);
    }
}

#[cfg(test)]
mod tests;
