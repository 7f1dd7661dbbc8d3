//! The command line of `penstock bench`.

use std::time::Duration;

use clap::Args;

use crate::commands::site::Where;

/// Drives the gateway as a provider would, and says how fast messages became rows.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Without --rate each connection sends as fast as it is answered. With it, requests are due at an \
    even pace and latency counts from when they were due.\n\nThe load generator shares the machine with what it \
    measures. Exit code 1 with --verify where a message is missing or there twice."
)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) place: Where,
    /// Where the gateway is; without it, where `up` or the configuration says
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<String>,
    /// The source to send to; without it, a signed webhook
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Requests per second; without it, flat out
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// Connections that are kept open
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) connections: u32,
    /// How long to send
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// How long to send before that, without measuring
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) warmup: Duration,
    /// Longest wait for the last rows after the last answer; with --verify as long again, and until the broker delivers
    /// again what nobody acknowledged, for the workers to be idle
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,
    /// The share of requests that repeat an earlier one, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub(crate) duplicates: f64,
    /// Bytes of a body
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = parse_size)]
    pub(crate) size: usize,
    /// Compare what was sent with what is in the tables, message by message
    #[arg(long)]
    pub(crate) verify: bool,
    /// Measure what the machine could do: an empty HTTP server, and publishing to NATS alone
    #[arg(long)]
    pub(crate) floors: bool,
    /// The report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| "a number from 0.1 to 1000000 is needed".to_owned())
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a number from 0 to 1 is needed, like 0.3".to_owned())
}

fn parse_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (1..=100 << 20).contains(size));
    size.ok_or_else(|| "a number of bytes from 1 to 104857600 is needed".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let sound = (Duration::from_millis(100)..=Duration::from_hours(24)).contains(&duration);
    if sound { Ok(duration) } else { Err("a time from 100ms to 24h is needed".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: BenchArgs,
    }

    #[test]
    fn nothing_needs_to_be_said() {
        let args = Cli::parse_from(["bench"]).args;
        assert_eq!((args.rate, args.connections, args.size), (None, 64, 1024));
        assert_eq!(args.duration, Duration::from_secs(30));
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in
            [["--rate", "0"], ["--duplicates", "30"], ["--size", "0"], ["--duration", "0s"], ["--connections", "0"]]
        {
            assert!(Cli::try_parse_from(["bench"].into_iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }
}
