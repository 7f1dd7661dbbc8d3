//! `penstock provision`: makes the streams and consumers, and brings their properties up to date. It deletes nothing and
//! may be run at any time, by several people at once: each property is set to what the configuration says.

use clap::Args;
use runtime::config::{Config, Environment, Need, Requirements, Streams};
use runtime::nats::Nats;
use runtime::provision::{ProvisionError, Provisioned};
use runtime::topology;

use super::error::{Answer, CommandError, Ending};
use super::out;
use super::site::Where;

/// What `penstock provision` is told.
#[derive(Debug, Args)]
pub(crate) struct ProvisionArgs {
    #[command(flatten)]
    place: Where,
}

/// Sizes are all it takes from the configuration.
const SIZES: Requirements = Requirements {
    nats: Need::Optional,
    postgres: Need::Unused,
    hash_key: Need::Unused,
    source_secrets: Need::Unused,
    attachments: Need::Unused,
};

pub(crate) async fn run(args: ProvisionArgs) -> Answer {
    let site = args.place.site()?;
    let mut config = Config::load_for(site.config_file(), &Environment::of_process(), SIZES)
        .map_err(|problems| CommandError::config(&problems))?;
    let nats = site.nats().await?;
    if site.is_run() {
        keep_sizes(&nats, &mut config.streams).await?;
    }
    let done = nats.provision(&config).await.map_err(failed)?;
    out::line(said(done));
    Ok(Ending::Clean)
}

/// `up` fits the streams to this machine's disk; the configuration does not know that.
async fn keep_sizes(nats: &Nats, sizes: &mut Streams) -> Result<(), CommandError> {
    let all = [
        (topology::RAW, &mut sizes.raw),
        (topology::BODIES, &mut sizes.bodies),
        (topology::HELD, &mut sizes.held),
        (topology::REPLAY, &mut sizes.replay),
        (topology::CANONICAL, &mut sizes.canonical),
        (topology::UNIQUE, &mut sizes.unique),
        (topology::DUPLICATES, &mut sizes.duplicates),
        (topology::DLQ, &mut sizes.dlq),
    ];
    for (stream, size) in all {
        match nats.stream_info(stream).await {
            Ok(info) => *size = u64::try_from(info.config.max_bytes).unwrap_or(*size),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn failed(error: ProvisionError) -> CommandError {
    let next = match &error {
        ProvisionError::Wrong(_) => {
            "what is left cannot be changed in place: use another NATS account, or delete the stream once nothing in it is needed; a consumer may be deleted at any time"
        }
        ProvisionError::MakeStream { .. } | ProvisionError::UpdateStream { .. } => {
            "the streams reserve what they may take: give NATS more room (max_file_store), or set smaller sizes in [streams]"
        }
        _ => "look at NATS' log; the user needs every right (in deploy/nats-users.conf: `admin`)",
    };
    match error {
        ProvisionError::Looking(error) => error.into(),
        error @ ProvisionError::Wrong(_) => CommandError::finding(error.to_string(), next),
        error => CommandError::unreachable("the streams are not as they must be", next).because(error),
    }
}

fn said(done: Provisioned) -> String {
    match done {
        Provisioned { made: 0, updated: 0 } => "streams and consumers are as they must be; nothing to do".to_owned(),
        Provisioned { made, updated } => {
            format!(
                "made {}, updated {}",
                out::several(made, "stream or consumer", "streams and consumers"),
                out::several(updated, "stream or consumer", "streams and consumers")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_says_that_there_was_nothing_to_do() {
        assert!(said(Provisioned::default()).contains("nothing to do"));
        assert_eq!(
            said(Provisioned { made: 18, updated: 1 }),
            "made 18 streams and consumers, updated 1 stream or consumer"
        );
    }
}
