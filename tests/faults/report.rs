//! What a scenario found out: a line of the table in `docs/reliability.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tests::ledger::{Delivery, Outcome};
use tokio::time::Instant;

/// The result of a scenario that kept its promises.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// What the sender saw while it lasted.
    pub(crate) saw: String,
    /// Messages that were accepted and have no row; and those with more than one.
    pub(crate) lost: usize,
    pub(crate) twice: usize,
    /// From the end of the fault until requests were accepted and everyone was ready; `None` where nothing was away.
    pub(crate) healed: Option<Duration>,
    /// The metric that told, and the alert on it.
    pub(crate) told: String,
    /// Anything else, such as what a person has to do.
    pub(crate) note: String,
}

impl Report {
    /// One of what the senders saw, with nothing lost and nothing there twice.
    pub(crate) fn of(deliveries: &[Delivery]) -> Self {
        Self { saw: saw(deliveries), ..Self::default() }
    }

    /// As cells of a Markdown row.
    pub(crate) fn cells(&self) -> [String; 6] {
        [
            self.saw.clone(),
            self.lost.to_string(),
            self.twice.to_string(),
            self.healed.map_or_else(|| "-".to_owned(), |healed| format!("{:.1} s", healed.as_secs_f64())),
            self.told.clone(),
            self.note.clone(),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let healed =
            self.healed.map_or_else(String::new, |healed| format!("; healed in {:.1} s", healed.as_secs_f64()));
        write!(f, "{}; {} lost, {} twice{healed}", self.saw, self.lost, self.twice)?;
        for more in [&self.told, &self.note] {
            if !more.is_empty() {
                write!(f, "\n        {more}")?;
            }
        }
        Ok(())
    }
}

/// In a line: answers by kind, the slowest, and the longest time without an accepted request.
fn saw(deliveries: &[Delivery]) -> String {
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in deliveries {
        let kind = match &delivery.outcome {
            Outcome::Accepted(_) => "200".to_owned(),
            Outcome::Refused(status) => status.to_string(),
            Outcome::NotSent => "no connection".to_owned(),
            Outcome::Unknown(_) => "cut".to_owned(),
        };
        *answers.entry(kind).or_default() += 1;
    }
    let answers: Vec<String> = answers.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    let slowest = deliveries.iter().map(|delivery| delivery.took).max().unwrap_or_default();
    format!(
        "{}; slowest answer {:.1} s, longest without a 200 {:.1} s",
        answers.join(", "),
        slowest.as_secs_f64(),
        longest_gap(deliveries).as_secs_f64()
    )
}

/// The longest time in which nothing was accepted.
fn longest_gap(deliveries: &[Delivery]) -> Duration {
    let accepted = deliveries.iter().filter(|delivery| matches!(delivery.outcome, Outcome::Accepted(_)));
    let mut times: Vec<Instant> = accepted.map(|delivery| delivery.at).collect();
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}
