//! Three nats-servers that hold copies of each other, each of which can be killed, frozen, or cut off from the others.
//!
//! What a reader would get wrong: the servers know no way to each other but through the proxies. Each says that it can
//! be reached at an address where nobody is, so that what they tell each other of themselves leads nowhere.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::broker::Broker;
use crate::eventually::{ensure, eventually};
use crate::nats_server::NatsServer;
use crate::ports;
use crate::proxy::Proxy;

const SERVERS: usize = 3;
const AGREED: Duration = Duration::from_mins(1);
/// Nobody is there.
const NOWHERE: &str = "127.0.0.1:1";

/// It.
#[derive(Debug)]
pub struct NatsCluster {
    /// The servers.
    pub servers: Vec<NatsServer>,
    /// The way from one to another, by their places.
    ways: Vec<(usize, usize, Proxy)>,
}

impl NatsCluster {
    /// Starts one and waits until all three are well.
    pub async fn start(program: &Path, folder: &Path) -> Self {
        let routes: Vec<u16> = (0..SERVERS).map(|_| ports::free()).collect();
        let mut ways = Vec::new();
        for from in 0..SERVERS {
            for to in (0..SERVERS).filter(|to| *to != from) {
                ways.push((from, to, Proxy::before(&format!("127.0.0.1:{}", routes[to])).await));
            }
        }
        let mut servers = Vec::new();
        for (place, route) in routes.iter().enumerate() {
            let known = ways.iter().filter(|(from, _, _)| *from == place);
            let known: Vec<String> =
                known.map(|(_, _, proxy)| format!("\"nats://cluster:pcluster@{}\"", proxy.address())).collect();
            let cluster = format!(
                "cluster: {{ name: penstock, listen: \"127.0.0.1:{route}\", advertise: \"{NOWHERE}\", authorization: {{ \
                 user: cluster, password: pcluster, timeout: 2 }}, routes: [{}] }}",
                known.join(", ")
            );
            let name = format!("n{place}");
            let jetstream = "sync_interval: always, max_file_store: 8GB, max_memory_store: 64MB";
            servers.push(NatsServer::new(program, &folder.join(&name), &name, jetstream, &cluster));
        }
        let mut cluster = Self { servers, ways };
        for server in &mut cluster.servers {
            server.start();
        }
        cluster.well().await;
        cluster
    }

    /// Waits until every server says that it is well: it has a leader, and what the others have.
    pub async fn well(&self) {
        for server in &self.servers {
            server.well().await;
        }
    }

    /// All three, for an administrator.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// The place of the leader of a stream.
    pub async fn leader(&self, stream: &str) -> usize {
        eventually(AGREED, &format!("{stream} has a leader"), async || {
            let broker = Broker::connect(&self.url()).await?;
            let info = broker.api(&format!("STREAM.INFO.{stream}"), json!({})).await?;
            let leader = &info["cluster"]["leader"];
            self.servers.iter().position(|server| *leader == server.name.as_str()).ok_or_else(|| info.to_string())
        })
        .await
    }

    /// The place of the server that a client of this name is connected to.
    pub async fn server_of(&self, client: &str) -> usize {
        eventually(AGREED, &format!("{client} is connected"), async || {
            for (place, server) in self.servers.iter().enumerate() {
                if server.serves(client).await {
                    return Ok(place);
                }
            }
            Err("to none")
        })
        .await
    }

    /// Has a server become the leader of a stream.
    pub async fn lead(&self, stream: &str, place: usize) {
        let name = self.servers[place].name.clone();
        eventually(AGREED, &format!("{name} leads {stream}"), async || {
            let broker = Broker::connect(&self.url()).await?;
            let request = json!({ "placement": { "preferred": name } });
            if self.leader(stream).await != place {
                broker.api(&format!("STREAM.LEADER.STEPDOWN.{stream}"), request).await?;
            }
            ensure(self.leader(stream).await == place, || "another does".to_owned())
        })
        .await;
    }

    /// Cuts a server off from the others, or joins it with them again.
    pub fn cut_off(&self, place: usize, cut: bool) {
        for (from, to, proxy) in &self.ways {
            if *from == place || *to == place {
                proxy.refuse(cut);
            }
        }
    }

    /// SIGSTOP.
    pub fn freeze(&mut self, place: usize) {
        self.servers[place].signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self, place: usize) {
        self.servers[place].signal(Signal::SIGCONT);
    }
}
