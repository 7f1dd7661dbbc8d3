//! What must be true of every request that anybody can make, whatever becomes of it.
//!
//! Memory and work are counted, not timed: how much was allocated at once and in all, against the size of the request.

use std::collections::HashSet;

use allocation_counter::{AllocationInfo, measure};
use proto::{CanonicalMessage, HashKey, Policy, Verified};
use providers::{Adapter, Element, Normalized, RawRequest, Scheme, SourceSettings, Windows, dedup};

use crate::support::{MAX_BODY, Owned, now};

/// Bytes held at once for each byte of a request.
const HELD: u64 = 40;
/// Bytes held at once for each JSON object beside: a map of one entry has room for eleven. How many are read is bounded.
const OBJECT: u64 = 1_000;
/// Likewise for each JSON array: one of one value has room for four.
const ARRAY: u64 = 200;
/// Bytes allocated in all for each byte of a request: what is read again and again for each of its parts goes beyond.
const WORK: u64 = 1_000;
/// Bytes that a request of no size may take: buffers, tables, and the 10,000 fields that a form may have in 20 KB.
const ALWAYS: u64 = 3 * 1024 * 1024;
/// Bytes that are read at most of what is packed.
const UNPACKED: u64 = 16 * 1024 * 1024;

const WINDOWS: Windows = Windows { id_ms: 2, content_ms: 1 };

/// Secrets, of which each adapter takes at least one.
const SECRETS: [&str; 5] = [
    "secret",
    "user:password",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    include_str!("../corpus/p256.pem"),
    include_str!("../corpus/sns.pem"),
];
/// The topic of the samples, for whoever needs one.
const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:inbound-mail";

/// A request, through everything that an adapter does with one.
pub(crate) fn hold(adapter: &dyn Adapter, request: &Owned) {
    authenticated(adapter, request);
    checked(adapter, request);
    normalized(adapter, request);
}

fn authenticated(adapter: &dyn Adapter, request: &Owned) {
    let plain = Scheme { topics: vec![TOPIC.to_owned()], ..Scheme::default() };
    let schemes = [plain.clone(), Scheme { header: Some("x-signature".to_owned()), ..plain }];
    // All that fit, so that each kind of key is tried.
    let fitting = |scheme: &Scheme| -> Vec<&str> {
        SECRETS.into_iter().filter(|secret| adapter.keyring(&[secret], scheme).is_ok()).collect()
    };
    let source = schemes.iter().map(|scheme| (scheme, fitting(scheme))).find(|(_, secrets)| !secrets.is_empty());
    let (scheme, secrets) = source.unwrap_or_else(|| panic!("no secret fits {adapter:?}"));
    let keyring = adapter.keyring(&secrets, scheme).unwrap_or_else(|error| panic!("{adapter:?}: {error}"));
    let moment = now(&serde_json::json!({ "now": 1_785_564_409 }));
    let judge = || adapter.authenticate(&request.as_request(), &keyring, scheme, moment);
    let mut verdict = None;
    let info = measure(|| verdict = Some(judge()));
    bounded("authenticate", adapter, &info, request, 0);
    assert_eq!(verdict, Some(judge()), "{adapter:?} judges one request in two ways");
}

fn checked(adapter: &dyn Adapter, request: &Owned) {
    let check = || adapter.check(&request.as_request(), MAX_BODY);
    let mut result = None;
    let info = measure(|| result = Some(check()));
    bounded("check", adapter, &info, request, 0);
    assert_eq!(result, Some(check()), "{adapter:?} checks one request in two ways");
}

fn normalized(adapter: &dyn Adapter, request: &Owned) {
    for verified in [Verified::Yes, Verified::No] {
        let raw = request.as_raw(adapter, verified);
        let mut outcome = None;
        let info = measure(|| outcome = Some(read(adapter, &raw)));
        bounded("normalize", adapter, &info, request, unpacked(request));
        let Some((normalized, bytes)) = outcome else { panic!("nothing was read") };
        consistent(adapter, &normalized);
        assert_eq!(read(adapter, &raw).1, bytes, "{adapter:?} reads one request in two ways");
    }
}

/// The elements, and all that is made of them as bytes.
fn read(adapter: &dyn Adapter, raw: &RawRequest) -> (Normalized, Vec<Vec<u8>>) {
    let normalized = adapter.normalize(raw, &SourceSettings { max_body: MAX_BODY, ..SourceSettings::default() });
    let bytes = normalized.elements.iter().map(in_bytes).collect();
    (normalized, bytes)
}

fn in_bytes(element: &Element) -> Vec<u8> {
    let record = match element {
        Ok(record) => record,
        Err(bad) => return bad.to_string().into_bytes(),
    };
    let mut bytes = serde_json::to_vec(&record.message).unwrap();
    for policy in [Policy::Auto, Policy::Content, Policy::Off] {
        let (key, rule) = dedup::key(record, policy, WINDOWS, &HashKey::derive(b"secret"));
        bytes.extend_from_slice(format!("{key:?} {rule:?}").as_bytes());
    }
    bytes
}

fn consistent(adapter: &dyn Adapter, normalized: &Normalized) {
    assert!(!normalized.elements.is_empty(), "{adapter:?} lost a request");
    assert_eq!(normalized.elements.len(), normalized.parts as usize, "{adapter:?}");
    let mut ids = HashSet::new();
    for (place, element) in (0..).zip(&normalized.elements) {
        match element {
            Err(bad) => assert_eq!(bad.part, place, "{adapter:?}"),
            Ok(record) => {
                let message = &record.message;
                assert_eq!((message.part, message.parts), (place, normalized.parts), "{adapter:?}");
                assert!(ids.insert(message.id), "{adapter:?} made two records with one id");
                storable(adapter, message);
            }
        }
    }
}

/// What is written is read back as it was, and the database takes it.
fn storable(adapter: &dyn Adapter, message: &CanonicalMessage) {
    let bytes = serde_json::to_vec(message).unwrap();
    let back: CanonicalMessage = serde_json::from_slice(&bytes)
        .unwrap_or_else(|error| panic!("{adapter:?} made a record that cannot be read back: {error}"));
    assert!(serde_json::to_vec(&back).unwrap() == bytes, "{adapter:?} made a record that changes when it is read");
    assert!(!has_nul(&bytes), "{adapter:?} left U+0000 in a record");
    assert!(message.metadata.get().starts_with('{'), "{adapter:?}");
}

/// Whether a text in this JSON has U+0000 in it. Not asked of a [`serde_json::Value`], which takes some objects for
/// numbers.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = &rest[at + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = &escape[1..];
    }
    json.contains(&0)
}

fn bounded(what: &str, adapter: &dyn Adapter, info: &AllocationInfo, request: &Owned, unpacked: u64) {
    let size = size(request).saturating_add(unpacked);
    let held = HELD * size + nested(&request.body) + ALWAYS;
    assert!(info.bytes_max <= held, "{what} of {adapter:?} held {} bytes for a request of {size}", info.bytes_max);
    let work = WORK * size + ALWAYS;
    assert!(info.bytes_total <= work, "{what} of {adapter:?} took {} bytes in all for {size}", info.bytes_total);
}

fn size(request: &Owned) -> u64 {
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (request.url.len() + headers + request.body.len()) as u64
}

/// Bytes for the JSON objects and arrays that a body may hold, also within a form.
fn nested(body: &[u8]) -> u64 {
    let count = |written: [&str; 3]| -> usize {
        written.iter().map(|bracket| memchr::memmem::find_iter(body, bracket).count()).sum()
    };
    OBJECT * count(["{", "%7b", "%7B"]) as u64 + ARRAY * count(["[", "%5b", "%5B"]) as u64
}

/// Bytes that the body has once it is unpacked, where it is packed.
fn unpacked(request: &Owned) -> u64 {
    use std::io::Read as _;
    if request.as_request().header("content-encoding").is_none() {
        return 0;
    }
    let mut bytes = flate2::read::MultiGzDecoder::new(&*request.body).take(UNPACKED + 1);
    let mut buffer = [0; 4096];
    let mut length = 0;
    while let Ok(read @ 1..) = bytes.read(&mut buffer) {
        length += read as u64;
    }
    length
}
