//! Makes and updates the streams and consumers, and checks that they are what safety rests on.
//!
//! Nothing is ever deleted: a consumer deleted and made again would deliver everything once more, and a stream deleted
//! is gone. A worker only checks, and says what is wrong instead of starting.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, FromConsumer as _, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use tracing::warn;

use crate::backoff::Backoff;
use crate::config;
use crate::error_chain::Chain;
use crate::health::Dependency;
use crate::nats::Nats;
use crate::properties::{
    ACK_WAIT, DUPLICATE_WINDOW, MAX_ACK_PENDING, fault_of_server, faults_of_consumer, faults_of_stream,
};
use crate::stream_info::{InfoError, StreamInfo};
use crate::topology::{self, CONSUMERS_KEY, Consumer, LAYOUT, LAYOUT_KEY, PerSubject, STREAMS, Stream};

/// Why the streams are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The broker told nothing.
    #[error("could not look at the streams")]
    Looking(#[source] InfoError),
    /// A stream could not be made.
    #[error("could not make the stream {name}")]
    MakeStream {
        /// Which.
        name: &'static str,
        /// The library's error.
        #[source]
        source: async_nats::jetstream::context::CreateStreamError,
    },
    /// A stream could not be changed.
    #[error("could not update the stream {name}")]
    UpdateStream {
        /// Which.
        name: &'static str,
        /// The library's error.
        #[source]
        source: async_nats::jetstream::context::CreateStreamError,
    },
    /// A consumer could not be made.
    #[error("could not make the consumer {name} on {stream}")]
    MakeConsumer {
        /// Which.
        name: &'static str,
        /// On which stream.
        stream: &'static str,
        /// The library's error.
        #[source]
        source: async_nats::jetstream::stream::ConsumerError,
    },
    /// A consumer could not be looked at in full.
    #[error("could not read the consumer {name} on {stream}")]
    ReadConsumer {
        /// Which.
        name: &'static str,
        /// On which stream.
        stream: &'static str,
        /// The library's error.
        #[source]
        source: async_nats::Error,
    },
    /// A consumer could not be changed.
    #[error("could not update the consumer {name} on {stream}")]
    UpdateConsumer {
        /// Which.
        name: &'static str,
        /// On which stream.
        stream: &'static str,
        /// The library's error.
        #[source]
        source: async_nats::jetstream::stream::ConsumerUpdateError,
    },
    /// A lower limit would throw messages away.
    #[error(
        "{name} would lose {} messages of {subject}, which holds {messages} and could then hold {limit}; release or delete \
         them first (`penstock held`), or keep the limit (`hold.max_messages`)",
        messages - limit
    )]
    WouldDelete {
        /// Which stream.
        name: &'static str,
        /// Its fullest subject.
        subject: String,
        /// What that holds.
        messages: u64,
        /// What it could hold.
        limit: u64,
    },
    /// Properties that safety rests on are different; each line says what is and what must be.
    #[error("the streams are not as they must be; `penstock provision` mends what can be mended:\n  {}", .0.join("\n  "))]
    Wrong(Vec<String>),
}

/// What provisioning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// Streams and consumers made.
    pub made: usize,
    /// Streams and consumers whose properties were brought up to date.
    pub updated: usize,
}

impl Nats {
    /// Makes what is missing and updates what differs, then checks the result.
    pub async fn provision(&self, config: &config::Config) -> Result<Provisioned, ProvisionError> {
        let mut done = Provisioned::default();
        for stream in &STREAMS {
            let wanted = stream_config(stream, config);
            match self.stream_info(stream.name).await {
                Err(error) if error.is_missing() => {
                    let make = self.jetstream().create_stream(wanted).await;
                    make.map_err(|source| ProvisionError::MakeStream { name: stream.name, source })?;
                    done.made += 1;
                }
                Err(error) => return Err(ProvisionError::Looking(error)),
                Ok(info) if is_current(stream, &info, &wanted) => {}
                Ok(info) => {
                    self.would_keep_everything(stream.name, &info, wanted.max_messages_per_subject).await?;
                    let update = self.jetstream().update_stream(wanted).await;
                    update.map_err(|source| ProvisionError::UpdateStream { name: stream.name, source })?;
                    done.updated += 1;
                }
            }
            for consumer in stream.consumers.iter().chain(stream.observers) {
                self.provision_consumer(stream, consumer, &mut done).await?;
            }
        }
        self.provision_counters(config.nats.replicas, &mut done).await?;
        let consumers: Vec<(&str, &str)> = STREAMS
            .iter()
            .flat_map(|stream| stream.consumers.iter().chain(stream.observers).map(|read| (stream.name, read.name)))
            .collect();
        self.check(&STREAMS.map(|stream| stream.name), &consumers).await?;
        Ok(done)
    }

    /// The broker throws the oldest messages of a subject away when its limit is lowered below what it holds, whatever
    /// the stream does with new ones. They were accepted, so that is refused. A message that comes in between the look
    /// and the change is not seen: lower a limit when it is quiet.
    async fn would_keep_everything(
        &self,
        name: &'static str,
        info: &StreamInfo,
        limit: i64,
    ) -> Result<(), ProvisionError> {
        let found = info.config.max_msgs_per_subject;
        let Some(limit) = u64::try_from(limit).ok().filter(|_| found <= 0 || found > limit) else { return Ok(()) };
        match self.fullest_subject(name).await.map_err(ProvisionError::Looking)? {
            Some((subject, messages)) if messages > limit => {
                Err(ProvisionError::WouldDelete { name, subject, messages, limit })
            }
            _ => Ok(()),
        }
    }

    async fn provision_consumer(
        &self,
        stream: &Stream,
        consumer: &'static Consumer,
        done: &mut Provisioned,
    ) -> Result<(), ProvisionError> {
        let (stream, name) = (stream.name, consumer.name);
        match self.consumer_info(stream, name).await {
            Ok(info) if faults_of_consumer(consumer, &info).is_empty() => {}
            Ok(_) => {
                let found = self.pull_consumer(stream, name).await;
                let found = found.map_err(|source| ProvisionError::ReadConsumer { name, stream, source })?;
                // What the server does not let anybody change stays as it is: the check afterwards names it.
                let update = self.jetstream().update_consumer_on_stream(updated(consumer, found), stream).await;
                update.map_err(|source| ProvisionError::UpdateConsumer { name, stream, source })?;
                done.updated += 1;
            }
            Err(error) if error.is_missing() => {
                let wanted = pull::Config {
                    durable_name: Some(name.to_owned()),
                    deliver_policy: DeliverPolicy::All,
                    ack_policy: AckPolicy::Explicit,
                    ..pull::Config::default()
                };
                let make = self.jetstream().create_consumer_on_stream(updated(consumer, wanted), stream).await;
                make.map_err(|source| ProvisionError::MakeConsumer { name, stream, source })?;
                done.made += 1;
            }
            Err(error) => return Err(ProvisionError::Looking(error)),
        }
        Ok(())
    }

    async fn pull_consumer(&self, stream: &str, name: &str) -> Result<pull::Config, async_nats::Error> {
        let found: PullConsumer = self.jetstream().get_consumer_from_stream(name, stream).await?;
        pull::Config::try_from_consumer_config(found.cached_info().config.clone())
    }

    /// Checks streams and consumers before a worker starts; waits as long as the broker cannot be asked, so that
    /// processes may be started in any order. `health` is told what it waits for.
    pub async fn check_until_known(
        &self,
        streams: &[&str],
        consumers: &[(&str, &str)],
        health: &Dependency,
    ) -> Result<(), ProvisionError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        loop {
            match self.check(streams, consumers).await {
                Err(ProvisionError::Looking(error)) => {
                    warn!(error = %Chain(&error), "waiting for NATS");
                    health.failed(error.to_string());
                    tokio::time::sleep(backoff.wait()).await;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    health.ok("as they must be");
                    return Ok(());
                }
            }
        }
    }

    /// Says everything that is wrong with these streams, and with the server.
    pub async fn check_streams(&self, names: &[&str]) -> Result<(), ProvisionError> {
        self.check(names, &[]).await
    }

    /// Says everything that is wrong with a consumer, and with the server.
    pub async fn check_consumer(&self, stream: &str, consumer: &str) -> Result<(), ProvisionError> {
        self.check(&[], &[(stream, consumer)]).await
    }

    /// Says everything that is wrong with these streams and consumers, and with the server.
    async fn check(&self, streams: &[&str], consumers: &[(&str, &str)]) -> Result<(), ProvisionError> {
        let mut wrong = self.faults(streams, consumers, faults_of_stream).await.map_err(ProvisionError::Looking)?;
        // At the end: a server says its version when the connection is made, and only one that is there has answered.
        wrong.extend(fault_of_server(&self.client().server_info().version));
        if wrong.is_empty() { Ok(()) } else { Err(ProvisionError::Wrong(wrong)) }
    }

    /// What is not as it must be, a line each, with `faults_of` for the streams.
    pub(crate) async fn faults(
        &self,
        streams: &[&str],
        consumers: &[(&str, &str)],
        faults_of: fn(&Stream, &StreamInfo) -> Vec<String>,
    ) -> Result<Vec<String>, InfoError> {
        let mut wrong = Vec::new();
        for stream in streams.iter().filter_map(|name| topology::stream(name)) {
            match self.stream_info(stream.name).await {
                Ok(info) => wrong.extend(faults_of(stream, &info).iter().map(|f| format!("{}: {f}", stream.name))),
                Err(error) if error.is_missing() => wrong.push(format!("{}: there is no such stream", stream.name)),
                Err(error) => return Err(error),
            }
        }
        for (stream, name) in consumers {
            let Some(consumer) = topology::consumer(stream, name) else {
                wrong.push(format!("{stream}/{name}: this program knows no such consumer"));
                continue;
            };
            match self.consumer_info(stream, name).await {
                Ok(info) => {
                    wrong.extend(faults_of_consumer(consumer, &info).iter().map(|f| format!("{stream}/{name}: {f}")));
                }
                Err(error) if error.is_missing() => wrong.push(format!("{stream}/{name}: there is no such consumer")),
                Err(error) => return Err(error),
            }
        }
        Ok(wrong)
    }
}

fn stream_config(stream: &Stream, config: &config::Config) -> Config {
    let consumers: Vec<&str> = stream.consumers.iter().map(|consumer| consumer.name).collect();
    Config {
        name: stream.name.to_owned(),
        subjects: vec![stream.subject.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_bytes: i64::try_from(max_bytes(stream.name, config)).unwrap_or(i64::MAX),
        max_messages: -1,
        max_messages_per_subject: per_subject(stream.per_subject, config),
        discard_new_per_subject: stream.per_subject != PerSubject::Any,
        max_age: Duration::ZERO,
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: config.nats.replicas,
        allow_direct: true,
        allow_atomic_publish: stream.atomic,
        metadata: HashMap::from([
            (LAYOUT_KEY.to_owned(), LAYOUT.to_string()),
            (CONSUMERS_KEY.to_owned(), consumers.join(",")),
        ]),
        ..Config::default()
    }
}

fn max_bytes(stream: &str, config: &config::Config) -> u64 {
    let sizes = &config.streams;
    match stream {
        topology::RAW => sizes.raw,
        topology::BODIES => sizes.bodies,
        topology::HELD => sizes.held,
        topology::REPLAY => sizes.replay,
        topology::CANONICAL => sizes.canonical,
        topology::UNIQUE => sizes.unique,
        topology::DUPLICATES => sizes.duplicates,
        _ => sizes.dlq,
    }
}

fn per_subject(limit: PerSubject, config: &config::Config) -> i64 {
    match limit {
        PerSubject::Any => -1,
        PerSubject::One => 1,
        PerSubject::Held => i64::try_from(config.hold.max_messages).unwrap_or(i64::MAX),
    }
}

/// A consumer's configuration with everything set to what it must be that may be changed after it was made.
fn updated(consumer: &Consumer, found: pull::Config) -> pull::Config {
    pull::Config {
        filter_subject: consumer.filter.to_owned(),
        filter_subjects: Vec::new(),
        ack_wait: ACK_WAIT,
        backoff: Vec::new(),
        max_deliver: -1,
        max_ack_pending: MAX_ACK_PENDING,
        headers_only: consumer.headers_only,
        inactive_threshold: Duration::ZERO,
        ..found
    }
}

fn is_current(stream: &Stream, info: &StreamInfo, wanted: &Config) -> bool {
    let found = &info.config;
    faults_of_stream(stream, info).is_empty()
        && found.max_bytes == wanted.max_bytes
        && found.max_msgs_per_subject == wanted.max_messages_per_subject
        && found.num_replicas == wanted.num_replicas as u64
        && found.allow_atomic == wanted.allow_atomic_publish
        && wanted.metadata.iter().all(|(key, value)| found.metadata.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server of this version that has no stream, with just enough of the protocol for that.
    async fn server_without_streams(version: &'static str) -> String {
        use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
        const NO_STREAM: &str = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let port = address.port();
        let serving = async move {
            let (socket, _) = listener.accept().await.unwrap();
            let (read, mut write) = socket.into_split();
            let mut read = BufReader::new(read);
            let info = format!(
                r#"INFO {{"server_id":"S","server_name":"S","version":"{version}","go":"go","host":"127.0.0.1","port":{port},"headers":true,"max_payload":1048576,"proto":1,"client_id":1}}"#
            );
            write.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
            let (mut line, mut inbox) = (String::new(), String::new());
            while read.read_line(&mut line).await.unwrap() > 0 {
                let words: Vec<&str> = line.split_whitespace().collect();
                let answer = match words.as_slice() {
                    ["PING"] => "PONG\r\n".to_owned(),
                    ["SUB", _, sid] => {
                        (*sid).clone_into(&mut inbox);
                        String::new()
                    }
                    ["PUB", _, reply, length] => {
                        let mut payload = vec![0; length.parse::<usize>().unwrap() + 2];
                        read.read_exact(&mut payload).await.unwrap();
                        format!("MSG {reply} {inbox} {}\r\n{NO_STREAM}\r\n", NO_STREAM.len())
                    }
                    _ => String::new(),
                };
                write.write_all(answer.as_bytes()).await.unwrap();
                line.clear();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        drop(tokio::spawn(serving));
        format!("nats://{address}")
    }

    #[tokio::test]
    async fn a_server_that_is_too_old_is_refused_also_where_it_is_asked_before_the_connection_is_there() {
        let url = server_without_streams("2.10.29").await;
        let environment: config::Environment = [("PENSTOCK__NATS__URL".to_owned(), url)].into_iter().collect();
        let requirements = config::Requirements::every(config::Need::Optional);
        let config = config::Config::load_for(None, &environment, requirements).unwrap();
        let health = crate::health::Health::default().dependency("nats");
        let nats = Nats::connect(&config.nats, "admin", Duration::from_secs(5), health).await.unwrap();
        let error = nats.check_streams(&[topology::RAW]).await.unwrap_err().to_string();
        assert!(error.contains("there is no such stream") && error.contains("2.10.29"), "{error}");
    }
}
