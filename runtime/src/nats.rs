//! The connection to NATS: found frozen within seconds, and never the reason why a process cannot start.
//!
//! The library's defaults need up to three minutes to notice a frozen server. Here pings go out every two seconds, and
//! publishes that time out one after the other force a new connection. A new connection goes to the next server of the
//! cluster: the one before is frozen, gone, or cut off from the others, in which case it answers pings as ever and is of
//! no use.
//!
//! A password that was changed needs no restart: each new connection looks into the file that `nats.url` came from. The
//! addresses are those of the start.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::{
    Auth, Client, ConnectError, ConnectOptions, Event, ReconnectToServer, Server, ServerAddr, ServerInfo,
};
use metrics::{Counter, counter, describe_counter};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;
use tracing::{debug, info, warn};

use crate::config::{self, Secret};
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
/// So long nobody answers for the streams at a server that is awake, and another server is tried. An election takes as
/// long, and then nothing is lost by it.
const NOBODY_THERE: Duration = Duration::from_secs(5);
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
    nobody_since: Arc<Mutex<Option<Instant>>>,
    has_neighbours: bool,
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
        let url = config.url.clone().ok_or(NatsError::NoUrl)?;
        let addresses = addresses_in(&url).map_err(NatsError::Address)?;
        describe_counter!(
            "penstock_nats_reconnects_forced_total",
            "Connections given up because nothing was answered."
        );
        let events = counter!("penstock_nats_disconnects_total");
        describe_counter!("penstock_publish_waits_total", "Times a message in hand had to wait for the next stream.");
        describe_counter!("penstock_nats_disconnects_total", "Connections to NATS that were lost.");

        let has_neighbours = addresses.len() > 1;
        let client = ConnectOptions::with_auth_callback(move |_nonce| std::future::ready(Ok(auth_now(&url))))
            .name(format!("penstock-{role}"))
            .require_tls(over_tls(&addresses))
            .custom_inbox_prefix(format!("_INBOX_{role}"))
            .ping_interval(PING_INTERVAL)
            .connection_timeout(CONNECT_TIMEOUT)
            .request_timeout(Some(API_TIMEOUT))
            .reconnect_to_server_callback(next_server())
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
            nobody_since: Arc::default(),
            has_neighbours,
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

    /// A publish was acknowledged or refused by a stream, or a consumer has answered.
    pub(crate) fn answered(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
        *locked(&self.nobody_since) = None;
    }

    /// The server is awake and knows nobody who answers for the stream. After a while it is the server's fault.
    pub(crate) async fn nobody_there(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
        if !self.has_neighbours || locked(&self.nobody_since).get_or_insert_with(Instant::now).elapsed() < NOBODY_THERE
        {
            return;
        }
        *locked(&self.nobody_since) = None;
        self.force("nobody answers for the streams at this server: connecting to the next").await;
    }

    /// A publish was not answered; after several in a row the connection is made anew.
    pub(crate) async fn unanswered(&self) {
        if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 < TIMEOUTS_BEFORE_RECONNECT {
            return;
        }
        self.timeouts.store(0, Ordering::Relaxed);
        self.force("publishes time out one after the other: connecting anew").await;
    }

    async fn force(&self, why: &str) {
        if !at_most_every(BETWEEN_FORCED, &self.forced_at) {
            return;
        }
        self.forced.increment(1);
        warn!("{why}");
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

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes each server after the one before, from any of them on. The library would draw one, and that may be the same
/// again.
fn next_server() -> impl Fn(Vec<Server>, ServerInfo) -> std::future::Ready<Option<ReconnectToServer>> {
    let turn = AtomicUsize::new(uuid::Uuid::new_v4().as_fields().0 as usize);
    move |servers, _| {
        let place = turn.fetch_add(1, Ordering::Relaxed) % servers.len().max(1);
        std::future::ready(
            servers.get(place).map(|server| ReconnectToServer { addr: server.addr.clone(), delay: None }),
        )
    }
}

/// Whether `period` has passed since the last time it had.
fn at_most_every(period: Duration, last: &Mutex<Option<Instant>>) -> bool {
    let mut last = locked(last);
    let passed = last.is_none_or(|at| at.elapsed() >= period);
    if passed {
        *last = Some(Instant::now());
    }
    passed
}

fn addresses_in(url: &Secret) -> Result<Vec<ServerAddr>, std::io::Error> {
    url.expose_secret().split(',').map(|address| address.trim().parse()).collect()
}

/// The credentials that `url` holds now. Where its file cannot be read, or holds no address, those of the start: they
/// may still be good.
fn auth_now(url: &Secret) -> Auth {
    let again = url.read_again().and_then(|url| addresses_in(&url).map_err(|error| error.to_string()));
    let addresses = again.or_else(|error| {
        warn!(error, "nats.url cannot be read again: connecting with what it was at the start");
        addresses_in(url)
    });
    auth_of(&addresses.unwrap_or_default())
}

/// The library does not look at the credentials in a URL. All servers of a cluster take the same ones, so the first
/// address that has some counts.
fn auth_of(addresses: &[ServerAddr]) -> Auth {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut auth = Auth::new();
    let Some((user, address)) = addresses.iter().find_map(|address| Some((address.username()?, address))) else {
        return auth;
    };
    match address.password() {
        Some(password) => (auth.username, auth.password) = (Some(decode(user)), Some(decode(password))),
        None => auth.token = Some(decode(user)),
    }
    auth
}

/// Whether no connection may be made without TLS. The library asks this of each address by itself, and those that a
/// server tells of its cluster have no scheme: whoever stands at one of them would be shown the password in the clear.
fn over_tls(addresses: &[ServerAddr]) -> bool {
    addresses.iter().any(ServerAddr::tls_required)
}

/// The options for a connection that is made once, with the credentials in these addresses.
pub fn sign_in(addresses: &[ServerAddr]) -> ConnectOptions {
    let auth = auth_of(addresses);
    let options = match (auth.username, auth.password, auth.token) {
        (Some(user), Some(password), _) => ConnectOptions::with_user_and_password(user, password),
        (_, _, Some(token)) => ConnectOptions::with_token(token),
        _ => ConnectOptions::new(),
    };
    options.require_tls(over_tls(addresses))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Need, Requirements};

    #[test]
    fn a_password_that_was_changed_in_its_file_is_read_with_the_next_connection() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        let text = format!("nats.url = {{ file = \"{}\" }}", file.display());
        std::fs::write(&file, "nats://gateway:old@a:4222,nats://b:4222\n").unwrap();
        let requirements = Requirements::every(Need::Optional);
        let config = Config::parse_for(&text, "penstock.toml", &Environment::default(), requirements).unwrap();
        let url = config.nats.url.unwrap();
        let password = || auth_now(&url).password.unwrap();
        assert_eq!(password(), "old");
        std::fs::write(&file, "nats://gateway:n%40w@a:4222,nats://b:4222\n").unwrap();
        assert_eq!(password(), "n@w");
        for unreadable in ["", "nats://[:1"] {
            std::fs::write(&file, unreadable).unwrap();
            assert_eq!(password(), "old", "better than none: {unreadable:?}");
        }
    }
}
