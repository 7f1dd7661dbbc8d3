//! Makes and updates the streams and consumers, and checks that they are what safety rests on.
//!
//! Nothing is ever deleted: a consumer deleted and made again would deliver everything once more, and a stream deleted
//! is gone. A worker only checks, and says what is wrong instead of starting.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use tracing::warn;

use crate::backoff::Backoff;
use crate::config;
use crate::error_chain::Chain;
use crate::nats::Nats;
use crate::stream_info::{ConsumerInfo, InfoError, StreamInfo, nanos};
use crate::topology::{self, CONSUMERS_KEY, LAYOUT, LAYOUT_KEY, PerSubject, STREAMS, Stream};

/// How long the broker remembers a `Nats-Msg-Id`. Two minutes, not more: a restart reads every message of the window.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// How long a delivery may stay unanswered before it comes again.
pub const ACK_WAIT: Duration = Duration::from_secs(30);
/// Deliveries that may be unanswered at once, per consumer. More makes the server's state files large.
const MAX_ACK_PENDING: i64 = 10_000;
/// The oldest server whose discard-new per subject holds after a restart and in a cluster.
pub const OLDEST_SERVER: (u64, u64, u64) = (2, 14, 4);

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
    /// Properties that safety rests on are different; each line says what is and what must be.
    #[error("the streams are not as they must be; `penstock provision` mends what can be mended:\n  {}", .0.join("\n  "))]
    Wrong(Vec<String>),
}

/// What provisioning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// Streams and consumers made.
    pub made: usize,
    /// Streams whose properties were brought up to date.
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
                Ok(info) if is_current(&info, &wanted) => {}
                Ok(_) => {
                    let update = self.jetstream().update_stream(wanted).await;
                    update.map_err(|source| ProvisionError::UpdateStream { name: stream.name, source })?;
                    done.updated += 1;
                }
            }
            done.made += self.provision_consumers(stream).await?;
        }
        self.check_streams(&STREAMS.map(|stream| stream.name)).await?;
        Ok(done)
    }

    async fn provision_consumers(&self, stream: &Stream) -> Result<usize, ProvisionError> {
        let mut made = 0;
        for consumer in stream.consumers {
            match self.consumer_info(stream.name, consumer.name).await {
                Ok(_) => continue,
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(ProvisionError::Looking(error)),
            }
            let wanted = pull::Config {
                durable_name: Some(consumer.name.to_owned()),
                filter_subject: consumer.filter.to_owned(),
                deliver_policy: DeliverPolicy::All,
                ack_policy: AckPolicy::Explicit,
                ack_wait: ACK_WAIT,
                max_deliver: -1,
                max_ack_pending: MAX_ACK_PENDING,
                ..pull::Config::default()
            };
            self.jetstream()
                .create_consumer_on_stream(wanted, stream.name)
                .await
                .map_err(|source| ProvisionError::MakeConsumer { name: consumer.name, stream: stream.name, source })?;
            made += 1;
        }
        Ok(made)
    }

    /// Checks streams and consumers before a worker starts; waits as long as the broker cannot be asked, so that
    /// processes may be started in any order.
    pub async fn check_until_known(&self, streams: &[&str], consumers: &[(&str, &str)]) -> Result<(), ProvisionError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        loop {
            match self.check_all(streams, consumers).await {
                Err(ProvisionError::Looking(error)) => {
                    warn!(error = %Chain(&error), "waiting for NATS");
                    tokio::time::sleep(backoff.wait()).await;
                }
                known => return known,
            }
        }
    }

    async fn check_all(&self, streams: &[&str], consumers: &[(&str, &str)]) -> Result<(), ProvisionError> {
        self.check_streams(streams).await?;
        for (stream, consumer) in consumers {
            self.check_consumer(stream, consumer).await?;
        }
        Ok(())
    }

    /// Says everything that is wrong with these streams and their consumers.
    pub async fn check_streams(&self, names: &[&str]) -> Result<(), ProvisionError> {
        let mut wrong = Vec::new();
        self.check_server(&mut wrong);
        for stream in names.iter().filter_map(|name| topology::stream(name)) {
            match self.stream_info(stream.name).await {
                Ok(info) => check_stream(stream, &info, &mut wrong),
                Err(error) if error.is_missing() => wrong.push(format!("{}: there is no such stream", stream.name)),
                Err(error) => return Err(ProvisionError::Looking(error)),
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(ProvisionError::Wrong(wrong)) }
    }

    /// Says everything that is wrong with one consumer.
    pub async fn check_consumer(&self, stream: &str, consumer: &str) -> Result<(), ProvisionError> {
        let mut wrong = Vec::new();
        match self.consumer_info(stream, consumer).await {
            Ok(info) => check_consumer(stream, consumer, &info, &mut wrong),
            Err(error) if error.is_missing() => wrong.push(format!("{stream}/{consumer}: there is no such consumer")),
            Err(error) => return Err(ProvisionError::Looking(error)),
        }
        if wrong.is_empty() { Ok(()) } else { Err(ProvisionError::Wrong(wrong)) }
    }

    fn check_server(&self, wrong: &mut Vec<String>) {
        let version = self.client().server_info().version;
        if version.is_empty() || server_version(&version).is_some_and(|found| found >= OLDEST_SERVER) {
            return;
        }
        let (major, minor, patch) = OLDEST_SERVER;
        wrong.push(format!("nats-server {version} loses claims; {major}.{minor}.{patch} or newer is needed"));
    }
}

fn server_version(text: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = text.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
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

fn is_current(info: &StreamInfo, wanted: &Config) -> bool {
    let found = &info.config;
    found.subjects == wanted.subjects
        && found.discard == "new"
        && found.max_bytes == wanted.max_bytes
        && found.max_msgs_per_subject == wanted.max_messages_per_subject
        && found.discard_new_per_subject == wanted.discard_new_per_subject
        && found.max_age == 0
        && found.duplicate_window == nanos(wanted.duplicate_window)
        && found.num_replicas == wanted.num_replicas as u64
        && wanted.metadata.iter().all(|(key, value)| found.metadata.get(key) == Some(value))
}

fn check_stream(stream: &Stream, info: &StreamInfo, wrong: &mut Vec<String>) {
    let found = &info.config;
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{}: {what}", stream.name));
        }
    };
    must(found.subjects == [stream.subject], &format!("its subjects must be [\"{}\"]", stream.subject));
    must(found.retention == "limits", "its retention must be limits: the others delete what is not processed");
    must(found.discard == "new", "discard must be new: old drops unprocessed messages in silence");
    must(found.storage == "file", "its storage must be file");
    must(found.max_age == 0, "max_age must be 0: it would drop unprocessed messages");
    must(found.max_bytes > 0, "it must have a byte limit: a full disk does not heal by itself");
    must(found.duplicate_window == nanos(DUPLICATE_WINDOW), "duplicate_window must be 2 minutes: retries rely on it");
    must(!found.no_ack, "no_ack must be off: a 200 means that the broker acknowledged");
    must(!found.allow_rollup_hdrs, "allow_rollup_hdrs must be off: a header could purge it");
    must(!found.sealed, "it is sealed");
    match stream.per_subject {
        PerSubject::Any => must(found.max_msgs_per_subject <= 0, "it must hold any number of messages per subject"),
        PerSubject::One => must(
            found.max_msgs_per_subject == 1 && found.discard_new_per_subject,
            "it must hold one message per subject and refuse the next: that is what a claim is",
        ),
        PerSubject::Held => must(
            found.max_msgs_per_subject > 0 && found.discard_new_per_subject,
            "it must hold a limited number of messages per subject and refuse the next",
        ),
    }
    let layout = found.metadata.get(LAYOUT_KEY).map_or("none", String::as_str);
    must(layout == LAYOUT.to_string(), &format!("its layout is {layout}, this program knows {LAYOUT}"));
    let named: Vec<&str> = consumers_of(info).collect();
    must(
        stream.consumers.iter().all(|consumer| named.contains(&consumer.name)),
        "its metadata must name all its consumers: trimming waits for those only",
    );
}

fn check_consumer(stream: &str, consumer: &str, info: &ConsumerInfo, wrong: &mut Vec<String>) {
    let found = &info.config;
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{stream}/{consumer}: {what}"));
        }
    };
    let wanted =
        topology::stream(stream).and_then(|stream| stream.consumers.iter().find(|known| known.name == consumer));
    if let Some(wanted) = wanted {
        must(found.filter_subject == wanted.filter, &format!("its filter must be \"{}\"", wanted.filter));
    }
    must(found.ack_policy == "explicit", "its acknowledgement must be explicit");
    must(found.max_deliver <= 0, "max_deliver must be -1: the broker would give up on messages in silence");
}

/// The consumers that a stream's metadata names.
pub(crate) fn consumers_of(info: &StreamInfo) -> impl Iterator<Item = &str> {
    let named = info.config.metadata.get(CONSUMERS_KEY).map_or("", String::as_str);
    named.split(',').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_version_is_compared_by_its_numbers() {
        assert!(server_version("2.9.10").unwrap() < OLDEST_SERVER);
        assert!(server_version("2.15.1").unwrap() >= OLDEST_SERVER);
        assert!(server_version("2.14.4-RC.1").unwrap() >= OLDEST_SERVER);
        assert!(server_version("dev").is_none());
    }
}
