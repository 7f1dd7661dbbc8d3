//! `penstock provision`: makes the streams and consumers, and brings their properties up to date. It deletes nothing and
//! may be run at any time, by several people at once: each property is set to what the configuration says.

use clap::Args;
use runtime::config::{Config, Environment, Need, Requirements};
use runtime::provision::{ProvisionError, Provisioned};

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
const SIZES: Requirements =
    Requirements { nats: Need::Optional, postgres: Need::Unused, hash_key: Need::Unused, source_secrets: Need::Unused };

pub(crate) async fn run(args: ProvisionArgs) -> Answer {
    let site = args.place.site()?;
    let config = Config::load_for(site.config_file(), &Environment::of_process(), SIZES)
        .map_err(|problems| CommandError::config(&problems))?;
    let nats = site.nats().await?;
    let done = nats.provision(&config).await.map_err(failed)?;
    out::line(said(done));
    Ok(Ending::Clean)
}

fn failed(error: ProvisionError) -> CommandError {
    let next = match &error {
        ProvisionError::Wrong(_) => {
            "these properties cannot be changed in place: use another NATS account, or delete the stream once nothing in it is needed"
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
                out::several(updated, "stream", "streams")
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
        assert_eq!(said(Provisioned { made: 18, updated: 1 }), "made 18 streams and consumers, updated 1 stream");
    }
}
