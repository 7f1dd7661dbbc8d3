//! A made-up stream with its consumers, as a broker has them, and the truth about who has acknowledged what.
//!
//! A [`View`] is put together from its answers in the order in which [`crate::trimmer`] asks, and the world moves between
//! the answers. The answers are wrong in the ways in which a broker's may be ([`Lie`]), and in no others: a floor that is
//! told too high, or a stream and a consumer that both deny what is there, would lose messages.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

pub(super) const SUBJECTS: usize = 3;
pub(super) const CONSUMERS: usize = 4;
/// What each consumer reads: one of the subjects, or everything.
pub(super) type Filters = [Option<usize>; CONSUMERS];
/// As on RAW, and with the others' kind among them.
pub(super) const FILTERED: Filters = [Some(0), Some(1), Some(2), Some(0)];
pub(super) const MIXED: Filters = [None, Some(0), Some(1), None];

/// Something that happens to the stream while nobody looks.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Publish(usize),
    /// A consumer acknowledges one of those that wait for it, in any order: what comes again is acknowledged later.
    Acknowledge(usize, usize),
    /// A consumer acknowledges all that waits for it.
    CatchUp(usize),
    Delete(usize),
    /// Anew: it begins at the oldest message.
    Make(usize),
    /// A person takes out one message that all have processed.
    TakeOut(usize),
    Wait(i64),
}

/// How an answer about a consumer is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    None,
    /// The acknowledgements of late are not known.
    FloorTooLow(u64),
    /// A member of a cluster that was just given the consumer knows nothing of it.
    Zeros,
    /// The messages of late are not known.
    NothingWaits,
    /// The stream could not look, and says that it has no message.
    NoMessage,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    pub(super) exists: bool,
    pub(super) acknowledged: BTreeSet<u64>,
    /// The last place where it stood when messages were taken away before it.
    base: u64,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    filters: Filters,
    /// Subject and time, by sequence.
    pub(super) messages: BTreeMap<u64, (usize, i64)>,
    pub(super) last: u64,
    pub(super) now: i64,
    pub(super) readers: Vec<Reader>,
    /// What some consumer of that name has acknowledged, also one that was deleted since.
    pub(super) ever: Vec<BTreeSet<u64>>,
    /// How often each was made.
    pub(super) made: Vec<u32>,
}

impl World {
    fn new(filters: Filters) -> Self {
        let reader = Reader { exists: true, ..Reader::default() };
        Self {
            filters,
            messages: BTreeMap::new(),
            last: 0,
            now: 0,
            readers: vec![reader; CONSUMERS],
            ever: vec![BTreeSet::new(); CONSUMERS],
            made: vec![1; CONSUMERS],
        }
    }

    pub(super) fn after(filters: Filters, moves: &[Move]) -> Self {
        let mut world = Self::new(filters);
        world.live(moves);
        world
    }

    pub(super) fn live(&mut self, moves: &[Move]) {
        for step in moves {
            match *step {
                Move::Publish(subject) => {
                    self.last += 1;
                    self.messages.insert(self.last, (subject, self.now));
                }
                Move::Acknowledge(consumer, which) if self.readers[consumer].exists => {
                    let waiting = self.waiting(consumer);
                    if let Some(sequence) = (!waiting.is_empty()).then(|| waiting[which % waiting.len()]) {
                        self.acknowledge(consumer, sequence);
                    }
                }
                Move::CatchUp(consumer) if self.readers[consumer].exists => {
                    self.waiting(consumer).into_iter().for_each(|sequence| self.acknowledge(consumer, sequence));
                }
                Move::Acknowledge(..) | Move::CatchUp(_) => {}
                Move::Delete(consumer) => self.readers[consumer] = Reader::default(),
                Move::Make(consumer) => {
                    let base = self.first().saturating_sub(1);
                    self.readers[consumer] = Reader { exists: true, base, ..Reader::default() };
                    self.made[consumer] += 1;
                }
                Move::TakeOut(which) => {
                    let done: Vec<u64> = self.messages.keys().copied().filter(|at| self.is_done(*at)).collect();
                    if let Some(sequence) = (!done.is_empty()).then(|| done[which % done.len()]) {
                        self.messages.remove(&sequence);
                    }
                }
                Move::Wait(millis) => self.now += millis,
            }
        }
    }

    fn acknowledge(&mut self, consumer: usize, sequence: u64) {
        self.readers[consumer].acknowledged.insert(sequence);
        self.ever[consumer].insert(sequence);
    }

    fn first(&self) -> u64 {
        self.messages.keys().next().copied().unwrap_or(self.last + 1)
    }

    pub(super) fn is_for(&self, consumer: usize, sequence: u64) -> bool {
        self.filters[consumer].is_none_or(|subject| self.messages[&sequence].0 == subject)
    }

    /// What is for a consumer and not acknowledged, delivered or not.
    pub(super) fn waiting(&self, consumer: usize) -> Vec<u64> {
        let known = &self.readers[consumer].acknowledged;
        let waits = |at: &u64| self.is_for(consumer, *at) && !known.contains(at);
        self.messages.keys().copied().filter(waits).collect()
    }

    pub(super) fn is_done(&self, sequence: u64) -> bool {
        let done = |at: usize| !self.is_for(at, sequence) || self.readers[at].acknowledged.contains(&sequence);
        (0..CONSUMERS).all(done)
    }

    fn floor(&self, consumer: usize) -> u64 {
        let reader = &self.readers[consumer];
        let limit = self.waiting(consumer).first().copied().unwrap_or(u64::MAX);
        reader.acknowledged.range(..limit).next_back().copied().unwrap_or(0).max(reader.base)
    }

    fn next_for(&self, consumer: usize, from: u64) -> Option<u64> {
        self.messages.range(from..).map(|(at, _)| *at).find(|at| self.is_for(consumer, *at))
    }

    /// As [`crate::trimmer`] looks: the stream, then each consumer, then for one with a filter what the stream has next
    /// for it. `meanwhile` happens between the answers. Gives how often each consumer was made when it was asked, too.
    pub(super) fn look(&mut self, lies: &[Lie], meanwhile: &[Vec<Move>]) -> (View, Vec<u32>) {
        let mut view = View {
            layout_is_known: true,
            first_sequence: self.first(),
            last_sequence: self.last,
            messages: self.messages.len() as u64,
            bytes: self.messages.len() as u64 * 100,
            max_bytes: Some(10_000),
            consumers: Vec::new(),
        };
        let mut made = Vec::new();
        let mut meanwhile = meanwhile.iter();
        for (consumer, filter) in self.filters.into_iter().enumerate() {
            self.live(meanwhile.next().map_or(&[][..], Vec::as_slice));
            made.push(self.made[consumer]);
            if !self.readers[consumer].exists {
                view.consumers.push(Err(Stopped::ConsumerMissing));
                continue;
            }
            let lie = lies[consumer];
            let (floor, waiting) = (self.floor(consumer), self.waiting(consumer).len() as u64);
            let (ack_floor, waiting) = match lie {
                Lie::None | Lie::NoMessage => (floor, waiting),
                Lie::FloorTooLow(by) => (floor.saturating_sub(by), waiting),
                Lie::Zeros => (0, 0),
                Lie::NothingWaits => (floor, 0),
            };
            self.live(meanwhile.next().map_or(&[][..], Vec::as_slice));
            let next = if matches!(lie, Lie::NoMessage) { None } else { self.next_for(consumer, ack_floor + 1) };
            let reads = filter.map_or(Reads::Everything, |_| Reads::Filtered { next });
            view.consumers.push(Ok(Progress { ack_floor, waiting, reads }));
        }
        (view, made)
    }

    pub(super) fn purge_before(&mut self, sequence: u64) {
        self.messages = self.messages.split_off(&sequence);
        let first = self.first();
        for reader in &mut self.readers {
            reader.base = reader.base.max(first.saturating_sub(1).min(sequence.saturating_sub(1)));
        }
    }

    /// One pass, with answers that are right; whether anything went.
    pub(super) fn trim(&mut self, keep_for: i64, most_messages: Option<u64>) -> bool {
        let (view, _) = self.look(&[Lie::None; CONSUMERS], &[]);
        let keep = Keep { since: self.now - keep_for, most_messages, under_pressure: true };
        let before = match plan(&view, keep) {
            Plan::Nothing | Plan::Stopped(_) => return false,
            Plan::Pressed { before } => before,
            Plan::Aged { before } => {
                let stays = self.messages.iter().find(|(at, (_, time))| **at >= before || *time >= keep.since);
                stays.map_or(before, |(at, _)| before.min(*at))
            }
        };
        let held = self.messages.len();
        self.purge_before(before);
        self.messages.len() < held
    }
}
