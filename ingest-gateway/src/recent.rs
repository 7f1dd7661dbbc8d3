//! What this gateway remembers of the requests it has seen: which were stored in the last two minutes, to tell a sender
//! that it repeats itself, and which message a signature was used for that does not cover it.
//!
//! Neither is shared with another gateway or outlives the process, and both are bounded; so neither is the
//! deduplication, nor a proof. A repeat is stored all the same, unless its source asks for 409, and is entered after the
//! broker's acknowledgement only, so it never refers to something that is not there. A signature is entered as soon as
//! it fits, or two messages under one that come together would both be believed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use proto::Verified;
use providers::Used;
use uuid::Uuid;

/// How long a stored request is remembered.
const REPEATS: Duration = Duration::from_mins(2);
/// How long a signature is remembered: as long as one can be in time, from the earliest to the latest that the longest
/// `tolerance` allows.
const USES: Duration = Duration::from_hours(2 * 7 * 24);
/// Entries of each kind remembered at most, about 25 MiB; beyond, the oldest are forgotten first.
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
        Self::finish(&hasher)
    }

    fn of_pieces(pieces: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for piece in pieces {
            hasher.update(&(piece.len() as u64).to_le_bytes());
            hasher.update(piece);
        }
        Self::finish(&hasher)
    }

    fn finish(hasher: &blake3::Hasher) -> Self {
        let mut print = [0; 16];
        hasher.finalize_xof().fill(&mut print);
        Self(print)
    }
}

/// What was entered lately, each with what it was first entered with.
#[derive(Debug)]
pub struct Recent<T> {
    shards: Vec<Mutex<Shard<T>>>,
    most_per_shard: usize,
    window: Duration,
}

#[derive(Debug)]
struct Shard<T> {
    known: HashMap<Print, (T, Instant)>,
    /// In the order of entering; an entry whose time is no longer the known one was entered again later.
    order: VecDeque<(Instant, Print)>,
}

impl Recent<Uuid> {
    /// The stored requests, each under the id of the first that was like it.
    pub fn repeats() -> Self {
        Self::new(REPEATS, MOST)
    }
}

impl Recent<Print> {
    /// The signatures, each with the message that it first came with.
    pub fn uses() -> Self {
        Self::new(USES, MOST)
    }

    /// Whether a signature is beside the message that it first came with. The two are looked at under one lock, and one
    /// that is known is not entered again: whoever repeats one signature does not push out another.
    pub fn is_first_use(&self, used: &Used, source: &str, now: Instant) -> bool {
        let print = |hash: &blake3::Hash| Print::of_pieces(&[source.as_bytes(), hash.as_bytes()]);
        let (once, with) = (print(&used.once), print(&used.with));
        let Some(mut shard) = self.shard(once) else { return true };
        if let Some(first) = shard.first(once, now, self.window) {
            return first == with;
        }
        shard.enter(once, with, now, self.window, self.most_per_shard);
        true
    }
}

impl<T: Copy> Recent<T> {
    fn new(window: Duration, most: usize) -> Self {
        let shard = || Mutex::new(Shard { known: HashMap::new(), order: VecDeque::new() });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), most_per_shard: most.div_ceil(SHARDS), window }
    }

    /// What this print was first entered with, if it was entered within the window before `now`.
    pub fn seen(&self, print: Print, now: Instant) -> Option<T> {
        self.shard(print)?.first(print, now, self.window)
    }

    /// Enters a print. What it was first entered with stays, and the window counts from now.
    pub fn enter(&self, print: Print, value: T, now: Instant) {
        let Some(mut shard) = self.shard(print) else { return };
        let first = shard.first(print, now, self.window).unwrap_or(value);
        shard.enter(print, first, now, self.window, self.most_per_shard);
    }

    fn shard(&self, print: Print) -> Option<std::sync::MutexGuard<'_, Shard<T>>> {
        let [first, ..] = print.0;
        let shard = self.shards.get(usize::from(first) % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Copy> Shard<T> {
    fn first(&self, print: Print, now: Instant, window: Duration) -> Option<T> {
        let (first, at) = self.known.get(&print)?;
        (now.saturating_duration_since(*at) <= window).then_some(*first)
    }

    fn enter(&mut self, print: Print, value: T, now: Instant, window: Duration, most: usize) {
        self.known.insert(print, (value, now));
        self.order.push_back((now, print));
        self.forget(now, window, most);
    }

    fn forget(&mut self, now: Instant, window: Duration, most: usize) {
        while let Some((at, print)) = self.order.front().copied() {
            if self.order.len() <= most && now.saturating_duration_since(at) <= window {
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
        let (recent, start) = (Recent::repeats(), Instant::now());
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

    fn used(once: u32, with: &str) -> Used {
        Used { once: blake3::hash(&once.to_le_bytes()), with: blake3::hash(with.as_bytes()) }
    }

    #[test]
    fn a_signature_is_good_for_the_message_that_it_first_came_with_and_for_no_other() {
        let (uses, start) = (Recent::uses(), Instant::now());
        assert!(uses.is_first_use(&used(1, "a"), "contact", start));
        assert!(uses.is_first_use(&used(1, "a"), "contact", start), "a retry");
        assert!(!uses.is_first_use(&used(1, "b"), "contact", start));
        assert!(!uses.is_first_use(&used(1, "b"), "contact", start), "asking twice makes it no better");
        assert!(uses.is_first_use(&used(1, "a"), "contact", start));
        assert!(uses.is_first_use(&used(1, "b"), "other", start), "every source has its own");
        assert!(uses.is_first_use(&used(2, "b"), "contact", start));
        assert!(!uses.is_first_use(&used(1, "b"), "contact", start + USES));
    }

    #[test]
    fn whoever_repeats_one_signature_pushes_out_no_other() {
        let (uses, start) = (Recent::new(USES, 160), Instant::now());
        let all: Vec<u32> = (0..100).collect();
        let first: Vec<bool> = all.iter().map(|once| uses.is_first_use(&used(*once, "a"), "s", start)).collect();
        assert!(first.iter().all(|first| *first));
        for _ in 0..10_000 {
            assert!(uses.is_first_use(&used(0, "a"), "s", start) && !uses.is_first_use(&used(0, "b"), "s", start));
        }
        // At most ten a shard: some were pushed out by their own number, none by the repeats.
        let remembered = all.iter().filter(|once| !uses.is_first_use(&used(**once, "b"), "s", start)).count();
        assert!(remembered >= 80, "{remembered}");
    }

    #[test]
    fn memory_stays_bounded_and_the_oldest_go_first() {
        let (recent, start) = (Recent::new(REPEATS, 160), Instant::now());
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
