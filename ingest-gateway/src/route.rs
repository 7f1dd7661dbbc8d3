//! Finds the source a request is for, from its method and target alone.
//!
//! Nothing is decoded: a source's name needs no escapes, so a path with one names no source. Whether a source exists
//! is no secret (404 or 405 tell it); whether a request is let in is decided by its signature.

use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method};
use proto::Channel;
use providers::{Handshake, Request};

use crate::answer::Refusal;
use crate::envelope;
use crate::sources::{Source, Table};

/// Longest request target, in bytes. Providers that put a message into the query stay far below.
pub const LONGEST_TARGET: usize = 8 * 1024;
/// Most bytes of names and values of request headers: all of them travel beside the body, in one message.
pub const MOST_HEADER_BYTES: usize = 16 * 1024;

/// Whether a proxy in front of us must read the request as we do: where it ends, and whom it is for.
///
/// What is left of a request that both have read in their own way is the next request to one of them, in somebody else's
/// name. So there is one transfer coding, said once, and one host. A length beside the chunks is not seen here: the server
/// has gone by the chunks, as RFC 9112 wants it (section 6.1), and closes the connection behind the answer.
pub fn unambiguous(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    let one_host = headers.get_all(HOST).iter().count() <= 1;
    if chunked && codings.next().is_none() && one_host { Ok(()) } else { Err(Refusal::Ambiguous) }
}

/// What a path names, if it has the form of one of ours: `/v1/{channel}/{source}`.
pub fn parse(path: &str) -> Option<(Channel, &str)> {
    let (channel, source) = path.strip_prefix("/v1/")?.split_once('/')?;
    Some((channel.parse().ok()?, source))
}

/// The source at this path.
pub fn source<'a>(table: &'a Table, path: &str) -> Option<&'a Source> {
    parse(path).and_then(|(channel, name)| table.find(channel, name))
}

/// What the source says to a request that delivers nothing and only asks. A POST always delivers.
pub fn handshake(source: &Source, head: &Parts) -> Option<Handshake> {
    if head.method == Method::POST {
        return None;
    }
    let (headers, query) = (envelope::pairs(head), head.uri.query());
    source.handshake(&Request { method: &head.method, url: "", query, headers: &headers, body: b"" })
}

/// Whether the source takes requests of this method, length and media type, to be stored.
pub fn admissible(
    source: &Source,
    method: &Method,
    target_bytes: usize,
    header_bytes: usize,
    content_type: Option<&str>,
) -> Result<(), Refusal> {
    let contract = source.adapter.contract();
    if !contract.methods.contains(method) {
        return Err(Refusal::Method(contract.methods));
    }
    if target_bytes > LONGEST_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if header_bytes > MOST_HEADER_BYTES {
        return Err(Refusal::HeadersTooLarge);
    }
    if !contract.accepts(content_type) {
        return Err(Refusal::MediaType);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::tests::{table, table_of};

    #[test]
    fn only_the_exact_path_of_a_configured_source_is_found() {
        let table = table();
        let found = |path| source(&table, path).map(|source| source.name.as_str());
        assert_eq!(found("/v1/form/contact"), Some("contact"));
        assert_eq!(found("/v1/sms/support"), Some("support"));
        for path in [
            "/",
            "",
            "*",
            "/v1",
            "/v1/form",
            "/v1/form/",
            "/v1/form/contact/",
            "/v1/form/contact/x",
            "/v1/form/Contact",
            "/v1/form/cont%61ct",
            "/v1/sms/contact",
            "/v1/FORM/contact",
            "/v2/form/contact",
            "//v1/form/contact",
            "/v1/form/nobody",
        ] {
            assert_eq!(found(path), None, "{path:?}");
        }
    }

    /// What means something in a subject of NATS, in the protocol that it is sent by, or in a path of a file.
    #[test]
    fn no_character_that_could_make_another_subject_is_part_of_a_source() {
        let table = table();
        for piece in
            [".", "*", ">", " ", "\t", "\r", "\n", "\r\n", "\0", "%2e", "%2E", "%00", "%0d%0a", "$", "..", "\u{e9}"]
        {
            for name in
                [format!("contact{piece}"), format!("{piece}contact"), format!("con{piece}tact"), piece.to_owned()]
            {
                assert!(source(&table, &format!("/v1/form/{name}")).is_none(), "{name:?}");
                assert!(source(&table, &format!("/v1/{name}/contact")).is_none(), "{name:?}");
            }
        }
    }

    #[test]
    fn a_head_that_a_proxy_could_read_otherwise_is_refused() {
        let refused = |lines: &[(&'static str, &'static str)]| {
            let header = |(name, value): &(&'static str, &'static str)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            };
            let mut headers = HeaderMap::new();
            for (name, value) in lines.iter().map(header) {
                headers.append(name, value);
            }
            matches!(unambiguous(&headers), Err(Refusal::Ambiguous))
        };
        let (coding, host) = ("transfer-encoding", "host");
        for lines in [&[][..], &[(host, "x")], &[(coding, "chunked"), (host, "x")], &[(coding, "Chunked")]] {
            assert!(!refused(lines), "{lines:?}");
        }
        for value in ["", "identity", "gzip, chunked", "chunked, chunked", "chunked,", ",chunked", "chunked;q=1"] {
            assert!(refused(&[(coding, value)]), "{value:?}");
        }
        assert!(refused(&[(coding, "chunked"), (coding, "chunked")]));
        assert!(refused(&[(host, "x"), (host, "x")]));
    }

    #[test]
    fn what_the_provider_never_sends_is_refused_before_anything_is_read() {
        let table = table();
        let form = source(&table, "/v1/form/contact").unwrap();
        let json = Some("application/json; charset=utf-8");
        let refused = |method: &Method, target, headers, media| admissible(form, method, target, headers, media).err();
        assert!(refused(&Method::POST, 20, 100, json).is_none());
        assert!(refused(&Method::POST, 20, 100, None).is_none());
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::CONNECT] {
            assert!(matches!(refused(&method, 20, 100, json), Some(Refusal::Method([Method::POST]))), "{method}");
        }
        assert!(matches!(refused(&Method::POST, LONGEST_TARGET + 1, 0, json), Some(Refusal::TargetTooLong)));
        assert!(matches!(refused(&Method::POST, 1, MOST_HEADER_BYTES + 1, json), Some(Refusal::HeadersTooLarge)));
        assert!(matches!(refused(&Method::POST, 1, 1, Some("image/png")), Some(Refusal::MediaType)));
    }

    #[test]
    fn only_who_asks_as_its_provider_does_is_answered_without_a_message() {
        let table = table_of(
            r#"
            [[sources]]
            name = "events"
            channel = "webhook"
            provider = "cloudevents"
            secrets = [{ value = "token" }]

            [[sources]]
            name = "other"
            channel = "webhook"
            provider = "bearer"
            secrets = [{ value = "token" }]
            "#,
        );
        let ask = |path: &str, method: &Method, origin: Option<&str>| {
            let mut request = http::Request::builder().method(method).uri(path);
            if let Some(origin) = origin {
                request = request.header("WebHook-Request-Origin", origin).header("WebHook-Request-Rate", "120");
            }
            let head = request.body(()).unwrap().into_parts().0;
            handshake(source(&table, path).unwrap(), &head)
        };
        let origin = Some("sender.example.com");
        let Some(Handshake::Accepted { headers, body }) = ask("/v1/webhook/events", &Method::OPTIONS, origin) else {
            panic!("no consent");
        };
        assert_eq!(headers[0], ("webhook-allowed-origin".to_owned(), b"sender.example.com".to_vec()));
        assert_eq!(headers[1], ("webhook-allowed-rate".to_owned(), b"120".to_vec()));
        assert_eq!(body, "");
        for (path, method, origin) in [
            ("/v1/webhook/events", Method::OPTIONS, None),
            ("/v1/webhook/events", Method::POST, origin),
            ("/v1/webhook/events", Method::GET, origin),
            ("/v1/webhook/other", Method::OPTIONS, origin),
            ("/v1/webhook/other", Method::GET, origin),
        ] {
            assert_eq!(ask(path, &method, origin), None, "{method} {path}");
        }
    }
}
