//! One look at everything: each process, each stage's backlog, each stream. What does not answer is a part of the
//! answer; only the whole fails where nothing answers at all.

use futures::future::join_all;
use runtime::backlog::Backlog;
use runtime::error_chain::Chain;
use runtime::nats::Nats;
use runtime::stream_info::broker_millis;
use runtime::topology::{CANONICAL, DLQ, DUPLICATES, RAW, REPLAY, STREAMS, UNIQUE};

use super::scrape::{Look, look};
use crate::commands::clock;
use crate::commands::site::AdminUrls;

/// The consumers that each stage works for. The gateway has none: what waits before it waits at the provider.
pub(crate) const CONSUMERS: [(&str, &[(&str, &str)]); 4] = [
    ("gateway", &[]),
    (
        "normalizer",
        &[
            (RAW, "normalizer-email"),
            (RAW, "normalizer-sms"),
            (RAW, "normalizer-whatsapp"),
            (RAW, "normalizer-form"),
            (RAW, "normalizer-webhook"),
            (REPLAY, "normalizer-replay"),
        ],
    ),
    ("dedup", &[(CANONICAL, "dedup")]),
    ("persister", &[(UNIQUE, "persister"), (DUPLICATES, "persister-duplicates"), (DLQ, "persister-dead-letters")]),
];

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// When it was taken, in milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) stages: Vec<StageLook>,
    pub(crate) streams: Vec<StreamLook>,
    /// Why nothing is known from NATS.
    pub(crate) broker: Result<(), String>,
}

/// A stage.
#[derive(Clone, Debug)]
pub(crate) struct StageLook {
    pub(crate) role: &'static str,
    pub(crate) processes: Vec<Look>,
    /// The sum over its consumers, and the oldest of them; `None` where it has none or the broker does not tell.
    pub(crate) backlog: Option<Backlog>,
}

/// A stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamLook {
    pub(crate) name: &'static str,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Its byte limit; 0 where it has none.
    pub(crate) limit: u64,
    /// The age of its oldest message by the broker's clock, in seconds.
    pub(crate) oldest: Option<f64>,
}

/// Looks at everything at once.
pub(crate) async fn take(admin: &AdminUrls, nats: &Result<Nats, String>) -> Snapshot {
    let roles = admin.roles();
    let processes = join_all(roles.iter().map(|(_, urls)| join_all(urls.iter().map(|url| look(url)))));
    let (processes, broker) = futures::join!(processes, ask_broker(nats));
    let (backlogs, streams, broker) = match broker {
        Ok((backlogs, streams)) => (backlogs, streams, Ok(())),
        Err(why) => (Vec::new(), Vec::new(), Err(why)),
    };
    let stages = roles.iter().zip(processes).map(|((role, _), processes)| {
        let backlog = backlogs.iter().find(|(name, _)| name == role).and_then(|(_, backlog)| *backlog);
        StageLook { role, processes, backlog }
    });
    Snapshot { at: clock::now(), stages: stages.collect(), streams, broker }
}

type BrokerLook = (Vec<(&'static str, Option<Backlog>)>, Vec<StreamLook>);

async fn ask_broker(nats: &Result<Nats, String>) -> Result<BrokerLook, String> {
    let nats = nats.as_ref().map_err(Clone::clone)?;
    let backlogs = join_all(CONSUMERS.map(|(role, consumers)| backlog(nats, role, consumers)));
    let streams = join_all(STREAMS.map(|stream| fill(nats, stream.name)));
    let (backlogs, streams) = futures::join!(backlogs, streams);
    Ok((backlogs.into_iter().collect::<Result<_, _>>()?, streams.into_iter().collect::<Result<_, _>>()?))
}

async fn backlog(
    nats: &Nats,
    role: &'static str,
    consumers: &[(&str, &str)],
) -> Result<(&'static str, Option<Backlog>), String> {
    let mut sum: Option<Backlog> = None;
    for (stream, consumer) in consumers {
        let one = nats.backlog(stream, consumer).await.map_err(|error| Chain(&error).to_string())?;
        sum = Some(sum.map_or(one, |sum| Backlog {
            messages: sum.messages + one.messages,
            in_hand: sum.in_hand + one.in_hand,
            age_seconds: sum.age_seconds.max(one.age_seconds),
        }));
    }
    Ok((role, sum))
}

async fn fill(nats: &Nats, name: &'static str) -> Result<StreamLook, String> {
    let info = nats.stream_info(name).await.map_err(|error| Chain(&error).to_string())?;
    let now = info.ts.as_deref().and_then(broker_millis);
    let oldest = broker_millis(&info.state.first_ts).filter(|_| info.state.messages > 0);
    Ok(StreamLook {
        name,
        messages: info.state.messages,
        bytes: info.state.bytes,
        limit: u64::try_from(info.config.max_bytes).unwrap_or(0),
        oldest: oldest.zip(now).map(|(oldest, now)| clock::seconds_between(oldest, now)),
    })
}
