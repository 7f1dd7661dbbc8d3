//! Finds a request in a stream by its id, without an index: the id tells when it came in, and a stream is ordered by
//! time.
//!
//! What a reader would get wrong: a request that was held lies in `RAW` from when it was released, which its id does
//! not tell. So after the near places everything later is looked through as well, up to a limit.

use proto::envelope::Lookup;
use proto::id::record_id;
use proto::{Millis, header};
use runtime::nats::Nats;
use uuid::Uuid;

use super::clock;
use super::error::CommandError;
use super::stream::{Begin, Scan, Stored};

/// How far the broker's clock may be from the gateway's and the message still be found by its time.
const CLOCKS: i64 = 6 * 60 * 1000;
/// Headers looked through at most in one place.
const MOST: u32 = 500_000;
/// Parts of a request that a record's id is compared with.
const PARTS: u32 = 1024;

/// Where to look and for how long, by the broker's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: i64,
    /// The last moment; `None` for as far as [`MOST`] messages reach.
    to: Option<i64>,
}

/// The near place first: where clocks agree, it is found in a handful of messages.
fn stretches(time: i64) -> [Stretch; 3] {
    [
        Stretch { from: time - 2_000, to: Some(time + 10_000) },
        Stretch { from: time - CLOCKS, to: Some(time + CLOCKS) },
        Stretch { from: time, to: None },
    ]
}

/// Whether a message of `RAW`, `HELD`, `CANONICAL`, `UNIQUE`, `DUPLICATES` or `DLQ` is, or comes from, what has this id.
pub(crate) fn is_of(message: &impl Lookup, id: Uuid) -> bool {
    let read = |name| message.get(name).and_then(|text| text.parse::<Uuid>().ok());
    let request = read(header::ID);
    if request == Some(id) || read(header::RECORD) == Some(id) {
        return true;
    }
    // A request does not name its records, but their ids follow from it.
    let received_at = message.get(header::RECEIVED_AT).and_then(|text| text.parse::<Millis>().ok());
    match (request, received_at) {
        (Some(request), Some(received_at)) if clock::of_id(id) == Some(received_at.as_unix()) => {
            message.get(header::RECORD).is_none() && (0..PARTS).any(|part| record_id(received_at, request, part) == id)
        }
        _ => false,
    }
}

/// How far to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// About the time when it came in.
    Near,
    /// Everything later too, up to a limit: it may have been held, or waited.
    Far,
}

/// The first message of a stream that is, or comes from, what has this id; without its payload. `None` where there is
/// none, or where the id tells no time.
pub(crate) async fn by_id(
    nats: &Nats,
    stream: &'static str,
    id: Uuid,
    reach: Reach,
) -> Result<Option<Stored>, CommandError> {
    let Some(time) = clock::of_id(id) else { return Ok(None) };
    for stretch in stretches(time).into_iter().filter(|stretch| reach == Reach::Far || stretch.to.is_some()) {
        if let Some(found) = search(nats, stream, id, stretch).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

async fn search(nats: &Nats, stream: &'static str, id: Uuid, stretch: Stretch) -> Result<Option<Stored>, CommandError> {
    let begin = Begin::Time(stretch.from);
    let mut scanner = Scan { stream, subjects: Vec::new(), begin, headers_only: true }.start(nats).await?;
    for _ in 0..MOST {
        match scanner.next().await? {
            Some(message) if is_of(&message, id) => return Ok(Some(message)),
            Some(message) if stretch.to.is_some_and(|to| message.stored_at > to) => break,
            Some(_) => {}
            None => break,
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::envelope::Pairs;

    #[test]
    fn a_request_is_known_by_its_own_id_and_by_those_of_its_records() {
        let time: Millis = "2026-11-23T05:53:29.123Z".parse().unwrap();
        let request = proto::id::request_id(time, [1; 10]);
        let raw: Pairs = vec![(header::ID, request.to_string()), (header::RECEIVED_AT, time.to_string())];
        assert!(is_of(&raw, request));
        assert!(is_of(&raw, record_id(time, request, 0)) && is_of(&raw, record_id(time, request, 7)));
        assert!(!is_of(&raw, proto::id::request_id(time, [2; 10])));

        let record = record_id(time, request, 1);
        let mut canonical = raw;
        canonical.push((header::RECORD, record.to_string()));
        assert!(is_of(&canonical, request) && is_of(&canonical, record));
        assert!(!is_of(&canonical, record_id(time, request, 0)), "another record of the same request");
    }

    #[test]
    fn the_near_place_is_looked_at_first_and_clocks_may_differ() {
        let [near, wide, rest] = stretches(1_000_000);
        assert!(near.from > wide.from && near.to < wide.to);
        assert_eq!(rest, Stretch { from: 1_000_000, to: None });
    }
}
