//! Finds out why a signature does not hold: changes one thing after the other, then two at once, and lets the source's
//! own adapter judge each. Pure.
//!
//! What a reader would get wrong: a change that makes it hold is no proof of what happened, only of what the provider
//! signed. The number of changes and the bytes they cost are bounded; where a bound ends the search, that is said.

use providers::{Flaw, Verdict};

use super::case::{Case, Trial, is_right};
use super::clock::{self, Window};
use super::expected::Expected;
use super::way::{Kind, Way};

/// Changes tried at most.
const MOST: usize = 20_000;
/// Bytes of bodies looked at, at most: a few seconds.
const BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// What judging costs beside the body.
const OVERHEAD: u64 = 4096;

/// One after the other.
const SINGLE: [Kind; 6] = [Kind::Header, Kind::Secret, Kind::Url, Kind::Body, Kind::Scheme, Kind::Provider];
/// Two at once; the first is changed less often.
const PAIRS: [(Kind, Kind); 7] = [
    (Kind::Header, Kind::Secret),
    (Kind::Header, Kind::Url),
    (Kind::Header, Kind::Body),
    (Kind::Body, Kind::Secret),
    (Kind::Scheme, Kind::Secret),
    (Kind::Body, Kind::Url),
    (Kind::Url, Kind::Secret),
];

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Examination {
    /// The verdict on the request as it is.
    pub(crate) verdict: Verdict,
    /// Where that is a question of time: when it would have been good.
    pub(crate) window: Option<Window>,
    /// What makes it hold: the first of each kind, or the first two that do it together.
    pub(crate) found: Vec<Found>,
    /// Changes tried.
    pub(crate) tried: usize,
    /// Whether a bound ended the search.
    pub(crate) ended_early: bool,
}

/// Changes with which the signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) ways: Vec<Way>,
    pub(crate) verdict: Verdict,
    /// Where it is right and not in time: when it would have been good.
    pub(crate) window: Option<Window>,
    /// Bytes of the body with which it holds.
    pub(crate) body_length: usize,
}

/// Judges a case, and where its signature is wrong, looks for what would make it right.
pub(crate) fn examine(case: &Case, expected: &Expected) -> Examination {
    let unchanged = case.unchanged();
    let verdict = unchanged.verdict(case.now);
    let mut search = Search { case, tried: 0, bytes: 0, ended_early: false };
    let found = match verdict {
        Verdict::Fits { .. } | Verdict::NothingToVerify | Verdict::Wrong(Flaw::Stale | Flaw::Early) => Vec::new(),
        Verdict::Wrong(_) => search.find(&unchanged, expected),
    };
    Examination {
        verdict,
        window: window_of(&unchanged, case, verdict),
        found,
        tried: search.tried,
        ended_early: search.ended_early,
    }
}

fn window_of(trial: &Trial<'_>, case: &Case, verdict: Verdict) -> Option<Window> {
    let late = matches!(verdict, Verdict::Wrong(Flaw::Stale | Flaw::Early));
    late.then(|| clock::window(trial, case.now)).flatten()
}

/// The search, with what it has cost.
struct Search<'c> {
    case: &'c Case,
    tried: usize,
    bytes: u64,
    ended_early: bool,
}

impl<'c> Search<'c> {
    fn find(&mut self, unchanged: &Trial<'c>, expected: &Expected) -> Vec<Found> {
        let single: Vec<Found> =
            SINGLE.into_iter().filter_map(|kind| self.first(unchanged, &kind.ways(self.case, expected), &[])).collect();
        if !single.is_empty() {
            return single;
        }
        for (one, other) in PAIRS {
            let others = other.ways(self.case, expected);
            for way in one.ways(self.case, expected) {
                let Some(trial) = way.apply(self.case, unchanged) else { continue };
                if let Some(found) = self.first(&trial, &others, &[way]) {
                    return vec![found];
                }
                if self.ended_early {
                    return Vec::new();
                }
            }
        }
        Vec::new()
    }

    /// The first of these changes with which the signature is right, after others.
    fn first(&mut self, trial: &Trial<'c>, ways: &[Way], before: &[Way]) -> Option<Found> {
        for way in ways {
            let Some(changed) = way.apply(self.case, trial) else { continue };
            if self.tried >= MOST || self.bytes >= BYTES {
                self.ended_early = true;
                return None;
            }
            self.tried += 1;
            self.bytes += changed.body.len() as u64 + OVERHEAD;
            let verdict = changed.verdict(self.case.now);
            if is_right(verdict) {
                let ways = before.iter().chain([way]).cloned().collect();
                let window = window_of(&changed, self.case, verdict);
                return Some(Found { ways, verdict, window, body_length: changed.body.len() });
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod tests;
