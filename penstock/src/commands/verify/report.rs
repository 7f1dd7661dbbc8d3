//! What is said in the end: the verdict first, then what it is about, then what was found, as lines or as JSON. Pure but
//! for the printing.

use providers::{Flaw, Verdict};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::case::Case;
use super::examine::Examination;
use super::expected::Expected;
use super::words::{self, Context, Finding};
use super::{AsOf, presence};
use crate::commands::check::without_credentials;
use crate::commands::error::Ending;
use crate::commands::out;

/// The answer to whether a signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    Yes,
    No,
    /// There is no signature in it, or it was replaced by a fingerprint.
    CannotBeJudged,
}

/// All that is said.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) holds: Holds,
    /// The verdict in words.
    pub(crate) says: String,
    #[serde(serialize_with = "as_word")]
    pub(crate) flaw: Option<Flaw>,
    /// The place of the secret that fits, from 1.
    pub(crate) secret: Option<usize>,
    pub(crate) source: String,
    pub(crate) provider: String,
    pub(crate) method: String,
    /// As the gateway reckons it, without user, password and query.
    pub(crate) url: String,
    pub(crate) body_bytes: usize,
    pub(crate) body_sha256: String,
    pub(crate) as_of: String,
    pub(crate) as_of_from: AsOf,
    pub(crate) covers: String,
    pub(crate) secrets: usize,
    pub(crate) tried: usize,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference to the field")]
fn as_word<S: Serializer>(flaw: &Option<Flaw>, serializer: S) -> Result<S::Ok, S::Error> {
    flaw.map(Flaw::as_str).serialize(serializer)
}

impl Report {
    /// A report on a case, whose verdict is still open.
    pub(crate) fn on(context: &Context<'_>, expected: &Expected, as_of: AsOf, notes: Vec<String>) -> Self {
        let case: &Case = context.case;
        Self {
            holds: Holds::CannotBeJudged,
            says: String::new(),
            flaw: None,
            secret: None,
            source: context.source.clone(),
            provider: format!("{}/{}", case.adapter.channel(), case.adapter.name()),
            method: case.method.to_string(),
            url: without_credentials(&case.url),
            body_bytes: case.body.len(),
            body_sha256: hex::encode(Sha256::digest(&case.body)),
            as_of: case.now.to_string(),
            as_of_from: as_of,
            covers: expected.covers.in_words(),
            secrets: case.secrets.len(),
            tried: 0,
            findings: Vec::new(),
            notes,
        }
    }

    /// With what the examination found.
    pub(crate) fn after(mut self, examination: &Examination, expected: &Expected, context: &Context<'_>) -> Self {
        self.says = examination.verdict.to_string();
        self.tried = examination.tried;
        let flaw = match examination.verdict {
            Verdict::Fits { secret } => {
                (self.holds, self.secret) = (Holds::Yes, Some(secret + 1));
                return self;
            }
            Verdict::NothingToVerify => {
                self.holds = Holds::Yes;
                return self;
            }
            Verdict::Wrong(flaw) => flaw,
        };
        self.flaw = Some(flaw);
        self.holds = if flaw == Flaw::Missing { Holds::CannotBeJudged } else { Holds::No };
        if matches!(flaw, Flaw::Stale | Flaw::Early) {
            self.findings.push(examination.window.map_or_else(words::never, |window| words::late(window, context)));
        }
        self.findings.extend(presence::findings(context.case, expected, flaw));
        self.findings.extend(examination.found.iter().flat_map(|found| words::findings(found, context)));
        if self.findings.is_empty() || (examination.found.is_empty() && flaw == Flaw::Mismatch) {
            self.findings.push(words::unexplained(flaw, examination.tried, examination.ended_early));
        }
        self
    }

    /// How the command ends.
    pub(crate) fn ending(&self) -> Ending {
        match self.holds {
            Holds::Yes => Ending::Clean,
            Holds::No => Ending::Finding,
            Holds::CannotBeJudged => Ending::Unjudged,
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, json: bool) {
        if json {
            out::json(self);
            return;
        }
        let word = match self.holds {
            Holds::Yes => out::good("holds"),
            Holds::No => out::bad("does not hold"),
            Holds::CannotBeJudged => out::bad("cannot be judged"),
        };
        out::line(format!("{word}: {}", self.says));
        let secrets = out::several(self.secrets, "secret", "secrets");
        let mut table = out::table(&[]);
        for (name, value) in [
            ("source", format!("{} ({}), {secrets}", self.source, self.provider)),
            ("request", format!("{} {}", self.method, self.url)),
            ("body", format!("{}, SHA-256 {}", out::bytes(self.body_bytes as u64), self.body_sha256)),
            ("as of", format!("{} ({})", self.as_of, self.as_of_from.in_words())),
            ("signature covers", self.covers.clone()),
        ] {
            table.add_row([out::cell(name), out::cell(value)]);
        }
        out::line(out::rendered(&table));
        for note in &self.notes {
            out::line(format!("note: {}", out::shown(note)));
        }
        for finding in &self.findings {
            out::line(format!("{}: {}", out::strong(finding.what), out::shown(&finding.says)));
            out::line(format!("  next: {}", out::shown(&finding.next)));
        }
    }
}
