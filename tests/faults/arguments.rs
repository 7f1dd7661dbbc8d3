//! The command line. It has to take what `cargo test` passes to every test target: filters, and those flags of the
//! standard harness that make no difference here.
//!
//! What a reader would get wrong: a filter that names no scenario may be meant for another test target, so it is no
//! error by itself. It is one beside a flag that only this program has.

use std::process::ExitCode;

const HELP: &str = "\
The faults that Penstock has to survive, each under load, with a ledger that is exact to the message.

Usage: cargo test [--release] -p tests --test faults -- [OPTIONS] [FILTER]...

  FILTER        only scenarios whose name contains one of these. One that no name contains is said. It is an error (exit
                code 64) beside --full, --seed, --jobs or --table; without them it may be meant for another test target
  --full        everything, at full length, which takes hours; without it, what fits into a few minutes
  --seed N      the same choices as a run that printed this seed
  --jobs N      so many scenarios at a time [default: 2, and 1 with --full, where times are told]
  --list        the names, and what each does
  --table FILE  also writes the results as a Markdown table";

/// The exit code of what was asked for wrongly.
pub(crate) const WRONG: u8 = 64;

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) filters: Vec<String>,
    pub(crate) full: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) list: bool,
    jobs: Option<u64>,
    pub(crate) table: Option<String>,
}

impl Arguments {
    /// Reads them; the exit code where there is nothing to run.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, ExitCode> {
        let mut read = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--full" => read.full = true,
                "--list" => read.list = true,
                "--seed" => read.seed = Some(number("--seed", arguments.next())?),
                "--jobs" => read.jobs = Some(number("--jobs", arguments.next())?),
                "--table" => read.table = Some(arguments.next().ok_or_else(|| refuse("--table needs a file"))?),
                "--help" | "-h" => {
                    println!("{HELP}");
                    return Err(ExitCode::SUCCESS);
                }
                // What the standard harness knows, and what makes no difference here.
                "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" => {}
                "--test-threads" | "--format" | "--color" => drop(arguments.next()),
                flag if flag.starts_with("--test-threads=") || flag.starts_with("--color=") => {}
                flag if flag.starts_with('-') => return Err(refuse(&format!("{flag} is not known here"))),
                filter => read.filters.push(filter.to_owned()),
            }
        }
        Ok(read)
    }

    /// Whether this was meant for this program: another test target knows none of these.
    pub(crate) fn is_ours(&self) -> bool {
        self.full || self.seed.is_some() || self.jobs.is_some() || self.table.is_some()
    }

    /// Scenarios at a time: most of the time each waits for something.
    pub(crate) fn jobs(&self) -> u64 {
        self.jobs.unwrap_or(if self.full { 1 } else { 2 }).max(1)
    }
}

fn number(flag: &str, text: Option<String>) -> Result<u64, ExitCode> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| refuse(&format!("{flag} needs a number")))
}

fn refuse(why: &str) -> ExitCode {
    println!("{why}\n\n{HELP}");
    ExitCode::from(WRONG)
}
