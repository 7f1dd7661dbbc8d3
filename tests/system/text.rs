//! Text as people and machines write it: what can be stored is stored as it came, what cannot is rewritten and noted.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tests::Request;

use crate::shared;

/// Text as it is, and the same in JSON's plainest escapes.
const AS_THEY_ARE: [&str; 8] = [
    "emoji \u{1f469}\u{200d}\u{1f4bb} \u{1f1fa}\u{1f1e6}",
    "four bytes \u{10ffff} \u{2a6d6}",
    "controls \u{1}\u{7f}\u{85}\u{feff}\u{200b}",
    "right to left \u{202e}abc",
    "e\u{301} and \u{e9} are not the same bytes",
    "line\nbreaks\tand tabs",
    "quotes \" ' \\ \\u0041 $1 %s {} '); DROP TABLE messages; --",
    "  leading and trailing spaces  ",
];

/// The row of a webhook with this text. Each has a number of its own, or equal ones would be repeats.
async fn row_of(text_in_json: &str) -> Value {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let pipeline = shared::pipeline().await;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let body = format!("{{\"message\": {text_in_json}, \"nested\": {{\"deep\": [{text_in_json}]}}, \"n\": {number}}}");
    let answer = pipeline.post(&Request::json("/v1/webhook/text", body)).await;
    pipeline.row("messages", answer.accepted()).await
}

#[tokio::test]
async fn every_character_that_can_be_stored_is() {
    for text in AS_THEY_ARE {
        let escaped = text.encode_utf16().fold(String::new(), |mut escaped, unit| {
            write!(escaped, "\\u{unit:04x}").unwrap();
            escaped
        });
        for spelling in [serde_json::to_string(text).unwrap(), format!("\"{escaped}\"")] {
            let row = row_of(&spelling).await;
            assert_eq!(row["metadata"]["fields"]["nested"]["deep"][0], text, "{row:#}");
            assert_eq!(row["text"], text, "{row:#}");
            assert_eq!(row["truncations"], json!([]), "{row:#}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_rewritten_and_noted() {
    let cases = [
        (r#""a\u0000b""#, "ab", "nul"),
        (r#""\u0000""#, "", "nul"),
        (r#""a\ud83db""#, "a\u{fffd}b", "surrogate"),
        (r#""a\udc4b""#, "a\u{fffd}", "surrogate"),
        (r#""\udc4b\ud83d""#, "\u{fffd}\u{fffd}", "surrogate"),
    ];
    for (spelling, stored, reason) in cases {
        let row = row_of(spelling).await;
        assert_eq!(row["text"].as_str().unwrap_or_default(), stored, "{spelling}: {row:#}");
        assert_eq!(row["metadata"]["fields"]["nested"]["deep"][0], stored, "{spelling}: {row:#}");
        let notes = row["truncations"].as_array().unwrap();
        assert!(!notes.is_empty() && notes.iter().all(|note| note["reason"] == reason), "{spelling}: {row:#}");
        assert!(notes.iter().all(|note| note["field"].is_string()), "{spelling}: {row:#}");
    }
}

#[tokio::test]
async fn a_key_with_nul_and_a_number_beyond_all_bounds_do_not_stop_a_message() {
    let pipeline = shared::pipeline().await;
    let body = r#"{"message": "m", "a\u0000b": 1, "huge": 1e400000, "tiny": -1E-400000}"#;
    let answer = pipeline.post(&Request::json("/v1/webhook/text", body)).await;
    let row = pipeline.row("messages", answer.accepted()).await;
    assert_eq!(row["metadata"]["fields"]["ab"], 1, "{row:#}");
    let huge = row["metadata"]["fields"]["huge"].as_str().unwrap_or_default();
    assert_eq!(huge.to_lowercase().replace('+', ""), "1e400000", "{row:#}");
    let notes = row["truncations"].to_string();
    assert!(notes.contains("nul") && notes.contains("number"), "{row:#}");
}

#[tokio::test]
async fn nesting_without_end_is_kept_or_refused_and_harms_nothing() {
    let pipeline = shared::pipeline().await;
    for depth in [100, 10_000, 200_000] {
        let body = format!("{{\"message\": \"deep\", \"nested\": {}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let answer = pipeline.post(&Request::json("/v1/webhook/text", body)).await;
        if answer.status == 400 {
            answer.problem(400);
            continue;
        }
        let row = pipeline.row("messages", answer.accepted()).await;
        assert!(row["truncations"].to_string().contains("depth"), "{row:#}");
    }
}

#[tokio::test]
async fn a_form_in_another_charset_is_read_in_it() {
    let pipeline = shared::pipeline().await;
    let path = "/v1/form/text-form";
    let latin = Request::post(path, "message=caf%E9")
        .header("Content-Type", "application/x-www-form-urlencoded; charset=iso-8859-1");
    let row = pipeline.row("messages", pipeline.post(&latin).await.accepted()).await;
    assert_eq!(row["text"], "café", "{row:#}");

    let broken = Request::post(path, "message=caf%E9+%zz").header("Content-Type", "application/x-www-form-urlencoded");
    let row = pipeline.row("messages", pipeline.post(&broken).await.accepted()).await;
    // No charset is named and it is no UTF-8: the one that such forms are most likely in.
    assert_eq!(row["text"], "café %zz", "{row:#}");

    let nul = Request::post(path, "message=a%00b").header("Content-Type", "application/x-www-form-urlencoded");
    let row = pipeline.row("messages", pipeline.post(&nul).await.accepted()).await;
    assert_eq!(row["text"], "ab", "{row:#}");
    assert!(row["truncations"].to_string().contains("nul"), "{row:#}");
}
