//! Hosted forms: the kinds of question and of event that no sample has.

use crate::support::Owned;
use proto::{CanonicalMessage, Channel, HashKey, Kind, Policy, Verified};
use providers::{BadReason, Identity, Record, SourceSettings, Windows, dedup, find};
use serde_json::{Value, json};

fn record(provider: &str, request: &Owned) -> Record {
    let adapter = find(Channel::Form, provider).unwrap();
    let normalized = adapter.normalize(&request.as_raw(adapter, Verified::Yes), &SourceSettings::default());
    assert_eq!(normalized.parts, 1);
    *normalized.elements.into_iter().next().unwrap().unwrap()
}

fn of_json(provider: &str, body: &Value) -> Record {
    record(provider, &Owned::post("application/json", body.to_string()))
}

fn metadata(message: &CanonicalMessage) -> Value {
    serde_json::from_str(message.metadata.get()).unwrap()
}

fn provided(id: &[&str]) -> Identity {
    Identity::Provided(id.iter().map(|part| (*part).to_owned()).collect())
}

#[test]
fn every_kind_of_typeform_answer_is_read() {
    let answer = |kind: &str, value: Value, id: &str| json!({ "type": kind, kind: value, "field": { "id": id } });
    let titled = |id: &str, title: &str| json!({ "id": id, "ref": format!("ref-{id}"), "title": title });
    let in_group = json!({ "id": "g", "title": "Group", "type": "group",
        "properties": { "fields": [titled("p", "Telefon"), titled("f", "Datei")] } });
    let record = of_json(
        "typeform",
        &json!({
            "event_id": "E1", "event_type": "form_response",
            "form_response": {
                "token": "T1", "form_id": "F1", "submitted_at": "2026-08-01T06:06:44Z", "hidden": { "order": "7" },
                "variables": [{ "key": "score", "type": "number", "number": 4 }], "calculated": { "score": 9 },
                "definition": { "title": "Kontakt", "fields": [titled("w", "Web"), titled("d", "Tag"), in_group] },
                "answers": [
                    answer("phone_number", json!("+49 30 901820"), "p"),
                    answer("url", json!("https://example.org"), "w"),
                    answer("date", json!("2026-08-01"), "d"),
                    answer("file_url", json!("https://api.typeform.com/responses/files/1-plan.pdf"), "f"),
                    answer("choice", json!({ "other": "Sonst" }), "unknown"),
                    answer("choices", json!({ "labels": ["A"], "other": "B" }), "many"),
                    answer("payment", json!({ "amount": "$1", "last4": "1234" }), "pay"),
                    { "type": "new_kind", "signature": { "svg": "x" }, "field": { "id": "n", "ref": "new" } },
                    { "type": "text", "text": "eins", "field": { "ref": "ref-d", "type": "short_text" } },
                    7,
                ],
            },
        }),
    );
    let message = &record.message;
    assert_eq!(record.identity, provided(&["T1"]));
    assert_eq!(message.sender.as_ref().unwrap().address.as_deref(), Some("+4930901820"));
    assert_eq!(message.text.as_deref(), Some("eins"));
    let url = "https://api.typeform.com/responses/files/1-plan.pdf";
    assert_eq!(message.attachments[0].location.as_deref(), Some(url));
    let metadata = metadata(message);
    let fields = json!({
        "Telefon": "+49 30 901820", "Web": "https://example.org", "Tag": "2026-08-01", "Datei": url, "unknown": "Sonst",
        "many": ["A", "B"], "pay": { "amount": "$1", "last4": "1234" }, "new": { "signature": { "svg": "x" } },
        "Tag (ref-d)": "eins", "9": 7,
    });
    assert_eq!(metadata["fields"], fields);
    assert_eq!((&metadata["form_title"], &metadata["hidden"]["order"]), (&json!("Kontakt"), &json!("7")));
    assert_eq!((&metadata["event_id"], &metadata["calculated"]["score"]), (&json!("E1"), &json!(9)));
}

#[test]
fn a_typeform_event_that_is_no_complete_response_takes_nothing_from_the_response() {
    let response = json!({ "token": "T1", "answers": [] });
    let partial = json!({ "event_id": "E1", "event_type": "form_response_partial", "form_response": response });
    let record = of_json("typeform", &partial);
    assert_eq!(record.message.kind, Kind::Message);
    assert_eq!(record.identity, provided(&["T1", "form_response_partial", "E1"]));

    let record = of_json("typeform", &json!({ "event_id": "E2", "event_type": "new" }));
    assert_eq!(record.message.kind, Kind::AccountEvent);
    assert_eq!(record.message.status.as_ref().unwrap().status, "ignored");
    assert_eq!(record.identity, provided(&["E2"]));

    let record = of_json("typeform", &json!({ "form_response": { "answers": null } }));
    assert_eq!(record.identity, Identity::None);
}

#[test]
fn every_kind_of_tally_answer_is_read() {
    let options = json!([{ "id": "o1", "text": "Rot" }, { "id": "o2", "text": "Blau" }]);
    let field = |label: &str, kind: &str, value: Value| json!({ "key": format!("question_{label}"), "label": label, "type": kind, "value": value, "options": options });
    let record = of_json(
        "tally",
        &json!({
            "eventId": "E1", "eventType": "FORM_RESPONSE", "createdAt": "2026-08-01T06:06:45.000Z",
            "data": {
                "responseId": "R1", "submissionId": "S1", "formId": "F1", "formName": "Kontakt",
                "createdAt": "2026-08-01T06:06:44.000Z",
                "fields": [
                    { "key": "k1", "label": "Vorname", "type": "INPUT_TEXT", "value": "Ida" },
                    { "key": "k2", "label": "Anliegen", "type": "TEXTAREA", "value": "Hallo" },
                    { "key": "k3", "label": "Post", "type": "INPUT_EMAIL", "value": "ida@Example.ORG" },
                    field("one", "DROPDOWN", json!("o1")),
                    field("many", "CHECKBOXES", json!(["o2", "o1", "gone"])),
                    { "key": "k_o2", "label": "many (Blau)", "type": "CHECKBOXES", "value": true },
                    { "key": "k4", "label": "grid", "type": "MATRIX", "value": { "r1": ["c1"] },
                      "rows": [{ "id": "r1", "text": "Zeile" }], "columns": [{ "id": "c1", "text": "Spalte" }] },
                    { "key": "k5", "label": "none", "type": "FILE_UPLOAD", "value": null },
                    { "key": "k6", "label": "stars", "type": "RATING", "value": 4 },
                    { "key": "k7", "label": "sign", "type": "SIGNATURE",
                      "value": [{ "name": "s.png", "url": "https://x.example/s.png", "mimeType": "image/png", "size": 9 }] },
                    { "key": "k8", "label": null, "type": "HIDDEN_FIELDS", "value": "7" },
                    7,
                ],
            },
        }),
    );
    let message = &record.message;
    assert_eq!(record.identity, provided(&["S1"]));
    assert_eq!(message.provider_message_id.as_deref(), Some("S1"));
    assert_eq!(message.text.as_deref(), Some("Hallo"));
    assert_eq!(message.sender.as_ref().unwrap().address.as_deref(), Some("ida@example.org"));
    assert_eq!(message.sent_at.unwrap().to_string(), "2026-08-01T06:06:44.000Z");
    assert_eq!((message.attachments[0].filename.as_deref(), message.attachments[0].size), (Some("s.png"), Some(9)));
    let metadata = metadata(message);
    let fields = json!({
        "Vorname": "Ida", "Anliegen": "Hallo", "Post": "ida@Example.ORG", "one": "Rot", "many": ["Blau", "Rot", "gone"],
        "many (Blau)": true, "grid": { "Zeile": ["Spalte"] }, "none": null, "stars": 4, "sign": ["s.png"], "k8": "7",
        "11": 7,
    });
    assert_eq!(metadata["fields"], fields);
    assert_eq!((&metadata["form_id"], &metadata["form_title"]), (&json!("F1"), &json!("Kontakt")));
}

#[test]
fn a_tally_event_without_a_form_is_ignored_and_kept() {
    let record = of_json("tally", &json!({ "eventId": "E2", "eventType": "NEW", "data": { "x": 1 } }));
    assert_eq!(record.message.kind, Kind::AccountEvent);
    assert_eq!(metadata(&record.message)["fields"]["data"], json!({ "x": 1 }));
    let record = of_json(
        "tally",
        &json!({ "eventId": "E3", "eventType": "NEW", "data": { "fields": [], "submissionId": "S" } }),
    );
    assert_eq!(record.identity, provided(&["S", "NEW", "E3"]));
}

#[test]
fn what_stays_where_a_title_changes_is_kept_beside_the_answer() {
    let field = json!({ "id": "q1", "ref": "colour", "type": "multiple_choice" });
    let choice = json!({ "id": "c1", "ref": "red", "label": "Rot" });
    let number = json!({ "type": "number", "number": 4, "field": { "id": "q2", "ref": "stars" } });
    let record = of_json(
        "typeform",
        &json!({ "event_id": "E1", "event_type": "form_response", "attempt": 2,
            "form_response": { "token": "T1", "thankyou_screen_ref": "bye",
                "definition": { "title": "Kontakt", "fields": [{ "id": "q1", "title": "Farbe" }] },
                "answers": [{ "type": "choice", "choice": choice, "field": field }, number] } }),
    );
    let metadata = metadata(&record.message);
    assert_eq!(metadata["fields"], json!({ "Farbe": "Rot", "stars": 4 }));
    assert_eq!(metadata["questions"]["Farbe"], json!({ "type": "choice", "choice": choice, "field": field }));
    assert_eq!(metadata["questions"]["stars"], json!({ "type": "number", "field": { "id": "q2", "ref": "stars" } }));
    assert_eq!((&metadata["thankyou_screen_ref"], &metadata["event_attempt"]), (&json!("bye"), &json!(2)));

    let options = json!([{ "id": "o1", "text": "Rot" }]);
    let fields = json!([{ "key": "k", "label": "Farbe", "type": "CHECKBOXES", "value": ["o1"], "options": options },
        { "key": "f", "label": "Plan", "type": "FILE_UPLOAD", "value": [{ "id": "i", "name": "p", "url": "https://x.example/p" }] }]);
    let body = json!({ "eventId": "E", "createdAt": "2026-08-01T06:06:45.000Z",
        "data": { "submissionId": "S", "isCompleted": true, "fields": fields } });
    let metadata = self::metadata(&of_json("tally", &body).message);
    assert_eq!(metadata["questions"]["Farbe"], json!({ "key": "k", "type": "CHECKBOXES", "value": ["o1"] }));
    assert_eq!(metadata["questions"]["Plan"]["value"][0]["id"], "i");
    assert_eq!((&metadata["is_completed"], &metadata["event_created_at"]), (&json!(true), &body["createdAt"]));
}

#[test]
fn a_reference_that_is_another_question_s_id_takes_no_title_from_it() {
    let fields = json!([{ "id": "a", "ref": "b", "title": "First" }, { "id": "b", "ref": "a", "title": "Second" }]);
    let answer =
        |id: &str, reference: &str| json!({ "type": "number", "number": 1, "field": { "id": id, "ref": reference } });
    let response =
        json!({ "token": "T", "definition": { "fields": fields }, "answers": [answer("a", "b"), answer("b", "a")] });
    let metadata = metadata(&of_json("typeform", &json!({ "form_response": response })).message);
    assert_eq!(metadata["fields"], json!({ "First": 1, "Second": 1 }));
    let other = json!({ "type": "choice", "choice": { "label": null, "other": "Lila" }, "field": { "ref": "c" } });
    let response = json!({ "token": "T", "answers": other });
    let metadata = self::metadata(&of_json("typeform", &json!({ "form_response": response })).message);
    assert_eq!(metadata["fields"], json!({ "c": "Lila" }));
}

#[test]
fn two_rows_of_one_text_are_two() {
    let rows = json!([{ "id": "r1", "text": "Zeile" }, { "id": "r2", "text": "Zeile" }]);
    let grid =
        json!({ "key": "k", "label": "grid", "type": "MATRIX", "value": { "r1": ["x"], "r2": ["y"] }, "rows": rows });
    let body = json!({ "data": { "submissionId": "S", "fields": [grid] } });
    let fields = metadata(&of_json("tally", &body).message)["fields"].clone();
    assert_eq!(fields, json!({ "grid": { "Zeile": ["x"], "Zeile (r2)": ["y"] } }));
}

#[test]
fn equal_elements_of_one_batch_are_as_many_messages_and_its_repeat_is_one_of_the_batch() {
    let adapter = find(Channel::Form, "generic").unwrap();
    let keys = || -> Vec<_> {
        let body = json!([{ "a": 1 }, {}, { "a": 1 }, { "a": 2 }, {}, { "a": 1 }]).to_string();
        let raw = Owned::post("application/json", body).as_raw(adapter, Verified::None);
        let elements = adapter.normalize(&raw, &SourceSettings::default()).elements;
        let windows = Windows { id_ms: 8, content_ms: 1 };
        let key = |record: &Record| dedup::key(record, Policy::Auto, windows, &HashKey::derive(b"secret")).0;
        elements.into_iter().map(|element| key(&element.unwrap())).collect()
    };
    let unique: std::collections::HashSet<_> = keys().into_iter().collect();
    assert_eq!((unique.len(), keys()), (6, keys()));
}

#[test]
fn json_that_does_not_say_that_it_is_json_is_json() {
    let adapter = find(Channel::Form, "generic").unwrap();
    let read = |body: &str| {
        let mut request = Owned::post("", body.to_owned());
        request.headers.clear();
        let normalized = adapter.normalize(&request.as_raw(adapter, Verified::None), &SourceSettings::default());
        metadata(&normalized.elements[0].as_ref().unwrap().message)["fields"].clone()
    };
    assert_eq!(read(r#"{"text":"1+1 %41"}"#), json!({ "text": "1+1 %41" }));
    assert_eq!(read("a=1&b=%41"), json!({ "a": "1", "b": "A" }));
    assert_eq!(read("17"), json!({ "17": "" }));
}

/// A submission as Jotform posts it.
fn jotform(answers: &str) -> Owned {
    let fields = [
        ("formID", "F1"),
        ("submissionID", "S1"),
        ("formTitle", "Kontakt"),
        ("ip", "192.0.2.1"),
        ("webhookURL", "https://in.example.com/v1/form/contact?tenant=7&key=hush"),
        ("customTitle", "x"),
        ("rawRequest", answers),
    ];
    let part = |(name, value): (&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    Owned::post("multipart/form-data; boundary=b", format!("{}--b--\r\n", fields.map(part).concat()))
}

#[test]
fn a_jotform_submission_is_read_by_the_names_of_its_questions() {
    let answers = json!({
        "slug": "submit/1", "q3_name": { "first": "Ida", "last": "Holm" }, "q4_email4": "ida@Example.ORG",
        "q5_message": "Größe L 😅", "q6_phone": { "full": "+49 30 901820" }, "q7_subject": "Hose",
        "plan": ["https://www.jotform.com/uploads/u/F1/S1/plan.pdf"], "q8_days": ["Mo", "Di"], "q9_none": [],
    });
    let record = record("jotform", &jotform(&answers.to_string()));
    let message = &record.message;
    assert_eq!(record.identity, provided(&["S1"]));
    assert_eq!(message.provider_message_id.as_deref(), Some("S1"));
    assert_eq!((message.text.as_deref(), message.subject.as_deref()), (Some("Größe L 😅"), Some("Hose")));
    let sender = message.sender.as_ref().unwrap();
    assert_eq!((sender.address.as_deref(), sender.name.as_deref()), (Some("ida@example.org"), Some("Ida Holm")));
    assert_eq!(message.attachments.len(), 1);
    assert!(message.attachments[0].location.as_deref().unwrap().ends_with("/plan.pdf"));
    let metadata = metadata(message);
    assert_eq!(metadata["fields"], answers);
    assert_eq!((&metadata["form_id"], &metadata["form_title"]), (&json!("F1"), &json!("Kontakt")));
    assert_eq!(metadata["request"], json!({ "customTitle": "x" }));
}

#[test]
fn the_secret_in_jotform_s_url_does_not_get_into_a_record() {
    for answers in ["{}", "no JSON"] {
        for (query, shown) in
            [("a=b&key=fp:0123456789abcdef", "fp:0123456789abcdef"), ("key=hush", "hidden"), ("", "hidden")]
        {
            let mut request = jotform(answers);
            request.url = format!("{}?{query}", request.url);
            let message = record("jotform", &request).message;
            assert!(!serde_json::to_string(&message).unwrap().contains("hush"), "{answers}");
            let url = format!("https://in.example.com/v1/form/contact?tenant=7&key={shown}");
            assert_eq!(metadata(&message)["webhook_url"], url);
        }
    }
    let twice = "submissionID=S&rawRequest=%7B%7D&webhookURL=https://h/?key=hush&webhookURL=https://h/?key=hush&webhookUrl=https://h/?key=hush";
    let message = record("jotform", &Owned::post("application/x-www-form-urlencoded", twice)).message;
    assert!(!serde_json::to_string(&message).unwrap().contains("hush"));
}

#[test]
fn a_jotform_submission_whose_answers_cannot_be_read_is_kept() {
    let record = record("jotform", &jotform("{\"q1_a\":"));
    assert_eq!(record.identity, provided(&["S1"]));
    assert_eq!(metadata(&record.message)["fields"]["rawRequest"], "{\"q1_a\":");
}

#[test]
fn a_jotform_phone_stands_in_for_a_missing_address() {
    let body = "submissionID=S2&rawRequest=%7B%22q1_phoneNumber%22%3A%7B%22area%22%3A%22%2B49%22%2C%22phone%22%3A%22301234567%22%7D%7D";
    let record = record("jotform", &Owned::post("application/x-www-form-urlencoded", body));
    assert_eq!(record.message.sender.unwrap().address.as_deref(), Some("+49301234567"));
    assert_eq!(record.identity, provided(&["S2"]));
}

#[test]
fn a_title_or_an_option_that_is_repeated_does_not_make_a_small_body_large() {
    let long = "x".repeat(100_000);
    let reason = |provider: &str, body: &Value| {
        let adapter = find(Channel::Form, provider).unwrap();
        let raw = Owned::post("application/json", body.to_string()).as_raw(adapter, Verified::No);
        let normalized = adapter.normalize(&raw, &SourceSettings::default());
        normalized.elements.into_iter().next().unwrap().map(|_| ()).map_err(|bad| bad.reason)
    };
    let typeform = |answers: usize| {
        let answer = json!({ "type": "number", "number": 1, "field": { "id": "q" } });
        json!({ "form_response": { "token": "T", "answers": vec![answer; answers],
            "definition": { "fields": [{ "id": "q", "title": long }] } } })
    };
    let tally = |ids: usize| {
        json!({ "data": { "submissionId": "S", "fields": [{ "key": "k", "label": "l", "type": "CHECKBOXES",
            "value": vec!["o"; ids], "options": [{ "id": "o", "text": long }] }] } })
    };
    assert_eq!(
        (reason("typeform", &typeform(100)), reason("typeform", &typeform(1000))),
        (Ok(()), Err(BadReason::TooMany))
    );
    assert_eq!((reason("tally", &tally(100)), reason("tally", &tally(1000))), (Ok(()), Err(BadReason::TooMany)));
}
