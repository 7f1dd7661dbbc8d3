//! What is written is what is read.

use std::fs;
use std::time::Duration;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

#[test]
fn the_example_of_the_design_reads() {
    let folder = TempDir::new().unwrap();
    let secrets = folder.path().to_str().unwrap();
    fs::write(folder.path().join("dedup-key"), "a key\r\n").unwrap();
    fs::write(folder.path().join("twilio-old"), "old token\n").unwrap();
    let text = include_str!("../testdata/design.toml").replace("/run/secrets", secrets);
    let env = [("DATABASE_URL", "postgres://db/penstock"), ("TWILIO_AUTH_TOKEN", "new token")];

    let config = Config::parse(&text, "penstock.toml", &env.into_iter().collect()).unwrap();

    assert_eq!(config.postgres.url.unwrap().expose_secret(), "postgres://db/penstock");
    assert_eq!(config.dedup.hash_key.unwrap().expose_secret(), "a key");
    assert_eq!(config.gateway.public_url.unwrap().as_str(), "https://in.example.com");
    assert_eq!(config.gateway.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(config.retention.messages, Some(Duration::from_hours(400 * 24)));
    assert_eq!(config.attachments.store.as_deref(), Some("s3://bucket/prefix"));
    let source = config.sources.first().unwrap();
    assert_eq!((&*source.name, source.max_body), ("support", Some(1 << 20)));
    assert_eq!((source.verify, source.over_limit), (Some(Verify::Enforce), Some(OverLimit::Accept)));
    let tokens: Vec<_> = source.secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!(tokens, ["new token", "old token"]);
    let line = text.lines().position(|line| line == "[[sources]]").unwrap() + 1;
    assert_eq!(source.line, Some(line));
}

/// Vonage tries for 24 hours and is not known to sign anew, so it is 25 by default there, and can be said.
#[test]
fn a_signed_time_may_be_as_old_as_the_last_retry() {
    let with = |tolerance: &str| format!("{SOURCE}tolerance = \"{tolerance}\"");
    for (written, hours) in [("25h", 25), ("7d", 7 * 24)] {
        assert_eq!(parse(&with(written)).sources[0].scheme.tolerance, Some(Duration::from_hours(hours)));
    }
    contains(&problems(&with("8d")), "tolerance");
}

#[test]
fn values_are_read_as_they_are_written() {
    let config = parse(
        r#"[gateway]
        public_url = "https://user:pw@in.example.com/base/"
        trusted_proxies = ["10.1.2.3/8", "::1", "::ffff:192.168.0.0/112"]
        body_budget = 2097152
        [retention]
        messages = "forever"
        [log]
        level = "info,runtime=debug"
        [[sources]]
        name = "a"
        channel = "form"
        provider = "generic"
        text_field = "message"
        id_header = "X-Id"
        public_url = "https://in.example.com/v1/form/a?x=1#top"
        [[sources]]
        name = "b"
        channel = "form"
        provider = "generic"
        text_field = ["text", "body"]
        max_body = "1.5 MiB"
        dedup.policy = "off"
        "#,
    );
    let gateway = config.gateway;
    assert_eq!(gateway.public_url.unwrap().as_str(), "https://user:pw@in.example.com/base");
    let networks = gateway.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128", "192.168.0.0/16"]);
    assert_eq!(gateway.body_budget, Some(2 << 20));
    assert_eq!(config.retention.messages, None);
    assert_eq!(config.log.level, "info,runtime=debug");
    let [a, b] = &*config.sources else { panic!("two sources") };
    assert_eq!((&*a.text_field, a.id_header.as_deref()), (&["message".to_owned()][..], Some("x-id")));
    let url = a.public_url.as_ref().map(PublicUrl::as_str);
    assert_eq!(url, Some("https://in.example.com/v1/form/a?x=1"));
    assert_eq!((b.text_field.len(), b.max_body), (2, Some(3 << 19)));
    assert_eq!(b.dedup, SourceDedup { policy: DedupPolicy::Off, window: None });
}

#[test]
fn rows_of_a_channel_and_of_a_source_may_be_kept_shorter() {
    let config = parse(&format!("{SOURCE}retention = \"30d\"\n[retention]\nchannels.sms = \"90d\""));
    let days = |days: u64| Duration::from_hours(24 * days);
    assert_eq!(config.retention.channels, BTreeMap::from([("sms", days(90))]));
    assert_eq!(config.sources[0].retention, Some(days(30)));
    // Longer than its channel's, up to what is said of all.
    for time in ["100d", "400d"] {
        parse(&format!("{SOURCE}retention = \"{time}\"\n[retention]\nchannels.sms = \"90d\""));
    }
    parse("[retention]\nraw = \"31d\"\nmessages = \"31d\"");
    parse(&format!("{SOURCE}retention = \"3000d\"\n[retention]\nmessages = \"forever\""));
    assert!(overridden("PENSTOCK__RETENTION__CHANNELS__SMS", "8d").unwrap().retention.channels.contains_key("sms"));
}

#[test]
fn a_shorter_time_for_rows_is_between_that_of_requests_and_that_of_all_rows() {
    let of_source = |time: &str| format!("{SOURCE}retention = \"{time}\"\n[retention]\nchannels.form = \"8d\"");
    let of_channel = |time: &str| format!("[retention]\nraw = \"2d\"\nmessages = \"20d\"\nchannels.form = \"{time}\"");
    for (text, key, wrong) in [
        (of_source("167h"), "sources[0].retention: ", "shorter than `retention.raw`"),
        (of_source("400d"), "sources[0].retention: ", "it would never act"),
        (of_source("401d"), "sources[0].retention: ", "it would never act"),
        (of_channel("47h"), "retention.channels.form: ", "shorter than `retention.raw`"),
        (of_channel("20d"), "retention.channels.form: ", "it would never act"),
        (
            "[retention]\nraw = \"31d\"\nmessages = \"30d\"".to_owned(),
            "retention.messages: ",
            "shorter than `retention.raw`",
        ),
        (of_source("forever"), "sources[0].retention: ", "expected a duration from 1h to 36500d"),
        ("[retention]\nchannels.fax = \"8d\"".to_owned(), "retention.channels.fax: ", "unknown setting"),
    ] {
        let found = problems(&text);
        contains(&found, key);
        contains(&found, wrong);
        assert_eq!(found.lines().count(), 1, "one mistake is one problem:\n{found}");
    }
}

#[test]
fn a_worker_has_one_thread_and_the_gateway_finds_its_own_number() {
    let config = parse("");
    assert_eq!((config.normalizer.threads, config.dedup.threads, config.persister.threads), (1, 1, 1));
    assert_eq!(config.gateway.threads, None);
    assert_eq!(parse("gateway.threads = 3").gateway.threads, Some(3));
    contains(&problems("persister.threads = 0"), "persister.threads: expected a whole number from 1 to 256");
}
