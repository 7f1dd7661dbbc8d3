//! Asks the broker where every stage is.

use futures::future::try_join_all;
use proto::Channel;
use runtime::nats::Nats;
use runtime::stream_info::InfoError;
use runtime::topology::{CANONICAL, DLQ, DUPLICATES, RAW, REPLAY, UNIQUE};

use crate::audit::course::{CHANNELS, Snapshot, Span};

/// Everything in the order that [`crate::audit::course`] relies on: consumers first, then streams.
pub async fn snapshot(nats: &Nats) -> Result<Snapshot, InfoError> {
    let channels = Channel::ALL.map(|channel| format!("normalizer-{channel}"));
    let normalized = try_join_all(channels.iter().map(|consumer| floor(nats, RAW, consumer)));
    let (normalized, replayed, deduplicated, persisted, judged, recorded) = tokio::try_join!(
        normalized,
        floor(nats, REPLAY, "normalizer-replay"),
        floor(nats, CANONICAL, "dedup"),
        floor(nats, UNIQUE, "persister"),
        floor(nats, DUPLICATES, "persister-duplicates"),
        floor(nats, DLQ, "persister-dead-letters"),
    )?;
    let (canonical, unique, duplicates, dlq) =
        tokio::try_join!(span(nats, CANONICAL), span(nats, UNIQUE), span(nats, DUPLICATES), span(nats, DLQ))?;
    let mut floors = [0; CHANNELS];
    for (place, floor) in floors.iter_mut().zip(normalized) {
        *place = floor;
    }
    Ok(Snapshot {
        normalized: floors,
        replayed,
        deduplicated,
        persisted,
        judged,
        recorded,
        canonical,
        unique,
        duplicates,
        dlq,
    })
}

/// `REPLAY`'s last sequence.
pub async fn last_replay(nats: &Nats) -> Result<u64, InfoError> {
    Ok(nats.stream_info(REPLAY).await?.state.last_seq)
}

async fn floor(nats: &Nats, stream: &str, consumer: &str) -> Result<u64, InfoError> {
    Ok(nats.consumer_info(stream, consumer).await?.ack_floor.stream_seq)
}

async fn span(nats: &Nats, stream: &str) -> Result<Span, InfoError> {
    let state = nats.stream_info(stream).await?.state;
    Ok(Span { first: state.first_seq, last: state.last_seq })
}
