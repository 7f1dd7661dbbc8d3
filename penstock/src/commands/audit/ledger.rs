//! The books of `penstock audit`: what was accepted on one side, where it is on the other. Pure.
//!
//! What a reader would get wrong: the equation is one of requests, of which each is at one place as a whole. Records are
//! counted beside it, because one request may be many, and they may end in several tables.

use std::collections::{BTreeMap, HashMap};

use persister::audit::course::Stage;
use persister::audit::endings::{Counts, Endings};
use persister::audit::judge::{Known, Verdict, judge};
use persister::audit::request::Request;
use proto::subject::SourceName;
use proto::{Channel, Millis};
use uuid::Uuid;

/// One side of an account and the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Requests in `RAW`: what was answered with 200.
    pub(super) accepted: u64,
    /// Requests whose records all have an ending.
    pub(super) ended: u64,
    /// Requests of which something may wait for a stage, in the order of [`Stage::ALL`].
    pub(super) at: [u64; Stage::ALL.len()],
    /// Requests so old that their rows may have been dropped.
    pub(super) past_retention: u64,
    /// Requests that lack an ending, and nothing of them is on its way.
    pub(super) missing: u64,
    /// Records that have ended.
    pub(super) records: Counts,
}

impl Account {
    pub(super) fn in_flight(&self) -> u64 {
        self.at.iter().sum()
    }

    /// Whether both sides are equal, and nothing is missing.
    pub(super) fn is_exact(&self) -> bool {
        let accounted = self.ended + self.in_flight() + self.past_retention + self.missing;
        self.accepted == accounted && self.missing == 0
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.ended += other.ended;
        self.past_retention += other.past_retention;
        self.missing += other.missing;
        for (sum, at) in self.at.iter_mut().zip(other.at) {
            *sum += at;
        }
        self.add_records(other.records);
    }

    fn add_records(&mut self, records: Counts) {
        self.records.messages += records.messages;
        self.records.statuses += records.statuses;
        self.records.repeats += records.repeats;
        self.records.dead_letters += records.dead_letters;
    }
}

/// A request that has not ended, as far as is known.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) request: Request,
    pub(super) ended: Endings,
    pub(super) verdict: Verdict,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    closed: BTreeMap<(Channel, SourceName), Account>,
    open: Vec<Open>,
    /// Messages of `RAW` that somebody else has published.
    pub(super) not_ours: u64,
}

impl Ledger {
    /// Enters a request.
    pub(super) fn accept(&mut self, request: Request, ended: Endings) {
        let account = self.closed.entry((request.channel, request.source.clone())).or_default();
        account.accepted += 1;
        if ended.are_whole() {
            close(account, &ended);
        } else {
            self.open.push(Open { request, ended, verdict: Verdict::InFlight(Stage::Normalizer) });
        }
    }

    /// How many requests have not ended, as far as is known.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// What to look up again.
    pub(super) fn open_requests(&self) -> Vec<(Uuid, Millis)> {
        self.open.iter().map(|open| (open.request.id, open.request.received_at)).collect()
    }

    /// What was found of some requests.
    pub(super) fn see(&mut self, endings: &HashMap<Uuid, Endings>) {
        for open in &mut self.open {
            if let Some(ended) = endings.get(&open.request.id) {
                open.ended.clone_from(ended);
            }
        }
    }

    /// Judges everything that has not ended.
    pub(super) fn judge(&mut self, known: &Known<'_>) {
        for mut open in std::mem::take(&mut self.open) {
            open.verdict = judge(&open.request, &open.ended, known);
            if open.verdict == Verdict::Accounted {
                let account = self.closed.entry((open.request.channel, open.request.source.clone())).or_default();
                close(account, &open.ended);
            } else {
                self.open.push(open);
            }
        }
    }

    /// The account of each source.
    pub(super) fn accounts(&self) -> BTreeMap<(Channel, SourceName), Account> {
        let mut accounts = self.closed.clone();
        for open in &self.open {
            let account = accounts.entry((open.request.channel, open.request.source.clone())).or_default();
            account.add_records(open.ended.counts());
            match open.verdict {
                Verdict::InFlight(stage) => {
                    let place = Stage::ALL.iter().position(|known| *known == stage);
                    if let Some(at) = place.and_then(|place| account.at.get_mut(place)) {
                        *at += 1;
                    }
                }
                Verdict::Missing => account.missing += 1,
                Verdict::PastRetention => account.past_retention += 1,
                Verdict::Accounted => account.ended += 1,
            }
        }
        accounts
    }

    /// All accounts together.
    pub(super) fn total(&self) -> Account {
        let mut total = Account::default();
        self.accounts().values().for_each(|account| total.add(account));
        total
    }

    /// Requests that are missing, in the order of `RAW`.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Open> {
        self.open.iter().filter(|open| open.verdict == Verdict::Missing)
    }
}

fn close(account: &mut Account, ended: &Endings) {
    account.ended += 1;
    account.add_records(ended.counts());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use persister::audit::course::{CHANNELS, Course, Snapshot};
    use persister::audit::endings::{Ended, Ending};
    use persister::retention::kept::Kept;

    pub(in super::super) fn request(sequence: u64, source: &str) -> Request {
        Request {
            sequence,
            channel: Channel::Sms,
            source: SourceName::parse(source).unwrap(),
            id: Uuid::from_u128(sequence.into()),
            received_at: Millis::from_unix(1000).unwrap(),
        }
    }

    pub(in super::super) fn ended(parts: &[(u32, Ending)], told: Option<u32>) -> Endings {
        let mut endings = Endings::default();
        for (part, ending) in parts {
            endings.add(Ended { part: *part, parts: told, superseded: false, ending: *ending });
        }
        endings
    }

    /// Up to 10 everything is through.
    pub(in super::super) fn judged(ledger: &mut Ledger) {
        let now = Snapshot { normalized: [10; CHANNELS], ..Snapshot::default() };
        let mut course = Course::default();
        for _ in 0..8 {
            course.observe(&now);
        }
        ledger.judge(&Known { course: &course, last_replay: 0, kept: &Kept::default(), now: None });
    }

    #[test]
    fn both_sides_of_every_account_are_equal() {
        let mut ledger = Ledger::default();
        ledger.accept(request(1, "a"), ended(&[(0, Ending::Message), (1, Ending::Repeat)], Some(2)));
        ledger.accept(request(2, "a"), ended(&[(0, Ending::Message)], Some(2)));
        ledger.accept(request(3, "b"), Endings::default());
        ledger.accept(request(11, "b"), Endings::default());
        ledger.accept(request(12, "b"), ended(&[(0, Ending::DeadLetter)], None));
        judged(&mut ledger);
        let total = ledger.total();
        assert_eq!((total.accepted, total.ended, total.in_flight(), total.missing), (5, 2, 1, 2));
        assert_eq!(total.records, Counts { messages: 2, statuses: 0, repeats: 1, dead_letters: 1 });
        assert!(!total.is_exact());
        assert_eq!(ledger.missing().map(|open| open.request.sequence).collect::<Vec<_>>(), [2, 3]);
        for account in ledger.accounts().values() {
            assert_eq!(account.accepted, account.ended + account.in_flight() + account.missing);
        }
    }

    #[test]
    fn what_has_ended_since_is_closed() {
        let mut ledger = Ledger::default();
        ledger.accept(request(3, "b"), Endings::default());
        ledger.see(&HashMap::from([(Uuid::from_u128(3), ended(&[(0, Ending::Status)], Some(1)))]));
        judged(&mut ledger);
        assert_eq!((ledger.open(), ledger.total().is_exact(), ledger.total().records.statuses), (0, true, 1));
    }

    #[test]
    fn an_account_whose_sides_differ_is_not_exact() {
        assert!(Account { accepted: 2, ended: 2, ..Account::default() }.is_exact());
        assert!(!Account { accepted: 3, ended: 2, ..Account::default() }.is_exact());
    }
}
