//! The system that most tests share, each on a source of its own.
//!
//! It runs until the test process ends. A test that breaks something, or looks at sums over all sources, has one of its
//! own instead.

use tests::Pipeline;
use tests::config::{
    BASIC, BEARER, GITHUB, MAILGUN, SENDGRID, STANDARD, STANDARD_OLD, TWILIO, UNLIMITED, signed, source, with_sources,
};
use tests::up::Up;
use tokio::sync::OnceCell;

/// A handle on it.
pub(crate) async fn pipeline() -> Pipeline {
    static SHARED: OnceCell<Up> = OnceCell::const_new();
    Pipeline::of(SHARED.get_or_init(|| async { Up::start(Some(&with_sources(sources())), &[]).await }).await).await
}

fn sources() -> Vec<String> {
    let twilio = format!("secrets = [{{ value = \"{TWILIO}\" }}]\n");
    let standard = format!("secrets = [{{ value = \"{STANDARD}\" }}]\n");
    let two = format!("secrets = [{{ value = \"{STANDARD}\" }}, {{ value = \"{STANDARD_OLD}\" }}]\n");
    let mut sources = vec![
        // The journey of each channel.
        source("form", "generic", "form-json", ""),
        source("form", "generic", "form-urlencoded", ""),
        source("form", "generic", "form-multipart", ""),
        source("form", "generic", "form-note", "text_field = \"note\"\n"),
        source("webhook", "none", "any-json", ""),
        source("webhook", "standard", "two-secrets", &two),
        source("webhook", "github", "github", &format!("secrets = [{{ value = \"{GITHUB}\" }}]\n")),
        source("webhook", "bearer", "bearer", &format!("secrets = [{{ value = \"{BEARER}\" }}]\n")),
        source("webhook", "basic", "basic", &format!("secrets = [{{ value = \"{BASIC}\" }}]\n")),
        source("webhook", "cloudevents", "events", &format!("secrets = [{{ value = \"{BEARER}\" }}]\n")),
        source("webhook", "cloudevents", "events-binary", &format!("secrets = [{{ value = \"{BEARER}\" }}]\n")),
        source("email", "mime", "mails", &format!("secrets = [{{ value = \"{BEARER}\" }}]\n")),
        source("email", "mime", "bounces", &format!("secrets = [{{ value = \"{BEARER}\" }}]\n")),
        source("sms", "twilio", "sms-message", &twilio),
        source("sms", "twilio", "sms-status", &twilio),
        source("form", "generic", "batch", ""),
        source("webhook", "none", "large", "max_body = \"4 MiB\"\n"),
        // Repeats.
        source("sms", "twilio", "sms-retry", &twilio),
        source("webhook", "none", "window", "id_field = \"id\"\ndedup = { window = \"3s\" }\n"),
        source("webhook", "none", "id-field", "id_field = \"id\"\n"),
        source("webhook", "none", "id-header", "id_header = \"X-Message-Id\"\n"),
        source("webhook", "none", "off", "id_field = \"id\"\ndedup = { policy = \"off\" }\n"),
        source("webhook", "standard", "by-content", &format!("{standard}dedup = {{ policy = \"content\" }}\n")),
        source("webhook", "none", "conflict", "on_duplicate = \"conflict\"\n"),
        source("webhook", "standard", "conflict-ids", &format!("{standard}on_duplicate = \"conflict\"\n")),
        source("webhook", "none", "conflict-header", "on_duplicate = \"conflict\"\nid_header = \"X-Message-Id\"\n"),
        source("webhook", "standard", "forged", &format!("{standard}verify = \"observe\"\n")),
        source("webhook", "none", "properties", UNLIMITED),
        source("webhook", "none", "boundaries", ""),
        // Answers.
        source("webhook", "none", "small", "max_body = \"1 KiB\"\n"),
        source("sms", "twilio", "enforced", &format!("{twilio}verify = \"enforce\"\n")),
        source("sms", "twilio", "held", &twilio),
        source("sms", "twilio", "judged", &twilio),
        source("webhook", "standard", "limited", &format!("{standard}limit = {{ per_second = 1, burst = 3 }}\n")),
        source(
            "webhook",
            "standard",
            "lenient",
            &format!("{standard}limit = {{ per_second = 1, burst = 3 }}\nover_limit = \"accept\"\n"),
        ),
        source(
            "sms",
            "twilio",
            "tried-out",
            &format!("{twilio}verify = \"observe\"\nlimit = {{ per_second = 1, burst = 3 }}\n"),
        ),
        source("form", "generic", "addresses", UNLIMITED),
        source("whatsapp", "meta", "chat", &format!("{twilio}verify_token = {{ value = \"t0ken\" }}\n")),
        source("email", "sendgrid", "parse", &format!("secrets = [{{ value = \"{SENDGRID}\" }}]\n")),
        source("email", "mailgun", "route", &format!("secrets = [{{ value = \"{MAILGUN}\" }}]\n")),
        source("email", "mailgun", "token", &format!("secrets = [{{ value = \"{MAILGUN}\" }}]\n")),
        // Hostile HTTP.
        source("webhook", "none", "hostile", UNLIMITED),
        source("webhook", "none", "smuggled", UNLIMITED),
        source("webhook", "none", "heads", UNLIMITED),
        // Text, poison.
        source("webhook", "none", "text", ""),
        source("webhook", "none", "naughty-json", UNLIMITED),
        source("form", "generic", "naughty-form", UNLIMITED),
        source("sms", "twilio", "naughty-sms", &format!("{twilio}{UNLIMITED}")),
        source("email", "mime", "naughty-mime", &format!("secrets = [{{ value = \"token\" }}]\n{UNLIMITED}")),
        source("email", "postmark", "naughty-postmark", &format!("secrets = [{{ value = \"secret\" }}]\n{UNLIMITED}")),
        source("webhook", "none", "bytes", "dedup = { policy = \"off\" }\n"),
        source("form", "generic", "text-form", ""),
        source("webhook", "none", "poison", UNLIMITED),
    ];
    for name in ["repeats", "envelopes", "equal-text", "trimmed", "signed", "wrong", "strangers"] {
        sources.push(signed(name));
    }
    sources
}
