//! Bookkeeping: what was sent and how it was answered, against where it ended.
//!
//! Rules: a 2xx is a promise, so that request has exactly one ending and its message exactly one row. A cut connection
//! and a 5xx promise nothing: the request may have been stored before the answer was lost, or not at all. A 4xx is a
//! promise too: nothing of it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

/// One attempt to hand a message over.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The sender's id of the message, the same on every attempt.
    pub message: String,
    /// How it went.
    pub outcome: Outcome,
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
    /// Requests that were accepted and have no ending.
    pub unaccounted: Vec<Uuid>,
    /// Requests with more than one ending.
    pub accounted_twice: Vec<Uuid>,
    /// Rows and duplicates of messages that were never sent, or of which every attempt was refused for good.
    pub from_nowhere: Vec<String>,
    /// Requests that were accepted.
    pub accepted: usize,
    /// Requests refused with 5xx, or without an answer.
    pub unknown: usize,
    /// Rows.
    pub rows: usize,
    /// Duplicates.
    pub duplicates: usize,
}

impl Findings {
    /// Compares.
    pub fn of(deliveries: &[Delivery], endings: &Endings) -> Self {
        let mut findings = Self { rows: endings.rows.len(), duplicates: endings.duplicates.len(), ..Self::default() };
        let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
        for (message, _) in &endings.rows {
            *rows.entry(message).or_default() += 1;
        }
        let requests = endings.rows.iter().chain(&endings.duplicates).map(|(_, request)| *request);
        let mut ends: BTreeMap<Uuid, usize> = BTreeMap::new();
        for request in requests.chain(endings.dead.iter().copied()) {
            *ends.entry(request).or_default() += 1;
        }
        let dead: BTreeSet<Uuid> = endings.dead.iter().copied().collect();

        let (mut promised, mut possible) = (BTreeSet::new(), BTreeSet::new());
        for Delivery { message, outcome } in deliveries {
            match outcome {
                Outcome::Accepted(request) => {
                    findings.accepted += 1;
                    possible.insert(message.as_str());
                    if !dead.contains(request) {
                        promised.insert(message.as_str());
                    }
                    if !ends.contains_key(request) {
                        findings.unaccounted.push(*request);
                    }
                }
                Outcome::Unknown(_) | Outcome::Refused(500..) => {
                    findings.unknown += 1;
                    possible.insert(message.as_str());
                }
                Outcome::Refused(_) | Outcome::NotSent => {}
            }
        }
        let owned = |message: &&str| (*message).to_owned();
        findings.lost = promised.iter().filter(|message| !rows.contains_key(**message)).map(owned).collect();
        findings.twice = rows.iter().filter(|(_, count)| **count > 1).map(|(message, _)| owned(message)).collect();
        findings.accounted_twice = ends.iter().filter(|(_, count)| **count > 1).map(|(request, _)| *request).collect();
        let seen: BTreeSet<&str> =
            endings.rows.iter().chain(&endings.duplicates).map(|(message, _)| message.as_str()).collect();
        findings.from_nowhere = seen.difference(&possible).map(owned).collect();
        findings
    }

    /// Whether everything adds up.
    pub fn exact(&self) -> bool {
        let nothing = self.lost.is_empty() && self.twice.is_empty() && self.unaccounted.is_empty();
        nothing && self.accounted_twice.is_empty() && self.from_nowhere.is_empty()
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
            "{} accepted, {} unknown; {} rows, {} duplicates; {} lost, {} twice, {} unaccounted, {} accounted twice, {} \
             from nowhere",
            self.accepted,
            self.unknown,
            self.rows,
            self.duplicates,
            self.lost.len(),
            self.twice.len(),
            self.unaccounted.len(),
            self.accounted_twice.len(),
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
        Delivery { message: message.into(), outcome }
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
        assert_eq!((findings.lost, findings.unaccounted), (vec!["b".to_owned()], vec![id(3)]));
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
        assert_eq!(Findings::of(&deliveries(), &endings).accounted_twice, [id(2)]);
    }

    #[test]
    fn a_repeat_without_a_record_of_it_is_found() {
        let mut endings = endings();
        endings.duplicates.clear();
        let findings = Findings::of(&deliveries(), &endings);
        assert_eq!((findings.lost, findings.unaccounted), (vec![], vec![id(1)]));
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
    fn a_dead_letter_is_an_ending() {
        let mut endings = endings();
        endings.rows.remove(1);
        endings.dead.push(id(3));
        assert!(Findings::of(&deliveries(), &endings).exact());
    }
}
