//! The connection to NATS: found frozen within seconds, and never the reason why a process cannot start.
//!
//! The library's defaults need up to three minutes to notice a frozen server. Here pings go out every two seconds, and
//! publishes that time out one after the other force a new connection, to another server where there is one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::{Client, ConnectError, ConnectOptions, Event, ServerAddr};
use metrics::{Counter, counter, describe_counter};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;
use tracing::{debug, info, warn};

use crate::config;
use crate::health::Dependency;
use crate::publish::PublishError;

/// Three unanswered pings end a connection.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Longest wait for the server's greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for an answer of the `JetStream` API.
const API_TIMEOUT: Duration = Duration::from_secs(5);
/// So many publishes in a row without an answer, and the connection is made anew.
const TIMEOUTS_BEFORE_RECONNECT: u32 = 3;
/// How long a new connection is given before the next is forced. The publishes that time out in between were sent over
/// the old one, and there can be thousands of them.
const BETWEEN_FORCED: Duration = Duration::from_secs(5);
/// Between two lines of the log that say that messages wait.
const BETWEEN_TOLD: Duration = Duration::from_secs(10);
/// Publishes that wait for their acknowledgement at once; more wait for a place.
const MAX_INFLIGHT: usize = 8192;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The configuration names no server.
    #[error("nats.url is not set; `penstock up` starts a server of its own")]
    NoUrl,
    /// `nats.url` is no address.
    #[error("nats.url is not an address such as nats://user:password@host:4222")]
    Address(#[source] std::io::Error),
    /// The library refused the options.
    #[error("could not set up the connection to NATS")]
    Connect(#[source] ConnectError),
}

/// A connection to NATS. Clones share it.
#[derive(Clone, Debug)]
pub struct Nats {
    client: Client,
    jetstream: Context,
    timeouts: Arc<AtomicU32>,
    forced_at: Arc<Mutex<Option<Instant>>>,
    forced: Counter,
    told_waiting_at: Arc<Mutex<Option<Instant>>>,
    waits: Counter,
    group_commit: bool,
}

impl Nats {
    /// Connects, and goes on trying in the background where no server answers yet: `health` tells.
    ///
    /// `role` names the connection and its inbox (`_INBOX_<role>`), which the server's permissions rely on.
    /// `publish_timeout` is how long a publish waits for its acknowledgement.
    pub async fn connect(
        config: &config::Nats,
        role: &'static str,
        publish_timeout: Duration,
        health: Dependency,
    ) -> Result<Self, NatsError> {
        let addresses: Vec<ServerAddr> = config
            .url
            .as_ref()
            .ok_or(NatsError::NoUrl)?
            .expose_secret()
            .split(',')
            .map(|address| address.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(NatsError::Address)?;
        describe_counter!("penstock_nats_reconnects_forced_total", "Connections given up because publishes timed out.");
        let events = counter!("penstock_nats_disconnects_total");
        describe_counter!("penstock_publish_waits_total", "Times a message in hand had to wait for the next stream.");
        describe_counter!("penstock_nats_disconnects_total", "Connections to NATS that were lost.");

        let client = sign_in(&addresses)
            .name(format!("penstock-{role}"))
            .custom_inbox_prefix(format!("_INBOX_{role}"))
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(API_TIMEOUT))
            .retry_on_initial_connect()
            .event_callback(move |event| {
                tell(&health, &events, &event);
                std::future::ready(())
            })
            .connect(addresses)
            .await
            .map_err(NatsError::Connect)?;
        let jetstream = ContextBuilder::new()
            .max_ack_inflight(MAX_INFLIGHT)
            .timeout(publish_timeout)
            .ack_timeout(publish_timeout)
            .build(client.clone());
        Ok(Self {
            client,
            jetstream,
            timeouts: Arc::default(),
            forced_at: Arc::default(),
            forced: counter!("penstock_nats_reconnects_forced_total"),
            told_waiting_at: Arc::default(),
            waits: counter!("penstock_publish_waits_total"),
            group_commit: config.group_commit,
        })
    }

    /// The plain client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The `JetStream` context.
    pub fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// Whether messages that go together are committed together.
    pub fn commits_groups(&self) -> bool {
        self.group_commit
    }

    /// A publish was acknowledged, or refused by a server that is awake.
    pub(crate) fn answered(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
    }

    /// A publish was not answered; after several in a row the connection is made anew.
    pub(crate) async fn unanswered(&self) {
        if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 < TIMEOUTS_BEFORE_RECONNECT {
            return;
        }
        self.timeouts.store(0, Ordering::Relaxed);
        if !at_most_every(BETWEEN_FORCED, &self.forced_at) {
            return;
        }
        self.forced.increment(1);
        warn!("publishes time out one after the other: connecting anew");
        if let Err(error) = self.client.force_reconnect().await {
            debug!(%error, "could not ask for a new connection");
        }
    }

    /// A message in hand waits for the next stream: counted each time, told once in a while.
    pub(crate) fn tell_waiting(&self, error: &PublishError) {
        self.waits.increment(1);
        if at_most_every(BETWEEN_TOLD, &self.told_waiting_at) {
            warn!(%error, "waiting for the next stream; what is in hand stays in hand");
        }
    }

    /// Waits until everything handed to the client is on the wire, at most `limit`.
    pub async fn flush(&self, limit: Duration) {
        match tokio::time::timeout(limit, self.client.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "could not flush: unsent acknowledgements come back as redeliveries"),
            Err(_) => warn!("flushing took too long: unsent acknowledgements come back as redeliveries"),
        }
    }
}

/// Whether `period` has passed since the last time it had.
fn at_most_every(period: Duration, last: &Mutex<Option<Instant>>) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let passed = last.is_none_or(|at| at.elapsed() >= period);
    if passed {
        *last = Some(Instant::now());
    }
    passed
}

/// The library does not look at the credentials in a URL. All servers of a cluster take the same ones, so the first
/// address that has some counts.
pub fn sign_in(addresses: &[ServerAddr]) -> ConnectOptions {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some((user, address)) = addresses.iter().find_map(|address| Some((address.username()?, address))) else {
        return ConnectOptions::new();
    };
    match address.password() {
        Some(password) => ConnectOptions::with_user_and_password(decode(user), decode(password)),
        None => ConnectOptions::with_token(decode(user)),
    }
}

fn tell(health: &Dependency, disconnects: &Counter, event: &Event) {
    match event {
        Event::Connected => {
            info!("connected to NATS");
            health.ok("connected");
        }
        Event::Disconnected | Event::Closed => {
            disconnects.increment(1);
            warn!("connection to NATS lost; connecting again");
            health.failed("disconnected");
        }
        // The only sign of a missing permission: the publish itself just times out.
        Event::ServerError(error) => warn!(%error, "NATS refused something"),
        Event::ClientError(error) => warn!(%error, "could not talk to NATS"),
        Event::SlowConsumer(subscription) => warn!(subscription, "too slow for NATS: messages will be redelivered"),
        Event::LameDuckMode => info!("the NATS server is shutting down; changing over"),
        Event::Draining => {}
    }
}
