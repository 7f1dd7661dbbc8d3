//! Remembers what was stored in the last two minutes at this gateway, to tell a sender that it repeats itself.
//!
//! A courtesy, not the deduplication: a repeat is stored all the same, unless its source asks for 409. A request is
//! entered after the broker's acknowledgement only, so a repeat never refers to something that is not there.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use proto::Verified;
use uuid::Uuid;

/// How long a request is remembered.
const WINDOW: Duration = Duration::from_mins(2);
/// Requests remembered at most, about 25 MiB; beyond, the oldest are forgotten first.
const MOST: usize = 1 << 18;
/// Locks, so that requests on different threads rarely wait for each other.
const SHARDS: usize = 16;

/// What makes two requests byte-identical here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Print([u8; 16]);

impl Print {
    /// `verified` is part of it: a forged copy must not have the real request refused with 409. `ids` are the headers
    /// that hold the sender's own id, by name: two events with equal bodies are two. All other headers may differ from
    /// one attempt to the next.
    pub fn of<'a>(
        source: &str,
        verified: Verified,
        method: &str,
        query: Option<&str>,
        ids: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        for part in [source, verified.as_str(), method, query.unwrap_or_default()] {
            add(part.as_bytes());
        }
        let mut count = 0_u64;
        for (name, value) in ids {
            add(name.as_bytes());
            add(value);
            count += 1;
        }
        add(body);
        hasher.update(&count.to_le_bytes());
        hasher.update(&[u8::from(query.is_some())]);
        let mut print = [0; 16];
        hasher.finalize_xof().fill(&mut print);
        Self(print)
    }
}

/// What was stored lately.
#[derive(Debug)]
pub struct Recent {
    shards: Vec<Mutex<Shard>>,
    most_per_shard: usize,
}

#[derive(Debug, Default)]
struct Shard {
    known: HashMap<Print, (Uuid, Instant)>,
    /// In the order of entering; an entry whose time is no longer the known one was entered again later.
    order: VecDeque<(Instant, Print)>,
}

impl Default for Recent {
    fn default() -> Self {
        Self::with_capacity(MOST)
    }
}

impl Recent {
    fn with_capacity(most: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, most_per_shard: most.div_ceil(SHARDS) }
    }

    /// The first request of this print, if it or a repeat of it was stored within the window before `now`.
    pub fn seen(&self, print: Print, now: Instant) -> Option<Uuid> {
        let shard = self.shard(print)?;
        let (id, at) = shard.known.get(&print)?;
        (now.saturating_duration_since(*at) <= WINDOW).then_some(*id)
    }

    /// Enters a request that is stored.
    pub fn enter(&self, print: Print, id: Uuid, now: Instant) {
        let Some(mut shard) = self.shard(print) else { return };
        let first = shard.known.get(&print).filter(|(_, at)| now.saturating_duration_since(*at) <= WINDOW);
        let id = first.map_or(id, |(first, _)| *first);
        shard.known.insert(print, (id, now));
        shard.order.push_back((now, print));
        shard.forget(now, self.most_per_shard);
    }

    fn shard(&self, print: Print) -> Option<std::sync::MutexGuard<'_, Shard>> {
        let [first, ..] = print.0;
        let shard = self.shards.get(usize::from(first) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    fn forget(&mut self, now: Instant, most: usize) {
        while let Some((at, print)) = self.order.front().copied() {
            if self.order.len() <= most && now.saturating_duration_since(at) <= WINDOW {
                return;
            }
            self.order.pop_front();
            if self.known.get(&print).is_some_and(|(_, latest)| *latest == at) {
                self.known.remove(&print);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(body: &[u8]) -> Print {
        Print::of("contact", Verified::Yes, "POST", None, [], body)
    }

    #[test]
    fn a_repeat_refers_to_the_first_as_long_as_the_window_says() {
        let (recent, start) = (Recent::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(recent.seen(print(b"a"), start), None);
        recent.enter(print(b"a"), Uuid::from_u128(1), start);
        assert_eq!(recent.seen(print(b"a"), after(120)), Some(Uuid::from_u128(1)));
        assert_eq!(recent.seen(print(b"a"), after(121)), None);
        assert_eq!(recent.seen(print(b"b"), start), None);
        // A repeat goes on referring to the first, and the window counts from the last.
        recent.enter(print(b"a"), Uuid::from_u128(2), after(100));
        assert_eq!(recent.seen(print(b"a"), after(220)), Some(Uuid::from_u128(1)));
        recent.enter(print(b"a"), Uuid::from_u128(3), after(500));
        assert_eq!(recent.seen(print(b"a"), after(500)), Some(Uuid::from_u128(3)));
    }

    #[test]
    fn memory_stays_bounded_and_the_oldest_go_first() {
        let (recent, start) = (Recent::with_capacity(160), Instant::now());
        for number in 0..10_000_u32 {
            let at = start + Duration::from_millis(u64::from(number));
            recent.enter(print(&number.to_le_bytes()), Uuid::from_u128(number.into()), at);
            recent.enter(print(b"again and again"), Uuid::nil(), at);
        }
        let held: usize = recent.shards.iter().map(|shard| shard.lock().unwrap().order.len()).sum();
        let known: usize = recent.shards.iter().map(|shard| shard.lock().unwrap().known.len()).sum();
        assert!(held <= 160 && known <= held, "{held} {known}");
        let end = start + Duration::from_secs(10);
        assert!(recent.seen(print(&9_999_u32.to_le_bytes()), end).is_some());
        assert!(recent.seen(print(&0_u32.to_le_bytes()), end).is_none());
    }

    #[test]
    fn only_the_same_bytes_at_the_same_place_with_the_same_verdict_and_ids_are_identical() {
        let all = [
            Print::of("a", Verified::Yes, "POST", None, [], b"x"),
            Print::of("b", Verified::Yes, "POST", None, [], b"x"),
            Print::of("a", Verified::No, "POST", None, [], b"x"),
            Print::of("a", Verified::Yes, "GET", None, [], b"x"),
            Print::of("a", Verified::Yes, "POST", Some(""), [], b"x"),
            Print::of("a", Verified::Yes, "POST", Some("x"), [], b""),
            Print::of("a", Verified::Yes, "POST", None, [], b"y"),
            Print::of("a", Verified::Yes, "POST", None, [("id", &b"1"[..])], b"x"),
            Print::of("a", Verified::Yes, "POST", None, [("id", &b"2"[..])], b"x"),
            Print::of("a", Verified::Yes, "POST", None, [("di", &b"1"[..])], b"x"),
            Print::of("a", Verified::Yes, "POST", None, [("id", &b"1"[..]), ("id", &b"1"[..])], b"x"),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
