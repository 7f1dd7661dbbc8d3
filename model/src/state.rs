//! What the system holds at one moment. Everything that can be said in two ways is put in one order, so that states
//! that differ in nothing but the names of the workers are one state.
//!
//! Streams are sets here, not sequences: a consumer may be given any message that waits, which allows more than the
//! broker does. Only replays in `DUPLICATES` have a number, because the judge compares it.

/// Records that a bound can have.
pub const RECORDS: usize = 4;
/// Readings of a record: the first one, and those of replays.
pub const READINGS: usize = 3;

/// A record, by its place in the bounds.
pub type Record = usize;
/// A deduplication key.
pub type Key = usize;
/// A subject of `UNIQUE`, by the first record that has it.
pub type Subject = usize;

/// One reading of a record, on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// The record.
    pub record: Record,
    /// 0: as it came in. Else the run of `penstock replay` that it was read by.
    pub run: usize,
}

/// A message in a stream, as its consumer has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feed {
    /// To be delivered.
    Waits,
    /// Delivered and not acknowledged.
    InHand,
    /// Acknowledged.
    Acknowledged,
}

/// A message in `CANONICAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Canonical {
    /// There is none in these bounds.
    Never,
    /// A replay that may still be asked for.
    NotYet,
    /// It is there.
    There(Feed),
}

/// What lies on a subject of `UNIQUE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    /// A message: claim and content in one.
    Message(Record, Feed),
    /// A claim without its message, which only a broken variant can make.
    Empty(Record),
}

/// A message in `DUPLICATES`. Acknowledged ones are nobody's concern and are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duplicate {
    /// What it says.
    pub message: Message,
    /// Its place among the replays in the stream; 0 where it is none.
    pub sequence: u8,
    /// [`Feed::Waits`] or [`Feed::InHand`].
    pub feed: Feed,
}

/// What a dedup worker has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Routing {
    /// The message.
    pub message: Message,
    /// Whether the message that was delivered is still the one in the stream, so that acknowledging it means it.
    pub current: bool,
    /// What comes next.
    pub next: RoutingStep,
}

/// What a dedup worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoutingStep {
    /// Look at the claim of the window before. Only in a broken variant.
    LookBack,
    /// Publish to `UNIQUE`.
    Claim,
    /// Publish the message that belongs to its claim. Only in a broken variant.
    Fill,
    /// Publish to `DUPLICATES`.
    SecondLook,
    /// Acknowledge.
    Acknowledge,
}

/// A message as a persister was given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The place of a replay in `DUPLICATES`; 0 where it is none. (`stage.rs`: `replay_sequence`.)
    pub sequence: u8,
}

/// Where a persister's message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum From {
    /// In `UNIQUE`.
    Unique(Subject),
    /// In `DUPLICATES`.
    Duplicates,
    /// Nowhere any more: it was acknowledged by another and trimmed.
    Nowhere,
}

/// What a persister has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Writing {
    /// The message.
    pub delivery: Delivery,
    /// Where it came from.
    pub from: From,
    /// What comes next.
    pub next: WritingStep,
}

/// What a persister does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WritingStep {
    /// Run the transaction: lock, judge, write, commit.
    Transaction,
    /// Write what was judged. Only in a broken variant: the two are one transaction.
    Write(Decision),
    /// Acknowledge.
    Acknowledge,
}

/// Something that was sent, whose sender no longer waits for it: it arrives at any later time, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Late {
    /// A publish to `UNIQUE`.
    Claim(Record),
    /// A publish to `DUPLICATES`.
    SecondLook(Message),
    /// A transaction.
    Transaction(Delivery),
}

/// A window of a key: a row of `message_keys` or `past_keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Whose it is. Its time and its end follow from that.
    pub holder: Record,
    /// `erased_at` is set.
    pub erased: bool,
}

/// A row of `messages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// The key of its reading.
    pub key: Key,
    /// The run of its reading: its content.
    pub run: usize,
    /// `replay_sequence`; 0 stands for null.
    pub sequence: u8,
}

/// A row of `duplicates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repeat {
    /// The record that it repeats.
    pub original: Record,
    /// The key at the time of the verdict.
    pub key: Key,
    /// The verdict is `erased`, not `repeat`.
    pub erased: bool,
}

/// The tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tables {
    /// `message_keys`, by key.
    pub keys: [Option<Window>; RECORDS],
    /// `past_keys`, in order.
    pub past: Vec<(Key, Window)>,
    /// `messages`, by record.
    pub rows: [Option<Row>; RECORDS],
    /// `duplicates`, by record.
    pub repeats: [Option<Repeat>; RECORDS],
}

/// What is judged: the answer of `judge.sql`, and what it does to the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decision {
    /// `messages.sql` gets this record with `written`.
    pub writes: bool,
    /// The entry of `duplicates` that is written.
    pub repeat: Option<Repeat>,
    /// What it does to its key.
    pub change: KeyChange,
}

/// What a record does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyChange {
    /// Nothing.
    Nothing,
    /// Nobody held it: it is this record's now.
    Insert,
    /// It takes the key over; the holder's window stays in `past_keys`.
    Take,
    /// It leaves its own window in `past_keys`.
    Past,
    /// It gives the key back.
    Drop,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// `CANONICAL`, by record and run.
    pub canonical: [[Canonical; READINGS]; RECORDS],
    /// `UNIQUE`, by subject.
    pub unique: [Option<Claim>; RECORDS],
    /// `DUPLICATES`, in order.
    pub duplicates: Vec<Duplicate>,
    /// Message ids that were stored in `UNIQUE` at some time. Whether the broker remembers one is its choice.
    pub ids_in_unique: [bool; RECORDS],
    /// Likewise in `DUPLICATES`, by record and run.
    pub ids_in_duplicates: [[bool; READINGS]; RECORDS],
    /// Replays that `DUPLICATES` has taken.
    pub last_sequence: u8,
    /// The dedup workers, in order.
    pub routing: Vec<Option<Routing>>,
    /// The persisters, in order.
    pub writing: Vec<Option<Writing>>,
    /// What is on the wire with nobody waiting for it, in order.
    pub late: Vec<Late>,
    /// The tables.
    pub tables: Tables,
    /// Faults that can still happen.
    pub faults: u8,
    /// Erasures that can still be asked for.
    pub erasures: u8,
    /// What has been, so that it can be said what must not have changed.
    pub history: History,
}

/// What the promises compare with. The protocol never looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Records that were a row at some time.
    pub was_row: [bool; RECORDS],
    /// Records that were erased.
    pub erased: [bool; RECORDS],
    /// The run of each record's last replay in `DUPLICATES`; 0 where there is none.
    pub newest: [usize; RECORDS],
    /// A message was trimmed before it was acknowledged.
    pub trimmed_unprocessed: bool,
}

impl State {
    /// Puts what has no order into one.
    pub fn normalise(&mut self) {
        self.duplicates.sort_unstable();
        self.routing.sort_unstable();
        self.writing.sort_unstable();
        self.late.sort_unstable();
        self.tables.past.sort_unstable();
    }
}
