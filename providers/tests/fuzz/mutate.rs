//! Changes to a request as accidents and attackers make them.

use crate::choices::Choices;
use crate::support::Owned;

/// Bytes that a change may make of a body at most.
const LONGEST: usize = 256 * 1024;
/// Changes to one request.
const CHANGES: u8 = 12;

/// What means something to one of our readers.
const PIECES: [&[u8]; 64] = [
    b"\0",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"=",
    b"&",
    b"%",
    b"%00",
    b"%ff",
    b"%zz",
    b"+",
    b";",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[",
    b"]]]]]]]]",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"0.1e-99999",
    b"\"$serde_json::private::Number\":\"1\",",
    b"--",
    b"--b",
    b"--b--",
    b"=?utf-8?q?=00=FF?=",
    b"=?utf-8?b?/w==?=",
    b"=?iso-2022-jp?B?GyRC?=",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Transfer-Encoding: base64\r\n\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''%00; filename*1=x\r\n",
    b"Subject: \xe9\r\n",
    b"Message-ID: <>\r\n",
    b"References: <a@b> <c@d>\r\n",
    b"From: \"",
    b"<a@b>",
    b"begin 644 x\r\n",
    b"+OGM-",
    b"\x1b$B",
    b"\xfe\xff",
    b"\xff\xfe",
    b"\xe2\x80\xae",
    b"99999999999",
    b"</",
    b"<!--",
];

const CONTENT_TYPES: [&str; 16] = [
    "application/json",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; charset=iso-2022-jp",
    "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=\"",
    "multipart/form-data",
    "multipart/mixed; boundary=b",
    "text/plain; charset=shift_jis",
    "text/plain",
    "message/rfc822",
    "application/octet-stream",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    ";;=\"",
];

const HEADERS: [(&str, &str); 10] = [
    ("content-encoding", "gzip"),
    ("content-encoding", "br"),
    ("ce-specversion", "1.0"),
    ("ce-id", "%00"),
    ("ce-time", "9999-99-99T99:99:99Z"),
    ("authorization", "Basic eDp5"),
    ("webhook-id", "msg\u{e9}"),
    ("webhook-timestamp", "99999999999999999999"),
    ("x-github-event", "ping"),
    ("x-amz-sns-message-type", "Notification"),
];

/// Changes a request in up to [`CHANGES`] places.
pub(crate) fn request(request: &mut Owned, others: &[Owned], choices: &mut Choices<'_>) {
    for _ in 0..=choices.byte() % CHANGES {
        match choices.byte() % 16 {
            0 => header(request, "content-type", choices.pick(&CONTENT_TYPES)),
            1 => {
                let (name, value) = HEADERS[choices.below(HEADERS.len())];
                header(request, name, value);
            }
            2 => {
                let place = choices.below(request.headers.len());
                if let Some((_, value)) = request.headers.get_mut(place) {
                    *value = body(value, &[], choices);
                }
            }
            3 => {
                let other = &others[choices.below(others.len())];
                request.url.clone_from(&other.url);
            }
            _ => request.body = body(&request.body, &other_bodies(others, choices), choices).into(),
        }
    }
}

fn header(request: &mut Owned, name: &str, value: &str) {
    request.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    request.headers.push((name.to_owned(), value.as_bytes().to_vec()));
}

fn other_bodies<'a>(others: &'a [Owned], choices: &mut Choices<'_>) -> [&'a [u8]; 1] {
    [others.get(choices.below(others.len())).map_or(&[], |other| &other.body)]
}

/// Changes bytes in one place.
pub(crate) fn body(bytes: &[u8], others: &[&[u8]], choices: &mut Choices<'_>) -> Vec<u8> {
    let at = choices.below(bytes.len() + 1);
    let (before, after) = bytes.split_at(at);
    let most = match choices.byte() % 4 {
        0 => after.len() + 1,
        1 => 64,
        _ => 4,
    };
    let length = choices.below(most).min(after.len());
    let (taken, rest) = after.split_at(length);
    let mut changed = match choices.byte() % 12 {
        0 => [before, rest].concat(),
        1 => before.to_vec(),
        2 => [before, taken, taken, rest].concat(),
        3 => [before, &taken.repeat(1 + choices.below(2_000)), rest].concat(),
        4 => [before, &choices.bytes(), rest].concat(),
        5 => [before, &choices.bytes(), after].concat(),
        6 => [before, choices.pick(&PIECES), rest].concat(),
        7 => [before, &choices.pick(&PIECES).repeat(1 + choices.below(4_000)), after].concat(),
        8 => [rest, taken, before].concat(),
        9 => {
            let other = others.first().copied().unwrap_or_default();
            let from = choices.below(other.len() + 1);
            [before, &other[from..], after].concat()
        }
        _ => {
            let mut flipped = bytes.to_vec();
            if let Some(byte) = flipped.get_mut(at) {
                *byte ^= 1 << (choices.byte() % 8);
            }
            flipped
        }
    };
    changed.truncate(LONGEST.max(bytes.len()));
    changed
}
