//! Reads a request's body, within four bounds: its source's size limit, a time limit, a least pace, and a budget of bytes
//! that all requests share.
//!
//! The budget is taken as bytes arrive, never for what a client only announces, and given back when the last copy of
//! the bytes is dropped, wherever that is: a broker that is away cannot make memory grow. What announces more than there is
//! room for is refused before it is read: to read most of it first would cost those who are served meanwhile.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, timeout_at};

use crate::budget::{NoRoom, Share};
use crate::pace::{LOOK, Pace};

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Larger than the source takes.
    TooLarge,
    /// Not whole in time, or next to nothing of it came for a while.
    TooSlow,
    /// The budget is used up, or what one address may have of it.
    NoRoom(NoRoom),
    /// The client gave up, or its framing is wrong.
    Broken,
}

impl From<NoRoom> for BodyError {
    fn from(no_room: NoRoom) -> Self {
        Self::NoRoom(no_room)
    }
}

/// Bytes that give their share back when they are dropped.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a whole body of at most `limit` bytes. What stays unread is left in `body`. `beside` bytes are kept in memory
/// together with the body, and counted with it, in `share`.
pub async fn read<B>(
    body: &mut B,
    limit: u64,
    time: Duration,
    mut share: Share,
    beside: usize,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    // The exact length where there is a `Content-Length`, 0 where the body is chunked.
    let announced = body.size_hint().lower();
    if announced > limit {
        return Err(BodyError::TooLarge);
    }
    share.grow(beside)?;
    share.fits(usize::try_from(announced).unwrap_or(usize::MAX))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let bytes = match tokio::time::timeout(time, collect(body, limit, &mut share)).await {
        Ok(collected) => collected?,
        Err(_) => return Err(BodyError::TooSlow),
    };
    Ok(Bytes::from_owner(Counted { bytes, _share: share }))
}

/// One frame is handed on as it is; more are put together.
async fn collect<B>(body: &mut B, limit: usize, share: &mut Share) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    let mut length = 0_usize;
    let (mut pace, mut look) = (Pace::default(), Instant::now() + LOOK);
    while let Some(frame) = next(body, &mut pace, &mut look).await? {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        pace.arrived(data.len());
        length = length.saturating_add(data.len());
        if length > limit {
            return Err(BodyError::TooLarge);
        }
        share.grow(data.len())?;
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            // No more than has arrived: that is what the budget counts. From here on it doubles.
            whole.reserve(first.len() + data.len());
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

/// The next frame, looking at the pace meanwhile.
async fn next<B>(
    body: &mut B,
    pace: &mut Pace,
    look: &mut Instant,
) -> Result<Option<Result<Frame<Bytes>, B::Error>>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        match timeout_at(*look, body.frame()).await {
            Ok(frame) => return Ok(frame),
            Err(_) if pace.is_kept() => *look = Instant::now() + LOOK,
            Err(_) => return Err(BodyError::TooSlow),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::stream::{self, StreamExt as _};
    use http_body_util::{Empty, Full, StreamBody};
    use hyper::body::{Frame, SizeHint};

    use super::*;

    use std::net::{IpAddr, Ipv4Addr};

    use crate::budget::{Budget, PIECE, Size};

    const TIME: Duration = Duration::from_secs(5);
    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn budget(bytes: u64) -> Budget {
        Budget::new(Size { all: bytes, address: bytes })
    }

    fn chunked(chunks: &'static [&'static [u8]]) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(stream::iter(chunks.iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk))))))
    }

    async fn read_within<B: Body<Data = Bytes> + Unpin>(mut body: B, limit: u64) -> Result<Bytes, BodyError> {
        read(&mut body, limit, TIME, budget(1 << 20).share(CLIENT), 0).await
    }

    #[tokio::test]
    async fn a_body_is_taken_byte_for_byte_up_to_its_limit() {
        assert_eq!(read_within(Empty::new(), 4).await.unwrap(), "");
        assert_eq!(read_within(Full::from("four"), 4).await.unwrap(), "four");
        assert_eq!(read_within(chunked(&[b"f", b"", b"ou", b"r"]), 4).await.unwrap(), "four");
    }

    #[tokio::test]
    async fn one_byte_too_many_is_refused_announced_or_not() {
        assert_eq!(read_within(Full::from("five5"), 4).await, Err(BodyError::TooLarge));
        assert_eq!(read_within(chunked(&[b"four", b"5"]), 4).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_body_in_one_frame_is_not_copied() {
        let bytes = Bytes::from(vec![7; 1000]);
        let read = read_within(Full::new(bytes.clone()), 1000).await.unwrap();
        assert_eq!(read.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test]
    async fn what_comes_in_pieces_takes_no_more_memory_than_it_is_counted_for() {
        let budget = budget(1 << 20);
        let read = collect(&mut chunked(&[b"{", b" ", b" "]), 1 << 20, &mut budget.share(CLIENT)).await.unwrap();
        assert!(read.try_into_mut().unwrap().capacity() <= PIECE);
    }

    #[tokio::test]
    async fn the_budget_is_held_as_long_as_any_copy_of_the_bytes() {
        let budget = budget(4096);
        let read = async |bytes: usize| {
            let mut body = Full::new(Bytes::from(vec![0; bytes]));
            read(&mut body, 1 << 20, TIME, budget.share(CLIENT), 100).await
        };
        let first = read(2000).await.unwrap();
        assert_eq!(budget.used(), 3 * PIECE);
        let (copy, part) = (first.clone(), first.slice(5..6));
        drop(first);
        assert_eq!(read(2000).await, Err(BodyError::NoRoom(NoRoom::Share)));
        drop(copy);
        assert_eq!(read(2000).await, Err(BodyError::NoRoom(NoRoom::Share)));
        drop(part);
        assert_eq!(budget.used(), 0);
        assert!(read(2000).await.is_ok());
    }

    /// A body of a length that its head says, which nobody reads.
    struct Announced(u64);

    impl Body for Announced {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            panic!("it is read");
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test]
    async fn what_announces_more_than_there_is_room_for_is_refused_before_it_is_read_and_takes_nothing() {
        let budget = budget(4096);
        let held = read(&mut Full::from("one"), 4, TIME, budget.share(CLIENT), 0).await.unwrap();
        let read = read(&mut Announced(3073), 1 << 20, TIME, budget.share(CLIENT), 0).await;
        assert_eq!((read, budget.used()), (Err(BodyError::NoRoom(NoRoom::Share)), PIECE));
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_is_not_waited_for() {
        let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        let budget = budget(4096);
        let mut body = StreamBody::new(endless);
        assert_eq!(read(&mut body, 4, TIME, budget.share(CLIENT), 1).await, Err(BodyError::TooSlow));
        assert_eq!(budget.used(), 0);
    }

    /// A body of so many bytes each second, for so many seconds, and how long it was read.
    async fn read_at_a_pace(bytes: usize, seconds: u64) -> (Result<usize, BodyError>, Duration) {
        let frames = stream::iter(0..seconds).then(move |_| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; bytes])))
        });
        let (mut body, begun) = (StreamBody::new(Box::pin(frames)), Instant::now());
        let read = read(&mut body, 1 << 20, Duration::from_secs(30), budget(1 << 20).share(CLIENT), 0).await;
        (read.map(|bytes| bytes.len()), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_given_up_on_long_before_its_time_is_over() {
        let (read, took) = read_at_a_pace(100, 29).await;
        assert_eq!(read, Err(BodyError::TooSlow));
        assert!(took < Duration::from_secs(11), "{took:?}");
        assert_eq!(read_at_a_pace(1300, 29).await.0, Ok(29 * 1300), "a slow line is waited for");
        assert_eq!(read_at_a_pace(1, 8).await.0, Ok(8), "and so is a little body");
        assert_eq!(read_at_a_pace(1300, 60).await.0, Err(BodyError::TooSlow), "but not for ever");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_no_body() {
        let broken = stream::iter([Ok(Frame::data(Bytes::from("a"))), Err(std::io::Error::other("gone"))]);
        assert_eq!(read_within(StreamBody::new(broken), 4).await, Err(BodyError::Broken));
    }
}
