//! The environment goes before the file.

use secrecy::ExposeSecret;

use super::*;

#[test]
fn the_environment_overrides_the_file() {
    let gateway = |name, value| overridden(name, value).unwrap().gateway;
    let burst = gateway("PENSTOCK__GATEWAY__LIMITS__ADDRESS__BURST", "7").limits.address.burst;
    assert_eq!(burst, 7);
    let networks = gateway("PENSTOCK__GATEWAY__TRUSTED_PROXIES", r#"["10.0.0.0/8"]"#);
    assert_eq!(networks.trusted_proxies.len(), 1);
    let limits = gateway("PENSTOCK__GATEWAY__LIMITS", "{ address = { burst = 8 } }").limits;
    assert_eq!((limits.address.burst, limits.address.per_second), (8, 50));
    assert_eq!(gateway("PENSTOCK__GATEWAY__LISTEN", "[::1]:80").listen.port(), 80);
    assert_eq!(gateway("PENSTOCK__GATEWAY__BODY_BUDGET", "5000000").body_budget, Some(5_000_000));

    let source = |name, value| overridden(name, value).unwrap().sources[0].clone();
    assert_eq!(source("PENSTOCK__SOURCES__0__NAME", "123").name, "123");
    let all = r#"[{ name = "x", channel = "form", provider = "generic" }]"#;
    assert_eq!((source("PENSTOCK__SOURCES", all).name.as_str(), source("PENSTOCK__SOURCES", all).line), ("x", None));
}

#[test]
fn a_secret_may_come_from_the_environment_itself() {
    let hash_key = |value| {
        let key = overridden("PENSTOCK__DEDUP__HASH_KEY", value).unwrap().dedup.hash_key.unwrap();
        key.expose_secret().to_owned()
    };
    assert_eq!(hash_key("plain"), "plain");
    assert_eq!(hash_key("123"), "123");
    assert_eq!(hash_key(r#"{ value = "in a table" }"#), "in a table");
    let nats = overridden("PENSTOCK__NATS__URL", "tls://other:4222").unwrap().nats.url.unwrap();
    assert_eq!(nats.expose_secret(), "tls://other:4222");
}

#[test]
fn a_wrong_override_is_named_by_its_variable() {
    for (name, value, expected) in [
        (
            "PENSTOCK__NATS__REPLICAS",
            "many",
            "PENSTOCK__NATS__REPLICAS: nats.replicas: expected a whole number from 1 to 5, found \"many\"",
        ),
        (
            "PENSTOCK__GATEWAY__LISTN",
            "x",
            "PENSTOCK__GATEWAY__LISTN: sets nothing; did you mean PENSTOCK__GATEWAY__LISTEN?",
        ),
        ("PENSTOCK__SHIP__COURSE", "x", "PENSTOCK__SHIP__COURSE: sets nothing; expected PENSTOCK__SECTION__KEY"),
        ("PENSTOCK__SOURCES__4__NAME", "x", "PENSTOCK__SOURCES__4__NAME: sets nothing"),
        (
            "PENSTOCK__GATEWAY__LIMITS",
            "{ adress = 1 }",
            "PENSTOCK__GATEWAY__LIMITS: gateway.limits.adress: unknown setting; did you mean address?",
        ),
    ] {
        contains(&overridden(name, value).unwrap_err(), expected);
    }
}
