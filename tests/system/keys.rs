//! Properties of the deduplication key, asked through the front door: what goes into it, and what does not.

use std::collections::BTreeSet;

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tests::Request;
use tests::random::Random;

use crate::shared;

const CASES: usize = 40;
const PATH: &str = "/v1/webhook/properties";

/// A JSON value as text, small, of every type.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z👋é\"\\\\ ]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "(0|-?[1-9][0-9]{0,20})(\\.[0-9]{1,4})?",
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        "\\[(\\]|1\\]|\"a\",\"b\"\\]|\"b\",\"a\"\\])",
    ]
}

/// A JSON object with its fields in this order and white space where it may be.
fn spelled(fields: &[(String, String)], space: &str) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{space}{}{space}:{space}{value}{space}", serde_json::to_string(name).unwrap()))
        .collect();
    format!("{space}{{{}}}{space}", fields.join(","))
}

#[tokio::test]
async fn it_does_not_depend_on_spelling_headers_or_time_and_does_on_every_field() {
    let pipeline = shared::pipeline().await;
    let mut random = Random::seeded("keys");
    let mut runner = TestRunner::deterministic();
    let objects = btree_map("[a-z]{1,4}", value(), 1..5);
    let mut seen = BTreeSet::new();
    let mut cases: Vec<Vec<(String, String)>> = Vec::new();
    while cases.len() < CASES {
        let object = objects.new_tree(&mut runner).unwrap().current();
        let fields: Vec<_> = object.into_iter().collect();
        if seen.insert(spelled(&fields, "")) {
            cases.push(fields);
        }
    }
    // Once plainly, and once with everything changed that says nothing.
    for fields in &cases {
        pipeline.post(&Request::json(PATH, spelled(fields, "")).header("X-A", "1").header("X-B", "2")).await.accepted();
    }
    for fields in &mut cases {
        random.shuffle(fields);
        let space = random.pick(&[" ", "\n\t", "\r\n  "]);
        let request = Request::json(PATH, spelled(fields, space)).header("X-B", "3").header("X-A", "1");
        pipeline.post(&request).await.accepted();
    }
    pipeline.rows("properties", CASES, CASES).await;
}

#[tokio::test]
async fn where_one_field_ends_matters() {
    let pipeline = shared::pipeline().await;
    let different = [
        r#"{"a": "ab", "b": "c"}"#,
        r#"{"a": "a", "b": "bc"}"#,
        r#"{"ab": "c"}"#,
        r#"{"a": "bc"}"#,
        r#"{"a": "1"}"#,
        r#"{"a": 1}"#,
        r#"{"a": 12345678901234567890}"#,
        r#"{"a": 12345678901234567891}"#,
        r#"{"a": null}"#,
        r#"{"a": ""}"#,
        r#"{"a": []}"#,
        r#"{"a": {}}"#,
        r#"{"a": ["b", "c"]}"#,
        r#"{"a": ["bc"]}"#,
        r#"{"a": {"b": 1}}"#,
        r#"{"a": ["b", 1]}"#,
        r"{}",
        r"[]",
        r"[{}, {}]",
    ];
    for body in different {
        pipeline.post(&Request::json("/v1/webhook/boundaries", body)).await.accepted();
    }
    pipeline.settled().await;
    let duplicates = pipeline.database.rows("duplicates", "boundaries").await;
    assert!(duplicates.is_empty(), "{duplicates:#?}");
}
