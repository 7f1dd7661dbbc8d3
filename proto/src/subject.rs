//! Every subject, built from typed tokens only: text from outside never reaches one.

use uuid::Uuid;

use crate::{Channel, DedupKey, Millis, Stage};

/// `raw.{channel}.{source}`: requests as they came.
pub fn raw(channel: Channel, source: &SourceName) -> String {
    format!("raw.{channel}.{source}")
}

/// `held.{channel}.{source}`: requests whose signature was wrong, kept for another look.
pub fn held(channel: Channel, source: &SourceName) -> String {
    format!("held.{channel}.{source}")
}

/// `replay.raw.{channel}.{source}`: requests to be read again.
pub fn replay(channel: Channel, source: &SourceName) -> String {
    format!("replay.raw.{channel}.{source}")
}

/// `canonical.{channel}.{source}`: records.
pub fn canonical(channel: Channel, source: &SourceName) -> String {
    format!("canonical.{channel}.{source}")
}

/// `duplicate.{channel}.{source}`: records to be judged by the persister.
pub fn duplicate(channel: Channel, source: &SourceName) -> String {
    format!("duplicate.{channel}.{source}")
}

/// `body.{id}`: the chunks of a payload; `id` is the request's or the record's it belongs to.
pub fn body(id: Uuid) -> String {
    format!("body.{id}")
}

/// `unique.{shard}.{key}`: the claim of a key. One message per subject, so publishing is claiming.
///
/// A window shorter than the claims are kept puts the number of the window into the subject, so that what is refused
/// is surely inside it: `unique.{shard}.{key}-{number}`.
pub fn unique(shards: u32, key: DedupKey, received_at: Millis, window_ms: u64, claims_ms: u64) -> String {
    let shard = key.shard(shards);
    if window_ms > 0 && window_ms < claims_ms {
        let number = i128::from(received_at.as_unix()).div_euclid(i128::from(window_ms));
        format!("unique.{shard}.{key}-{number}")
    } else {
        format!("unique.{shard}.{key}")
    }
}

/// `dlq.{stage}.{channel}.{source}.{id}`: what a stage gave up on, one message per subject.
pub fn dead_letter(stage: Stage, channel: Channel, source: &SourceName, id: Uuid) -> String {
    format!("dlq.{stage}.{channel}.{source}.{id}")
}

/// A configured source: 1 to 64 of `a-z`, `0-9` and `-`, so that it is one token of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceName(String);

/// A text that cannot be a source.
#[derive(Debug, thiserror::Error)]
#[error("a source's name is 1 to 64 of a-z, 0-9 and '-', not {0:?}")]
pub struct NotASourceName(String);

impl SourceName {
    /// Checks the text.
    pub fn parse(text: &str) -> Result<Self, NotASourceName> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASourceName(text.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SourceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The channel and source that a subject of any stream but `UNIQUE` and `BODIES` carries; `None` for a subject of
/// another shape.
pub fn channel_and_source(subject: &str) -> Option<(Channel, SourceName)> {
    let mut tokens = subject.split('.');
    match tokens.next()? {
        "raw" | "held" | "canonical" | "duplicate" => {}
        "replay" | "dlq" => {
            tokens.next()?;
        }
        _ => return None,
    }
    Some((tokens.next()?.parse().ok()?, SourceName::parse(tokens.next()?).ok()?))
}

/// Where a message came in, by its subject; `webhook` and `unknown` where that does not say. What is put aside must have
/// a place, also where somebody else published it.
pub fn place(subject: &str) -> (Channel, SourceName) {
    channel_and_source(subject).unwrap_or_else(|| (Channel::Webhook, SourceName("unknown".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HashKey, KeyHasher};

    #[test]
    fn a_name_that_could_change_a_subject_is_refused() {
        for text in ["", "a.b", "*", ">", "A", "a b", "a_b", &"x".repeat(65)] {
            assert!(SourceName::parse(text).is_err(), "{text:?}");
        }
        assert!(SourceName::parse(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn a_subject_tells_its_channel_and_source() {
        let source = SourceName::parse("support").unwrap();
        let id = Uuid::nil();
        for subject in [
            raw(Channel::Sms, &source),
            held(Channel::Sms, &source),
            replay(Channel::Sms, &source),
            canonical(Channel::Sms, &source),
            duplicate(Channel::Sms, &source),
            dead_letter(Stage::Persister, Channel::Sms, &source, id),
        ] {
            assert_eq!(channel_and_source(&subject), Some((Channel::Sms, source.clone())), "{subject}");
        }
        assert_eq!(channel_and_source(&body(id)), None);
        assert_eq!(place("raw.sms.a.b"), (Channel::Sms, SourceName::parse("a").unwrap()));
        assert_eq!(place("unique.0.x"), (Channel::Webhook, SourceName::parse("unknown").unwrap()));
    }

    #[test]
    fn a_short_window_has_a_claim_of_its_own_for_each_stretch_of_time() {
        let key = KeyHasher::new(&HashKey::derive(b"s")).part("x").finish();
        let at = |ms| Millis::from_unix(ms).unwrap();
        let claim = |ms, window| unique(1, key, at(ms), window, 86_400_000);
        assert_eq!(claim(0, 600_000), claim(599_999, 600_000));
        assert_ne!(claim(599_999, 600_000), claim(600_000, 600_000));
        assert_ne!(claim(-1, 600_000), claim(0, 600_000));
        assert_eq!(claim(0, 691_200_000), format!("unique.0.{key}"));
    }
}
