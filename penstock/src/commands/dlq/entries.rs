//! The entries of `DLQ`: found, chosen, and read.

use clap::Args;
use proto::envelope::EnvelopeError;
use proto::subject::SourceName;
use proto::{DeadLetterEnvelope, Stage};
use runtime::nats::Nats;
use runtime::topology::DLQ;
use uuid::Uuid;

use crate::commands::error::CommandError;
use crate::commands::locate;
use crate::commands::stream::{self, Begin, Scan, Stored};

/// Entries in memory at once. The stream holds one per record, so a flood of them is possible.
pub(crate) const PAGE: usize = 2000;

/// Which entries are meant.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// Of this stage: normalizer, dedup or persister
    #[arg(long)]
    pub(crate) stage: Option<Stage>,
    /// Of this source
    #[arg(long, value_name = "NAME", value_parser = SourceName::parse)]
    pub(crate) source: Option<SourceName>,
    /// With this reason, as `dlq list` shows it
    #[arg(long, value_name = "WORD")]
    pub(crate) reason: Option<String>,
}

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) message: Stored,
    pub(crate) envelope: DeadLetterEnvelope,
}

impl Filter {
    fn subjects(&self) -> Vec<String> {
        let stage = self.stage.map_or("*", Stage::as_str);
        let source = self.source.as_ref().map_or("*", SourceName::as_str);
        if stage == "*" && source == "*" { Vec::new() } else { vec![format!("dlq.{stage}.*.{source}.*")] }
    }

    fn fits(&self, letter: &Letter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.envelope.reason)
    }

    /// Begins to read the entries that are meant; what comes in meanwhile is not among them.
    pub(crate) async fn pages(&self, nats: &Nats) -> Result<Pages, CommandError> {
        let end = nats.stream_info(DLQ).await?.state.last_seq;
        Ok(Pages { nats: nats.clone(), filter: self.clone(), next: 1, end })
    }
}

/// The entries that are meant, a page at a time, so that there may be any number. Between two pages nothing is open at
/// the broker: as much time may pass as it takes.
#[derive(Debug)]
pub(crate) struct Pages {
    nats: Nats,
    filter: Filter,
    next: u64,
    end: u64,
}

impl Pages {
    /// The next ones, oldest first and without their payloads: at most `most`, and at most [`PAGE`]. None at the end.
    pub(crate) async fn next(&mut self, most: usize) -> Result<Vec<Letter>, CommandError> {
        let mut letters = Vec::new();
        if self.next > self.end {
            return Ok(letters);
        }
        let begin = Begin::Sequence(self.next);
        let scan = Scan { stream: DLQ, subjects: self.filter.subjects(), begin, headers_only: true };
        let mut scanner = scan.start(&self.nats).await?;
        while letters.len() < most.min(PAGE) {
            let Some(message) = scanner.next().await?.filter(|message| message.sequence <= self.end) else {
                self.next = self.end + 1;
                break;
            };
            self.next = message.sequence + 1;
            // What cannot be read was not put there by a stage; it cannot be chosen by what it does not say.
            letters.extend(Letter::read(message).ok().filter(|letter| self.filter.fits(letter)));
        }
        Ok(letters)
    }
}

impl Letter {
    pub(crate) fn read(message: Stored) -> Result<Self, EnvelopeError> {
        Ok(Self { envelope: DeadLetterEnvelope::read(&message)?, message })
    }
}

/// The entries of a record, or of a request; an error where there are none.
pub(crate) async fn of_id(nats: &Nats, id: Uuid) -> Result<Vec<Letter>, CommandError> {
    if let Some(message) = stream::first(nats, DLQ, &format!("dlq.*.*.*.{id}"), 1).await? {
        return Ok(Letter::read(message).into_iter().collect());
    }
    let begin = Begin::Sequence(1);
    let mut scanner = Scan { stream: DLQ, subjects: Vec::new(), begin, headers_only: true }.start(nats).await?;
    let mut letters = Vec::new();
    while let Some(message) = scanner.next().await? {
        if !locate::is_of(&message, id) {
            continue;
        }
        let whole = stream::first(nats, DLQ, &message.subject, message.sequence).await?;
        letters.extend(whole.and_then(|whole| Letter::read(whole).ok()));
    }
    if letters.is_empty() {
        let next =
            format!("see what there is with `penstock dlq list`, or what became of it with `penstock explain {id}`");
        return Err(CommandError::finding(format!("DLQ holds nothing of {id}"), next));
    }
    Ok(letters)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use async_nats::header::{HeaderName, HeaderValue};
    use proto::envelope::Pairs;
    use proto::{Channel, Millis};

    pub(crate) fn stored(subject: &str, pairs: &[Pairs]) -> Stored {
        let mut headers = async_nats::HeaderMap::new();
        for (name, value) in pairs.iter().flatten() {
            headers.insert(HeaderName::from_static(name), value.parse::<HeaderValue>().unwrap());
        }
        Stored { subject: subject.into(), sequence: 3, stored_at: 1_795_412_009_120, headers, payload: "b".into() }
    }

    pub(crate) fn envelope(stage: Stage) -> DeadLetterEnvelope {
        DeadLetterEnvelope {
            stage,
            record: Uuid::from_u128(2),
            part: 0,
            request_id: Uuid::from_u128(1),
            received_at: Millis::from_unix(1_795_412_009_120).unwrap(),
            channel: Channel::Sms,
            source: SourceName::parse("support").unwrap(),
            reason: "not_json".into(),
            detail: "the body is called JSON and is not".into(),
        }
    }

    #[test]
    fn what_is_not_meant_is_left_out_by_the_broker_or_here() {
        let filter = Filter { stage: Some(Stage::Dedup), ..Filter::default() };
        assert_eq!(filter.subjects(), ["dlq.dedup.*.*.*"]);
        assert!(Filter::default().subjects().is_empty());
        let letter = Letter::read(stored("dlq.x", &[envelope(Stage::Normalizer).to_pairs()])).unwrap();
        let by_reason = |reason: &str| Filter { reason: Some(reason.into()), ..Filter::default() }.fits(&letter);
        assert!(by_reason("not_json") && !by_reason("crash"));
    }
}
