//! What of a request has ended, as the tables tell. Pure.
//!
//! What a reader would get wrong: only a row says how many records its request has. Where all that is known are repeats
//! and dead letters, the highest place among them is the least there can be, and one after it would not be missed.

/// Where a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A row of `messages`.
    Message,
    /// A row of `message_statuses`.
    Status,
    /// A row of `duplicates`.
    Repeat,
    /// A row of `dead_letters`, open or closed.
    DeadLetter,
}

/// A record that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its place in the request.
    pub part: u32,
    /// How many records the request has, by the reading that made the row; only a row says so.
    pub parts: Option<u32>,
    /// Whether a newer reading of the request no longer yields it. It has ended all the same.
    pub superseded: bool,
    /// Where.
    pub ending: Ending,
}

/// How many records ended in which table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of `messages`.
    pub messages: u64,
    /// Rows of `message_statuses`.
    pub statuses: u64,
    /// Rows of `duplicates`.
    pub repeats: u64,
    /// Rows of `dead_letters` of records that are in none of the others.
    pub dead_letters: u64,
}

/// A place beyond this one is nobody's: a request has as many records as its body has elements.
const MOST_PARTS: u32 = 1 << 24;

/// What of one request has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endings {
    parts: Parts,
    /// The number of records, where a row that is in force says it.
    told: u32,
    counts: Counts,
}

impl Endings {
    /// Adds a record. A second ending of the same one (a dead letter that was replayed is still there) counts once:
    /// rows are to be added before repeats, and these before dead letters.
    pub fn add(&mut self, ended: Ended) {
        if ended.part >= MOST_PARTS {
            return;
        }
        if let (false, Some(parts)) = (ended.superseded, ended.parts) {
            self.told = self.told.max(parts.min(MOST_PARTS));
        }
        if !self.parts.insert(ended.part) {
            return;
        }
        match ended.ending {
            Ending::Message => self.counts.messages += 1,
            Ending::Status => self.counts.statuses += 1,
            Ending::Repeat => self.counts.repeats += 1,
            Ending::DeadLetter => self.counts.dead_letters += 1,
        }
    }

    /// Whether nothing of the request has ended.
    pub fn are_none(&self) -> bool {
        self.parts.count() == 0
    }

    /// Whether every record of the request has ended.
    pub fn are_whole(&self) -> bool {
        !self.are_none() && self.parts.count_below(self.needed()) == self.needed()
    }

    /// The places of the first few records that have no ending; of a request of which nothing has ended, the first.
    pub fn lacking(&self) -> Vec<u32> {
        const FEW: usize = 20;
        (0..self.needed().max(1)).filter(|part| !self.parts.contains(*part)).take(FEW).collect()
    }

    /// How many records ended where.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn needed(&self) -> u32 {
        if self.told > 0 { self.told } else { self.parts.end() }
    }
}

/// A set of places. Nearly every request has one record, and that costs no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    first: u64,
    more: Vec<u64>,
}

const BITS: u32 = u64::BITS;

impl Parts {
    /// False where it was in it.
    fn insert(&mut self, part: u32) -> bool {
        let word = match (part / BITS) as usize {
            0 => &mut self.first,
            place => {
                if self.more.len() < place {
                    self.more.resize(place, 0);
                }
                match self.more.get_mut(place - 1) {
                    Some(word) => word,
                    None => return false,
                }
            }
        };
        let bit = 1 << (part % BITS);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn contains(&self, part: u32) -> bool {
        self.words().nth((part / BITS) as usize).is_some_and(|word| word & (1 << (part % BITS)) != 0)
    }

    fn words(&self) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator {
        let words = self.more.len() + 1;
        (0..words).map(|place| if place == 0 { self.first } else { self.more.get(place - 1).copied().unwrap_or(0) })
    }

    fn count(&self) -> u32 {
        self.words().map(u64::count_ones).sum()
    }

    fn count_below(&self, end: u32) -> u32 {
        let mut left = end;
        let below = |word: u64| {
            let here = left.min(BITS);
            left -= here;
            let mask = if here == BITS { u64::MAX } else { (1 << here) - 1 };
            (word & mask).count_ones()
        };
        self.words().map(below).sum()
    }

    /// One after the highest.
    fn end(&self) -> u32 {
        let words = u32::try_from(self.words().len()).unwrap_or(u32::MAX);
        let highest = self.words().rev().zip(1..).find(|(word, _)| *word != 0);
        highest.map_or(0, |(word, from_end)| (words - from_end) * BITS + (BITS - word.leading_zeros()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(part: u32, parts: u32) -> Ended {
        Ended { part, parts: Some(parts), superseded: false, ending: Ending::Message }
    }

    fn other(part: u32, ending: Ending) -> Ended {
        Ended { part, parts: None, superseded: false, ending }
    }

    fn of(ended: &[Ended]) -> Endings {
        let mut endings = Endings::default();
        for ended in ended {
            endings.add(*ended);
        }
        endings
    }

    #[test]
    fn a_request_ends_whole_or_not_at_all() {
        assert!(of(&[row(0, 1)]).are_whole());
        let partly = of(&[row(0, 3), other(2, Ending::Repeat)]);
        assert!(!partly.are_whole() && !partly.are_none());
        assert_eq!(partly.lacking(), [1]);
        assert!(of(&[row(0, 3), other(2, Ending::Repeat), other(1, Ending::DeadLetter)]).are_whole());
        assert!(!of(&[]).are_whole() && of(&[]).are_none());
        assert_eq!(of(&[]).lacking(), [0]);
    }

    #[test]
    fn where_no_row_says_how_many_there_are_the_highest_place_is_the_least() {
        assert!(of(&[other(0, Ending::DeadLetter)]).are_whole());
        let repeats = of(&[other(0, Ending::Repeat), other(3, Ending::Repeat)]);
        assert_eq!(repeats.lacking(), [1, 2]);
    }

    #[test]
    fn what_a_newer_reading_no_longer_yields_is_not_waited_for() {
        let superseded = Ended { superseded: true, ..row(1, 2) };
        assert!(of(&[row(0, 1), superseded]).are_whole());
        // And what it yields beyond the older one is.
        assert_eq!(of(&[row(0, 3), superseded]).lacking(), [2]);
    }

    #[test]
    fn a_record_with_two_endings_is_counted_once() {
        let replayed = of(&[row(0, 1), other(0, Ending::DeadLetter)]);
        assert_eq!(replayed.counts(), Counts { messages: 1, ..Counts::default() });
    }

    #[test]
    fn many_records_are_a_few_bits() {
        let mut endings = of(&[row(0, 1000)]);
        for part in (1..1000).rev() {
            assert!(!endings.are_whole(), "{part} is missing");
            assert!(endings.lacking().len() <= 20);
            endings.add(other(part, Ending::Repeat));
        }
        assert!(endings.are_whole() && endings.lacking().is_empty());
        endings.add(other(u32::MAX, Ending::Repeat));
        assert_eq!(endings.counts().repeats, 999);
        assert_eq!(of(&[other(63, Ending::Repeat)]).needed(), 64);
        assert_eq!(of(&[other(64, Ending::Repeat)]).needed(), 65);
        assert_eq!(of(&[other(128, Ending::Repeat)]).lacking().len(), 20);
    }
}
