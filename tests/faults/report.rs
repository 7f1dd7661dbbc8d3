//! What a scenario found out: a line of the table in `docs/reliability.md`.

use std::fmt;
use std::time::Duration;

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
