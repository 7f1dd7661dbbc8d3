//! Three nats-servers that hold copies of each other, of a test's own.

use std::time::Duration;

use serde_json::Value;

use super::nats::NatsServer;
use super::wire::{Wire, number};
use crate::eventually::{ensure, eventually};
use crate::ports;

const READY: Duration = Duration::from_secs(30);

/// They, in the order of their names: `n0`, `n1`, `n2`.
#[derive(Debug)]
pub struct Cluster {
    /// The servers.
    pub servers: Vec<NatsServer>,
}

impl Cluster {
    /// Starts them, and waits until they have a leader and all know each other.
    pub async fn start() -> Self {
        let routes: Vec<u16> = (0..3).map(|_| ports::free()).collect();
        let all: Vec<String> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut servers = Vec::new();
        for (place, port) in routes.iter().enumerate() {
            let more = format!(
                "server_name: n{place}\ncluster: {{ name: contract, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
                all.join(", ")
            );
            servers.push(NatsServer::launch(None, "", &more).await);
        }
        for server in &servers {
            server.connect().await;
        }
        Self { servers }
    }

    /// A connection to every server of it.
    pub async fn connect(&self) -> Wire {
        self.servers[0].connect().await
    }

    /// Waits until all copies of a stream are up to date, and gives the place of the server that leads it.
    pub async fn leader(&self, wire: &Wire, stream: &str) -> usize {
        eventually(READY, "every copy is current", async || {
            let info = wire.api_bytes(&format!("STREAM.INFO.{stream}"), "").await;
            let cluster = &info["cluster"];
            let copies = cluster["replicas"].as_array().cloned().unwrap_or_default();
            let current = copies.len() == 2 && copies.iter().all(|copy| copy["current"] == true);
            let leader = cluster["leader"].as_str().and_then(|name| name.strip_prefix('n')?.parse().ok());
            ensure(current, || cluster.to_string())?;
            leader.ok_or_else(|| cluster.to_string())
        })
        .await
    }

    /// Waits until a stream holds so many messages, whoever leads it.
    pub async fn holds(&self, wire: &Wire, stream: &str, messages: u64) {
        eventually(READY, "the stream holds them", async || {
            let state: Value = wire.state(stream).await;
            let found = state["messages"].as_u64().unwrap_or(0);
            ensure(found == messages, || format!("{found} of {messages}: {state}"))
        })
        .await;
        assert_eq!(number(&wire.state(stream).await["messages"]), messages);
    }
}
