//! The command line: what is measured, and the same program as the attackers.

use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
cargo bench -p tests --bench attacks [-- OPTIONS]

Measures what an honest client notices of each attack, quiet and attacked in turn.

  --rounds N       quiet and attacked phases of each attack (default 3)
  --seconds N      length of a phase (default 6)
  --only TEXT      the attacks with this in their name
  --list           the attacks, with their rates
";

/// What to measure.
pub(crate) struct Arguments {
    pub(crate) rounds: u32,
    pub(crate) phase: Duration,
    pub(crate) only: String,
}

/// What this process is.
pub(crate) enum Task {
    Measure(Arguments),
    /// The attackers, of another one.
    Attack {
        name: String,
        url: String,
    },
}

impl Task {
    pub(crate) fn read(given: impl Iterator<Item = String>) -> Result<Self, ExitCode> {
        // Cargo adds the first by itself.
        let mut given = given.filter(|argument| argument != "--bench");
        let mut arguments = Arguments { rounds: 3, phase: Duration::from_secs(6), only: String::new() };
        let wrong = |what: &str| {
            eprintln!("{what}\n\n{HELP}");
            ExitCode::from(64)
        };
        while let Some(argument) = given.next() {
            let value = given.next();
            match (argument.as_str(), value.as_deref()) {
                ("--help", _) => {
                    print!("{HELP}");
                    return Err(ExitCode::SUCCESS);
                }
                ("--list", _) => {
                    for attack in crate::attacks::all() {
                        println!("{}: {}", attack.name, attack.rate);
                    }
                    return Err(ExitCode::SUCCESS);
                }
                ("--rounds", Some(value)) => {
                    arguments.rounds = value.parse().ok().filter(|rounds| *rounds > 0).ok_or_else(|| wrong(value))?;
                }
                ("--seconds", Some(value)) => {
                    let seconds = value.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| wrong(value))?;
                    arguments.phase = Duration::from_secs(seconds);
                }
                ("--only", Some(value)) => value.clone_into(&mut arguments.only),
                ("--attack", Some(value)) => {
                    let (name, url) = value.split_once('@').ok_or_else(|| wrong(value))?;
                    return Ok(Self::Attack { name: name.to_owned(), url: url.to_owned() });
                }
                (other, _) => return Err(wrong(other)),
            }
        }
        Ok(Self::Measure(arguments))
    }
}
