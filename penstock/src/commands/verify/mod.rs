//! `penstock verify`: says whether a captured request's signature holds for a source, and if not, what differs: the URL,
//! the body, the secret, the clock, a header or a setting.
//!
//! It judges with the adapter that the gateway judges with; everything else here is about what to change before judging
//! again, and about saying what came of it.

mod captured;
mod case;
mod clock;
mod examine;
mod expected;
mod har;
mod input;
mod judged;
mod presence;
mod report;
mod way;
mod words;

use std::path::PathBuf;

use clap::Args;
use ingest_gateway::egress::Egress;
use ingest_gateway::fetcher::Fetcher;
use providers::Request;
use runtime::config::{Config, Source};
use runtime::error_chain::Chain;
use serde::Serialize;
use uuid::Uuid;

use self::captured::Captured;
use self::input::Given;
use super::error::{Answer, CommandError};
use super::recheck::Judge;
use super::send::parse_header;
use super::site::{Where, source_named};

/// What `penstock verify` is told.
#[derive(Debug, Args)]
#[command(
    override_usage = "penstock verify <SOURCE> --file <FILE>\n       penstock verify <SOURCE> --body <FILE> --header \
    <NAME: VALUE>.. [--url <URL>] [--method <METHOD>]\n       penstock verify <SOURCE> --id <ID>",
    after_help = "Examples:\n  penstock verify support --file request.http\n  penstock verify support --file \
    session.har --entry 3 --at 2026-11-23T05:53:29Z\n  penstock verify support --body body.bin --header \
    'X-Twilio-Signature: ..' \\\n    --header 'Content-Type: application/x-www-form-urlencoded' --url \
    https://in.example.com/v1/sms/support\n  penstock verify support --id 01a206e5-20a0-7000-8000-0000000000ff\n\nExit \
    codes: 0 it holds, 1 it does not, 2 it cannot be judged (no signature in it, no request in the file).\nNo secret and \
    no signature that it would take is ever printed."
)]
pub(crate) struct VerifyArgs {
    /// A source of the configuration
    source: String,
    #[command(flatten)]
    place: Where,
    /// A captured request: request line, headers, empty line, body; or a HAR file. `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["body", "id", "url"],
          conflicts_with_all = ["body", "id", "url", "header", "method"])]
    file: Option<PathBuf>,
    /// Which request of a HAR file, from 1
    #[arg(long, value_name = "N", requires = "file")]
    entry: Option<usize>,
    /// The bytes of a body, with --header, --url and --method beside it. `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    body: Option<PathBuf>,
    /// A header of the request; can be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header, conflicts_with = "id")]
    header: Vec<(String, String)>,
    /// Where it was sent, with the query
    #[arg(long, value_name = "URL", conflicts_with = "id")]
    url: Option<String>,
    /// The method
    #[arg(long, default_value = "POST", conflicts_with = "id")]
    method: String,
    /// A request that the gateway stored or held, by its Penstock-Id
    #[arg(long, value_name = "ID")]
    id: Option<Uuid>,
    /// Judge it as of this moment [default: when it came in, or its Date; else now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Who says as of when a request is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AsOf {
    /// `--at`.
    Asked,
    /// The gateway, when it stored the request.
    Received,
    /// The file that it was captured to.
    Capture,
    /// Its header.
    Date,
    /// Nobody.
    Now,
}

impl AsOf {
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Asked => "as asked",
            Self::Received => "when it came in",
            Self::Capture => "when it was captured",
            Self::Date => "the request's Date",
            Self::Now => "now: nothing in the capture says when it came in",
        }
    }
}

pub(crate) async fn run(args: VerifyArgs) -> Answer {
    let config = args.place.sources()?;
    let source = source_named(&config, &args.source)?;
    let path = format!("/v1/{}/{}", source.channel, source.name);
    let mut judge = judge(&config, source)?;
    let given = input::given(&args, &path).await?;
    fetch_certificate(&config, &mut judge, &given).await?;
    let report = judged::report(&config, source, &judge, given, path);
    report.print(args.json);
    Ok(report.ending())
}

/// Adds the certificate to the keys that the request names as its signer's, where it cannot be judged without.
async fn fetch_certificate(config: &Config, judge: &mut Judge, given: &Given) -> Result<(), CommandError> {
    let Captured { method, headers, body, .. } = &given.captured;
    let request = Request { method, url: "", query: None, headers, body };
    let Some(url) = judge.adapter.certificate_url(&request, &judge.keyring, &judge.scheme) else { return Ok(()) };
    let egress = Egress::build(&config.gateway.egress)
        .map_err(|error| CommandError::usage(format!("{}: {}", error.key(), Chain(&error)), "see `penstock check`"))?;
    let certificate = Fetcher::default().certificate(&egress, &url, given.at.0, || true).await.map_err(|error| {
        let what = format!("the certificate that the request names cannot be had: {}", Chain(&*error));
        CommandError::unreachable(
            what,
            "add it to `secrets` as PEM, or let this machine reach the provider (`gateway.egress`)",
        )
    })?;
    judge.keyring = judge.keyring.with(&certificate);
    Ok(())
}

fn judge(config: &Config, source: &Source) -> Result<Judge, CommandError> {
    let channel =
        source.channel.parse().map_err(|_| CommandError::usage("the channel is none", "see `penstock check`"))?;
    Judge::new(config, channel, &source.name)
        .map_err(|error| CommandError::usage(Chain(&error).to_string(), "see `penstock check`, which says what fits"))
}
