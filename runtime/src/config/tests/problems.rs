//! All that is wrong is told, with its place and what is allowed.

use super::*;

#[test]
fn all_problems_are_told_at_once_and_by_line() {
    let text = "[dedup]\nwindw = \"8d\"\n[gateway.limits.address]\nburst = \"x\"\n[log]\nlevel = 7\n";
    let error = Config::parse(text, "penstock.toml", &no_env()).unwrap_err().to_string();
    let expected = r#"penstock.toml: nats.url: missing; expected a URL that begins with nats:// or tls://, or { env = ".." }, { file = ".." } or { value = ".." }
penstock.toml: postgres.url: missing; expected a URL that begins with postgres:// or postgresql://, or { env = ".." }, { file = ".." } or { value = ".." }
penstock.toml:1:1: dedup.hash_key: missing; expected { env = ".." }, { file = ".." } or { value = ".." }
penstock.toml:2:1: dedup.windw: unknown setting; did you mean window?
penstock.toml:4:9: gateway.limits.address.burst: expected a whole number from 1 to 1000000, found "x"
penstock.toml:6:9: log.level: expected a level (off, error, warn, info, debug, trace) or a filter such as "info,runtime=debug", found 7"#;
    assert_eq!(error, expected);
}

#[test]
fn every_kind_of_value_says_what_it_allows() {
    for (text, expected) in [
        ("[nats]\nreplicas = 6", "nats.replicas: expected a whole number from 1 to 5, found 6"),
        ("[hold]\nmax_messages = -1", "from 1 to 10000000, found -1"),
        ("[dedup]\nwindow = \"eight days\"", "dedup.window: expected a duration from 1s to 400d"),
        ("[dedup]\nwindow = 8", "found 8"),
        ("[gateway]\npublish_timeout = \"3s\"", "a duration from 100ms to 2900ms"),
        ("[streams]\nraw = \"1 KiB\"", "streams.raw: expected a size from 1 MiB to 1 PiB"),
        ("[streams]\nraw = 1024", "found 1024"),
        ("[gateway]\nlisten = \"localhost\"", "gateway.listen: expected an IP address and a port"),
        (
            "[gateway]\ntrusted_proxies = [\"::1\", \"10/8\"]",
            "penstock.toml:2:27: gateway.trusted_proxies[1]: expected a network",
        ),
        ("[gateway]\ntrusted_proxies = \"::1\"", "gateway.trusted_proxies: expected a list, found a TOML string"),
        (
            "[gateway]\npublic_url = \"https://in.example.com/?a\"",
            "expected an absolute http or https URL without query",
        ),
        ("[gateway]\npublic_url = \"in.example.com\"", "expected an absolute http or https URL"),
        ("[gateway]\nlimits = 3", "gateway.limits: expected a table, found a TOML integer"),
        ("[retention]\nmessages = \"always\"", "(such as \"90s\", \"10m\", \"8d\") or \"forever\", found \"always\""),
        ("[retention]\nraw = \"1m\"", "retention.raw: expected a duration from 1h to 400d"),
        ("[attachments]\nstore = \"/var\"", "file:// and an absolute path, or s3:// and a bucket, found \"/var\""),
        ("[attachments]\nstore = \"file://var\"", "file:// and an absolute path, or s3:// and a bucket"),
        ("[attachments]\nendpoint = \"minio:9000\"", "a URL that begins with http:// or https://"),
        ("[attachments]\naccess_key_id = { value = \"a\" }", "access_key_id and secret_access_key go together"),
        ("[log]\nformat = \"xml\"", "log.format: expected one of json, pretty, found \"xml\""),
        ("[log]\nlevel = \"inof\"", "log.level: expected a level"),
        ("[penstok]\n", "penstok: unknown setting; expected one of gateway, retention, nats"),
    ] {
        contains(&problems_alone(text), expected);
    }
}

#[test]
fn a_source_is_named_once_and_supported() {
    for (text, expected) in [
        (
            format!("{SOURCE}{SOURCE}"),
            "penstock.toml:9:8: sources[1].name: two sources have the name \"support\", first on line 4",
        ),
        (
            SOURCE.replace("support", "Not_Good"),
            "sources[0].name: expected 1 to 64 of the characters a-z, 0-9 and -, found \"Not_Good\"",
        ),
        (
            SOURCE.replace("\"sms\"", "\"fax\""),
            "sources[0].channel: expected one of email, sms, whatsapp, form, webhook, found \"fax\"",
        ),
        (SOURCE.replace("twilio", ""), "sources[0].provider: expected the name of a provider, found \"\""),
        (
            SOURCE.replace("twilio", "twillio"),
            "unknown provider \"twillio\"; did you mean twilio? supported for sms: twilio",
        ),
        (SOURCE.replace("name = \"support\"\n", ""), "penstock.toml:4:1: sources[0].name: missing; expected 1 to 64"),
        (format!("{SOURCE}secret = 1"), "sources[0].secret: unknown setting; did you mean secrets?"),
        (format!("{SOURCE}max_body = \"101 MiB\""), "sources[0].max_body: expected a size from 1 KiB to 100 MiB"),
        (format!("{SOURCE}header = \"no good\""), "sources[0].header: expected the name of an HTTP header"),
        (format!("{SOURCE}[sources.limit]\nburst = 0"), "sources[0].limit.burst: expected a whole number"),
    ] {
        let found = problems(&text);
        contains(&found, expected);
        assert_eq!(found.lines().count(), 1, "one mistake is one problem:\n{found}");
    }
}

#[test]
fn a_problem_found_later_points_at_its_source() {
    let config = parse(&format!("{SOURCE}{}", SOURCE.replace("support", "sales")));
    let sales = config.sources.last().unwrap();
    let found = config.source_problem(sales, "secrets", "twilio needs one").to_string();
    assert_eq!(found, "penstock.toml:8: sources[1].secrets: twilio needs one");
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let error = problems("[log]\nlevel = \n[log]\n");
    contains(&error, "penstock.toml:5:");
    contains(&error, "not valid TOML");
    assert!(error.lines().all(|line| line.starts_with("penstock.toml:")), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let error = Config::load(Some(Path::new("absent.toml")), &no_env()).unwrap_err().to_string();
    contains(&error, "absent.toml: cannot be read: No such file");
    let error = Config::load(None, &no_env()).unwrap_err().to_string();
    contains(&error, "(no configuration file): nats.url: missing");
}
