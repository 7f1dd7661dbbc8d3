//! The names of the NATS headers, and the one function that makes their values.
//!
//! A client's HTTP header never becomes a NATS header of its own name: `Nats-Rollup` or `Nats-Expected-*` from outside
//! would reach the broker as an order. All of them travel inside `Penstock-Headers`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The request's id; on a record, the request it came from.
pub const ID: &str = "Penstock-Id";
/// When the gateway had the request, RFC 3339 in milliseconds.
pub const RECEIVED_AT: &str = "Penstock-Received-At";
/// The HTTP method.
pub const METHOD: &str = "Penstock-Method";
/// The request target's query, verbatim, credentials replaced; absent where there is none.
pub const QUERY: &str = "Penstock-Query";
/// The provider whose adapter the request was verified with.
pub const PROVIDER: &str = "Penstock-Provider";
/// `yes`, `no` or `none`.
pub const VERIFIED: &str = "Penstock-Verified";
/// All request headers: base64 of JSON pairs, order kept, credentials replaced by a keyed fingerprint.
pub const HEADERS: &str = "Penstock-Headers";
/// Where the payload is, if not in the message: see [`crate::BodyRef`].
pub const BODY: &str = "Penstock-Body";
/// The channel.
pub const CHANNEL: &str = "Penstock-Channel";
/// The configured source.
pub const SOURCE: &str = "Penstock-Source";
/// A record's place in its request.
pub const PART: &str = "Penstock-Part";
/// A record's id.
pub const RECORD: &str = "Penstock-Record";
/// A record's deduplication key.
pub const KEY: &str = "Penstock-Key";
/// How the key was made and how long it holds: `<policy>;<window in ms>`.
pub const DEDUP: &str = "Penstock-Dedup";
/// The run of a replay.
pub const REPLAY: &str = "Penstock-Replay";
/// A replayed request's sequence in `RAW`.
pub const RAW_SEQUENCE: &str = "Penstock-Raw-Sequence";
/// The stage that gave up on a message.
pub const STAGE: &str = "Penstock-Stage";
/// Why it gave up: a word from a closed set.
pub const REASON: &str = "Penstock-Reason";
/// Why it gave up, in a sentence, without content.
pub const DETAIL: &str = "Penstock-Detail";
/// The W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// Values up to this many bytes travel as they are.
const PLAIN: usize = 1024;

/// Marks a value that [`decode`] must undo.
const ENCODED: &str = "base64:";

/// Makes a header value of any text: one line of visible ASCII up to 1 KiB as it is, everything else in base64.
pub fn encode(text: &str) -> Cow<'_, str> {
    let plain = text.len() <= PLAIN
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.trim() == text
        && !text.starts_with(ENCODED);
    if plain { Cow::Borrowed(text) } else { Cow::Owned(format!("{ENCODED}{}", STANDARD.encode(text))) }
}

/// Undoes [`encode`]; `None` where the value was not made by it.
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix(ENCODED) {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
    }
}

/// A request header as it came in: a value need not be UTF-8.
pub type Pair = (String, Vec<u8>);

/// Writes request headers for [`HEADERS`]: base64 of a JSON array of `[name, value]`; a value that is not UTF-8 is
/// `[name, base64, "base64"]`.
pub fn encode_pairs(pairs: &[Pair]) -> String {
    let json: Vec<Vec<Cow<'_, str>>> = pairs
        .iter()
        .map(|(name, value)| match std::str::from_utf8(value) {
            Ok(text) => vec![name.into(), text.into()],
            Err(_) => vec![name.into(), STANDARD.encode(value).into(), "base64".into()],
        })
        .collect();
    STANDARD.encode(serde_json::to_vec(&json).unwrap_or_default())
}

/// Reads what [`encode_pairs`] wrote; `None` where it did not.
pub fn decode_pairs(value: &str) -> Option<Vec<Pair>> {
    let json: Vec<Vec<String>> = serde_json::from_slice(&STANDARD.decode(value).ok()?).ok()?;
    json.into_iter()
        .map(|pair| match <[String; 3]>::try_from(pair) {
            Ok([name, value, encoding]) if encoding == "base64" => Some((name, STANDARD.decode(value).ok()?)),
            Ok(_) => None,
            Err(pair) => {
                let [name, value] = <[String; 2]>::try_from(pair).ok()?;
                Some((name, value.into_bytes()))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_reads_back_as_it_was_written() {
        let long = "x".repeat(PLAIN + 1);
        for text in ["", "plain", "a\r\nNats-Rollup: all", " padded ", "naïve", "base64:eA==", "\0", &long] {
            let value = encode(text);
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
            assert_eq!(decode(&value).unwrap(), text);
        }
    }

    #[test]
    fn request_headers_keep_order_repeats_and_bytes() {
        let pairs =
            vec![("B".to_owned(), b"2".to_vec()), ("A".to_owned(), b"1".to_vec()), ("A".to_owned(), vec![0xff, b'\n'])];
        assert_eq!(decode_pairs(&encode_pairs(&pairs)).unwrap(), pairs);
    }

    #[test]
    fn what_was_not_written_here_is_refused() {
        assert!(decode("base64:%%").is_none());
        assert!(decode_pairs("W1siYSJdXQ==").is_none());
    }
}
