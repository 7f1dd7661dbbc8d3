//! Makes what adapters look at and what travels beside the body out of a request's head.
//!
//! Header names are in lower case and one name's values stand together at its first place: that much hyper changes.
//! Everything else is as it came.

use http::request::Parts;
use http::{HeaderMap, header};
use proto::header::Pair;
use uuid::Uuid;

use crate::sources::{PublicUrls, Source};

/// The request headers. HTTP/2 sends the host outside of them; it is put first.
pub fn pairs(head: &Parts) -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(head.headers.len() + 1);
    if let Some(authority) = head.uri.authority().filter(|_| !head.headers.contains_key(header::HOST)) {
        pairs.push((header::HOST.as_str().to_owned(), authority.as_str().as_bytes().to_vec()));
    }
    let sent = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    pairs.extend(sent);
    pairs
}

/// Bytes of names and values.
pub fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The URL that the provider called, as it knows it: what some of them sign.
///
/// Scheme and host come from the configuration, path and query from the request, verbatim. Without a configured URL
/// the `Host` header is believed: it can make a signature fail, and never make one fit.
pub fn public_url(head: &Parts, source: &Source, urls: &PublicUrls) -> String {
    let query = head.uri.query();
    if let Some(whole) = &source.public_url {
        let whole = whole.as_str();
        let Some(query) = query else { return whole.to_owned() };
        let path = whole.split_once('?').map_or(whole, |(path, _)| path);
        return format!("{path}?{query}");
    }
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    if let Some(base) = &urls.base {
        return format!("{}{target}", base.as_str());
    }
    let host = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
    format!("http://{host}{target}")
}

/// The request's own trace context where it is well formed, a new one otherwise: its trace is the request's id, so that
/// one finds the other.
pub fn traceparent(headers: &HeaderMap, id: Uuid) -> String {
    let mut given = headers.get_all("traceparent").iter();
    match (given.next().and_then(|value| value.to_str().ok()), given.next()) {
        (Some(given), None) if is_traceparent(given) => given.to_owned(),
        _ => {
            let (_, random) = id.as_u64_pair();
            format!("00-{:032x}-{:016x}-01", id.as_u128(), random)
        }
    }
}

/// Version 00 of W3C Trace Context: `00-<32 hex>-<16 hex>-<2 hex>`, lower case, neither id all zeros.
fn is_traceparent(text: &str) -> bool {
    let fields: Vec<&str> = text.split('-').collect();
    let is_hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |field: &str, length| is_hex(field, length) && field.bytes().any(|byte| byte != b'0');
    matches!(*fields, ["00", trace, span, flags] if is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proto::Channel;
    use runtime::config::PublicUrl;

    use super::*;
    use crate::sources::tests::{table, table_of};

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn headers_keep_their_order_and_the_host_of_http_2_is_not_lost() {
        let parts = head("/x", &[("B", "2"), ("A", "1"), ("Host", "h"), ("B", "3")]);
        let names: Vec<String> = pairs(&parts).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "b", "a", "host"]);
        let parts = head("https://in.example.com/x", &[("A", "1")]);
        assert_eq!(pairs(&parts)[0], ("host".to_owned(), b"in.example.com".to_vec()));
    }

    #[test]
    fn the_public_url_is_the_configured_one_with_the_query_verbatim() {
        let urls = PublicUrls { base: PublicUrl::base("https://in.example.com") };
        let table = table_of(
            r#"
            [[sources]]
            name = "own"
            channel = "webhook"
            provider = "none"
            public_url = "https://u:p@own.example/hooks?tenant=1"
            "#,
        );
        let configured = table.find(Channel::Webhook, "own").unwrap();
        let plain = super::tests::table();
        let source = plain.find(Channel::Form, "contact").unwrap();
        let host = [("Host", "10.1.2.3:8080")];
        let url = |uri: &str, source: &Source, urls: &PublicUrls| public_url(&head(uri, &host), source, urls);

        assert_eq!(
            url("/v1/form/contact?a=%2B&b='", source, &urls),
            "https://in.example.com/v1/form/contact?a=%2B&b='"
        );
        assert_eq!(url("/v1/form/contact", source, &urls), "https://in.example.com/v1/form/contact");
        assert_eq!(url("/v1/webhook/own", configured, &urls), "https://u:p@own.example/hooks?tenant=1");
        assert_eq!(
            url("/v1/webhook/own?tenant=1&x=2", configured, &urls),
            "https://u:p@own.example/hooks?tenant=1&x=2"
        );
        let none = PublicUrls { base: None };
        assert_eq!(url("/v1/form/contact?q", source, &none), "http://10.1.2.3:8080/v1/form/contact?q");
        let http2 = head("https://h2.example/v1/form/contact", &[]);
        assert_eq!(public_url(&http2, source, &none), "http://h2.example/v1/form/contact");
    }

    #[test]
    fn a_trace_goes_on_only_if_it_is_well_formed() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let id: Uuid = "01a206e5-20a0-7000-8000-0000000000ff".parse().unwrap();
        let trace = |given: &[(&str, &str)]| traceparent(&head("/", given).headers, id);
        assert_eq!(trace(&[("traceparent", good)]), good);
        let new = "00-01a206e520a0700080000000000000ff-80000000000000ff-01";
        for bad in [
            "",
            "x",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(trace(&[("traceparent", bad)]), new, "{bad:?}");
        }
        assert_eq!(trace(&[]), new);
        assert_eq!(trace(&[("traceparent", good), ("traceparent", good)]), new);
    }
}
