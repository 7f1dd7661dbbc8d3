//! Every signature vector: made or checked with the providers' own libraries, so where one fails we are wrong.

use std::collections::BTreeMap;

use crate::support::{MAX_BODY, Owned, Source, body, json, now, text};
use comfy_table::Table;
use proto::Verified;
use providers::{Flaw, Verdict};

#[test]
fn every_vector_is_judged_as_the_provider_does() {
    let vectors = json("vectors.json");
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<(String, String), [usize; 2]> = BTreeMap::new();
    for vector in vectors.as_array().unwrap() {
        let source = Source::of_vector(vector);
        let request = Owned::of(vector, body(vector));
        let verdict = source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(vector));
        let expected = text(vector, "/expect");
        let name = format!("{}/{}", text(vector, "/provider"), text(vector, "/name"));
        if (verdict.verified() == Verified::Yes) == (expected == "ok") {
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

#[test]
fn what_verifies_is_not_refused_for_its_form() {
    for vector in json("vectors.json").as_array().unwrap().iter().filter(|vector| text(vector, "/expect") == "ok") {
        let source = Source::of_vector(vector);
        let request = Owned::of(vector, body(vector));
        let contract = source.adapter.contract();
        assert!(contract.methods.contains(&request.method), "{}", text(vector, "/name"));
        assert!(contract.accepts(request.as_request().content_type()), "{}", text(vector, "/name"));
        assert_eq!(source.adapter.check(&request.as_request(), MAX_BODY), Ok(()), "{}", text(vector, "/name"));
    }
}

#[test]
fn a_verdict_says_what_is_wrong() {
    let vectors = json("vectors.json");
    let verdict = |provider: &str, name: &str| {
        let all = vectors.as_array().unwrap().iter();
        let vector = all.clone().find(|vector| text(vector, "/provider") == provider && text(vector, "/name") == name);
        let vector = vector.unwrap_or_else(|| panic!("no vector {provider}/{name}"));
        let source = Source::of_vector(vector);
        let request = Owned::of(vector, body(vector));
        source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(vector))
    };
    assert_eq!(verdict("twilio", "missing_header"), Verdict::Wrong(Flaw::Missing));
    assert_eq!(verdict("twilio", "json_without_bodysha256"), Verdict::Wrong(Flaw::Unbound));
    assert_eq!(verdict("twilio", "sharedkey_unknown_algorithm"), Verdict::Wrong(Flaw::Algorithm));
    assert_eq!(verdict("twilio", "rotated_old_token_accepted"), Verdict::Fits { secret: 1 });
    assert_eq!(verdict("plivo", "v3_missing_nonce"), Verdict::Wrong(Flaw::Missing));
    assert_eq!(verdict("plivo", "v3_wrong_nonce"), Verdict::Wrong(Flaw::Mismatch));
    assert_eq!(verdict("plivo", "v3_rotated_old_token_accepted"), Verdict::Fits { secret: 1 });
    assert_eq!(verdict("standard_webhooks", "future_301s"), Verdict::Wrong(Flaw::Early));
    assert_eq!(verdict("standard_webhooks", "no_version_prefix"), Verdict::Wrong(Flaw::Malformed));
    assert_eq!(verdict("standard_webhooks", "tampered"), Verdict::Wrong(Flaw::Mismatch));
    assert_eq!(verdict("generic", "ts_stale_301"), Verdict::Wrong(Flaw::Stale));
    assert_eq!(verdict("generic", "empty_header"), Verdict::Wrong(Flaw::Missing));
}

#[test]
fn a_signature_that_is_there_twice_is_refused() {
    for vector in json("vectors.json").as_array().unwrap().iter().filter(|vector| text(vector, "/expect") == "ok") {
        let source = Source::of_vector(vector);
        let mut request = Owned::of(vector, body(vector));
        let signature = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.ends_with("-signature")
                || name.ends_with("-signature-256")
                || (name.starts_with("x-plivo-signature") && !name.ends_with("-nonce"))
                || name == "authorization"
                || name == "x-api-key"
        };
        let repeated = request.headers.iter().find(|(name, _)| signature(name)).unwrap().clone();
        request.headers.push(repeated);
        let verdict = source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(vector));
        assert_eq!(verdict, Verdict::Wrong(Flaw::Repeated), "{}", text(vector, "/name"));
    }
}
