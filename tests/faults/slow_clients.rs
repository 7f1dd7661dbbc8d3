//! Clients that take their time: each of them holds a connection and sends next to nothing, or reads nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Between two bytes.
const PACE: Duration = Duration::from_secs(1);

/// How a client is slow.
#[derive(Clone, Copy)]
enum Slow {
    /// A header that never ends.
    Header,
    /// A body that never ends.
    Body,
    /// One request after the other, and no answer read.
    Reader,
}

/// Clients at work until dropped. One that is turned away comes again.
pub(crate) struct SlowClients {
    connected: Arc<AtomicUsize>,
    _work: JoinSet<()>,
}

impl SlowClients {
    /// Starts so many on a gateway, a third of each kind.
    pub(crate) fn start(url: &str, clients: usize) -> Self {
        let authority = url.trim_start_matches("http://").to_owned();
        let (connected, mut work) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for number in 0..clients {
            let kind = [Slow::Header, Slow::Body, Slow::Reader][number % 3];
            let (authority, connected) = (authority.clone(), Arc::clone(&connected));
            work.spawn(async move {
                // Not all at one moment.
                sleep(Duration::from_millis(u64::try_from(number % 1000).unwrap_or(0))).await;
                loop {
                    // However it ends: the gateway may turn it away at any time, and that is what it is for.
                    match TcpStream::connect(&authority).await {
                        Ok(stream) => {
                            connected.fetch_add(1, Ordering::Relaxed);
                            drop(be_slow(stream, kind).await);
                            connected.fetch_sub(1, Ordering::Relaxed);
                        }
                        Err(_) => sleep(PACE).await,
                    }
                }
            });
        }
        Self { connected, _work: work }
    }

    /// How many hold a connection now.
    pub(crate) fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }
}

async fn be_slow(mut stream: TcpStream, kind: Slow) -> std::io::Result<()> {
    let head = "POST /v1/webhook/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    match kind {
        Slow::Header => stream.write_all(head.as_bytes()).await?,
        Slow::Body => stream.write_all(format!("{head}Content-Length: 100000\r\n\r\n{{").as_bytes()).await?,
        Slow::Reader => {}
    }
    let mut answer = [0; 64];
    loop {
        match kind {
            Slow::Header => stream.write_all(b"X").await?,
            Slow::Body => stream.write_all(b" ").await?,
            Slow::Reader => stream.write_all(b"GET /v1/webhook/nobody HTTP/1.1\r\nHost: x\r\n\r\n").await?,
        }
        let closed = match kind {
            Slow::Reader => {
                sleep(PACE).await;
                false
            }
            Slow::Header | Slow::Body => matches!(timeout(PACE, stream.read(&mut answer)).await, Ok(Ok(0) | Err(_))),
        };
        if closed {
            return Ok(());
        }
    }
}
