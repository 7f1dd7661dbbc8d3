//! The targets: what is begun with, what is changed, and what is done with it.

use std::sync::LazyLock;

use bolero::check;
use proto::{Channel, Verified};
use providers::{Adapter, SourceSettings, registry};
use serde_json::Value;

use crate::choices::Choices;
use crate::support::{Owned, Source, body, is_handshake, json, now, text};
use crate::{corpus, invariants, mutate};

/// Bytes of choices for one input: a dozen changes need no more.
const CHOICES: usize = 256;

static REQUESTS: LazyLock<Vec<Owned>> = LazyLock::new(corpus::requests);
static MAILS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(corpus::mails);
static MAIL_ADAPTERS: LazyLock<Vec<&dyn Adapter>> = LazyLock::new(corpus::mail_adapters);
static SIGNED: LazyLock<Vec<Signed>> = LazyLock::new(signed);

#[test]
fn every_sample_goes_through_every_adapter() {
    for request in &*REQUESTS {
        for adapter in registry::ALL {
            invariants::hold(*adapter, request);
        }
    }
}

#[test]
fn a_changed_sample_breaks_no_adapter() {
    check!().with_iterations(6_000).with_max_len(CHOICES).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let mut request = REQUESTS[choices.below(REQUESTS.len())].clone();
        mutate::request(&mut request, &REQUESTS, &mut choices);
        let adapter = registry::ALL[choices.below(registry::ALL.len())];
        invariants::hold(adapter, &request);
    });
}

#[test]
fn any_bytes_break_no_adapter() {
    check!().with_iterations(3_000).with_max_len(4 * CHOICES).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let adapter = registry::ALL[choices.below(registry::ALL.len())];
        let mut request = Owned::post("", input.to_vec());
        mutate::request(&mut request, &REQUESTS, &mut choices);
        invariants::hold(adapter, &request);
    });
}

#[test]
fn every_stored_mail_can_be_read_by_every_way_it_comes() {
    for (_, mail) in &*MAILS {
        for request in corpus::carriers(mail) {
            for adapter in &*MAIL_ADAPTERS {
                invariants::hold(*adapter, &request);
            }
        }
    }
}

#[test]
fn a_changed_mail_breaks_no_adapter() {
    check!().with_iterations(3_000).with_max_len(CHOICES).for_each(|input: &[u8]| {
        if MAIL_ADAPTERS.is_empty() {
            return;
        }
        let mut choices = Choices::new(input);
        let (_, mail) = &MAILS[choices.below(MAILS.len())];
        let (_, other) = &MAILS[choices.below(MAILS.len())];
        let mut mail = mail.clone();
        for _ in 0..=choices.byte() % 8 {
            mail = mutate::body(&mail, &[other], &mut choices);
        }
        let carriers = corpus::carriers(&mail);
        let adapter = MAIL_ADAPTERS[choices.below(MAIL_ADAPTERS.len())];
        invariants::hold(adapter, &carriers[choices.below(carriers.len())]);
    });
}

#[test]
fn json_is_taken_for_json_and_nothing_else_is() {
    let strict = providers::find(Channel::Form, "generic").unwrap();
    let reader = providers::find(Channel::Webhook, "bearer").unwrap();
    for (name, bytes) in corpus::json_cases() {
        let request = Owned::post("application/json", bytes.clone());
        let refused = strict.check(&request.as_request(), u64::MAX).is_err();
        let raw = request.as_raw(reader, Verified::Yes);
        let unread = reader.normalize(&raw, &SourceSettings::default()).elements[0].is_err();
        match name.as_bytes()[0] {
            b'y' => assert!(!refused && !unread && corpus::is_json(&bytes), "{name} is JSON"),
            b'n' => assert!(refused && unread, "{name} is no JSON: refused {refused}, unread {unread}"),
            _ => assert!(refused || !unread, "{name} is let in and cannot be read"),
        }
    }
}

#[test]
fn every_case_of_json_and_every_naughty_text_goes_through_every_reader_of_json() {
    let cases = corpus::json_cases().into_iter().map(|(_, bytes)| bytes);
    let naughty = corpus::naughty().into_iter().map(String::into_bytes);
    for bytes in cases.chain(naughty) {
        for (adapter, request) in corpus::with_json(&bytes) {
            invariants::hold(adapter, &request);
        }
    }
}

/// A source, a request that verifies there, and the vector it is made of.
type Signed = (Source, Owned, Value);

/// Vectors of schemes that sign the body's very bytes; the others sign what it decodes to, or none of it.
fn signed() -> Vec<Signed> {
    const BYTES: [&str; 17] = [
        "whatsapp_cloud",
        "360dialog",
        "form_generic",
        "typeform",
        "tally",
        "standard_webhooks",
        "github",
        "sinch",
        "messagebird_jwt",
        "bird_hmac",
        "vonage_jwt",
        "generic_hmac",
        "generic_hmac_ts",
        "raw_mime",
        "sendgrid",
        "ecdsa",
        "meta",
    ];
    let vectors = json("vectors.json");
    let vectors = vectors.as_array().unwrap().iter().filter(|vector| {
        let named = |pointer| BYTES.contains(&text(vector, pointer));
        let post = text(vector, "/method") == "POST" && !body(vector).is_empty();
        text(vector, "/expect") == "ok" && post && !is_handshake(vector) && (named("/scheme") || named("/provider"))
    });
    let with_source =
        |vector: &Value| Some((Source::of_vector(vector)?, Owned::of(vector, body(vector)), vector.clone()));
    vectors.filter_map(with_source).filter(|(source, request, vector)| verifies(source, request, vector)).collect()
}

fn verifies(source: &Source, request: &Owned, vector: &Value) -> bool {
    let verdict = source.adapter.authenticate(&request.as_request(), &source.keyring, &source.scheme, now(vector));
    verdict.verified() == Verified::Yes
}

#[test]
fn a_changed_body_never_verifies_where_its_bytes_are_signed() {
    assert!(SIGNED.len() > 30, "{} signed vectors", SIGNED.len());
    check!().with_iterations(6_000).with_max_len(CHOICES).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let (source, request, vector) = &SIGNED[choices.below(SIGNED.len())];
        let mut changed = request.clone();
        changed.body = mutate::body(&request.body, &[], &mut choices).into();
        assert_eq!(verifies(source, &changed, vector), changed.body == request.body, "{}", text(vector, "/name"));
    });
}
