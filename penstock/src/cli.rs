//! The command line: what can be asked of `penstock`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::commands::audit::AuditArgs;
use crate::commands::check::CheckArgs;
use crate::commands::dlq::DlqArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::held::HeldArgs;
use crate::commands::migrate::MigrateArgs;
use crate::commands::person::{EraseArgs, ExportArgs};
use crate::commands::provision::ProvisionArgs;
use crate::commands::replay::ReplayArgs;
use crate::commands::roles::{PersisterArgs, RoleArgs};
use crate::commands::send::SendArgs;
use crate::commands::status::StatusArgs;
use crate::commands::verify::VerifyArgs;
use crate::up::{Role, Scale, Wish};

/// Takes in messages that other people's systems push at you, and turns them into one clean table.
#[derive(Debug, Parser)]
#[command(
    name = "penstock",
    version,
    about,
    max_term_width = 100,
    after_help = "To see it work: penstock up --demo\n\nExit codes: 0 all is well, 1 something to look at, 2 \
    (verify) what cannot be judged, 64 a command line or a configuration that is not understood, 69 a server that could not be had, 70 anything else."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine, with servers of its own
    Up(UpArgs),
    /// Take messages in over HTTP
    Gateway(RoleArgs),
    /// Turn raw requests into canonical messages
    Normalizer(RoleArgs),
    /// Claim each message's key, and set likely repeats aside
    Dedup(RoleArgs),
    /// Write messages to PostgreSQL
    Persister(PersisterArgs),
    /// Check a configuration, and say what each source will do
    Check(CheckArgs),
    /// Make the streams and consumers, and bring them up to date
    Provision(ProvisionArgs),
    /// Bring the tables up to date
    Migrate(MigrateArgs),
    /// Post a sample or a file as a provider would, signed
    Send(SendArgs),
    /// Say whether a captured request's signature holds, and if not, what differs
    Verify(Box<VerifyArgs>),
    /// Show how each stage is doing
    Status(StatusArgs),
    /// Tell what became of a message
    Explain(ExplainArgs),
    /// Say whether every request that was accepted has ended, is on its way, or is missing
    Audit(AuditArgs),
    /// Look at what the stages gave up on, try it again, or drop it
    Dlq(DlqArgs),
    /// Look at requests whose signature was wrong, and let them in after another check
    Held(HeldArgs),
    /// Have requests read again from RAW; nothing changes that should not
    Replay(ReplayArgs),
    /// Give out all that is kept of somebody, as JSON
    Export(ExportArgs),
    /// Take everything of somebody away for good, from the tables and from the streams
    Erase(EraseArgs),
    /// Drive the gateway as a provider would, and say how fast messages become rows
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct UpArgs {
    /// Post one real message for each channel, and show the rows
    #[arg(long)]
    demo: bool,
    /// Stop after the demonstration; exit code 1 unless each message is one row, and each copy a repeat of it
    #[arg(long, requires = "demo")]
    exit_after_demo: bool,
    /// Start only NATS and PostgreSQL
    #[arg(long, conflicts_with_all = ["demo", "scale"])]
    infra_only: bool,
    /// Remove the data of earlier runs first
    #[arg(long)]
    fresh: bool,
    /// The configuration; without it ./penstock.toml, and where there is none, one made for trying out
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where data, logs and secrets are kept
    #[arg(long, value_name = "FOLDER", default_value = ".penstock")]
    data_dir: PathBuf,
    /// Run more of a role; can be given several times
    #[arg(long, value_name = "ROLE=N", value_parser = parse_scale)]
    scale: Vec<(Role, usize)>,
}

impl From<UpArgs> for Wish {
    fn from(args: UpArgs) -> Self {
        Self {
            config: args.config,
            data_dir: args.data_dir,
            demo: args.demo,
            exit_after_demo: args.exit_after_demo,
            infra_only: args.infra_only,
            fresh: args.fresh,
            scale: Scale(args.scale),
        }
    }
}

/// `normalizer=2`. Sixty-four of a role on one machine is a typing error.
fn parse_scale(text: &str) -> Result<(Role, usize), String> {
    let (role, number) = text.split_once('=').ok_or("ROLE=N is needed, like normalizer=2")?;
    let number = number.parse().ok().filter(|n| (1..64).contains(n)).ok_or("N is a number from 1 to 63")?;
    Ok((role.parse()?, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn roles_are_scaled_by_name() {
        let cli = Cli::parse_from(["penstock", "up", "--scale", "normalizer=2", "--scale", "dedup=3"]);
        let Command::Up(args) = cli.command else { panic!("up was asked for") };
        let wish = Wish::from(args);
        assert_eq!(Role::ALL.map(|role| wish.scale.of(role)), [1, 2, 3, 1]);
        for wrong in ["normalizer", "normalizer=0", "normaliser=2", "dedup=x"] {
            assert!(parse_scale(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn to_exit_after_a_demonstration_there_has_to_be_one() {
        assert!(Cli::try_parse_from(["penstock", "up", "--exit-after-demo"]).is_err());
        assert!(Cli::try_parse_from(["penstock", "up", "--infra-only", "--demo"]).is_err());
    }
}
