//! Amazon SNS as it really delivers: whose certificate has to be fetched, and which asks to be confirmed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tests::config::{self, BASIC, COMMON};
use tests::sns::{HOST, Sns, TOPIC, envelope, request};
use tests::{Answer, Pipeline, Request, Role};

/// One that is in no source but `forgotten`.
const OTHER_TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:other";
const MESSAGE: &str = "Successfully validated SNS topic for Amazon SES event publishing.";

/// A gateway that reaches SNS through the proxy, with a source for each mode.
async fn gateway(sns: &Sns, roles: &[Role]) -> Pipeline {
    let egress = format!("[gateway.egress]\nproxy = \"{}\"\nca = {{ value = {:?} }}\n", sns.proxy, sns.ca);
    let source = |name: &str, more: &str| {
        config::source("email", "ses", name, &format!("topics = [\"{TOPIC}\"]\n{}\n{more}", config::UNLIMITED))
    };
    let sources = [
        source("mail", ""),
        source("observed", "verify = \"observe\"\n"),
        source("enforced", "verify = \"enforce\"\n"),
        source("raw", &format!("secrets = [{{ value = \"{BASIC}\" }}]\n")),
        source("conflict", "on_duplicate = \"conflict\"\n"),
        source("forgotten", "").replace(TOPIC, OTHER_TOPIC),
    ];
    Pipeline::by_hand(&config::with(&format!("{COMMON}\n{egress}"), sources), roles).await
}

/// What SES says of a mail that came in.
fn mail(subject: &str) -> String {
    let content = format!(
        "From: Ida <ida@customer.example>\r\nTo: support@in.example\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@customer.example>\r\n\r\nGr\u{fc}\u{df}e\r\n"
    );
    let recipients = ["support@in.example"];
    json!({
        "notificationType": "Received",
        "mail": { "messageId": format!("ses-{subject}"), "source": "ida@customer.example", "destination": recipients },
        "receipt": {
            "recipients": recipients,
            "spamVerdict": { "status": "PASS" },
            "action": { "type": "SNS", "encoding": "BASE64" },
        },
        "content": STANDARD.encode(content),
    })
    .to_string()
}

fn url(name: &str) -> String {
    format!("https://{HOST}/{name}.pem")
}

/// A 503 that says when to come back, in time.
fn comes_back(answer: &Answer) {
    answer.problem(503);
    assert!(answer.header("Retry-After").is_some(), "{answer}");
    assert!(answer.took < Duration::from_secs(8), "{answer}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_had_is_no_wrong_signature() {
    let sns = Sns::start().await;
    let mut pipeline = gateway(&sns, &[Role::Gateway]).await;
    pipeline.may_be_unsettled();
    let notification = |certificate: &str| request("mail", envelope("Notification", MESSAGE, &url(certificate)));

    // Nobody there, then somebody: what SNS sends again gets in.
    sns.away(true);
    let delivered = notification("a");
    comes_back(&pipeline.post(&delivered).await);
    assert_eq!(sns.asked("/"), 0);
    sns.away(false);
    pipeline.post(&delivered).await.accepted();

    // Fetched once, however many come at once.
    let many: Vec<Request> = (0..40).map(|_| notification("b")).collect();
    let answers = futures::future::join_all(many.iter().map(|request| pipeline.post(request))).await;
    for answer in answers {
        answer.accepted();
    }
    pipeline.post(&notification("a")).await.accepted();
    assert_eq!((sns.asked("/a.pem"), sns.asked("/b.pem")), (1, 1));

    // Bounded: slow, huge, elsewhere, none.
    for certificate in ["slow", "huge", "moved", "none", "text"] {
        comes_back(&pipeline.post(&notification(certificate)).await);
        assert_eq!(sns.asked(&format!("/{certificate}.pem")), 1, "{certificate}");
    }
    assert_eq!(sns.asked("/a.pem"), 1, "a redirect is not followed");

    // Who names what does not exist is slowed down.
    let guess = || notification("none").from("10.99.99.1");
    let mut last = pipeline.post(&guess()).await;
    for _ in 0..10 {
        last = pipeline.post(&guess()).await;
    }
    assert_eq!(last.problem(429).header("Retry-After").map(str::is_empty), Some(false), "{last}");

    // Nothing else is connected to, whatever a request says; and nothing for another topic.
    let before = sns.connected().len();
    for elsewhere in [
        "https://evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "http://sns.eu-west-1.amazonaws.com/a.pem",
    ] {
        let answer = pipeline.post(&request("enforced", envelope("Notification", MESSAGE, elsewhere))).await;
        answer.problem(401);
    }
    let mut foreign = envelope("Notification", MESSAGE, &url("c"));
    foreign["TopicArn"] = "arn:aws:sns:eu-west-1:999999999999:other".into();
    pipeline.post(&request("enforced", foreign)).await.problem(401);
    assert_eq!(sns.connected().len(), before);
    assert!(sns.connected().iter().all(|target| *target == format!("{HOST}:443")), "{:?}", sns.connected());

    let metrics = pipeline.scrape(Role::Gateway).await;
    let failed = metrics.sum("penstock_gateway_fetches_total", &[("what", "certificate"), ("result", "failed")]);
    assert!(failed.is_some_and(|failed| failed >= 6.0), "{failed:?}");
}

#[tokio::test]
async fn a_subscription_is_confirmed_once_it_is_stored_and_only_where_it_fits() {
    let sns = Sns::start().await;
    let mut pipeline = gateway(&sns, &[Role::Gateway]).await;
    pipeline.may_be_unsettled();
    let subscription =
        |source: &str| request(source, envelope("SubscriptionConfirmation", "You have chosen", &url("a")));
    let confirmed = || sns.asked("/?Action=ConfirmSubscription");

    // SNS cannot confirm now: the 503 makes it send the request again, also where a repeat would be a conflict.
    let delivered = subscription("conflict");
    comes_back(&pipeline.post(&delivered).await);
    assert_eq!(confirmed(), 1);
    sns.confirms(true);
    pipeline.post(&delivered).await.accepted();
    assert_eq!(confirmed(), 2);
    pipeline.post(&delivered).await;
    assert_eq!(confirmed(), 2, "a repeat of what is confirmed");
    pipeline.post(&subscription("mail")).await.accepted();
    assert_eq!(confirmed(), 3);

    // Held, observed, refused, of another topic, with another URL: never.
    let forged = |source: &str| {
        let mut request = subscription(source);
        request.body = String::from_utf8(request.body.to_vec()).unwrap().replace("chosen", "forged").into();
        request
    };
    assert_eq!(pipeline.post(&forged("mail")).await.json()["status"], "held");
    pipeline.post(&forged("observed")).await.accepted();
    pipeline.post(&forged("enforced")).await.problem(401);
    let mut foreign = envelope("SubscriptionConfirmation", "You have chosen", &url("a"));
    foreign["TopicArn"] = "arn:aws:sns:eu-west-1:999999999999:other".into();
    assert_eq!(pipeline.post(&request("mail", foreign)).await.json()["status"], "held");
    let mut elsewhere = envelope("SubscriptionConfirmation", "You have chosen", &url("a"));
    elsewhere["SubscribeURL"] = "https://evil.example/?Action=ConfirmSubscription".into();
    pipeline.post(&request("mail", elsewhere)).await.accepted();
    // The end of a subscription carries the same URL.
    pipeline.post(&request("mail", envelope("UnsubscribeConfirmation", "You have", &url("a")))).await.accepted();
    assert_eq!(confirmed(), 3);
    assert!(sns.connected().iter().all(|target| *target == format!("{HOST}:443")), "{:?}", sns.connected());
    let log = std::fs::read_to_string(pipeline.logs().join("gateway-0.log")).unwrap();
    assert!(log.contains("has ended the subscription") && !log.contains("2336412f37fb687f5d51e6e2425ba1"), "{log}");
}

#[tokio::test]
async fn raw_delivery_is_asked_for_its_credentials_and_takes_nothing_else() {
    let sns = Sns::start().await;
    let mut pipeline = gateway(&sns, &[Role::Gateway]).await;
    pipeline.may_be_unsettled();
    let raw = |source: &str| {
        Request::post(format!("/v1/email/{source}"), json!({ "notificationType": "Received" }).to_string())
            .header("Content-Type", "text/plain; charset=UTF-8")
            .header("x-amz-sns-rawdelivery", "true")
            .header("x-amz-sns-topic-arn", TOPIC)
            .from("10.99.99.2")
    };
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    // It begins like this each time, and that is nobody's failure.
    for _ in 0..7 {
        let answer = pipeline.post(&raw("raw")).await;
        let challenge = answer.problem(401).header("WWW-Authenticate").unwrap();
        assert!(challenge.starts_with("Basic realm="), "{answer}");
        pipeline.post(&raw("raw").header("Authorization", basic(BASIC))).await.accepted();
    }
    let wrong = pipeline.post(&raw("raw").header("Authorization", basic("penny:guess"))).await;
    assert_eq!(wrong.json()["status"], "held", "{wrong}");
    let unsigned = pipeline.post(&raw("mail").header("Authorization", basic(BASIC))).await;
    assert_eq!(unsigned.json()["status"], "held", "no secret makes it one that fits: {unsigned}");
    // A signed one needs no credentials.
    pipeline.post(&request("raw", envelope("Notification", MESSAGE, &url("a")))).await.accepted();
}

#[tokio::test]
async fn mail_and_events_become_rows_once_and_a_topic_that_was_forgotten_costs_nothing() {
    let sns = Sns::start().await;
    sns.confirms(true);
    let pipeline = gateway(&sns, &Role::ALL).await;
    let subscription = request("mail", envelope("SubscriptionConfirmation", "You have chosen", &url("a")));
    let subscribed = pipeline.post(&subscription).await.accepted();
    let row = pipeline.row("message_statuses", subscribed).await;
    assert_eq!((&row["kind"], &row["status"]), (&json!("account_event"), &json!("ignored")), "{row:#}");

    // SNS delivers again what it heard no 200 for: the same MessageId, and a new one for a mail that SES sent twice.
    let message = mail("hello");
    let delivered = request("mail", envelope("Notification", &message, &url("a")));
    let first = pipeline.post(&delivered).await.accepted();
    let row = pipeline.row("messages", first).await;
    assert_eq!((&row["text"], &row["subject"]), (&json!("Gr\u{fc}\u{df}e"), &json!("hello")), "{row:#}");
    assert_eq!((&row["verified"], &row["provider_message_id"]), (&json!("yes"), &json!("ses-hello")), "{row:#}");
    assert_eq!(row["metadata"]["spam_verdict"], "PASS", "{row:#}");
    pipeline.post(&delivered).await.accepted();
    pipeline.post(&request("mail", envelope("Notification", &message, &url("a")))).await.accepted();
    pipeline.rows("mail", 1, 2).await;

    let bounce = json!({
        "eventType": "Bounce",
        "bounce": {
            "bounceType": "Permanent", "timestamp": "2026-08-01T06:06:44.000Z", "feedbackId": "f1",
            "bouncedRecipients": [{ "emailAddress": "gone@Orchid.example", "status": "5.1.1" }],
        },
        "mail": { "messageId": "out1", "source": "tickets@in.example", "destination": ["gone@Orchid.example"] },
    });
    let bounced = pipeline.post(&request("mail", envelope("Notification", &bounce.to_string(), &url("a")))).await;
    let row = pipeline.row("message_statuses", bounced.accepted()).await;
    assert_eq!((&row["status"], &row["recipient"]), (&json!("bounce"), &json!("gone@orchid.example")), "{row:#}");
    assert_eq!((&row["error_code"], &row["provider_message_id"]), (&json!("5.1.1"), &json!("out1")), "{row:#}");
    assert_eq!(sns.asked("/a.pem"), 1, "one certificate for all of them");

    // A topic that is not named: held, without asking anybody. Once it is named, what was held is judged and let in.
    let held = pipeline.post(&request("forgotten", envelope("Notification", &mail("held"), &url("c")))).await;
    assert_eq!((held.json()["status"].as_str(), sns.asked("/c.pem")), (Some("held"), 0), "{held}");
    let text = std::fs::read_to_string(pipeline.config()).unwrap().replace(OTHER_TOPIC, TOPIC);
    std::fs::write(pipeline.config(), text).unwrap();
    pipeline.command(&["held", "release", "--all"]).await;
    let row = pipeline.row("messages", held.id()).await;
    assert_eq!((&row["verified"], &row["subject"]), (&json!("yes"), &json!("held")), "{row:#}");
    assert_eq!(sns.asked("/c.pem"), 1);
}
