//! What streams, consumers and the server must be for nothing to be lost: the pure part of [`crate::provision`].
//!
//! Each fault is a line for the person who has to mend it. Sizes may differ; nothing else may.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::stream_info::{ConsumerInfo, StreamInfo, nanos};
use crate::topology::{self, CONSUMERS_KEY, Consumer, LAYOUT, LAYOUT_KEY, PerSubject, Stream};

/// How long the broker remembers a `Nats-Msg-Id`. Two minutes, not more: a restart reads every message of the window.
pub(crate) const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// How long a delivery may stay unanswered before it comes again.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(30);
/// Deliveries that may be unanswered at once, per consumer. More makes the server's state files large.
pub(crate) const MAX_ACK_PENDING: i64 = 10_000;
/// The oldest server whose discard-new per subject holds after a restart and in a cluster.
pub(crate) const OLDEST_SERVER: (u64, u64, u64) = (2, 14, 4);

/// What is wrong with a server of this version.
pub(crate) fn fault_of_server(version: &str) -> Option<String> {
    if server_version(version).is_some_and(|found| found >= OLDEST_SERVER) {
        return None;
    }
    let (major, minor, patch) = OLDEST_SERVER;
    Some(format!("nats-server \"{version}\" may lose claims; {major}.{minor}.{patch} or newer is needed"))
}

fn server_version(text: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = text.split(['.', '-']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What is wrong with a stream for a process that would start on it.
pub(crate) fn faults_of_stream(stream: &Stream, info: &StreamInfo) -> Vec<String> {
    let mut faults = faults_of_properties(stream, info);
    if !layout_is_known(info) {
        let layout = layout_of(info).unwrap_or("none");
        faults.push(format!("its layout is {layout}, this program knows {LAYOUT}"));
    }
    let named: Vec<&str> = named_consumers(info).collect();
    if !stream.consumers.iter().all(|consumer| named.contains(&consumer.name)) {
        faults.push("its metadata must name all its consumers: the trimming of other versions waits for those".into());
    }
    faults
}

/// What is wrong with a stream, of the properties that safety rests on. Sizes may differ. The layout is none of them: an
/// upgrade raises it while older processes still run.
pub(crate) fn faults_of_properties(stream: &Stream, info: &StreamInfo) -> Vec<String> {
    let found = &info.config;
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    must(found.subjects == [stream.subject], &format!("its subjects must be [\"{}\"]", stream.subject));
    must(found.retention == "limits", "its retention must be limits: the others delete what is not processed");
    must(found.discard == "new", "discard must be new: old drops unprocessed messages in silence");
    must(found.storage == "file", "its storage must be file");
    must(found.persist_mode != "async", "persist_mode must not be async: a 200 means that the message is stored");
    must(found.max_age == 0, "max_age must be 0: it would drop unprocessed messages");
    must(found.max_bytes > 0, "it must have a byte limit: a full disk does not heal by itself");
    must(found.duplicate_window == nanos(DUPLICATE_WINDOW), "duplicate_window must be 2 minutes: retries rely on it");
    must(!found.no_ack, "no_ack must be off: a 200 means that the broker acknowledged");
    must(found.allow_direct, "allow_direct must be on: bodies and dead letters are read that way");
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
    faults
}

/// What is wrong with a consumer. Provisioning mends everything but the two policies, which the server keeps
/// as they were made.
pub(crate) fn faults_of_consumer(wanted: &Consumer, info: &ConsumerInfo) -> Vec<String> {
    const UNCHANGEABLE: &str = "the server cannot change it: delete the consumer and provision again, and it reads the stream again, without harm";
    let found = &info.config;
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            faults.push(what.to_owned());
        }
    };
    must(
        found.filter_subject == wanted.filter && found.filter_subjects.is_empty(),
        &format!("its one filter must be \"{}\"", wanted.filter),
    );
    must(found.ack_policy == "explicit", &format!("its acknowledgement must be explicit; {UNCHANGEABLE}"));
    must(found.deliver_policy == "all", &format!("its deliver policy must be all; {UNCHANGEABLE}"));
    must(found.max_deliver == -1, "max_deliver must be -1: the broker would give up on messages in silence");
    must(
        i64::try_from(found.ack_wait) == Ok(nanos(ACK_WAIT)) && found.backoff.is_empty(),
        "ack_wait must be 30 s, without backoff: workers tell the broker every 10 s that they still work",
    );
    must(
        found.max_ack_pending == MAX_ACK_PENDING,
        "max_ack_pending must be 10000: with few, one message that waits holds up those behind it",
    );
    must(found.headers_only || !wanted.headers_only, "headers_only must be on: payloads are of no use to it");
    must(
        !found.headers_only || wanted.headers_only,
        "headers_only must be off: messages would arrive without what is in them",
    );
    must(
        found.inactive_threshold == 0,
        "inactive_threshold must be 0: the broker would delete it, and with it its place",
    );
    faults
}

/// Whether a consumer's floor says what was processed. One that begins elsewhere than at the oldest message, or that
/// counts a delivery as an acknowledgement, has a floor beyond messages that nobody has acknowledged; one that gives up
/// after some tries says of those that nothing waits.
///
/// Looked at in every pass and not only when a worker starts: a consumer can be changed or made anew under it.
pub(crate) fn floor_is_progress(info: &ConsumerInfo) -> bool {
    let found = &info.config;
    found.deliver_policy == "all" && found.ack_policy == "explicit" && found.max_deliver == -1
}

fn layout_of(info: &StreamInfo) -> Option<&str> {
    info.config.metadata.get(LAYOUT_KEY).map(String::as_str)
}

/// Whether a stream has the layout that this program knows.
pub(crate) fn layout_is_known(info: &StreamInfo) -> bool {
    layout_of(info) == Some(LAYOUT.to_string().as_str())
}

fn named_consumers(info: &StreamInfo) -> impl Iterator<Item = &str> {
    let named = info.config.metadata.get(CONSUMERS_KEY).map_or("", String::as_str);
    named.split(',').filter(|name| !name.is_empty())
}

/// The consumers of a stream: those that its metadata names, which may be of a newer version, and those that this
/// program knows, which metadata that was lost does not name.
pub(crate) fn consumers_of<'a>(stream: &str, info: &'a StreamInfo) -> BTreeSet<&'a str> {
    let known = topology::stream(stream).map_or(&[][..], |stream| stream.consumers);
    known.iter().map(|consumer| consumer.name).chain(named_consumers(info)).collect()
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

    #[test]
    fn a_server_that_does_not_say_its_version_is_not_trusted() {
        assert!(fault_of_server("").is_some());
        assert!(fault_of_server("2.9.10").is_some());
        assert_eq!(fault_of_server("2.15.1"), None);
    }

    fn stream_info(metadata: &serde_json::Value) -> StreamInfo {
        let state = serde_json::json!({
            "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "0001-01-01T00:00:00Z", "last_seq": 0,
        });
        serde_json::from_value(serde_json::json!({ "config": { "metadata": metadata }, "state": state })).unwrap()
    }

    // What looks on must not decide what is kept.
    #[test]
    fn trimming_waits_for_no_observer() {
        let lost = stream_info(&serde_json::json!({}));
        for stream in topology::STREAMS {
            let waited_for = consumers_of(stream.name, &lost);
            assert!(stream.observers.iter().all(|observer| !waited_for.contains(observer.name)), "{}", stream.name);
        }
        assert!(topology::consumer(topology::RAW, topology::AUDIT.name).is_some());
    }

    #[test]
    fn a_stream_whose_metadata_was_lost_still_has_its_consumers() {
        let lost = stream_info(&serde_json::json!({}));
        assert_eq!(consumers_of(topology::CANONICAL, &lost).into_iter().collect::<Vec<_>>(), ["dedup"]);
        let newer = stream_info(&serde_json::json!({ CONSUMERS_KEY: "dedup,audit" }));
        assert_eq!(consumers_of(topology::CANONICAL, &newer).into_iter().collect::<Vec<_>>(), ["audit", "dedup"]);
        assert!(!layout_is_known(&lost));
    }
}
