//! The accept loop of the gateway and of every admin address: HTTP/1.1 and HTTP/2 on one port, over TLS or not, bounded, and
//! drained at shutdown.
//!
//! hyper's header timeout is silently off without a timer, so one is always given; and it does not run before the
//! first bytes, nor on an idle HTTP/2 connection, so both are watched here. Asking hyper to end a connection is no end:
//! it first waits until the last answer is written, and a client that reads nothing can keep it waiting for ever. So an
//! asked-for end that does not come is made, by dropping the connection.
//!
//! Shutdown fails no request that was sent: connections that wait to be accepted are accepted before the listener
//! closes, and an HTTP/1 connection is not closed under a request that is on its way: its next answer says
//! `Connection: close`, and only one that stays idle for a while is closed. HTTP/2 has GOAWAY for that.

mod activity;
mod crowd;
mod peer;
mod room;
mod tls;
mod unread;

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{FutureExt as _, ready};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use metrics::{Counter, counter, describe_counter};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::activity::{Activity, InHand, Step, Stillness, Unwritten};
pub use self::crowd::Share;
use self::crowd::{Counted, Crowd};
pub use self::peer::Peer;
use self::peer::{Believed, Client};
use self::room::Room;
pub use self::tls::{CurrentTls, TlsSetting, server_tls};
use self::unread::OnItsWay;
use crate::tasks::Outcome;

/// Longest head of an HTTP/1 request; beyond, 431. What a role makes of a request's headers is its own limit.
///
/// A connection may hold as much for as long as its head is not whole, so this times the connections is what idlers can
/// take. A role takes less: a target of 8 KiB and headers of 16 KiB, with what is between them.
const HEAD_BYTES: usize = 32 * 1024;
/// Longest header list of an HTTP/2 request, in bytes; beyond, 431.
const HEADER_LIST_BYTES: u32 = 16 * 1024;
/// Requests with more headers than this are refused with 431.
const HEADER_COUNT: usize = 100;
/// Streams one HTTP/2 connection may have open. A connection keeps about a KiB for each that it ever had at once.
const H2_STREAMS: u32 = 32;
/// How many times as many requests as refusals there is room for, over HTTP/2.
const REFUSALS: usize = 10;
/// Connections that may wait to be accepted; beyond, clients wait a second before they try again.
const BACKLOG: u32 = 4096;
/// Connections accepted after shutdown was asked for: those that were there before the listener closed.
const LATE_CONNECTIONS: usize = BACKLOG as usize;
/// How long an idle HTTP/1 connection stays open at shutdown, for the request that may be on its way.
const LAST_CALL: Duration = Duration::from_secs(1);
/// How long the rest of a refused body is read, so that its sender can read the answer.
const LINGER: Duration = Duration::from_secs(3);

/// What a request is answered with for which there is no room: without one, a bare 503.
pub type Refuse = Arc<dyn Fn() -> Response<Full<Bytes>> + Send + Sync>;

/// What bounds a server.
#[derive(Clone)]
pub struct ServerLimits {
    /// Connections at once; more wait to be accepted. And HTTP/2 requests at once, until their answers are written; more
    /// are answered with 503, as long as no more than a tenth of as many of those wait to be read, and else with
    /// `REFUSED_STREAM`.
    pub connections: usize,
    /// How many of each a peer may have; `None` where that is no question.
    pub share: Option<Share>,
    /// How a request beyond them is refused.
    pub refuse: Option<Refuse>,
    /// What TLS is spoken with; `None` where it is not spoken.
    pub tls: Option<CurrentTls>,
    /// Longest time for a request's headers. A connection without a request in hand is ended within twice of it, and
    /// dropped within three times of it where an answer is still not read.
    pub header_timeout: Duration,
    /// Longest time for open connections to finish at shutdown.
    pub grace: Duration,
}

impl fmt::Debug for ServerLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, share: _, refuse: _, tls: _, header_timeout, grace } = self;
        let mut shown = f.debug_struct("ServerLimits");
        shown.field("connections", connections).field("header_timeout", header_timeout).field("grace", grace);
        shown.finish_non_exhaustive()
    }
}

/// A listener could not be had.
#[derive(Debug, thiserror::Error)]
#[error("could not listen on {address}; is the port in use? `{setting}` sets another")]
pub struct ListenError {
    address: SocketAddr,
    setting: &'static str,
    #[source]
    source: std::io::Error,
}

/// Binds `address`; `setting` is the key to change where that fails.
pub async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ListenError> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // What a stopped process leaves in TIME_WAIT must not keep the next one from its address.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|source| ListenError { address, setting, source })
}

/// Answers requests until `shutdown`, then finishes those that are open.
pub async fn serve<H, F>(
    listener: TcpListener,
    handler: H,
    limits: ServerLimits,
    shutdown: CancellationToken,
) -> Outcome
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let server = Arc::new(Server::new(&limits));
    let places = Arc::new(Semaphore::new(limits.connections));
    let crowd = Crowd::default();
    describe_counter!(
        "penstock_http_connections_refused_total",
        "Connections hung up on because their peer had its share of them."
    );
    let refused = counter!("penstock_http_connections_refused_total");
    let (phase, phases) = watch::channel(Phase::Serving);
    let mut connections = JoinSet::new();
    let start = |accepted: Accepted| {
        let (server, handler, phases) = (Arc::clone(&server), handler.clone(), phases.clone());
        drive(server, accepted, limits.tls.clone(), handler, phases, limits.header_timeout)
    };
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, peer, place)) => match counted(&limits, &crowd, peer) {
                    Ok(counted) => {
                        connections.spawn(start((stream, peer, (place, counted))));
                    }
                    Err(Crowded) => refused.increment(1),
                },
                Err(error) => {
                    // Out of file descriptors, mostly. Spinning would make it worse.
                    warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    phase.send_replace(Phase::Finishing);
    for accepted in close(listener, &places) {
        connections.spawn(start(accepted));
    }

    let finish = async {
        let patience = LAST_CALL.min(limits.grace / 4);
        if timeout(patience, all_ended(&mut connections)).await.is_err() {
            phase.send_replace(Phase::Closing);
            all_ended(&mut connections).await;
        }
    };
    if timeout(limits.grace, finish).await.is_err() {
        warn!("connections were still open when the time to finish them was over");
    }
    Ok(())
}

/// Reads the rest of a body that its answer does not depend on, for a while, so that a client that is still sending is
/// not cut off before it reads the answer.
pub fn linger(mut body: Incoming) {
    let read = async move { while let Some(Ok(_)) = body.frame().await {} };
    #[expect(
        clippy::disallowed_methods,
        reason = "ends by itself, and there is nothing to supervise: at most one a stream"
    )]
    tokio::spawn(timeout(LINGER, read));
}

/// What open connections are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Go on.
    Serving,
    /// The next answer is the last.
    Finishing,
    /// End where nothing is in hand.
    Closing,
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// What all connections share.
struct Server {
    builder: auto::Builder<TokioExecutor>,
    room: Room,
    /// For the answers of those that have none in the other.
    refusals: Room,
    refuse: Option<Refuse>,
    refused: Counter,
}

impl Server {
    fn new(limits: &ServerLimits) -> Self {
        describe_counter!(
            "penstock_http_requests_refused_total",
            "HTTP/2 requests refused because too many were in hand, or had answers not taken, of all peers or of theirs."
        );
        Self {
            builder: builder(limits.header_timeout),
            room: Room::new(limits.connections, limits.share.clone()),
            refusals: Room::new(limits.connections.div_ceil(REFUSALS), limits.share.clone().map(part_of)),
            refuse: limits.refuse.clone(),
            refused: counter!("penstock_http_requests_refused_total"),
        }
    }

    /// A place for an HTTP/2 request, and otherwise one for the answer that there is none; where there is neither, the
    /// request has not been looked at, and its sender may try again (RFC 9113, 8.7).
    fn enter(&self, peer: IpAddr) -> Result<Entered, h2::Error> {
        if let Some(place) = self.room.enter(peer) {
            return Ok(Entered::Request(place));
        }
        self.refused.increment(1);
        self.refusals.enter(peer).map(Entered::Refusal).ok_or_else(|| h2::Reason::REFUSED_STREAM.into())
    }

    /// The answer where there is no room for a request.
    fn no_room(&self) -> Response<Full<Bytes>> {
        if let Some(refuse) = &self.refuse {
            return refuse();
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }
}

/// The share of a peer in the refusals.
fn part_of(share: Share) -> Share {
    Arc::new(move |peer| share(peer).map(|(peer, most)| (peer, most.div_ceil(REFUSALS))))
}

/// What there is a place for.
enum Entered {
    Request(room::Place),
    Refusal(room::Place),
}

impl Entered {
    fn place(self) -> room::Place {
        match self {
            Self::Request(place) | Self::Refusal(place) => place,
        }
    }
}

/// A place, and what counts it as its peer's.
type Place = (OwnedSemaphorePermit, Option<Counted>);
type Accepted = (TcpStream, SocketAddr, Place);

/// A peer has as many connections as it may.
struct Crowded;

/// Counts a connection as its peer's, where that is limited.
fn counted(limits: &ServerLimits, crowd: &Crowd, peer: SocketAddr) -> Result<Option<Counted>, Crowded> {
    match limits.share.as_ref().and_then(|share| share(peer.ip())) {
        None => Ok(None),
        Some((peer, most)) => crowd.enter(peer, most).map(Some).ok_or(Crowded),
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

/// Closes the listener, and gives the connections that were waiting in it: closing resets those, and some have sent
/// their request already. The listener is asked itself, not the runtime, which may not have heard of them yet.
fn close(listener: TcpListener, places: &Arc<Semaphore>) -> Vec<Accepted> {
    let mut late = Vec::new();
    let Ok(listener) = listener.into_std() else { return late };
    while late.len() < LATE_CONNECTIONS {
        let Ok(place) = Arc::clone(places).try_acquire_owned() else { break };
        let Ok((stream, peer)) = listener.accept() else { break };
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            late.push((stream, peer, (place, None)));
        }
    }
    late
}

async fn drive<H, F>(
    server: Arc<Server>,
    (stream, address, place): Accepted,
    current: Option<CurrentTls>,
    handler: H,
    phases: watch::Receiver<Phase>,
    header_timeout: Duration,
) where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the connection was gone before it was looked at");
        return;
    }
    let Some((current, tls)) = current.and_then(|current| current().map(|tls| (current, tls))) else {
        let client = Client { peer: Peer { address, certificate: None }, believed: None };
        return converse(server, stream, client, place, handler, phases, header_timeout).await;
    };
    match timeout(header_timeout, TlsAcceptor::from(Arc::clone(&tls)).accept(stream)).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(|chain| chain.first()).cloned();
            let certificate = certificate.map(CertificateDer::into_owned).map(Arc::new);
            let believed = certificate.is_some().then_some(Believed { by: tls, current });
            let client = Client { peer: Peer { address, certificate }, believed };
            converse(server, stream, client, place, handler, phases, header_timeout).await;
        }
        Ok(Err(error)) => debug!(%error, "no TLS with this client"),
        Err(_) => debug!("no TLS in time"),
    }
}

/// Takes requests from a connection until it ends.
async fn converse<S, H, F>(
    server: Arc<Server>,
    stream: S,
    client: Client,
    place: Place,
    handler: H,
    mut phases: watch::Receiver<Phase>,
    header_timeout: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let (peer, client) = (client.peer.clone(), Arc::new(client));
    let address = peer.address;
    let activity = Arc::<Activity>::default();
    let (watched, told, shared) = (Arc::clone(&activity), phases.clone(), Arc::clone(&server));
    let asking = Arc::clone(&client);
    let service = service_fn(move |request: Request<Incoming>| {
        let (version, told) = (request.version(), told.clone());
        let only_head = version == Version::HTTP_2 && request.method() == Method::HEAD;
        let in_hand = InHand::begin(&watched, version);
        // HTTP/1 has one in hand at most, which is the connection's.
        let entered = (version == Version::HTTP_2).then(|| shared.enter(address.ip())).transpose();
        let (answer, place) = match entered {
            Ok(Some(Entered::Refusal(place))) => (Ok(ready(shared.no_room()).left_future()), Some(place)),
            // Over HTTP/1 hyper sees to it; over HTTP/2 it counts bytes only, and a field takes 100 bytes beside its own.
            Ok(entered) if request.headers().len() > HEADER_COUNT => {
                (Ok(ready(too_many_headers()).left_future()), entered.map(Entered::place))
            }
            // In a box, so that what is left of it while its answer waits to be read is small.
            Ok(entered) => (Ok(Box::pin(handler(request, peer.clone())).right_future()), entered.map(Entered::place)),
            Err(no_place) => (Err(no_place), None),
        };
        let (watched, client) = (Arc::clone(&watched), Arc::clone(&asking));
        async move {
            let mut response = answer?.await;
            if only_head {
                leave_out_body(&mut response);
            }
            if version < Version::HTTP_2 && (*told.borrow() != Phase::Serving || client.is_to_show_itself_again()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let unwritten = (version == Version::HTTP_2).then(|| Unwritten::begin(&watched));
            drop(in_hand);
            Ok::<_, h2::Error>(response.map(|body| OnItsWay::new(body, place, unwritten)))
        }
    });
    let connection = server.builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut look = interval(header_timeout);
    // Two looks must be that far apart to say that nothing happened in between.
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look.tick().await;
    let (mut stillness, mut asked_to_end) = (Stillness::default(), false);
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "connection ended early");
                }
                break;
            }
            // The sender lives as long as any connection is waited for.
            Ok(()) = phases.changed() => {
                let phase = *phases.borrow_and_update();
                if phase == Phase::Closing || activity.is_http2() {
                    connection.as_mut().graceful_shutdown();
                    stillness.ending();
                }
            }
            _ = look.tick() => match stillness.look(activity.idle_since(), activity.oldest_unwritten()) {
                Step::Wait if !asked_to_end && activity.is_http2() && client.is_to_show_itself_again() => {
                    connection.as_mut().graceful_shutdown();
                    asked_to_end = true;
                }
                Step::Wait => {}
                Step::End => connection.as_mut().graceful_shutdown(),
                Step::Drop => {
                    debug!("no request came in time, or its answer was not read");
                    break;
                }
            },
        }
    }
    drop(place);
}

/// As hyper answers over HTTP/1.
fn too_many_headers() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    response
}

/// What answers HEAD has no body (RFC 9110, 9.3.2). Over HTTP/1 hyper leaves it out; over HTTP/2 it sends what it is given,
/// and clients reset the stream.
fn leave_out_body(response: &mut Response<Full<Bytes>>) {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Full::default();
}

fn builder(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(HEADER_COUNT)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_concurrent_streams(H2_STREAMS)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

#[cfg(test)]
mod tests;
