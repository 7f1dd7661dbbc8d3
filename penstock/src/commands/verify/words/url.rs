//! A URL with which a signature holds, in words: what differs from the reckoned one, and what to set.

use super::{Context, Finding};
use crate::commands::check::without_credentials;
use crate::commands::out;
use crate::commands::verify::case::without_query;
use crate::commands::verify::way::url::parts;

/// The finding.
pub(super) fn finding(url: &str, context: &Context<'_>) -> Finding {
    let (signed, reckoned) = (parts(url), parts(&context.case.url));
    let or_none = |value: Option<&str>| value.map_or_else(|| "none".to_owned(), str::to_owned);
    let mut differences = Vec::new();
    let mut differ = |name: &str, one: String, other: String| {
        if one != other {
            differences.push(format!("the {name} is {} and not {}", out::shown(&one), out::shown(&other)));
        }
    };
    differ("scheme", signed.scheme.to_owned(), reckoned.scheme.to_owned());
    differ("host", signed.host.to_owned(), reckoned.host.to_owned());
    differ("port", or_none(signed.port), or_none(reckoned.port));
    differ("path", signed.path.to_owned(), reckoned.path.to_owned());
    if signed.user != reckoned.user {
        differences.push("user and password are in it or not".to_owned());
    }
    let same_query = signed.query == reckoned.query;
    if !same_query {
        differences.push(match (signed.query, reckoned.query) {
            (None, Some(_)) => "it has no query".to_owned(),
            (Some(_), None) => "it has a query".to_owned(),
            _ => "its query is written otherwise".to_owned(),
        });
    }
    let says = format!("It holds for another URL: {}; {}.", without_credentials(url), differences.join(", "));
    let whole = differences.len() > usize::from(!same_query);
    let next = match (whole, same_query) {
        (false, _) => {
            "something on the way drops or rewrites the query: have it pass the query on as it is, and compare \
                       with the URL that was entered at the provider"
                .to_owned()
        }
        (true, _) if signed.path == context.path && signed.user.is_none() => {
            let port = signed.port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("set `public_url = \"{}://{}{port}\"` under [gateway]", signed.scheme, out::shown(signed.host))
        }
        (true, _) if signed.user.is_some() => {
            format!("set `public_url` of {} to that URL, with the user and password", context.source)
        }
        (true, _) => {
            format!("set `public_url = \"{}\"` of {}", out::shown(without_query(url)), context.source)
        }
    };
    Finding::new("url", says, next)
}
