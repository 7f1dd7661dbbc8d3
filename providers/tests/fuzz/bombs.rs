//! Small requests that are meant to become large, deep or many: each ends in a refusal, a bad element, or a record that
//! says what was left out, and [`invariants`] holds what it may cost.

use std::io::Write as _;

use proto::{Channel, Verified};
use providers::{Adapter, BadReason, BadRequest, Element, SourceSettings, registry};

use crate::invariants;
use crate::support::{MAX_BODY, Owned};

/// How a request ended.
#[derive(Debug, PartialEq)]
enum End {
    Refused(BadRequest),
    Bad(BadReason),
    /// A record that says so.
    Noted,
    /// A record that has it all.
    Whole,
}

/// Sends a request to an adapter and holds what it may cost.
fn end(adapter: &dyn Adapter, request: &Owned) -> End {
    invariants::hold(adapter, request);
    if let Err(refused) = adapter.check(&request.as_request(), request.body.len() as u64) {
        return End::Refused(refused);
    }
    match &elements(adapter, request)[0] {
        Err(bad) => End::Bad(bad.reason),
        Ok(record) if record.message.truncations.is_empty() => End::Whole,
        Ok(_) => End::Noted,
    }
}

fn elements(adapter: &dyn Adapter, request: &Owned) -> Vec<Element> {
    let settings = SourceSettings { max_body: MAX_BODY, ..SourceSettings::default() };
    adapter.normalize(&request.as_raw(adapter, Verified::None), &settings).elements
}

fn find(channel: Channel, provider: &str) -> &'static dyn Adapter {
    providers::find(channel, provider).unwrap_or_else(|| panic!("no adapter {channel}/{provider}"))
}

/// Every adapter that takes this media type.
fn takers(request: &Owned) -> impl Iterator<Item = &'static dyn Adapter> {
    let content_type = request.as_request().content_type().map(str::to_owned);
    registry::ALL.iter().copied().filter(move |adapter| adapter.contract().accepts(content_type.as_deref()))
}

fn packed(bytes: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..times {
        encoder.write_all(bytes).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn json_that_is_nested_a_million_times_is_kept_as_text_or_refused() {
    let nested = |open: &str, close: &str, levels: usize| {
        let deep = format!("{{\"message\":\"m\",\"deep\":{}1{}}}", open.repeat(levels), close.repeat(levels));
        (Owned::post("application/json", deep), Owned::post("application/json", open.repeat(levels)))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        // A million for one of them, and for the others as much as shows whether they recurse.
        let (deep, unclosed) = nested(open, close, 1_000_000);
        let adapter = find(Channel::Form, "generic");
        assert_eq!(elements(adapter, &deep)[0].as_ref().unwrap().message.truncations[0].reason, "depth");
        assert_eq!(adapter.check(&deep.as_request(), u64::MAX), Ok(()));
        assert_eq!(adapter.check(&unclosed.as_request(), u64::MAX), Err(BadRequest::NotJson));
        let (deep, unclosed) = nested(open, close, 20_000);
        for adapter in takers(&deep).filter(|adapter| matches!(adapter.channel(), Channel::Form | Channel::Webhook)) {
            assert!(end(adapter, &deep) != End::Whole, "{adapter:?} says nothing of it");
        }
        // What a topic says need not be JSON.
        for adapter in takers(&unclosed).filter(|adapter| adapter.name() != "ses") {
            let end = end(adapter, &unclosed);
            let refused = matches!(end, End::Refused(BadRequest::NotJson | BadRequest::NotAnEvent));
            assert!(refused || end == End::Bad(BadReason::NotJson), "{adapter:?}: {end:?}");
        }
    }
}

#[test]
fn what_is_packed_a_thousand_times_smaller_is_unpacked_no_further_than_is_taken() {
    let request = Owned::post("application/json", packed(&[b' '; 4096], 5 * 1024)).with("content-encoding", "gzip");
    let event = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/"), ("ce-type", "t")];
    let request = event.into_iter().fold(request, |request, (name, value)| request.with(name, value));
    for adapter in takers(&request) {
        assert_eq!(adapter.check(&request.as_request(), MAX_BODY), Err(BadRequest::TooLarge), "{adapter:?}");
    }
    // One for all: they unpack in one place.
    let adapter = find(Channel::Form, "generic");
    invariants::hold(adapter, &request);
    let Err(bad) = &elements(adapter, &request)[0] else { panic!("it unpacked 20 MiB") };
    assert_eq!(bad.reason, BadReason::TooLarge);
}

#[test]
fn a_form_of_a_hundred_thousand_parts_is_refused_whole() {
    let part = |number: usize| format!("--b\r\nContent-Disposition: form-data; name=\"f{number}\"\r\n\r\nx\r\n");
    let parts: String = (0..100_000).map(part).collect();
    let empty = "--b\r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n".repeat(100_000);
    for parts in [parts, empty] {
        let request = Owned::post("multipart/form-data; boundary=b", format!("{parts}--b--\r\n"));
        for adapter in takers(&request).filter(|adapter| adapter.channel() == Channel::Form) {
            assert_eq!(end(adapter, &request), End::Bad(BadReason::TooMany), "{adapter:?}");
        }
    }
    let fields = Owned::post("application/x-www-form-urlencoded", "a=1&".repeat(1_000_000));
    assert_eq!(end(find(Channel::Form, "generic"), &fields), End::Bad(BadReason::TooMany));
}

#[test]
fn a_part_s_header_of_ten_megabytes_is_refused_whole() {
    let name = "n".repeat(10 * 1024 * 1024);
    let body = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n--b--\r\n");
    let request = Owned::post("multipart/form-data; boundary=b", body);
    for adapter in takers(&request).filter(|adapter| adapter.channel() == Channel::Form) {
        assert_eq!(end(adapter, &request), End::Bad(BadReason::BadMultipart), "{adapter:?}");
    }
}

#[test]
fn a_zip_is_kept_as_it_came() {
    let zip = [b"PK\x03\x04".as_slice(), &packed(&[0; 1024], 64)].concat();
    let body = [
        b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.zip\"\r\nContent-Type: application/zip\r\n\r\n"
            .as_slice(),
        &zip,
        b"\r\n--b--\r\n",
    ];
    let request = Owned::post("multipart/form-data; boundary=b", body.concat());
    let adapter = find(Channel::Form, "generic");
    assert_eq!(end(adapter, &request), End::Whole);
    let file = elements(adapter, &request).remove(0).unwrap().message.attachments.remove(0);
    assert_eq!(file.size, Some(zip.len() as u64));
    assert_eq!(file.blake3, Some(blake3::hash(&zip).to_hex().to_string()));
}

#[test]
fn bytes_that_are_no_text_are_refused_or_noted_wherever_they_stand() {
    const BAD: &[u8] = b"\xff\xfe\xc3\x28\xed\xa0\x80";
    let around = |before: &str, after: &str| [before.as_bytes(), BAD, after.as_bytes()].concat();
    let json = [("{\"message\":\"", "\"}"), ("{\"", "\":1}"), ("{\"a\":[\"", "\"]}"), ("{\"a\":1}", "")];
    for (before, after) in json {
        let request = Owned::post("application/json", around(before, after));
        for adapter in takers(&request) {
            let end = end(adapter, &request);
            assert!(matches!(end, End::Refused(_) | End::Bad(BadReason::NotUtf8)), "{adapter:?}: {end:?}");
        }
    }
    let form = Owned::post("application/x-www-form-urlencoded; charset=utf-8", "message=%ff%c3%28&%ff=1");
    assert_eq!(end(find(Channel::Form, "generic"), &form), End::Noted);
    // Without a character set they are what old forms send without saying so.
    let parts = [
        ("name=\"a\"\r\n\r\n", "", End::Whole),
        ("name=\"a\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", "", End::Noted),
        ("name=\"", "\"\r\n\r\nx", End::Whole),
        ("name=\"f\"; filename=\"", "\"\r\n\r\nx", End::Whole),
        ("name=\"f\"; filename=\"x\"\r\nContent-Type: ", "\r\n\r\nx", End::Whole),
    ];
    for (before, after, expected) in parts {
        let before = format!("--b\r\nContent-Disposition: form-data; {before}");
        let request = Owned::post("multipart/form-data; boundary=b", around(&before, &format!("{after}\r\n--b--\r\n")));
        assert_eq!(end(find(Channel::Form, "generic"), &request), expected, "{before:?}");
    }
}
