//! What of a stream may be thrown away: the pure part. A purge past an unacknowledged message loses it in silence, so
//! when in doubt nothing goes.
//!
//! Every number here comes from the broker, the time too: a process whose clock is wrong must not throw away anything
//! early.

/// A stream and those who read it, as the broker told, in this order: the stream first, then each consumer.
#[derive(Clone, Debug)]
pub struct View {
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
    /// The stream's consumers by its metadata; `None` stands for one that the broker does not have.
    pub consumers: Vec<Option<Progress>>,
}

/// How far a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to here is acknowledged.
    pub ack_floor: u64,
    /// Delivered and not acknowledged.
    pub unacknowledged: u64,
    /// Not delivered yet.
    pub pending: u64,
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
    /// None.
    Nothing,
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

/// From this share of a limit on, in percent, processed messages go early.
const NEARLY_FULL: u64 = 80;
/// The share of a limit that a pass under pressure goes down to, in percent.
const ROOM_AGAIN: u64 = 70;
/// At most this share of a stream goes in one pass...
const SHARE_OF_A_PASS: u64 = 10;
/// ... but so many always may, or a nearly empty stream would never become empty.
const ALWAYS: u64 = 10_000;

/// The first sequence that some consumer still needs.
///
/// `None` where that cannot be known, because a consumer is missing. A consumer that has nothing pending and nothing
/// unacknowledged has processed everything up to the last sequence that was there *before* it was asked; its own floor
/// stays behind while it is idle, because a filtered consumer's floor moves only with its own messages.
pub fn needed_from(view: &View) -> Option<u64> {
    view.consumers
        .iter()
        .map(|consumer| {
            consumer.map(|progress| {
                if progress.pending == 0 && progress.unacknowledged == 0 {
                    view.last_sequence
                } else {
                    progress.ack_floor
                }
            })
        })
        .try_fold(view.last_sequence, |lowest, floor| Some(lowest.min(floor?)))
        .map(|floor| floor.saturating_add(1))
}

/// What may go in one pass.
pub fn plan(view: &View, keep: Keep) -> Plan {
    let Some(needed_from) = needed_from(view) else { return Plan::Nothing };
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
mod tests {
    use super::*;

    fn view() -> View {
        View {
            first_sequence: 1,
            last_sequence: 1_000_000,
            messages: 1_000_000,
            bytes: 100,
            max_bytes: Some(1000),
            consumers: vec![Some(Progress { ack_floor: 500, unacknowledged: 1, pending: 7 })],
        }
    }

    fn keep() -> Keep {
        Keep { since: 0, most_messages: None, under_pressure: true }
    }

    #[test]
    fn nothing_goes_while_a_consumer_is_missing() {
        let mut view = view();
        view.consumers.push(None);
        assert_eq!(plan(&view, keep()), Plan::Nothing);
    }

    #[test]
    fn what_is_not_processed_stays_at_any_pressure() {
        let full = View { bytes: 1000, ..view() };
        assert_eq!(plan(&full, keep()), Plan::Pressed { before: 501 });
        let behind = Some(Progress { ack_floor: 0, unacknowledged: 0, pending: 1_000_000 });
        let unread = View { bytes: 1000, consumers: vec![behind], ..view() };
        assert_eq!(plan(&unread, keep()), Plan::Nothing);
    }

    #[test]
    fn the_slowest_consumer_counts() {
        let mut view = view();
        view.consumers.push(Some(Progress { ack_floor: 3, unacknowledged: 0, pending: 9 }));
        assert_eq!(needed_from(&view), Some(4));
    }

    #[test]
    fn an_idle_consumer_counts_as_far_as_the_stream_was_before_it_was_asked() {
        let idle = Some(Progress { ack_floor: 3, unacknowledged: 0, pending: 0 });
        let view = View { consumers: vec![idle], ..view() };
        assert_eq!(needed_from(&view), Some(1_000_001));
    }

    #[test]
    fn one_unacknowledged_message_holds_everything_after_it() {
        let one = Some(Progress { ack_floor: 3, unacknowledged: 1, pending: 0 });
        let view = View { consumers: vec![one], ..view() };
        assert_eq!(needed_from(&view), Some(4));
    }

    #[test]
    fn a_pass_takes_at_most_a_tenth() {
        let view = View { consumers: vec![], ..view() };
        assert_eq!(plan(&view, keep()), Plan::Aged { before: 100_001 });
    }

    #[test]
    fn pressure_takes_the_stream_down_to_where_there_is_room_again() {
        let view = View { consumers: vec![], bytes: 900, ..view() };
        assert_eq!(plan(&view, keep()), Plan::Pressed { before: 222_223 });
        let kept = Keep { under_pressure: false, ..keep() };
        assert_eq!(plan(&view, kept), Plan::Aged { before: 100_001 });
    }

    #[test]
    fn too_many_messages_are_pressure_too() {
        let view = View { consumers: vec![], ..view() };
        let kept = Keep { most_messages: Some(1_000_000), ..keep() };
        assert_eq!(plan(&view, kept), Plan::Pressed { before: 300_001 });
    }

    #[test]
    fn an_empty_stream_is_left_alone() {
        let view = View { messages: 0, first_sequence: 8, last_sequence: 7, consumers: vec![], ..view() };
        assert_eq!(plan(&view, keep()), Plan::Nothing);
    }
}
