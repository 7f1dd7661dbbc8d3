//! What is driven: where the gateway and the database are, and which processes belong to the run of `penstock up`.

use std::net::SocketAddr;
use std::path::Path;

use http::Uri;
use runtime::config::Config;
use serde::Deserialize;
use tokio::net::lookup_host;

use super::args::BenchArgs;
use super::error::BenchError;
use super::resources::Groups;
use crate::commands::error::CommandError;
use crate::commands::site::Site;

/// What is driven.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) site: Site,
    /// With its sources and their secrets.
    pub(crate) config: Config,
    pub(crate) gateway: Uri,
    pub(crate) address: SocketAddr,
    /// Empty where the processes are not those of `up`: then their use is unknown.
    pub(crate) groups: Groups,
}

impl Target {
    pub(crate) async fn find(args: &BenchArgs) -> Result<Self, CommandError> {
        let site = args.place.site()?;
        let config = site.config()?;
        let gateway = args.gateway.clone().or_else(|| site.gateway_url.clone()).ok_or(BenchError::NoGateway)?;
        let (gateway, address) = resolve(&gateway).await?;
        let run_file = args.place.data_dir.join("run.json");
        // Whoever names the servers in a configuration drives those, and not what runs here.
        let groups = if site.named_by == run_file.display().to_string() { groups(&run_file) } else { Vec::new() };
        Ok(Self { site, config, gateway, address, groups })
    }
}

async fn resolve(url: &str) -> Result<(Uri, SocketAddr), BenchError> {
    let wrong = || BenchError::Gateway(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
    let port = uri.port_u16().unwrap_or(80);
    let addresses = lookup_host((host.trim_matches(['[', ']']), port)).await;
    let address = addresses.ok().and_then(|mut addresses| addresses.next()).ok_or_else(wrong)?;
    Ok((uri, address))
}

/// What of `run.json` only this command needs.
#[derive(Debug, Default, Deserialize)]
struct RunFile {
    #[serde(default)]
    pids: Pids,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pids {
    nats: Option<i32>,
    postgres: Option<i32>,
    gateway: Vec<i32>,
    normalizer: Vec<i32>,
    dedup: Vec<i32>,
    persister: Vec<i32>,
}

/// The processes by role. A file that has gone meanwhile costs the figures and nothing else.
fn groups(run_file: &Path) -> Groups {
    let run: Option<RunFile> = std::fs::read(run_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let pids = run.unwrap_or_default().pids;
    let all = [
        ("gateway", pids.gateway),
        ("normalizer", pids.normalizer),
        ("dedup", pids.dedup),
        ("persister", pids.persister),
        ("nats", pids.nats.into_iter().collect()),
        ("postgres", pids.postgres.into_iter().collect()),
    ];
    all.into_iter().filter(|(_, pids)| !pids.is_empty()).map(|(name, pids)| (name.to_owned(), pids)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_those_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        assert!(groups(&path).is_empty());
        std::fs::write(&path, r#"{"pids": {"up": 1, "nats": 2, "postgres": null, "gateway": [3, 4]}}"#).unwrap();
        assert_eq!(groups(&path), [("gateway".to_owned(), vec![3, 4]), ("nats".to_owned(), vec![2])]);
    }

    #[tokio::test]
    async fn only_plain_http_can_be_driven() {
        let (_, address) = resolve("http://127.0.0.1:8080").await.unwrap();
        assert_eq!(address.port(), 8080);
        for wrong in ["https://127.0.0.1:8080", "127.0.0.1:8080", "", "http://"] {
            assert!(resolve(wrong).await.is_err(), "{wrong:?}");
        }
    }
}
