//! What the machine could do at all, measured in the same run: figures of a shared machine move by a third from one hour
//! to the next, and only their ratios last.
//!
//! The first floor is an HTTP server that answers an empty 200, driven by the same load generator with the same
//! requests. The second is publishing the same bodies to a stream of the same broker, acknowledgements pipelined, and
//! nothing else.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use runtime::nats::Nats;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::error::BenchError;
use super::load::{Live, Plan, Sending, send};
use super::message::Message;
use super::player::Player;

const DURATION: Duration = Duration::from_secs(5);
/// As many publishes wait for their acknowledgement at once.
const IN_FLIGHT: usize = 1000;
/// A leftover of a run that was killed is replaced by the next.
const STREAM: &str = "PENSTOCK_BENCH";
const SUBJECT: &str = "penstock-bench.floor";

/// Requests a second that an empty server answers, and how long each took.
pub(crate) async fn http(plan: Plan, player: Arc<Player>) -> Result<Sending, BenchError> {
    let (address, stop) = empty_server().await?;
    let plan = Plan { address, rate: None, duration: DURATION, ..plan };
    let sending = send(plan, player, Arc::new(Live::default())).await;
    drop(stop);
    sending
}

/// A server on a thread of its own, until the sender is dropped.
pub(super) async fn empty_server() -> Result<(SocketAddr, oneshot::Sender<()>), BenchError> {
    let failed = |source| BenchError::System { doing: "starting an empty HTTP server", source };
    let (stop, stopped) = oneshot::channel();
    let (tell, told) = oneshot::channel();
    let work = move || {
        let threads = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = threads.map(|threads| threads.block_on(answer_all(tell, stopped)));
        // It was told to whoever waits for the address; afterwards nobody asks.
        served.ok();
    };
    thread::Builder::new().name("empty".to_owned()).spawn(work).map_err(failed)?;
    let address = told.await.map_err(|_| BenchError::Load("start an empty HTTP server"))?.map_err(failed)?;
    Ok((address, stop))
}

async fn answer_all(tell: oneshot::Sender<std::io::Result<SocketAddr>>, mut stopped: oneshot::Receiver<()>) {
    let listener = match TcpListener::bind("127.0.0.1:0").await {
        Ok(listener) => listener,
        Err(error) => return drop(tell.send(Err(error))),
    };
    if tell.send(listener.local_addr()).is_err() {
        return;
    }
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Ok((stream, _)) = listener.accept() => {
                stream.set_nodelay(true).ok();
                connections.push(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(empty)));
            }
            Some(_) = connections.next() => {}
        }
    }
}

/// Reads the whole body, as whoever wants to keep the connection must, and says nothing.
async fn empty(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = http_body_util::BodyExt::frame(&mut body).await {}
    Ok(Response::new(Empty::new()))
}

/// Messages published, and how long it took until the last was acknowledged.
pub(crate) async fn nats(nats: &Nats, player: &Player) -> Result<(u64, Duration), BenchError> {
    let failed = |doing, source| BenchError::Nats { doing, source };
    let jetstream = nats.jetstream();
    jetstream.delete_stream(STREAM).await.ok();
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_bytes: 2 << 30,
        ..Config::default()
    };
    jetstream.create_stream(config).await.map_err(|error| failed("making a stream", error.into()))?;
    let published = tokio::select! {
        published = publish(nats, player) => published,
        // Only so that the stream is deleted; the signal ends the command all the same.
        _ = tokio::signal::ctrl_c() => Err(BenchError::Load("finish: it was interrupted")),
    };
    jetstream.delete_stream(STREAM).await.map_err(|error| failed("deleting the stream", error.into()))?;
    published
}

async fn publish(nats: &Nats, player: &Player) -> Result<(u64, Duration), BenchError> {
    let failed = |error: async_nats::jetstream::context::PublishError| BenchError::Nats {
        doing: "publishing",
        source: error.into(),
    };
    let mut unacknowledged = VecDeque::with_capacity(IN_FLIGHT);
    let mut count = 0;
    let began = Instant::now();
    while began.elapsed() < DURATION {
        let body = player.body(Message { connection: u32::MAX, number: count });
        unacknowledged.push_back(nats.jetstream().publish(SUBJECT, body).await.map_err(failed)?);
        count += 1;
        if unacknowledged.len() >= IN_FLIGHT
            && let Some(oldest) = unacknowledged.pop_front()
        {
            oldest.await.map_err(failed)?;
        }
    }
    for last in unacknowledged {
        last.await.map_err(failed)?;
    }
    Ok((u64::from(count), began.elapsed()))
}
