//! What of a stream may be thrown away: the pure part. A purge past an unacknowledged message loses it in silence, so
//! when in doubt nothing goes.
//!
//! Every number here comes from the broker, the time too: a process whose clock is wrong must not throw away anything
//! early.

/// A stream and those who read it, as the broker told, in this order: the stream first, then how far each consumer is,
/// then what the stream still has for it.
#[derive(Clone, Debug)]
pub struct View {
    /// Whether the stream's metadata names the layout that this program knows. Whose progress counts in another one
    /// is not known here.
    pub layout_is_known: bool,
    /// Sequence of the oldest message.
    pub first_sequence: u64,
    /// Sequence of the newest message, read before any consumer was asked.
    pub last_sequence: u64,
    /// Messages in the stream.
    pub messages: u64,
    /// Bytes in the stream.
    pub bytes: u64,
    /// The stream's byte limit; `None` where it has none.
    pub max_bytes: Option<u64>,
    /// The stream's consumers, by its metadata and by this program; why it is not known how far one is.
    pub consumers: Vec<Result<Progress, Stopped>>,
}

/// How far a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to here is acknowledged. It may be told too low, never too high.
    pub ack_floor: u64,
    /// What it says that it has not finished.
    pub waiting: u64,
    /// What of the stream it reads.
    pub reads: Reads,
}

/// What of a stream a consumer reads.
///
/// A consumer's word that nothing waits for it is not enough to pass its floor: a member of a cluster that has not
/// caught up says so of a stream full of messages. Nor is the stream's word: it says "no message" also where it could
/// not look, such as while it shuts down. Both have to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Every message.
    Everything,
    /// Those on some subjects; its floor moves with its own messages only.
    Filtered {
        /// The first message after the floor that is for it, as the stream told after the floor was known; `None` where
        /// there was none.
        next: Option<u64>,
    },
}

/// What is kept of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// What the broker stored at or after this moment stays, in milliseconds since 1970.
    pub since: i64,
    /// Messages beyond this number are too many.
    pub most_messages: Option<u64>,
    /// Whether processed messages may go early where the stream is nearly full.
    pub under_pressure: bool,
}

/// Which messages may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// None, because none may.
    Nothing,
    /// None, because it cannot be known which: somebody must look.
    Stopped(Stopped),
    /// Those before this sequence that are older than [`Keep::since`].
    Aged {
        /// The first one that must stay.
        before: u64,
    },
    /// Those before this sequence, whatever their age: the stream is nearly full.
    Pressed {
        /// The first one that must stay.
        before: u64,
    },
}

/// Why it cannot be known what may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// A consumer is missing: made anew, it would begin at the oldest message.
    ConsumerMissing,
    /// A consumer was not made as it must be: its floor passes messages that nobody acknowledged.
    ConsumerUnfit,
    /// The stream has another layout, or none.
    UnknownLayout,
    /// The broker did not say what time it is.
    UnknownTime,
}

/// From this share of a limit on, in percent, processed messages go early.
const NEARLY_FULL: u64 = 80;
/// The share of a limit that a pass under pressure goes down to, in percent.
const ROOM_AGAIN: u64 = 70;
/// At most this share of a stream goes in one pass...
const SHARE_OF_A_PASS: u64 = 10;
/// ... but so many always may, or a nearly empty stream would never become empty.
const ALWAYS: u64 = 10_000;

/// The first sequence that some consumer still needs; at most the one after [`View::last_sequence`].
pub fn needed_from(view: &View) -> Result<u64, Stopped> {
    if !view.layout_is_known {
        return Err(Stopped::UnknownLayout);
    }
    // What came after the stream was looked at is not looked at.
    let end = view.last_sequence.saturating_add(1);
    view.consumers.iter().try_fold(end, |lowest, consumer| {
        let progress = (*consumer)?;
        Ok(lowest.min(match progress.reads {
            Reads::Filtered { next: Some(next) } => next,
            Reads::Filtered { next: None } if progress.waiting == 0 => end,
            Reads::Filtered { next: None } | Reads::Everything => progress.ack_floor.saturating_add(1),
        }))
    })
}

/// What may go in one pass.
pub fn plan(view: &View, keep: Keep) -> Plan {
    let needed_from = match needed_from(view) {
        Ok(needed_from) => needed_from,
        Err(stopped) => return Plan::Stopped(stopped),
    };
    if view.messages == 0 {
        return Plan::Nothing;
    }
    if keep.under_pressure
        && let Some(excess) = excess(view, keep)
    {
        let before = needed_from.min(view.first_sequence.saturating_add(excess));
        return if before > view.first_sequence { Plan::Pressed { before } } else { Plan::Nothing };
    }
    let share = (view.messages / SHARE_OF_A_PASS).max(ALWAYS);
    let before = needed_from.min(view.first_sequence.saturating_add(share));
    if before > view.first_sequence { Plan::Aged { before } } else { Plan::Nothing }
}

/// How many of the oldest messages are too many; `None` where the stream is not nearly full.
fn excess(view: &View, keep: Keep) -> Option<u64> {
    let over = |found: u64, limit: u64| -> Option<u64> {
        let (found, limit) = (u128::from(found), u128::from(limit));
        let full = found * 100 >= limit * u128::from(NEARLY_FULL) && limit > 0;
        // The share of the stream that is above the mark, in messages.
        let above = found.saturating_sub(limit * u128::from(ROOM_AGAIN) / 100);
        full.then(|| u64::try_from(above * u128::from(view.messages) / found.max(1)).unwrap_or(u64::MAX))
    };
    let bytes = view.max_bytes.and_then(|limit| over(view.bytes, limit));
    let messages = keep.most_messages.and_then(|limit| over(view.messages, limit));
    bytes.max(messages)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
