//! `--admin ROLE=URL`: where the processes are, where the configuration cannot say it: in a container it names the address
//! to listen on, which is not where others reach it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use http::Uri;
use tokio::net::lookup_host;

use crate::commands::site::AdminUrls;
use crate::up::Role;

/// `gateway=http://gateway:9101`.
pub(super) fn parse(text: &str) -> Result<(Role, Uri), String> {
    let (role, url) = text.split_once('=').ok_or("ROLE=URL is needed, like gateway=http://gateway:9101")?;
    let uri: Option<Uri> =
        url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http") && uri.port().is_some());
    Ok((role.parse()?, uri.ok_or("URL is http://host:port")?))
}

/// What is known, with the roles that are named in the place of what was known of them.
pub(super) async fn resolved(mut known: AdminUrls, named: &[(Role, Uri)]) -> AdminUrls {
    let replaced: BTreeSet<Role> = named.iter().map(|(role, _)| *role).collect();
    for role in replaced {
        of(&mut known, role).clear();
    }
    for (role, uri) in named {
        of(&mut known, *role).extend(addresses(uri).await);
    }
    known
}

fn of(known: &mut AdminUrls, role: Role) -> &mut Vec<String> {
    match role {
        Role::Gateway => &mut known.gateway,
        Role::Normalizer => &mut known.normalizer,
        Role::Dedup => &mut known.dedup,
        Role::Persister => &mut known.persister,
    }
}

/// Every address that the name has; the name itself where it has none, so that it is shown to be not reachable.
async fn addresses(uri: &Uri) -> Vec<String> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(80);
    match lookup_host((host, port)).await {
        Ok(found) => {
            let found: BTreeSet<SocketAddr> = found.collect();
            found.into_iter().map(|address| format!("http://{address}")).collect()
        }
        Err(_) => vec![format!("http://{host}:{port}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_named_takes_the_place_of_what_the_configuration_says() {
        let known = AdminUrls {
            gateway: vec!["http://127.0.0.1:1".into()],
            dedup: vec!["http://127.0.0.1:2".into()],
            ..AdminUrls::default()
        };
        let named: Vec<_> = ["dedup=http://127.0.0.1:3", "dedup=http://127.0.0.1:4", "persister=http://no.invalid:5"]
            .map(|text| parse(text).unwrap())
            .into();
        let resolved = resolved(known, &named).await;
        assert_eq!(resolved.gateway, ["http://127.0.0.1:1"]);
        assert_eq!(resolved.dedup, ["http://127.0.0.1:3", "http://127.0.0.1:4"]);
        assert_eq!(resolved.persister, ["http://no.invalid:5"]);
    }

    #[test]
    fn an_address_that_nobody_could_be_asked_at_is_refused() {
        for wrong in ["gateway", "gate=http://a:1", "gateway=https://a:1", "gateway=http://a", "gateway=a:1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
