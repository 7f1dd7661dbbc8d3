//! A TCP connection that a test can make slow, deaf, dumb or broken: it stands between a process and its server.
//!
//! What a reader would get wrong: a side that is closed holds what was sent into it, and delivers it when it is opened
//! again, as TCP does with what a network has dropped for a while. Only [`Proxy::reset`] and [`Proxy::refuse`] lose bytes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::ports;

const PIECE: usize = 16 * 1024;
/// Pieces on their way through one direction of a connection; with more the sender has to wait.
const ON_THE_WAY: usize = 256;

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Whether anything comes through.
    pub open: bool,
    /// How long each byte takes.
    pub latency: Duration,
    /// Most bytes in a second.
    pub rate: Option<u32>,
}

/// As if it were not there.
pub const CLEAR: Way = Way { open: true, latency: Duration::ZERO, rate: None };
/// Nothing comes through.
pub const CLOSED: Way = Way { open: false, ..CLEAR };

/// What is done with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    refused: bool,
    /// Connections of an earlier number are gone.
    resets: u64,
}

/// It, while it stands.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    there: watch::Sender<Way>,
    back: watch::Sender<Way>,
    fate: watch::Sender<Fate>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// One in front of `target`, which need not be there yet.
    pub async fn before(target: &str) -> Self {
        Self::on("127.0.0.1", target).await
    }

    /// The same, at this address of the machine.
    pub async fn on(address: &str, target: &str) -> Self {
        let listener = TcpListener::bind((address, ports::free())).await.expect("a port for the proxy");
        let address = listener.local_addr().expect("its address");
        let ((there, to), (back, from)) = (watch::channel(CLEAR), watch::channel(CLEAR));
        let (fate, fates) = watch::channel(Fate { refused: false, resets: 0 });
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, target.to_owned(), [to, from], fates));
        Self { address, there, back, fate, _connections: connections }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A URL that leads through here to where `url` leads.
    pub fn url(&self, url: &str) -> String {
        let (before, rest) = url.rsplit_once('@').expect("credentials");
        let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
        format!("{before}@{}{path}", self.address)
    }

    /// From the client to the server, from now on.
    pub fn there(&self, way: Way) {
        self.there.send_replace(way);
    }

    /// From the server to the client, from now on.
    pub fn back(&self, way: Way) {
        self.back.send_replace(way);
    }

    /// Both ways.
    pub fn both(&self, way: Way) {
        self.there(way);
        self.back(way);
    }

    /// Ends all connections with RST.
    pub fn reset(&self) {
        self.fate.send_modify(|fate| fate.resets += 1);
    }

    /// Ends all connections with RST, and each new one at once, until it is told otherwise.
    pub fn refuse(&self, refused: bool) {
        self.fate.send_modify(|fate| *fate = Fate { refused, resets: fate.resets + u64::from(refused) });
    }
}

/// Host and port of a URL with credentials.
pub fn authority(url: &str) -> &str {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

async fn accept(listener: TcpListener, target: String, ways: [watch::Receiver<Way>; 2], fate: watch::Receiver<Fate>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((client, _)) = accepted {
                connections.spawn(connection(client, target.clone(), ways.clone(), fate.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    mut client: TcpStream,
    target: String,
    [there, back]: [watch::Receiver<Way>; 2],
    mut fate: watch::Receiver<Fate>,
) {
    let born = *fate.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(&target).await else {
        client.set_zero_linger().ok();
        return;
    };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    if !born.refused {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let over = fate.wait_for(|fate| fate.refused || fate.resets != born.resets);
        tokio::select! {
            _ = over => {}
            () = both(pump(from_client, to_server, there), pump(from_server, to_client, back)) => return,
        }
    }
    client.set_zero_linger().ok();
    server.set_zero_linger().ok();
}

async fn both(there: impl Future<Output = ()>, back: impl Future<Output = ()>) {
    tokio::join!(there, back);
}

/// Carries bytes until their sender has no more.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: watch::Receiver<Way>) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if sender.send((Instant::now(), buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        let mut way = way;
        while let Some((at, piece)) = receiver.recv().await {
            // An error is the end of the test that held the other end of it.
            let Ok(Way { latency, rate, .. }) = way.wait_for(|way| way.open).await.map(|way| *way) else { return };
            sleep_until(at + latency).await;
            if let Some(rate) = rate {
                sleep(Duration::from_secs_f64(f64::from(u32::try_from(piece.len()).unwrap_or(0)) / f64::from(rate)))
                    .await;
            }
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        to.shutdown().await.ok();
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> (String, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut set = JoinSet::new();
        set.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.ok();
            }
        });
        (address, set)
    }

    async fn answered(stream: &mut TcpStream, within: Duration) -> bool {
        stream.write_all(b"x").await.unwrap();
        tokio::time::timeout(within, stream.read_u8()).await.is_ok_and(|byte| byte.is_ok())
    }

    #[tokio::test]
    async fn each_direction_can_be_slow_or_closed_and_loses_nothing() {
        let (address, _server) = echo().await;
        let proxy = Proxy::before(&address).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(answered(&mut stream, Duration::from_secs(5)).await);
        let begun = Instant::now();
        proxy.back(Way { latency: Duration::from_millis(300), ..CLEAR });
        assert!(answered(&mut stream, Duration::from_secs(5)).await && begun.elapsed() >= Duration::from_millis(300));
        for close in [Proxy::there, Proxy::back] {
            proxy.both(CLEAR);
            close(&proxy, CLOSED);
            assert!(!answered(&mut stream, Duration::from_millis(200)).await);
            close(&proxy, CLEAR);
            assert_eq!(stream.read_u8().await.unwrap(), b'x');
        }
    }

    #[tokio::test]
    async fn what_is_reset_is_gone_and_what_is_refused_does_not_begin() {
        let (address, _server) = echo().await;
        let proxy = Proxy::before(&address).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(answered(&mut stream, Duration::from_secs(5)).await);
        proxy.reset();
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(answered(&mut stream, Duration::from_secs(5)).await, "the next one is as any other");
        proxy.refuse(true);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(stream.read_u8().await.is_err());
    }
}
