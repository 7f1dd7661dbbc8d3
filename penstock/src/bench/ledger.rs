//! The ledger: what became of every request of the run, exact to the message. Pure.
//!
//! Two things are checked. Every accepted request has one ending: a row, a repeat, a dead letter. And every message,
//! however often it was sent, has one row. A request that was refused or never answered may have been stored all the
//! same (the answer was lost, or the broker confirmed too late): then its ending counts, and it is no fault, because its
//! provider sends again. Rows of other runs and of other senders are passed over.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::message::Message;

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 2xx: it is stored, under this `Penstock-Id`.
    Accepted(Uuid),
    /// 2xx: it is put aside.
    Held,
    /// 2xx without a `Penstock-Id`: a promise that nobody can check.
    Nameless,
    /// Any other status.
    Refused(u16),
    /// None: the connection broke, or time was up.
    Unanswered,
}

/// A request of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) message: Message,
    pub(crate) answer: Answer,
}

/// Where a request can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `messages` or `message_statuses`.
    Row,
    /// `duplicates`.
    Repeat,
    /// `dead_letters`, still open.
    DeadLetter,
}

/// A line of one of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) request: Uuid,
    /// From the provider's id; `None` where the table has none, or it is not of this run.
    pub(crate) message: Option<Message>,
    pub(crate) place: Place,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An accepted request that ended nowhere.
    NoEnding(Message, Option<Uuid>),
    /// An accepted request that ended more than once.
    ManyEndings(Message, Uuid),
    /// A message whose requests were all taken for repeats: it has no row.
    NoRow(Message),
    /// A message with more than one row.
    ManyRows(Message),
    /// An ending of this run that no request accounts for.
    Unasked(Message, Uuid),
}

/// The sums. Each request is in one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Ledger {
    /// Requests.
    pub(crate) sent: u64,
    /// Messages: what is left of the requests without their repeats.
    pub(crate) messages: u64,
    pub(crate) rows: u64,
    pub(crate) repeats: u64,
    pub(crate) dead_letters: u64,
    pub(crate) held: u64,
    /// Refused, and not stored.
    pub(crate) refused: u64,
    /// Not answered, and not stored.
    pub(crate) unanswered: u64,
    /// Accepted requests without an ending.
    pub(crate) missing: u64,
    /// Of those above: refused or not answered, and stored all the same.
    pub(crate) stored_without_a_2xx: u64,
    #[serde(skip)]
    pub(crate) faults: Vec<Fault>,
}

impl Ledger {
    /// Whether every request is where it must be.
    pub(crate) fn is_exact(&self) -> bool {
        self.faults.is_empty() && self.sum() == self.sent
    }

    /// The right side of the equation: `sent` where nothing is missing.
    pub(crate) fn sum(&self) -> u64 {
        self.rows + self.repeats + self.dead_letters + self.held + self.refused + self.unanswered
    }

    fn end(&mut self, place: Place) {
        match place {
            Place::Row => self.rows += 1,
            Place::Repeat => self.repeats += 1,
            Place::DeadLetter => self.dead_letters += 1,
        }
    }
}

/// What is known of a message.
#[derive(Debug, Default)]
struct Account {
    rows: u32,
    repeats: u32,
    /// It ended in another way, so that it may have no row.
    otherwise: bool,
    /// Endings whose request is not among the accepted ones.
    strays: Vec<(Uuid, Place)>,
}

/// Compares what was sent with what is in the tables.
pub(crate) fn classify(sent: &[Sent], endings: impl IntoIterator<Item = Ending>) -> Ledger {
    let mut accounts: HashMap<Message, Account> = HashMap::new();
    let mut requests: HashMap<Uuid, (Message, Vec<Place>)> = HashMap::new();
    for request in sent {
        let account = accounts.entry(request.message).or_default();
        match request.answer {
            Answer::Accepted(id) => {
                requests.entry(id).or_insert((request.message, Vec::new()));
            }
            Answer::Held => account.otherwise = true,
            Answer::Nameless | Answer::Refused(_) | Answer::Unanswered => {}
        }
    }
    for ending in endings {
        let message = match (requests.get_mut(&ending.request), ending.message) {
            (Some((message, places)), _) => {
                places.push(ending.place);
                *message
            }
            (None, Some(message)) => {
                let strays = &mut accounts.entry(message).or_default().strays;
                strays.push((ending.request, ending.place));
                message
            }
            (None, None) => continue,
        };
        let account = accounts.entry(message).or_default();
        match ending.place {
            Place::Row => account.rows += 1,
            Place::Repeat => account.repeats += 1,
            Place::DeadLetter => account.otherwise = true,
        }
    }
    let mut ledger = sum_up(sent, &requests, &mut accounts);
    ledger.messages = u64::try_from(accounts.len()).unwrap_or(u64::MAX);
    judge_messages(&mut ledger, accounts);
    ledger
}

/// Puts every request into one sum.
fn sum_up(
    sent: &[Sent],
    requests: &HashMap<Uuid, (Message, Vec<Place>)>,
    accounts: &mut HashMap<Message, Account>,
) -> Ledger {
    let mut ledger = Ledger { sent: u64::try_from(sent.len()).unwrap_or(u64::MAX), ..Ledger::default() };
    for request in sent {
        let message = request.message;
        match request.answer {
            Answer::Accepted(id) => match requests.get(&id).map(|(_, places)| places.as_slice()) {
                None | Some([]) => {
                    ledger.missing += 1;
                    ledger.faults.push(Fault::NoEnding(message, Some(id)));
                }
                Some([place, rest @ ..]) => {
                    ledger.end(*place);
                    if !rest.is_empty() {
                        ledger.faults.push(Fault::ManyEndings(message, id));
                    }
                }
            },
            Answer::Held => ledger.held += 1,
            Answer::Nameless => {
                if let Some((_, place)) = take_stray(accounts, message) {
                    ledger.end(place);
                } else {
                    ledger.missing += 1;
                    ledger.faults.push(Fault::NoEnding(message, None));
                }
            }
            Answer::Refused(_) | Answer::Unanswered => match (take_stray(accounts, message), request.answer) {
                (Some((_, place)), _) => {
                    ledger.end(place);
                    ledger.stored_without_a_2xx += 1;
                }
                (None, Answer::Refused(_)) => ledger.refused += 1,
                (None, _) => ledger.unanswered += 1,
            },
        }
    }
    ledger
}

/// An ending of this message that belongs to none of its accepted requests, given away once.
fn take_stray(accounts: &mut HashMap<Message, Account>, message: Message) -> Option<(Uuid, Place)> {
    accounts.get_mut(&message)?.strays.pop()
}

/// Looks at the messages, now that the requests are accounted for.
fn judge_messages(ledger: &mut Ledger, accounts: HashMap<Message, Account>) {
    let mut faults = Vec::new();
    for (message, account) in accounts {
        faults.extend(account.strays.iter().map(|(id, _)| Fault::Unasked(message, *id)));
        if account.rows > 1 {
            faults.push(Fault::ManyRows(message));
        }
        if account.rows == 0 && account.repeats > 0 && !account.otherwise {
            faults.push(Fault::NoRow(message));
        }
    }
    // The table that they come from has no order, and a report should not differ from one look to the next.
    faults.sort_by_key(|fault| match fault {
        Fault::NoEnding(message, _)
        | Fault::ManyEndings(message, _)
        | Fault::NoRow(message)
        | Fault::ManyRows(message)
        | Fault::Unasked(message, _) => *message,
    });
    ledger.faults.extend(faults);
}
