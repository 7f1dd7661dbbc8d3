//! Signatures of SNS, made with a key for tests and checked against one that OpenSSL made.

use http::Method;
use proto::header::Pair;
use serde_json::{Value, json};

use super::*;

const PRIVATE: &str = include_str!("../../../tests/data/keys/sns-signer.key.pem");
const CERTIFICATE: &str = include_str!("../../../tests/data/keys/sns-signer.pem");
const ARN: &str = "arn:aws:sns:eu-west-1:1:t";
const URL: &str = "https://sns.eu-west-1.amazonaws.com/a.pem";

fn scheme() -> Scheme {
    Scheme { topics: vec![ARN.to_owned()], ..Scheme::default() }
}

fn ring(secrets: &[&str]) -> Keyring {
    keyring(secrets, &scheme()).unwrap()
}

fn at(seconds: i64) -> Millis {
    let signed: Millis = "2026-07-31T12:00:00.000Z".parse().unwrap();
    Millis::from_unix(signed.as_unix() + seconds * 1000).unwrap()
}

fn envelope(kind: &str) -> Value {
    let mut envelope = json!({
        "Type": kind, "MessageId": "m1", "TopicArn": ARN, "Message": "line1\nline2",
        "Timestamp": "2026-07-31T12:00:00.000Z", "SignatureVersion": "2", "Signature": "", "SigningCertURL": URL,
    });
    let more = if kind == "Notification" {
        json!({ "Subject": "S" })
    } else {
        json!({ "Token": "tok", "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?x", "Subject": "not signed" })
    };
    envelope.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    envelope
}

fn judge_with(keyring: &Keyring, body: &str, headers: &[Pair], now: Millis) -> Result<usize, Flaw> {
    let request = Request { method: &Method::POST, url: "", query: None, headers, body: body.as_bytes() };
    authenticate(&request, keyring, &scheme(), now)
}

fn judge(body: &str) -> Result<usize, Flaw> {
    judge_with(&ring(&[CERTIFICATE]), body, &[], at(0))
}

/// As SNS would send it.
fn signed(envelope: &Value) -> String {
    let body = envelope.to_string();
    let request = Request { method: &Method::POST, url: "", query: None, headers: &[], body: body.as_bytes() };
    String::from_utf8(sign(&request, &ring(&[PRIVATE]), &scheme(), at(0)).unwrap().body.unwrap()).unwrap()
}

fn signed_text(envelope: &Value) -> String {
    String::from_utf8(Envelope::read(envelope.to_string().as_bytes()).unwrap().signed_text()).unwrap()
}

fn changed(body: &str, name: &str, value: Value) -> String {
    let mut envelope: Value = serde_json::from_str(body).unwrap();
    envelope[name] = value;
    envelope.to_string()
}

#[test]
fn the_signed_text_is_that_of_the_worked_examples() {
    assert_eq!(
        signed_text(&envelope("Notification")),
        "Message\nline1\nline2\nMessageId\nm1\nSubject\nS\nTimestamp\n2026-07-31T12:00:00.000Z\nTopicArn\n\
         arn:aws:sns:eu-west-1:1:t\nType\nNotification\n"
    );
    for kind in ["SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        let expected = format!(
            "Message\nline1\nline2\nMessageId\nm1\nSubscribeURL\nhttps://sns.eu-west-1.amazonaws.com/?x\nTimestamp\n\
             2026-07-31T12:00:00.000Z\nToken\ntok\nTopicArn\narn:aws:sns:eu-west-1:1:t\nType\n{kind}\n"
        );
        assert_eq!(signed_text(&envelope(kind)), expected);
    }
    let mut without_subject = envelope("Notification");
    without_subject.as_object_mut().unwrap().remove("Subject");
    assert!(!signed_text(&without_subject).contains("Subject"));
}

#[test]
fn version_1_is_sha_1_and_version_2_is_sha_256() {
    // Made with OpenSSL over the worked example.
    let version_1 = changed(
        &envelope("Notification").to_string(),
        "Signature",
        json!(include_str!("../../../tests/data/keys/sns-worked-example.v1.sig")),
    );
    let version_1 = changed(&version_1, "SignatureVersion", json!("1"));
    assert_eq!(judge(&version_1), Ok(0));
    assert_eq!(judge(&changed(&version_1, "SignatureVersion", json!("2"))), Err(Flaw::Mismatch));
    let version_2 = signed(&envelope("Notification"));
    assert_eq!(judge(&version_2), Ok(0));
    assert_eq!(judge(&changed(&version_2, "SignatureVersion", json!("1"))), Err(Flaw::Mismatch));
    for version in ["3", "", "02", "2 "] {
        assert_eq!(judge(&changed(&version_2, "SignatureVersion", json!(version))), Err(Flaw::Algorithm));
    }
}

#[test]
fn every_signed_field_counts() {
    for kind in ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        let body = signed(&envelope(kind));
        assert_eq!(judge(&body), Ok(0), "{kind}");
        let fields: &[&str] = match kind {
            "Notification" => &["Message", "MessageId", "Subject"],
            _ => &["Message", "MessageId", "Token", "SubscribeURL"],
        };
        for field in fields {
            assert_eq!(judge(&changed(&body, field, json!("changed"))), Err(Flaw::Mismatch), "{kind} {field}");
        }
        let later = changed(&body, "Timestamp", json!("2026-07-31T12:00:01.000Z"));
        assert_eq!(judge(&later), Err(Flaw::Mismatch), "{kind}");
        let other = if kind == "Notification" { "SubscriptionConfirmation" } else { "Notification" };
        let mut other: Value = serde_json::from_str(&changed(&body, "Type", json!(other))).unwrap();
        other["Token"] = json!("tok");
        other["SubscribeURL"] = json!("https://sns.eu-west-1.amazonaws.com/?x");
        assert_eq!(judge(&other.to_string()), Err(Flaw::Mismatch), "{kind}");
    }
}

#[test]
fn a_signature_says_what_is_wrong_with_it() {
    let body = signed(&envelope("Notification"));
    assert_eq!(judge(&changed(&body, "Signature", Value::Null)), Err(Flaw::Missing));
    assert_eq!(judge(&changed(&body, "Signature", json!("!"))), Err(Flaw::Malformed));
    assert_eq!(judge(&changed(&body, "TopicArn", json!("arn:aws:sns:eu-west-1:2:t"))), Err(Flaw::Topic));
    let elsewhere = "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem";
    assert_eq!(judge(&changed(&body, "SigningCertURL", json!(elsewhere))), Err(Flaw::Certificate));
    assert_eq!(judge(&changed(&body, "Message", json!(1))), Err(Flaw::Missing), "no envelope");
    for nothing in ["", "{}", "[]", "hello", "{\"Type\":\"Notification\"}"] {
        assert_eq!(judge(nothing), Err(Flaw::Missing), "{nothing}");
    }
    let header = |value: &str| vec![(TYPE.to_owned(), value.as_bytes().to_vec())];
    let with = |headers: &[Pair]| judge_with(&ring(&[CERTIFICATE]), &body, headers, at(0));
    assert_eq!(with(&header("Notification")), Ok(0));
    assert_eq!(with(&header("SubscriptionConfirmation")), Err(Flaw::Malformed));
    assert_eq!(with(&[header("Notification"), header("Notification")].concat()), Err(Flaw::Repeated));
}

#[test]
fn what_sns_may_still_send_is_in_time() {
    let body = signed(&envelope("Notification"));
    let judge = |seconds| judge_with(&ring(&[CERTIFICATE]), &body, &[], at(seconds));
    assert_eq!((judge(3600), judge(3900), judge(3901)), (Ok(0), Ok(0), Err(Flaw::Stale)));
    assert_eq!((judge(-3900), judge(-3901)), (Ok(0), Err(Flaw::Early)));
}

#[test]
fn a_key_is_a_certificate_in_force_or_a_public_or_private_key() {
    let body = signed(&envelope("Notification"));
    let public = include_str!("../../../tests/data/keys/sns-signer.pub.pem");
    for (secrets, place) in
        [(vec![CERTIFICATE], 0), (vec![public], 0), (vec![PRIVATE], 0), (vec!["user:password", CERTIFICATE], 1)]
    {
        assert_eq!(judge_with(&ring(&secrets), &body, &[], at(0)), Ok(place));
    }
    let fetched = crate::Certificate::from_pem(CERTIFICATE.as_bytes()).unwrap();
    assert_eq!(judge_with(&ring(&["user:password"]).with(&fetched), &body, &[], at(0)), Ok(1));
    assert_eq!(judge_with(&ring(&[]).with(&fetched), &body, &[], at(0)), Ok(0));
    assert_eq!(judge_with(&ring(&[]), &body, &[], at(0)), Err(Flaw::Certificate), "nothing was fetched");
    let twenty_years = 20 * 366 * 86_400;
    assert_eq!(judge_with(&ring(&[CERTIFICATE]), &body, &[], at(twenty_years)), Err(Flaw::Certificate), "not in force");
    for unfit in ["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "-----BEGIN a:b"] {
        assert!(matches!(keyring(&[unfit], &scheme()), Err(KeyringError::Unfit { .. })), "{unfit}");
    }
}

#[test]
fn a_source_must_name_its_topics() {
    let with = |topics: &[&str]| {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        keyring(&[], &Scheme { topics, ..Scheme::default() }).map(|_| ())
    };
    assert!(matches!(with(&[]), Err(KeyringError::Setting { setting: "topics", .. })));
    for topic in ["*", "inbound-mail", "arn:aws:sns:eu-west-1:1:", "arn:aws:sqs:eu-west-1:1:t", "arn:aws:sns:a:1:t:x"] {
        assert!(matches!(with(&[ARN, topic]), Err(KeyringError::UnfitSetting { setting: "topics", .. })), "{topic}");
    }
    assert!(with(&[ARN, "arn:aws-cn:sns:cn-north-1:123456789012:in.fifo"]).is_ok());
}

#[test]
fn a_certificate_is_fetched_only_for_what_it_could_verify() {
    let url = |keyring: &Keyring, body: &str| {
        let request = Request { method: &Method::POST, url: "", query: None, headers: &[], body: body.as_bytes() };
        certificate_url(&request, keyring, &scheme())
    };
    let body = signed(&envelope("Notification"));
    assert_eq!(url(&ring(&[]), &body).as_deref(), Some(URL));
    assert_eq!(url(&ring(&["user:password"]), &body).as_deref(), Some(URL));
    assert_eq!(url(&ring(&[CERTIFICATE]), &body), None, "it is at hand");
    for (name, value) in [
        ("TopicArn", "arn:aws:sns:eu-west-1:2:t"),
        ("SigningCertURL", "https://evil.example/a.pem"),
        ("SignatureVersion", "3"),
        ("Signature", ""),
    ] {
        assert_eq!(url(&ring(&[]), &changed(&body, name, json!(value))), None, "{name}");
    }
}

#[test]
fn only_a_subscription_is_confirmed_and_only_at_sns() {
    let after = |body: &Value| {
        let body = body.to_string();
        follow_up(&Request { method: &Method::POST, url: "", query: None, headers: &[], body: body.as_bytes() })
    };
    let subscription = envelope("SubscriptionConfirmation");
    let url = "https://sns.eu-west-1.amazonaws.com/?x";
    assert_eq!(after(&subscription), Some(FollowUp::Call(url.to_owned())));
    assert!(!format!("{:?}", after(&subscription)).contains("amazonaws"));
    assert!(matches!(after(&envelope("UnsubscribeConfirmation")), Some(FollowUp::Warn(_))));
    assert_eq!(after(&envelope("Notification")), None);
    let mut elsewhere = subscription;
    elsewhere["SubscribeURL"] = json!("https://evil.example/?x");
    assert_eq!(after(&elsewhere), None);
}

#[test]
fn without_envelope_only_credentials_count_and_they_are_asked_for() {
    let keyring = ring(&[CERTIFICATE, "user:pass:word"]);
    let basic = |text: &str| ("authorization".to_owned(), format!("Basic {}", STANDARD.encode(text)).into_bytes());
    let topic = |arn: &str| (TOPIC.to_owned(), arn.as_bytes().to_vec());
    let judge = |headers: &[Pair]| judge_with(&keyring, r#"{"notificationType":"Received"}"#, headers, at(0));
    assert_eq!(judge(&[]), Err(Flaw::Unasked));
    assert_eq!(judge(&[basic("user:pass:word")]), Ok(1));
    assert_eq!(judge(&[basic("user:pass:word"), topic(ARN)]), Ok(1));
    assert_eq!(judge(&[basic("user:pass:word"), topic("arn:aws:sns:eu-west-1:2:t")]), Err(Flaw::Topic));
    assert_eq!(judge(&[basic("user:other")]), Err(Flaw::Mismatch));
    assert_eq!(judge(&[basic("user:pass:word"), basic("user:pass:word")]), Err(Flaw::Repeated));
    assert_eq!(judge_with(&ring(&[CERTIFICATE]), "{}", &[basic("user:pass:word")], at(0)), Err(Flaw::Missing));
    // Credentials do not stand for a signature that is there.
    let forged = changed(&signed(&envelope("Notification")), "Message", json!("forged"));
    assert_eq!(judge_with(&keyring, &forged, &[basic("user:pass:word")], at(0)), Err(Flaw::Mismatch));
}
