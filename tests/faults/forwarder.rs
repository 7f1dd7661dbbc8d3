//! An address that leads to whichever server is named: what a proxy in front of a failover pair does.
//!
//! Named anew, every connection is cut: whoever is connected to the old server must not go on with it.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The address, while this lives.
pub(crate) struct Forwarder {
    address: SocketAddr,
    target: watch::Sender<SocketAddr>,
    _work: JoinSet<()>,
}

impl Forwarder {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (target, targets) = watch::channel(target);
        let mut work = JoinSet::new();
        work.spawn(accept(listener, targets));
        Self { address, target, _work: work }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// From here on it leads there.
    pub(crate) fn switch(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }
}

async fn accept(listener: TcpListener, targets: watch::Receiver<SocketAddr>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(forward(client, targets.clone()));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn forward(mut client: TcpStream, mut targets: watch::Receiver<SocketAddr>) {
    let target = *targets.borrow_and_update();
    // Dropped without a server, the client sees its connection closed, as by a proxy that knows of none.
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = targets.changed() => {}
    }
}
