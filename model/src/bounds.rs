//! How much of the world a check has in it: which records, how long a window, how many workers, replays and faults.
//! Within the bounds everything is gone through; outside of them nothing is known.

use crate::state::{Canonical, Feed, History, Key, Message, READINGS, RECORDS, Record, State, Subject, Tables};
use crate::variant::Variant;

/// A record: a message of a provider, or a copy of it that came with another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intake {
    /// Its key by the first reading: records with the same are copies of one message.
    pub key: Key,
    /// Its `received_at`.
    pub received_at: i8,
    /// The keys that replays read out of it; as many as there are replays of it.
    pub replays: &'static [Key],
}

/// What one check goes through. It is the model itself: `stateright` asks it for states and steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its name, for people.
    pub name: &'static str,
    /// The records. All of them have been accepted; what the order is in which they go on is for the checker to choose.
    pub records: &'static [Intake],
    /// The length of a window, in the unit of `received_at`.
    pub window: i8,
    /// The window is shorter than claims are kept, so its number is in the subject of the claim.
    pub short_windows: bool,
    /// Replays begin only when every record has ended. Nothing of a replay rests on it but one thing: that a change of
    /// keys makes no second row of a message (`docs/model.md`).
    pub replays_wait: bool,
    /// Dedup workers.
    pub workers: usize,
    /// Persisters.
    pub persisters: usize,
    /// Faults, of any kind, together.
    pub faults: u8,
    /// Erasures.
    pub erasures: u8,
    /// Also asks what is not promised: [`crate::promises::LAST_REPLAY`].
    pub asks_for_more: bool,
    /// What is broken.
    pub variant: Option<Variant>,
}

const fn copy(received_at: i8) -> Intake {
    Intake { key: 0, received_at, replays: &[] }
}

const fn replayed(received_at: i8, replays: &'static [Key]) -> Intake {
    Intake { key: 0, received_at, replays }
}

const BASE: Bounds = Bounds {
    name: "",
    records: &[],
    window: 2,
    short_windows: false,
    replays_wait: false,
    workers: 2,
    persisters: 2,
    faults: 1,
    erasures: 0,
    asks_for_more: false,
    variant: None,
};

/// Two copies of a message, and every pair of faults.
pub const COPIES: Bounds = Bounds { name: "copies", records: &[copy(0), copy(1)], faults: 2, ..BASE };

/// Two copies of a message and another message.
pub const ANOTHER: Bounds = Bounds {
    name: "another message",
    records: &[copy(0), copy(1), Intake { key: 1, received_at: 0, replays: &[] }],
    ..BASE
};

/// Two copies, and a third that is a window away from both: it takes the key over, or they come late.
pub const WINDOWS: Bounds = Bounds { name: "windows", records: &[copy(0), copy(1), copy(3)], ..BASE };

/// The same with short windows: the two copies are on both sides of a border between subjects.
pub const SHORT_WINDOWS: Bounds =
    Bounds { name: "short windows", records: &[copy(1), copy(2), copy(4)], short_windows: true, ..BASE };

/// Two copies, one of which is read again while both are on their way.
pub const REPLAY: Bounds = Bounds { name: "replay", records: &[replayed(0, &[0]), copy(1)], ..BASE };

/// A record that is read again twice.
pub const TWO_REPLAYS: Bounds = Bounds { name: "two replays", records: &[replayed(0, &[0, 0])], ..BASE };

/// Two copies whose replay reads another key out of both.
pub const NEW_KEYS: Bounds =
    Bounds { name: "new keys", records: &[replayed(0, &[1]), replayed(1, &[1])], replays_wait: true, ..BASE };

/// Two copies, one of them replayed, and an erasure.
pub const ERASURE: Bounds = Bounds { name: "erasure", records: &[replayed(0, &[0]), copy(1)], erasures: 1, ..BASE };

/// Every order of judging: three copies, the second in the windows of the two others, which are a window apart and are
/// replayed; and an erasure. Nothing fails.
pub const ORDERS: Bounds = Bounds {
    name: "orders",
    records: &[replayed(0, &[0]), copy(1), replayed(2, &[0])],
    erasures: 1,
    faults: 0,
    workers: 1,
    persisters: 1,
    ..BASE
};

/// Four copies in windows that lie across each other, and two erasures. Nothing fails.
pub const FOUR_COPIES: Bounds = Bounds {
    name: "four copies",
    records: &[copy(0), copy(1), copy(2), copy(4)],
    window: 3,
    erasures: 2,
    faults: 0,
    workers: 1,
    persisters: 1,
    ..BASE
};

/// What every `cargo test` goes through.
pub const SMALL: [Bounds; 10] =
    [COPIES, ANOTHER, WINDOWS, SHORT_WINDOWS, REPLAY, TWO_REPLAYS, NEW_KEYS, ERASURE, ORDERS, FOUR_COPIES];

/// What `cargo run --release -p model -- --bound large` goes through: one fault more each. Where keys change there are
/// the most messages, so one dedup worker is enough to wait for.
pub fn large() -> [Bounds; 10] {
    SMALL.map(|bounds| {
        let workers = if bounds.name == NEW_KEYS.name { 1 } else { bounds.workers };
        Bounds { faults: bounds.faults + 1, workers, ..bounds }
    })
}

impl Bounds {
    /// The same with something broken.
    #[must_use]
    pub fn broken(self, variant: Variant) -> Self {
        Self { variant: Some(variant), ..self }
    }

    /// Whether this is what is broken.
    pub fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    /// The key that a reading gives.
    pub fn key(&self, message: Message) -> Key {
        let record = &self.records[message.record];
        message.run.checked_sub(1).map_or(record.key, |replay| record.replays[replay])
    }

    /// How long after the first record the second was received.
    pub fn after(&self, first: Record, second: Record) -> i8 {
        self.records[second].received_at - self.records[first].received_at
    }

    /// Whether two records are copies of one message, and in one window.
    pub fn are_repeats(&self, one: Record, other: Record) -> bool {
        self.records[one].key == self.records[other].key && self.after(one, other).abs() < self.window
    }

    /// The subject of a record's claim (`proto::subject::unique`).
    pub fn subject(&self, record: Record) -> Subject {
        self.subject_in(record, 0).unwrap_or(record)
    }

    /// The subject of the claim of its key in the window that is so many before its own, if any record has it.
    pub fn subject_in(&self, record: Record, windows_before: i8) -> Option<Subject> {
        let number = |record: &Intake| record.received_at.div_euclid(self.window);
        let wanted = &self.records[record];
        self.records.iter().position(|other| {
            let in_window = number(other) == number(wanted) - windows_before;
            other.key == wanted.key && (in_window || !self.short_windows)
        })
    }

    /// How everything begins: every record has been accepted and read, and is in `CANONICAL`.
    pub fn beginning(&self) -> State {
        let mut canonical = [[Canonical::Never; READINGS]; RECORDS];
        for (record, intake) in self.records.iter().enumerate() {
            canonical[record][0] = Canonical::There(Feed::Waits);
            canonical[record][1..=intake.replays.len()].fill(Canonical::NotYet);
        }
        State {
            canonical,
            unique: [None; RECORDS],
            duplicates: Vec::new(),
            ids_in_unique: [false; RECORDS],
            ids_in_duplicates: [[false; READINGS]; RECORDS],
            last_sequence: 0,
            routing: vec![None; self.workers],
            writing: vec![None; self.persisters],
            late: Vec::new(),
            tables: Tables::default(),
            faults: self.faults,
            erasures: self.erasures,
            history: History::default(),
        }
    }
}
