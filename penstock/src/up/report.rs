//! What a person is told when everything is up: where it is, and what to try.
//!
//! Passwords are not shown, so that the output can be kept and passed on; they are in `run.json`.

use std::io::Write;
use std::path::Path;

use comfy_table::{Table, presets};
use owo_colors::{OwoColorize, Stream};

use super::demo_config::UNSIGNED;
use super::run_file::RunFile;

/// Where to look, beside what is in `run.json`.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    pub(crate) data: &'a Path,
    pub(crate) config: &'a Path,
    /// `None` where the broker is the user's own.
    pub(crate) monitor_url: Option<String>,
    /// Where PostgreSQL's files are, if not in the data folder.
    pub(crate) postgres_elsewhere: Option<&'a Path>,
    /// The configuration is the one made by `up`.
    pub(crate) demo_config: bool,
}

/// Prints it to standard output.
pub(crate) fn print(run: &RunFile, places: &Places<'_>) {
    let mut lines = vec![table(run, places).trim_fmt(), String::new()];
    if let Some(gateway) = &run.gateway_url {
        lines.push(try_this(gateway, places.demo_config));
    }
    if places.monitor_url.is_some() {
        lines.push(
            "NATS flushes every two minutes here: what was accepted survives the death of any process, not power loss."
                .to_owned(),
        );
    }
    lines.push("Ctrl-C stops everything; the data stay.".to_owned());
    // A reader that has gone away is no reason to stop.
    writeln!(std::io::stdout(), "{}", lines.join("\n")).ok();
}

fn try_this(gateway: &str, demo_config: bool) -> String {
    if demo_config {
        let command = format!("curl -i -d name=Ada -d message=Hello {gateway}{UNSIGNED}");
        format!("Try: {}", command.if_supports_color(Stream::Stdout, |text| text.green()))
    } else {
        format!("Sources are at {gateway}/v1/<channel>/<name>, as the configuration names them.")
    }
}

fn table(run: &RunFile, places: &Places<'_>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut row = |what: &str, place: String| {
        let what = what.if_supports_color(Stream::Stdout, |t| t.bold()).to_string();
        table.add_row([what, place]);
    };
    if let Some(gateway) = &run.gateway_url {
        row("gateway", gateway.clone());
    }
    for (name, urls) in [
        ("gateway admin", &run.admin.gateway),
        ("normalizer admin", &run.admin.normalizer),
        ("dedup admin", &run.admin.dedup),
        ("persister admin", &run.admin.persister),
    ] {
        if !urls.is_empty() {
            row(name, urls.join(" "));
        }
    }
    row("NATS", without_credentials(&run.nats_url));
    if let Some(url) = &places.monitor_url {
        row("NATS monitoring", url.clone());
    }
    row("PostgreSQL", without_credentials(&run.postgres_url));
    if let Some(folder) = places.postgres_elsewhere {
        row("PostgreSQL's files", folder.display().to_string());
    }
    row("configuration", places.config.display().to_string());
    row("logs", places.data.join("logs").display().to_string());
    row("for programs", format!("{} (with passwords)", places.data.join("run.json").display()));
    table
}

/// A URL as it may be shown.
fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            let path = path.map(|path| format!("/{}", path.split('?').next().unwrap_or_default())).unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let cases = [
            ("postgres://penstock:pw@127.0.0.1:5432/penstock?sslmode=disable", "postgres://127.0.0.1:5432/penstock"),
            ("nats://admin:p@ss@127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("user:pw@host", "host"),
            ("nats://host:4222", "nats://host:4222"),
        ];
        for (url, shown) in cases {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
