//! The URLs that a provider may have signed instead of the one that the gateway reckons: another scheme, host, port, path
//! or query, as the request's own headers and the ways of proxies suggest. Pure.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::commands::verify::captured::header;
use crate::commands::verify::case::{Case, path_of, query_of};

/// URLs tried at most.
const MOST: usize = 600;
/// Parts that may differ from what is reckoned, at once.
const AT_ONCE: usize = 3;

/// Bytes of a header that is looked at, at most.
const LONGEST: usize = 8 * 1024;

/// Headers in which proxies say what the path was.
const PATHS: [&str; 6] = [
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-uri",
    "x-forwarded-path",
    "x-envoy-original-path",
];

/// A URL in its parts, each as it stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts<'u> {
    pub(crate) scheme: &'u str,
    /// `user:password`, without the `@`.
    pub(crate) user: Option<&'u str>,
    pub(crate) host: &'u str,
    /// Without the colon.
    pub(crate) port: Option<&'u str>,
    pub(crate) path: &'u str,
    pub(crate) query: Option<&'u str>,
}

/// Takes an absolute URL apart.
pub(crate) fn parts(url: &str) -> Parts<'_> {
    let query = query_of(url);
    let (scheme, rest) = url.split(['?', '#']).next().and_then(|url| url.split_once("://")).unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, authority) = authority.rsplit_once('@').map_or((None, authority), |(user, rest)| (Some(user), rest));
    let (host, port) = host_and_port(authority);
    Parts { scheme, user, host, port, path, query }
}

fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 address are in brackets.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

impl Parts<'_> {
    fn whole(&self) -> String {
        let user = self.user.map(|user| format!("{user}@")).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let query = self.query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}://{user}{}{port}{}{query}", self.scheme, self.host, self.path)
    }
}

/// Every URL to try, those that differ least from the reckoned one first.
pub(crate) fn candidates(case: &Case) -> Vec<String> {
    let reckoned = parts(&case.url);
    let other_scheme = if reckoned.scheme == "http" { "https" } else { "http" };
    let some = |values: Vec<String>| values.into_iter().map(Some).collect();
    let axes: [Vec<Option<String>>; 6] = [
        vec![Some(reckoned.scheme.to_owned()), Some(other_scheme.to_owned())],
        users(case, &reckoned),
        some(hosts(case, &reckoned)),
        ports(case, &reckoned),
        some(paths(case, &reckoned)),
        queries(case, &reckoned),
    ];
    let mut chosen: Vec<(usize, Vec<Option<&str>>)> = vec![(0, Vec::new())];
    for axis in &axes {
        let with_each = chosen.iter().flat_map(|(differ, before)| {
            (0..).zip(axis).map(move |(at, value)| {
                let values = before.iter().copied().chain([value.as_deref()]).collect();
                (differ + usize::from(at > 0), values)
            })
        });
        chosen = with_each.filter(|(differ, _)| *differ <= AT_ONCE).collect();
    }
    let whole = |(differ, values): (usize, Vec<Option<&str>>)| match *values {
        [Some(scheme), user, Some(host), port, Some(path), query] => {
            Some((differ, Parts { scheme, user, host, port, path, query }.whole()))
        }
        _ => None,
    };
    let mut found: Vec<(usize, String)> = chosen.into_iter().filter_map(whole).collect();
    found.sort_by_key(|(differ, _)| *differ);
    let mut seen = HashSet::from([case.url.clone()]);
    found.into_iter().map(|(_, url)| url).filter(|url| seen.insert(url.clone())).take(MOST).collect()
}

/// A header, unless it is longer than any URL.
fn told<'c>(case: &'c Case, name: &str) -> Option<&'c str> {
    header(&case.headers, name).filter(|value| value.len() <= LONGEST)
}

/// The values, each once, at most so many.
fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>, most: usize) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if distinct.len() < most && !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

/// Authorities that the capture or a proxy's header names.
fn authorities(case: &Case) -> Vec<&str> {
    let target = Some(parts(&case.target)).filter(|parts| !parts.scheme.is_empty());
    let named = ["host", "x-forwarded-host", "x-original-host", "x-forwarded-server"];
    let listed = named.iter().filter_map(|name| told(case, name)).flat_map(|value| value.split(','));
    let forwarded = told(case, "forwarded").into_iter().flat_map(|value| value.split([';', ',']));
    let forwarded = forwarded.filter_map(|piece| piece.trim().strip_prefix("host=").map(|host| host.trim_matches('"')));
    let of_target = target.map(|parts| match case.target.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?']).next().unwrap_or(parts.host),
        None => parts.host,
    });
    of_target.into_iter().chain(listed.map(str::trim)).chain(forwarded).filter(|host| !host.is_empty()).collect()
}

fn hosts(case: &Case, reckoned: &Parts<'_>) -> Vec<String> {
    let named = authorities(case);
    let named = named.iter().map(|authority| {
        let authority = authority.rsplit_once('@').map_or(*authority, |(_, rest)| rest);
        host_and_port(authority).0.to_owned()
    });
    let lower = reckoned.host.to_lowercase();
    distinct(std::iter::once(reckoned.host.to_owned()).chain(named).chain([lower]), 6)
}

fn ports(case: &Case, reckoned: &Parts<'_>) -> Vec<Option<String>> {
    let of_hosts = authorities(case).into_iter().filter_map(|authority| host_and_port(authority).1);
    let forwarded = told(case, "x-forwarded-port");
    let usual = ["443", "80"].into_iter().chain(of_hosts).chain(forwarded).map(|port| Some(port.to_owned()));
    distinct([reckoned.port.map(str::to_owned), None].into_iter().chain(usual), 6)
}

/// User and password, which a provider that was given them takes out of the URL and sends as a header.
fn users(case: &Case, reckoned: &Parts<'_>) -> Vec<Option<String>> {
    let basic = told(case, "authorization").and_then(|value| value.strip_prefix("Basic "));
    let basic = basic.and_then(|value| String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok());
    distinct([reckoned.user.map(str::to_owned), None].into_iter().chain([basic]), 3)
}

fn paths(case: &Case, reckoned: &Parts<'_>) -> Vec<String> {
    let captured = path_of(&case.target);
    let named = PATHS.iter().filter_map(|name| told(case, name)).map(path_of);
    let prefix = told(case, "x-forwarded-prefix").map(|prefix| prefix.trim_end_matches('/'));
    let prefixed =
        prefix.into_iter().flat_map(|prefix| [reckoned.path, captured].map(|path| format!("{prefix}{path}")));
    let plain: Vec<String> =
        [reckoned.path, captured].into_iter().chain(named).map(str::to_owned).chain(prefixed).collect();
    let slashed = plain.iter().map(|path| match path.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{path}/"),
    });
    let decoded = plain.iter().map(|path| percent_decode_str(path).decode_utf8_lossy().into_owned());
    distinct(plain.clone().into_iter().chain(slashed).chain(decoded), 16)
}

fn queries(case: &Case, reckoned: &Parts<'_>) -> Vec<Option<String>> {
    let named = PATHS.iter().filter_map(|name| told(case, name)).map(query_of);
    let captured = query_of(&case.target);
    let decoded = reckoned.query.map(|query| percent_decode_str(query).decode_utf8_lossy().into_owned());
    let changed = reckoned.query.into_iter().flat_map(|query| [query.replace('+', "%20"), query.replace("%20", "+")]);
    let plain =
        [reckoned.query, captured, None, Some("")].into_iter().chain(named).map(|query| query.map(str::to_owned));
    distinct(plain.chain([decoded]).chain(changed.map(Some)), 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_it_stands_there() {
        let whole = Parts {
            scheme: "https",
            user: Some("u:p"),
            host: "[::1]",
            port: Some("8443"),
            path: "/a/",
            query: Some("b=/?"),
        };
        assert_eq!(parts("https://u:p@[::1]:8443/a/?b=/?#c"), whole);
        assert_eq!(whole.whole(), "https://u:p@[::1]:8443/a/?b=/?");
        let bare = Parts { scheme: "http", host: "[::1]", ..Parts::default() };
        assert_eq!(parts("http://[::1]"), bare);
        assert_eq!(parts("/v1/x?a").scheme, "");
    }
}
