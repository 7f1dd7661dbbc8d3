//! What can happen next, in words. Who does it is said by what he has in hand: two workers with the same in hand can do
//! the same, and it is one event.

use std::fmt::{self, Display, Formatter};

use crate::state::{
    Delivery, Duplicate, From, KeyChange, Late, Message, Record, Routing, RoutingStep, Subject, Writing, WritingStep,
};

/// Whether the broker still has a message id that it once had. Only its choice where it once had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It answers `duplicate: true` and stores nothing.
    Kept,
    /// The two minutes are over, or it never had the id.
    Gone,
}

/// An event. Those marked "fault" are counted by the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `penstock replay`, and the normalizer: another reading of a record comes into `CANONICAL`.
    Replay(Message),
    /// Fault: a message of `CANONICAL` comes again, because its answer takes too long or got lost, or because the
    /// normalizer, having died, published it again.
    RecordComesAgain(Message),
    /// A dedup worker is given a message.
    TakeRecord(Message),
    /// A dedup worker looks at the claim of the window before. Only in a broken variant.
    LookBack(Routing),
    /// A dedup worker publishes, and is answered. `stage.rs`: `publish_all`.
    Publish(Routing, Memory),
    /// Fault: a dedup worker publishes and is not answered. What it sent arrives later or never; it tries again.
    PublishUnanswered(Routing),
    /// A dedup worker acknowledges.
    AcknowledgeRecord(Routing),
    /// Fault: a dedup worker is killed, or gives its message back, or its acknowledgement gets lost.
    WorkerDies(Routing),
    /// What nobody waits for any more arrives.
    Arrives(Late, Memory),
    /// What nobody waits for any more never arrives.
    IsLost(Late),
    /// A persister is given the message of a claim.
    TakeClaim(Subject),
    /// A persister is given a message of `DUPLICATES`.
    TakeDuplicate(Duplicate),
    /// Fault: the message of a claim comes again although a persister has it.
    ClaimComesAgain(Subject),
    /// Fault: a message of `DUPLICATES` comes again although a persister has it.
    DuplicateComesAgain(Duplicate),
    /// A persister runs its transaction, and is answered.
    Commit(Writing),
    /// Fault: a persister sends its transaction and is not answered. It may be committed later; the persister tries
    /// again. (`store.rs`: the commit was not confirmed. `session.rs`: a transaction outlives its caller.)
    CommitUnanswered(Writing),
    /// A persister acknowledges.
    Acknowledge(Writing),
    /// Fault: a persister is killed, or gives its message back, or its acknowledgement gets lost.
    PersisterDies(Writing),
    /// A processed claim is trimmed.
    Trim(Subject),
    /// A record is erased.
    Erase(Record),
}

/// Records by letter: `A`, `B`, ..
struct Name(Record);

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letter = u32::try_from(self.0).ok().and_then(|place| char::from_u32(u32::from('A') + place)).unwrap_or('?');
        write!(f, "{letter}")
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Name(self.record))?;
        if self.run > 0 { write!(f, " (replay {})", self.run) } else { Ok(()) }
    }
}

impl Display for Delivery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if self.sequence > 0 { write!(f, ", number {}", self.sequence) } else { Ok(()) }
    }
}

impl Display for Late {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(record) => write!(f, "the claim of {}", Name(*record)),
            Self::SecondLook(message) => write!(f, "{message} for DUPLICATES"),
            Self::Transaction(delivery) => write!(f, "the transaction of {delivery}"),
        }
    }
}

impl Display for Routing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "the dedup worker that has {} in hand", self.message)
    }
}

impl Display for Writing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let from = match self.from {
            From::Unique(_) => "UNIQUE",
            From::Duplicates => "DUPLICATES",
            From::Nowhere => "a place that it is no more in",
        };
        write!(f, "the persister that has {} from {from}", self.delivery)
    }
}

/// Where a worker publishes to.
fn target(routing: &Routing) -> &'static str {
    if routing.next == RoutingStep::SecondLook { "DUPLICATES" } else { "UNIQUE" }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let remembered = |memory: &Memory| if *memory == Memory::Kept { ": duplicate: true" } else { "" };
        match self {
            Self::Replay(message) => write!(f, "{message} comes into CANONICAL"),
            Self::RecordComesAgain(message) => write!(f, "FAULT: {message} comes again from CANONICAL"),
            Self::TakeRecord(message) => write!(f, "a dedup worker takes {message}"),
            Self::LookBack(routing) => write!(f, "{routing} looks at the window before"),
            Self::Publish(routing, memory) => {
                write!(f, "{routing} publishes to {}{}", target(routing), remembered(memory))
            }
            Self::PublishUnanswered(routing) => {
                write!(f, "FAULT: {routing} publishes to {} and has no answer", target(routing))
            }
            Self::AcknowledgeRecord(routing) => write!(f, "{routing} acknowledges"),
            Self::WorkerDies(routing) => write!(f, "FAULT: {routing} dies"),
            Self::Arrives(late, memory) => write!(f, "late, {late} arrives{}", remembered(memory)),
            Self::IsLost(late) => write!(f, "{late} never arrives"),
            Self::TakeClaim(subject) => write!(f, "a persister takes what is on subject {subject} of UNIQUE"),
            Self::TakeDuplicate(duplicate) => write!(f, "a persister takes {} from DUPLICATES", duplicate.message),
            Self::ClaimComesAgain(subject) => write!(f, "FAULT: subject {subject} of UNIQUE comes again"),
            Self::DuplicateComesAgain(duplicate) => {
                write!(f, "FAULT: {} comes again from DUPLICATES", duplicate.message)
            }
            Self::Commit(writing) => match writing.next {
                WritingStep::Write(decision) if decision.change == KeyChange::Nothing => write!(f, "{writing} writes"),
                WritingStep::Write(_) => write!(f, "{writing} writes, and changes the key"),
                _ => write!(f, "{writing} runs its transaction"),
            },
            Self::CommitUnanswered(writing) => write!(f, "FAULT: {writing} commits and has no answer"),
            Self::Acknowledge(writing) => write!(f, "{writing} acknowledges"),
            Self::PersisterDies(writing) => write!(f, "FAULT: {writing} dies"),
            Self::Trim(subject) => write!(f, "subject {subject} of UNIQUE is trimmed"),
            Self::Erase(record) => write!(f, "{} is erased", Name(*record)),
        }
    }
}
