//! One kept-alive HTTP/1.1 connection, made anew when it breaks.
//!
//! The connection is driven inside of the exchange, by the same future: no task of its own and no waking between two.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use super::ledger::Answer;

/// The gateway answers within 3 s; what takes this long is not coming.
const PATIENCE: Duration = Duration::from_secs(10);

type Connection = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A connection to one address, open or not.
#[derive(Debug)]
pub(crate) struct Wire {
    address: SocketAddr,
    open: Option<(SendRequest<Full<Bytes>>, Connection)>,
}

impl Wire {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, open: None }
    }

    /// Connects where it is not connected, or not any more: a request that is never sent needs no answer.
    pub(crate) async fn connect(&mut self) -> io::Result<()> {
        if let Some((sender, connection)) = &mut self.open
            && beside(connection, sender.ready()).await.is_ok()
        {
            return Ok(());
        }
        self.open = None;
        let stream = timeout(PATIENCE, TcpStream::connect(self.address)).await.map_err(io::Error::from)??;
        stream.set_nodelay(true)?;
        self.open = Some(http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?);
        Ok(())
    }

    /// Sends a request over an open connection and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let Some((sender, connection)) = &mut self.open else { return Answer::Unanswered };
        let exchange = beside(connection, async {
            let response = sender.send_request(request).await?;
            let answer = read(&response);
            drain(response.into_body()).await?;
            Ok::<_, hyper::Error>(answer)
        });
        let answer = timeout(PATIENCE, exchange).await.ok().and_then(Result::ok);
        if answer.is_none() {
            self.open = None;
        }
        answer.unwrap_or(Answer::Unanswered)
    }
}

/// Does `work` while the connection is driven. When the connection has ended, `work` learns it by itself.
async fn beside<T>(connection: &mut Connection, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut ended = false;
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        ended = ended || Pin::new(&mut *connection).poll(context).is_ready();
        work.as_mut().poll(context)
    })
    .await
}

async fn drain(mut body: Incoming) -> hyper::Result<()> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

fn read(response: &Response<Incoming>) -> Answer {
    let status = response.status();
    if !status.is_success() {
        return Answer::Refused(status.as_u16());
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if header("penstock-stored").is_some_and(|place| place.starts_with("HELD/")) {
        return Answer::Held;
    }
    match header("penstock-id").and_then(|id| Uuid::try_parse(id).ok()) {
        Some(id) => Answer::Accepted(id),
        None => Answer::Nameless,
    }
}

impl Answer {
    /// Whether to wait a moment before the next request, as every provider does.
    pub(crate) fn asks_for_patience(self) -> bool {
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].map(|status| status.as_u16());
        matches!(self, Self::Refused(status) if busy.contains(&status))
    }
}
