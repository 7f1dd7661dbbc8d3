//! `penstock dlq`: what the stages gave up on; looked at, tried again, or given up on for good.

mod entries;
mod list;
mod record;
mod remove;
mod replay;
mod resend;
mod show;

use clap::{Args, Subcommand};

use super::error::Answer;

pub(crate) use self::record::record_missing;

/// What `penstock dlq` is told.
#[derive(Debug, Args)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    what: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// What is there, oldest first
    List(list::ListArgs),
    /// Everything that is known of one
    Show(show::ShowArgs),
    /// Try again; what finds its ending is taken out
    Replay(replay::ReplayArgs),
    /// Give up for good
    Drop(remove::DropArgs),
}

pub(crate) async fn run(args: DlqArgs) -> Answer {
    match args.what {
        DlqCommand::List(args) => list::run(args).await,
        DlqCommand::Show(args) => show::run(args).await,
        DlqCommand::Replay(args) => replay::run(args).await,
        DlqCommand::Drop(args) => remove::run(args).await,
    }
}
