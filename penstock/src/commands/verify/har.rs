//! A request out of a HAR file, which browsers, proxies and HTTP tools export. Pure.
//!
//! What a reader would get wrong: HAR keeps a body as text. What was not UTF-8 is lost unless the tool wrote base64, and
//! where only the decoded parameters are there, a body can be made of them that is not the one that was sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use proto::Millis;
use proto::header::Pair;
use serde::Deserialize;

use super::captured::{Captured, NoRequest};

/// Entries listed at most, where one has to be chosen.
const LISTED: usize = 20;

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: Option<String>,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Named>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct PostData {
    text: Option<String>,
    encoding: Option<String>,
    #[serde(default)]
    params: Vec<Named>,
}

/// Whether this can only be a HAR file.
pub(crate) fn is_har(bytes: &[u8]) -> bool {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start().starts_with(b"{")
}

/// Reads entry `number`, from 1; without one the only entry, or the only one for this path. With it, when it began.
pub(crate) fn read(bytes: &[u8], number: Option<usize>, path: &str) -> Result<(Captured, Option<Millis>), NoRequest> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let har: Har = serde_json::from_slice(bytes).map_err(|_| NoRequest::NotHar)?;
    let entries = har.log.entries;
    let entry = match number {
        Some(number) => {
            let at = number.checked_sub(1).and_then(|at| entries.get(at));
            at.ok_or(NoRequest::NoEntry(number, entries.len()))?
        }
        None => choose(&entries, path)?,
    };
    let began = entry.started_date_time.as_deref().and_then(|time| time.parse().ok());
    Ok((captured(&entry.request)?, began))
}

fn choose<'e>(entries: &'e [Entry], path: &str) -> Result<&'e Entry, NoRequest> {
    if let [only] = entries {
        return Ok(only);
    }
    let path_of = |entry: &Entry| entry.request.url.split(['?', '#']).next().is_some_and(|url| url.ends_with(path));
    let mut fitting = entries.iter().filter(|entry| path_of(entry));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        _ if entries.is_empty() => Err(NoRequest::Empty),
        _ => Err(NoRequest::ManyEntries(listed(entries))),
    }
}

/// Each with its number, and its URL without the query, which may hold secrets.
fn listed(entries: &[Entry]) -> String {
    let line = |(number, entry): (usize, &Entry)| {
        let url = super::super::check::without_credentials(&entry.request.url);
        format!("  {number:>3}  {} {url}", entry.request.method)
    };
    let mut lines: Vec<String> = (1..).zip(entries).take(LISTED).map(line).collect();
    if entries.len() > LISTED {
        lines.push(format!("  and {} more", entries.len() - LISTED));
    }
    lines.join("\n")
}

fn captured(request: &Request) -> Result<Captured, NoRequest> {
    let method: Method = request.method.parse().map_err(|_| NoRequest::RequestLine)?;
    let mut notes = Vec::new();
    let body = match &request.post_data {
        None => Vec::new(),
        Some(PostData { text: Some(text), encoding: Some(encoding), .. }) if encoding == "base64" => {
            STANDARD.decode(text).map_err(|_| NoRequest::NotBase64)?
        }
        Some(PostData { text: Some(text), .. }) => text.clone().into_bytes(),
        Some(PostData { params, .. }) => {
            notes.push(
                "the file has only the decoded parameters: the body is made of them, not the one sent".to_owned(),
            );
            let pairs = params.iter().map(|pair| (&pair.name, &pair.value));
            form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes()
        }
    };
    // Pseudo-headers of HTTP/2 are in the URL and the method already.
    let pairs = request.headers.iter().filter(|header| !header.name.starts_with(':'));
    let headers: Vec<Pair> = pairs.map(|header| (header.name.clone(), header.value.clone().into_bytes())).collect();
    Ok(Captured { method, target: request.url.clone(), headers, body, notes })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(url: &str, post_data: &Value) -> Value {
        let headers = json!([{ "name": ":authority", "value": "h" }, { "name": "X-A", "value": "b" }]);
        json!({ "startedDateTime": "2026-11-23T05:33:29.120+01:00",
                "request": { "method": "POST", "url": url, "headers": headers, "postData": post_data } })
    }

    fn har(entries: &[Value]) -> Vec<u8> {
        json!({ "log": { "version": "1.2", "entries": entries } }).to_string().into_bytes()
    }

    #[test]
    fn a_body_is_taken_as_text_as_base64_or_made_of_its_parameters() {
        let body = |data: &Value| {
            let (captured, at) = read(&har(&[entry("https://h/v1/sms/a?x=1", data)]), None, "/v1/sms/a").unwrap();
            assert_eq!(at.unwrap().to_string(), "2026-11-23T04:33:29.120Z");
            assert_eq!((captured.target.as_str(), captured.headers.len()), ("https://h/v1/sms/a?x=1", 1));
            (String::from_utf8(captured.body).unwrap(), captured.notes.len())
        };
        assert_eq!(body(&json!({ "text": "a=é" })), ("a=é".to_owned(), 0));
        assert_eq!(body(&json!({ "text": "YT0x", "encoding": "base64" })), ("a=1".to_owned(), 0));
        assert_eq!(body(&json!({ "params": [{ "name": "a", "value": "b c" }] })), ("a=b+c".to_owned(), 1));
        assert_eq!(body(&Value::Null), (String::new(), 0));
    }

    #[test]
    fn of_several_entries_the_one_for_the_source_is_taken_or_one_is_chosen() {
        let three = har(&["https://h/", "https://h/v1/sms/a?key=secret", "https://h/v1/sms/b?key=secret"]
            .map(|url| entry(url, &Value::Null)));
        let target = |number, path| read(&three, number, path).map(|(captured, _)| captured.target);
        assert_eq!(target(None, "/v1/sms/b").unwrap(), "https://h/v1/sms/b?key=secret");
        assert_eq!(target(Some(1), "/v1/sms/b").unwrap(), "https://h/");
        assert_eq!(target(Some(4), ""), Err(NoRequest::NoEntry(4, 3)));
        assert_eq!(target(Some(0), ""), Err(NoRequest::NoEntry(0, 3)));
        let Err(NoRequest::ManyEntries(list)) = target(None, "/none") else { panic!("one is to be chosen") };
        assert!(list.contains("2  POST https://h/v1/sms/a") && !list.contains("secret"), "{list}");
        assert_eq!(read(b"{}", None, "").unwrap_err(), NoRequest::NotHar);
    }
}
