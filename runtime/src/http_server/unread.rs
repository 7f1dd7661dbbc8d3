//! An answer that is on its way: it keeps its request's place until it is written, or cannot be any more.
//!
//! Over HTTP/2 a client can take as many requests as a connection has streams and read none of the answers. Each of them
//! waits in memory for it, so each counts as if its request were still in hand.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use super::activity::Unwritten;
use super::room::Place;

/// The body of an answer. hyper drops it when its last byte is handed to the connection, or the stream is gone.
pub(super) struct OnItsWay {
    body: Full<Bytes>,
    _place: Option<Place>,
    _unwritten: Option<Unwritten>,
}

impl OnItsWay {
    /// `place` and `unwritten` are of HTTP/2: over HTTP/1 the connection's is enough.
    pub(super) fn new(body: Full<Bytes>, place: Option<Place>, unwritten: Option<Unwritten>) -> Self {
        Self { body, _place: place, _unwritten: unwritten }
    }
}

impl Body for OnItsWay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
