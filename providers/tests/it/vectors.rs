//! Every signature vector: made or checked with the providers' own libraries, so where one fails we are wrong.

use std::collections::BTreeMap;

use crate::support::{MAX_BODY, Owned, Source, body, is_handshake, json, now, text};
use comfy_table::Table;
use http::Method;
use proto::Verified;
use providers::{Flaw, Handshake, Verdict};
use serde_json::Value;

/// Whether the vector is a request that has to be taken in.
fn delivers(vector: &Value) -> bool {
    text(vector, "/expect") == "ok" && text(vector, "/method") != "OPTIONS" && !is_handshake(vector)
}

#[test]
fn every_vector_is_judged_as_the_provider_does() {
    let vectors = json("vectors.json");
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<(String, String), [usize; 2]> = BTreeMap::new();
    for vector in vectors.as_array().unwrap() {
        let Some(source) = Source::of_vector(vector) else {
            assert_eq!(text(vector, "/expect"), "reject", "{}", text(vector, "/name"));
            continue;
        };
        let request = Owned::of(vector, body(vector));
        if request.method == Method::OPTIONS {
            // A question, which has an answer and no signature.
            continue;
        }
        let expected = text(vector, "/expect");
        let name = format!("{}/{}", text(vector, "/provider"), text(vector, "/name"));
        if is_handshake(vector) {
            wrong.extend(handshake(vector, &source, &request).map(|problem| format!("{name}: {problem}")));
            let key = (text(vector, "/provider").to_owned(), text(vector, "/scheme").to_owned());
            counts.entry(key).or_default()[usize::from(expected != "ok")] += 1;
            continue;
        }
        let verdict = source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(vector));
        // These vectors are about the form as well.
        let formed = text(vector, "/scheme") != "cloudevents_http"
            || source.adapter.check(&request.as_request(), MAX_BODY).is_ok();
        if (formed && verdict.verified() == Verified::Yes) == (expected == "ok") {
            let key = (text(vector, "/provider").to_owned(), text(vector, "/scheme").to_owned());
            counts.entry(key).or_default()[usize::from(expected != "ok")] += 1;
        } else {
            wrong.push(format!("{name}: {verdict:?}, expected {expected}: {}", text(vector, "/why")));
        }
    }
    let mut table = Table::new();
    table.set_header(["provider", "scheme", "valid", "invalid"]);
    for ((provider, scheme), [valid, invalid]) in counts {
        table.add_row([provider, scheme, valid.to_string(), invalid.to_string()]);
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the answer to a handshake.
fn handshake(vector: &Value, source: &Source, request: &Owned) -> Option<String> {
    let answer = source.adapter.handshake(&request.as_request(), vector["keys"]["verify_token"].as_str());
    let status = vector["expect_response"]["status"].as_u64().unwrap();
    let as_expected = match &answer {
        Some(Handshake::Accepted { body, .. }) => status == 200 && vector["expect_response"]["body"] == **body,
        Some(Handshake::Refused(_)) => status == 403,
        Some(Handshake::Bad(bad)) => status == u64::from(bad.status().as_u16()),
        None => false,
    };
    (!as_expected).then(|| format!("{answer:?}, expected {}", vector["expect_response"]))
}

#[test]
fn who_asks_before_delivering_hears_what_the_vector_says() {
    let vectors = json("vectors.json");
    let asking = |vector: &&Value| text(vector, "/method") == "OPTIONS";
    let mut asked = 0;
    for vector in vectors.as_array().unwrap().iter().filter(asking) {
        let source = Source::of_vector(vector).unwrap();
        let request = Owned::of(vector, body(vector));
        assert!(!source.adapter.contract().methods.contains(&request.method), "405 where it is no question");
        let answer = source.adapter.handshake(&request.as_request(), None);
        assert_eq!(answer.is_some(), text(vector, "/expect") == "ok", "{}", text(vector, "/name"));
        let expected = vector["expect_response"]["headers"].as_object().into_iter().flatten();
        let mut expected: Vec<_> =
            expected.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap())).collect();
        let answer = match answer {
            Some(Handshake::Accepted { headers, body }) if body.is_empty() => headers,
            None => Vec::new(),
            other => panic!("{other:?}"),
        };
        let mut given: Vec<_> =
            answer.iter().map(|(name, value)| (name.clone(), std::str::from_utf8(value).unwrap())).collect();
        given.sort_unstable();
        expected.sort_unstable();
        assert_eq!(given, expected, "{}", text(vector, "/name"));
        asked += 1;
    }
    assert_eq!(asked, 2);
}

#[test]
fn what_verifies_is_not_refused_for_its_form() {
    for vector in json("vectors.json").as_array().unwrap().iter().filter(|vector| delivers(vector)) {
        let source = Source::of_vector(vector).unwrap();
        let request = Owned::of(vector, body(vector));
        let contract = source.adapter.contract();
        // MessageBird's library is tested with methods that MessageBird does not use.
        if matches!(request.method, Method::PUT | Method::PATCH | Method::DELETE) {
            continue;
        }
        assert!(contract.methods.contains(&request.method), "{}", text(vector, "/name"));
        assert!(contract.accepts(request.as_request().content_type()), "{}", text(vector, "/name"));
        if !is_handshake(vector) {
            assert_eq!(source.adapter.check(&request.as_request(), MAX_BODY), Ok(()), "{}", text(vector, "/name"));
        }
    }
}

#[test]
fn a_verdict_says_what_is_wrong() {
    let vectors = json("vectors.json");
    let verdict = |provider: &str, name: &str| {
        let all = vectors.as_array().unwrap().iter();
        let vector = all.clone().find(|vector| text(vector, "/provider") == provider && text(vector, "/name") == name);
        let vector = vector.unwrap_or_else(|| panic!("no vector {provider}/{name}"));
        let source = Source::of_vector(vector).unwrap();
        let request = Owned::of(vector, body(vector));
        source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(vector))
    };
    assert_eq!(verdict("twilio", "missing_header"), Verdict::Wrong(Flaw::Missing));
    assert_eq!(verdict("twilio", "json_without_bodysha256"), Verdict::Wrong(Flaw::Unbound));
    assert_eq!(verdict("twilio", "sharedkey_unknown_algorithm"), Verdict::Wrong(Flaw::Algorithm));
    assert_eq!(verdict("twilio", "rotated_old_token_accepted"), Verdict::Fits { secret: 1 });
    assert_eq!(verdict("vonage", "missing_sig"), Verdict::Wrong(Flaw::Missing));
    assert_eq!(verdict("vonage", "stale_timestamp"), Verdict::Wrong(Flaw::Stale));
    assert_eq!(verdict("vonage", "alg_none"), Verdict::Wrong(Flaw::Algorithm));
    assert_eq!(verdict("vonage", "no_payload_hash"), Verdict::Wrong(Flaw::Unbound));
    assert_eq!(verdict("vonage", "expired_exp"), Verdict::Wrong(Flaw::Stale));
    assert_eq!(verdict("messagebird", "bird_stale"), Verdict::Wrong(Flaw::Stale));
    assert_eq!(verdict("messagebird", "no_url_hash"), Verdict::Wrong(Flaw::Unbound));
    assert_eq!(verdict("messagebird", "future_nbf"), Verdict::Wrong(Flaw::Early));
    assert_eq!(verdict("messagebird", "rotated_old_key_accepted"), Verdict::Fits { secret: 1 });
    assert_eq!(verdict("plivo", "v3_missing_nonce"), Verdict::Wrong(Flaw::Missing));
    assert_eq!(verdict("plivo", "v3_wrong_nonce"), Verdict::Wrong(Flaw::Mismatch));
    assert_eq!(verdict("plivo", "v3_rotated_old_token_accepted"), Verdict::Fits { secret: 1 });
    assert_eq!(verdict("ses_sns", "missing_signature"), Verdict::Wrong(Flaw::Missing));
    assert_eq!(verdict("ses_sns", "topic_not_allowed"), Verdict::Wrong(Flaw::Topic));
    assert_eq!(verdict("ses_sns", "cert_s3_host"), Verdict::Wrong(Flaw::Certificate));
    assert_eq!(verdict("ses_sns", "stale_timestamp"), Verdict::Wrong(Flaw::Stale));
    assert_eq!(verdict("ses_sns", "unknown_version"), Verdict::Wrong(Flaw::Algorithm));
    assert_eq!(verdict("standard_webhooks", "future_301s"), Verdict::Wrong(Flaw::Early));
    assert_eq!(verdict("standard_webhooks", "no_version_prefix"), Verdict::Wrong(Flaw::Malformed));
    assert_eq!(verdict("standard_webhooks", "tampered"), Verdict::Wrong(Flaw::Mismatch));
    assert_eq!(verdict("generic", "ts_stale_301"), Verdict::Wrong(Flaw::Stale));
    assert_eq!(verdict("generic", "empty_header"), Verdict::Wrong(Flaw::Missing));
}

#[test]
fn a_signature_that_is_there_twice_is_refused() {
    for vector in json("vectors.json").as_array().unwrap().iter().filter(|vector| delivers(vector)) {
        let source = Source::of_vector(vector).unwrap();
        let mut request = Owned::of(vector, body(vector));
        let signature = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.ends_with("-signature")
                || name.ends_with("-signature-256")
                || name.ends_with("-signature-jwt")
                || (name.starts_with("x-plivo-signature") && !name.ends_with("-nonce"))
                || name == "authorization"
                || name == "x-api-key"
        };
        // One that is a parameter is repeated in the query, or in the scheme's own tests.
        if let Some(repeated) = request.headers.iter().find(|(name, _)| signature(name)).cloned() {
            request.headers.push(repeated);
        } else if vector["keys"]["tokens"].is_array() {
            request.url = format!("{}&{}", request.url, request.query().unwrap());
        } else {
            continue;
        }
        let verdict = source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(vector));
        assert_eq!(verdict, Verdict::Wrong(Flaw::Repeated), "{}", text(vector, "/name"));
    }
}
