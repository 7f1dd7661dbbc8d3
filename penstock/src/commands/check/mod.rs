//! `penstock check`: says everything that is wrong with a configuration, and what each source will do with it.
//!
//! It asks each stage what the stage itself would say at its start. What `penstock up` supplies by itself (the two
//! servers, the key of keys) may be missing; a deployment needs it, so that is said as well, and `--strict` insists.

mod source;

use std::path::{Path, PathBuf};

use clap::Args;
use proto::Channel;
use runtime::config::{Config, Environment, Need, Problems, Requirements};
use serde_json::json;

pub(crate) use self::source::without_credentials;
use self::source::{Described, describe};
use super::error::{Answer, CommandError, Ending};
use super::out;
use super::site::{DATA_DIR, Where};

/// What `penstock check` is told.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration; without it ./penstock.toml, and where there is none, that of the running `penstock up`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder of the running `penstock up`
    #[arg(long, value_name = "FOLDER", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Warnings, and what only `penstock up` supplies, are problems too: exit code 1
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `penstock up` supplies may be missing; whatever is there is looked up.
const NEEDS: Requirements = Requirements {
    nats: Need::Optional,
    postgres: Need::Optional,
    hash_key: Need::Optional,
    source_secrets: Need::Required,
    attachments: Need::Optional,
};

pub(crate) fn run(args: &CheckArgs) -> Answer {
    let place = Where { config: args.config.clone(), data_dir: args.data_dir.clone() };
    let config = read(&place.configuration()?, &Environment::of_process())
        .map_err(|problems| CommandError::config(&problems))?;
    let missing = missing(&config);
    let sources = described(&config);
    if args.json {
        out::json(&json!({ "file": config.file, "ok": true, "only_for_up": missing, "sources": sources }));
    } else {
        tell(&config, &missing, &sources);
    }
    let warned = !missing.is_empty() || sources.iter().any(|source| !source.warnings.is_empty());
    Ok(Ending::finding_if(args.strict && warned))
}

/// The configuration, or everything that any stage finds wrong with it.
fn read(file: &Path, env: &Environment) -> Result<Config, Problems> {
    let config = Config::load_for(Some(file), env, NEEDS)?;
    let mut supplied = config.clone();
    // Any will do: what is checked is everything else.
    supplied.dedup.hash_key.get_or_insert_with(|| "supplied by penstock up".to_owned().into());
    let mut problems = Vec::new();
    for role in [ingest_gateway::ROLE, normalizer::ROLE, dedup_worker::ROLE, persister::ROLE] {
        if let Err(found) = (role.check)(&supplied) {
            problems.extend(found.iter().cloned());
        }
    }
    // Two stages may find the same.
    let mut all = Problems::default();
    for problem in problems {
        if all.iter().all(|known| *known != problem) {
            all.push(problem);
        }
    }
    all.into_result().map(|()| config)
}

/// What a deployment needs and this file leaves out.
fn missing(config: &Config) -> Vec<String> {
    let absent = [
        (config.nats.url.is_none(), "nats.url"),
        (config.postgres.url.is_none(), "postgres.url"),
        (config.dedup.hash_key.is_none(), "dedup.hash_key"),
        // Others can do without; a mail without its attachments is half of it.
        (
            config.attachments.store.is_none() && config.sources.iter().any(|source| source.channel == "email"),
            "attachments.store",
        ),
    ];
    absent.into_iter().filter(|(absent, _)| *absent).map(|(_, key)| key.to_owned()).collect()
}

fn described(config: &Config) -> Vec<Described> {
    let of = |source: &runtime::config::Source| {
        let channel: Channel = source.channel.parse().ok()?;
        Some(describe(config, source, providers::find(channel, &source.provider)?))
    };
    config.sources.iter().filter_map(of).collect()
}

fn tell(config: &Config, missing: &[String], sources: &[Described]) {
    for source in sources {
        out::line(out::strong(&source.name));
        let mut table = out::table(&[]);
        for (name, value) in &source.properties {
            table.add_row([out::cell(*name), out::cell(value)]);
        }
        out::line(out::rendered(&table));
        for warning in &source.warnings {
            out::line(format!("{} {warning}", out::bad("  warning:")));
        }
        out::line("");
    }
    if !missing.is_empty() {
        let what = missing.join(", ");
        out::line(format!(
            "{} missing: {what}. `penstock up` supplies that; a deployment has to name it.",
            out::bad("note:")
        ));
    }
    let number = out::several(sources.len(), "source", "sources");
    out::line(format!("{}: {} ({number})", config.file, out::good("can be used")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Config, Problems> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("penstock.toml");
        std::fs::write(&path, text).unwrap();
        read(&path, &Environment::default())
    }

    #[test]
    fn every_stage_is_asked_and_a_problem_is_said_once() {
        let twice_wrong = "[[sources]]\nname = 'a'\nchannel = 'sms'\nprovider = 'twilio'\n\n\
                           [[sources]]\nname = 'b'\nchannel = 'webhook'\nprovider = 'standard'\nsecrets = [{ value = '%' }]";
        let problems = checked(twice_wrong).unwrap_err();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["sources[0].secrets", "sources[1].secrets"], "{problems}");
    }

    #[test]
    fn what_up_supplies_may_be_missing_and_is_told() {
        let config = checked("[[sources]]\nname = 'a'\nchannel = 'form'\nprovider = 'generic'").unwrap();
        assert_eq!(missing(&config), ["nats.url", "postgres.url", "dedup.hash_key"]);
        assert_eq!(described(&config).len(), 1);
    }
}
