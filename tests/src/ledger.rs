//! Bookkeeping: what was sent and how it was answered, against where it ended.
//!
//! Rules: a 2xx is a promise, so each message of that request has exactly one ending, and the message exactly one row,
//! however often it was sent. A cut connection and a 5xx promise nothing: the request may have been stored before the
//! answer was lost, or not at all. A 4xx is a promise too: nothing of it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// One attempt to hand a message over. A request with several messages is an attempt at each.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The sender's id of the message, the same on every attempt.
    pub message: String,
    /// Where it has to end.
    pub end: End,
    /// How it went.
    pub outcome: Outcome,
    /// When the answer was there.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
}

/// Where a message has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As one row; every further copy as a duplicate.
    Row,
    /// It cannot be read: every copy as a dead letter.
    DeadLetter,
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200, with this `Penstock-Id`.
    Accepted(Uuid),
    /// Another status.
    Refused(u16),
    /// No connection: it cannot have been seen.
    NotSent,
    /// The connection was cut before the answer.
    Unknown(String),
}

/// Where things ended: the sender's id and the request of each.
#[derive(Clone, Debug, Default)]
pub struct Endings {
    /// In `messages` or `message_statuses`.
    pub rows: Vec<(String, Uuid)>,
    /// In `duplicates`.
    pub duplicates: Vec<(String, Uuid)>,
    /// In `dead_letters`.
    pub dead: Vec<Uuid>,
}

/// What does not add up, and the sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Messages that were accepted and are no row.
    pub lost: Vec<String>,
    /// Messages with more than one row.
    pub twice: Vec<String>,
    /// Messages of accepted requests that have no ending.
    pub unaccounted: Vec<(String, Uuid)>,
    /// Messages of requests that have more than one ending.
    pub accounted_twice: Vec<(String, Uuid)>,
    /// Readable messages that were given up on.
    pub given_up: Vec<String>,
    /// Rows and duplicates of messages that were never sent, or of which every attempt was refused for good.
    pub from_nowhere: Vec<String>,
    /// Attempts that were accepted.
    pub accepted: usize,
    /// Attempts refused with 5xx, or without an answer.
    pub unknown: usize,
    /// Attempts refused with 4xx.
    pub refused: usize,
    /// Rows.
    pub rows: usize,
    /// Duplicates.
    pub duplicates: usize,
    /// Dead letters.
    pub dead: usize,
}

impl Findings {
    /// Compares.
    pub fn of(deliveries: &[Delivery], endings: &Endings) -> Self {
        let Endings { rows, duplicates, dead } = endings;
        let mut findings = Self { rows: rows.len(), duplicates: duplicates.len(), dead: dead.len(), ..Self::default() };
        let mut rows_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (message, _) in rows {
            *rows_of.entry(message).or_default() += 1;
        }
        let mut ends: BTreeMap<(&str, Uuid), usize> = BTreeMap::new();
        for (message, request) in rows.iter().chain(duplicates) {
            *ends.entry((message, *request)).or_default() += 1;
        }
        let mut letters: BTreeMap<Uuid, usize> = BTreeMap::new();
        for request in dead {
            *letters.entry(*request).or_default() += 1;
        }

        let (mut promised, mut possible, mut expected) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for Delivery { message, end, outcome, .. } in deliveries {
            match outcome {
                Outcome::Accepted(request) => {
                    findings.accepted += 1;
                    possible.insert(message.as_str());
                    let ended = match end {
                        End::Row => {
                            promised.insert(message.as_str());
                            ends.contains_key(&(message.as_str(), *request))
                        }
                        End::DeadLetter => {
                            expected.insert(*request);
                            letters.contains_key(request)
                        }
                    };
                    if !ended {
                        findings.unaccounted.push((message.clone(), *request));
                    }
                }
                Outcome::Unknown(_) | Outcome::Refused(500..) => {
                    findings.unknown += 1;
                    possible.insert(message.as_str());
                }
                Outcome::Refused(_) => findings.refused += 1,
                Outcome::NotSent => {}
            }
        }
        for Delivery { message, end, outcome, .. } in deliveries {
            if let (End::Row, Outcome::Accepted(request)) = (end, outcome)
                && letters.contains_key(request)
                && !expected.contains(request)
            {
                findings.given_up.push(message.clone());
            }
        }
        let owned = |message: &&str| (*message).to_owned();
        findings.lost = promised.iter().filter(|message| !rows_of.contains_key(**message)).map(owned).collect();
        findings.twice = rows_of.iter().filter(|(_, count)| **count > 1).map(|(message, _)| owned(message)).collect();
        let many = ends.iter().filter(|(_, count)| **count > 1);
        findings.accounted_twice = many.map(|((message, request), _)| (owned(message), *request)).collect();
        let many = letters.iter().filter(|(_, count)| **count > 1);
        findings.accounted_twice.extend(many.map(|(request, _)| ("a dead letter".to_owned(), *request)));
        let seen: BTreeSet<&str> = rows.iter().chain(duplicates).map(|(message, _)| message.as_str()).collect();
        findings.from_nowhere = seen.difference(&possible).map(owned).collect();
        findings
    }

    /// Whether everything adds up.
    pub fn exact(&self) -> bool {
        let nothing = self.lost.is_empty() && self.twice.is_empty() && self.unaccounted.is_empty();
        nothing && self.accounted_twice.is_empty() && self.from_nowhere.is_empty() && self.given_up.is_empty()
    }

    /// Fails the test with all that does not add up.
    #[track_caller]
    pub fn assert_exact(&self) {
        println!("{self}");
        assert!(self.exact(), "{self}\n{self:#?}");
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} accepted, {} refused, {} unknown; {} rows, {} duplicates, {} dead; {} lost, {} twice, {} unaccounted, {} \
             accounted twice, {} given up, {} from nowhere",
            self.accepted,
            self.refused,
            self.unknown,
            self.rows,
            self.duplicates,
            self.dead,
            self.lost.len(),
            self.twice.len(),
            self.unaccounted.len(),
            self.accounted_twice.len(),
            self.given_up.len(),
            self.from_nowhere.len()
        )
    }
}

/// The control: a ledger that cannot find a fault would find none in a broken pipeline either.
#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn sent(message: &str, outcome: Outcome) -> Delivery {
        Delivery { message: message.into(), end: End::Row, outcome, at: Instant::now(), took: Duration::ZERO }
    }

    /// `a` accepted twice, `b` once, `c` unknown and not stored, `d` refused with 503 and stored all the same.
    fn deliveries() -> Vec<Delivery> {
        vec![
            sent("a", Outcome::Accepted(id(1))),
            sent("a", Outcome::Accepted(id(2))),
            sent("b", Outcome::Accepted(id(3))),
            sent("c", Outcome::Unknown("cut".into())),
            sent("d", Outcome::Refused(503)),
            sent("e", Outcome::Refused(401)),
            sent("f", Outcome::NotSent),
        ]
    }

    fn endings() -> Endings {
        Endings {
            rows: vec![("a".into(), id(2)), ("b".into(), id(3)), ("d".into(), id(5))],
            duplicates: vec![("a".into(), id(1))],
            dead: vec![],
        }
    }

    #[test]
    fn what_adds_up_is_exact() {
        let findings = Findings::of(&deliveries(), &endings());
        assert!(findings.exact(), "{findings:#?}");
        assert_eq!((findings.accepted, findings.unknown), (3, 2));
    }

    #[test]
    fn a_lost_message_is_found() {
        let mut endings = endings();
        endings.rows.remove(1);
        let findings = Findings::of(&deliveries(), &endings);
        assert_eq!((findings.lost, findings.unaccounted), (vec!["b".to_owned()], vec![("b".to_owned(), id(3))]));
    }

    #[test]
    fn a_message_stored_twice_is_found() {
        let mut endings = endings();
        endings.rows.push(("a".into(), id(1)));
        endings.duplicates.clear();
        let findings = Findings::of(&deliveries(), &endings);
        assert_eq!(findings.twice, ["a"]);
        assert!(!findings.exact());
    }

    #[test]
    fn a_request_with_two_endings_is_found() {
        let mut endings = endings();
        endings.duplicates.push(("a".into(), id(2)));
        assert_eq!(Findings::of(&deliveries(), &endings).accounted_twice, [("a".to_owned(), id(2))]);
    }

    #[test]
    fn a_repeat_without_a_record_of_it_is_found() {
        let mut endings = endings();
        endings.duplicates.clear();
        let findings = Findings::of(&deliveries(), &endings);
        assert_eq!((findings.lost, findings.unaccounted), (vec![], vec![("a".to_owned(), id(1))]));
    }

    #[test]
    fn a_row_of_what_was_refused_for_good_is_found() {
        for message in ["e", "f", "never sent"] {
            let mut endings = endings();
            endings.rows.push((message.into(), id(9)));
            assert_eq!(Findings::of(&deliveries(), &endings).from_nowhere, [message]);
        }
    }

    #[test]
    fn a_readable_message_that_was_given_up_on_is_found() {
        let mut endings = endings();
        endings.rows.remove(1);
        endings.dead.push(id(3));
        let findings = Findings::of(&deliveries(), &endings);
        assert_eq!((&findings.given_up[..], &findings.lost[..]), (&["b".to_owned()][..], &["b".to_owned()][..]));
    }

    #[test]
    fn what_cannot_be_read_has_to_be_a_dead_letter() {
        let mut deliveries = deliveries();
        deliveries.push(Delivery { end: End::DeadLetter, ..sent("bad", Outcome::Accepted(id(3))) });
        let mut endings = endings();
        assert_eq!(Findings::of(&deliveries, &endings).unaccounted, [("bad".to_owned(), id(3))]);
        endings.dead.push(id(3));
        let findings = Findings::of(&deliveries, &endings);
        assert!(findings.exact(), "the readable message beside it is none: {findings:#?}");
        endings.dead.push(id(3));
        assert!(!Findings::of(&deliveries, &endings).exact());
    }

    #[test]
    fn two_messages_of_one_request_have_an_ending_each() {
        let two = [sent("x", Outcome::Accepted(id(1))), sent("y", Outcome::Accepted(id(1)))];
        let mut endings = Endings { rows: vec![("x".into(), id(1)), ("y".into(), id(1))], ..Endings::default() };
        assert!(Findings::of(&two, &endings).exact());
        endings.rows.pop();
        assert_eq!(Findings::of(&two, &endings).unaccounted, [("y".to_owned(), id(1))]);
    }
}
