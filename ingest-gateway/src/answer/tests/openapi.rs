//! `docs/openapi.yaml` says what the gateway answers, all of it and nothing else. What is looked at is its rendering, which
//! every admin address serves.

use std::collections::{BTreeMap, BTreeSet};

use proto::Channel;

use super::*;

fn document() -> Value {
    serde_json::from_str(runtime::admin::OPENAPI).unwrap()
}

/// What the document says of a source's path: its methods, and by status every response there is.
fn described(document: &Value) -> (BTreeSet<String>, BTreeMap<u16, Vec<&Value>>) {
    let (mut methods, mut responses) = (BTreeSet::new(), BTreeMap::<u16, Vec<&Value>>::new());
    for (method, operation) in document["paths"]["/v1/{channel}/{source}"].as_object().unwrap() {
        let Some(answers) = operation["responses"].as_object() else { continue };
        methods.insert(method.to_uppercase());
        for (status, answer) in answers {
            let name = answer["$ref"].as_str().unwrap().strip_prefix("#/components/responses/").unwrap();
            responses.entry(status.parse().unwrap()).or_default().push(&document["components"]["responses"][name]);
        }
    }
    (methods, responses)
}

#[test]
fn the_openapi_document_has_every_answer_with_its_headers_and_nothing_that_is_none() {
    let document = document();
    let (_, responses) = described(&document);
    let mut statuses = BTreeSet::new();
    for (answer, status, media, ..) in table() {
        let response = answer.respond(id(), 7);
        let known =
            responses.get(&status).unwrap_or_else(|| panic!("{status} is not in docs/openapi.yaml: {answer:?}"));
        let media = media.split(';').next().unwrap();
        let fits = |described: &Value| {
            let has = |name: &str| {
                described["headers"].as_object().unwrap().keys().any(|known| known.eq_ignore_ascii_case(name))
            };
            let mut names = response.headers().keys().filter(|name| *name != header::CONTENT_TYPE);
            described["content"].get(media).is_some() && names.all(|name| has(name.as_str()))
        };
        assert!(known.iter().any(|described| fits(described)), "{answer:?}: {response:?} is not in docs/openapi.yaml");
        statuses.insert(status);
    }
    assert_eq!(statuses, responses.keys().copied().collect(), "docs/openapi.yaml says what is never answered");
}

#[test]
fn the_openapi_document_has_what_each_provider_sends_and_wants_to_hear() {
    let document = document();
    let (methods, responses) = described(&document);
    let parameter = &document["paths"]["/v1/{channel}/{source}"]["parameters"][0];
    assert_eq!(parameter["name"], "channel");
    let mut channels: Vec<&str> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
    channels.sort_unstable();
    assert_eq!(parameter["schema"]["enum"], json!(channels));
    // The one handshake that has a method of its own.
    let mut used = BTreeSet::from([Method::OPTIONS.to_string()]);
    for channel in Channel::ALL {
        for name in providers::registry::names(channel) {
            let contract = providers::find(channel, name).unwrap().contract();
            used.extend(contract.methods.iter().map(Method::to_string));
            if let Success::Fixed { content_type, .. } = contract.success {
                let heard = responses[&200].iter().any(|described| described["content"].get(content_type).is_some());
                assert!(heard, "{name} wants to hear {content_type}");
            }
        }
    }
    assert_eq!(methods, used);
}
