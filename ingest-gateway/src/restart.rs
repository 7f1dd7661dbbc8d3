//! Which settings are read once, at the start: a reload cannot put them in force, and says so.

use runtime::config::Config;

/// The settings that are other ones in `new` than in `running` and take a restart, by name.
pub fn needed_for(running: &Config, new: &Config) -> Vec<&'static str> {
    let (old, gateway) = (&running.gateway, &new.gateway);
    [
        ("gateway.listen", old.listen == gateway.listen),
        ("gateway.admin", old.admin == gateway.admin),
        ("gateway.header_timeout", old.header_timeout == gateway.header_timeout),
        // In force at once as the limit for a whole request; one wait for the broker keeps the old one.
        ("gateway.publish_timeout", old.publish_timeout == gateway.publish_timeout),
        ("gateway.max_connections", old.max_connections == gateway.max_connections),
        ("gateway.shutdown_grace", old.shutdown_grace == gateway.shutdown_grace),
        ("nats.url", running.nats.url == new.nats.url),
        ("log", running.log == new.log),
    ]
    .into_iter()
    .filter_map(|(name, same)| (!same).then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use runtime::config::Environment;

    use super::*;

    fn config(more: &str) -> Config {
        let base = "postgres.url = \"postgres://localhost/x\"\ndedup.hash_key = { value = \"test-key\" }\n";
        let nats = if more.contains("nats.url") { "" } else { "nats.url = \"nats://127.0.0.1:4222\"\n" };
        Config::parse(&format!("{base}{nats}{more}"), "test.toml", &Environment::default()).unwrap()
    }

    #[test]
    fn what_a_reload_cannot_change_is_named_and_nothing_else() {
        let running = config("");
        for (changed, named) in [
            ("", &[][..]),
            (
                "gateway.body_budget = \"9 MiB\"\ngateway.body_budget_per_address = \"8 MiB\"\ngateway.body_timeout = \"9s\"",
                &[],
            ),
            ("gateway.limits.address.burst = 9\ngateway.public_url = \"https://x.example\"", &[]),
            ("gateway.listen = \"127.0.0.1:9\"", &["gateway.listen"]),
            ("gateway.admin = \"127.0.0.1:9\"", &["gateway.admin"]),
            ("gateway.header_timeout = \"9s\"", &["gateway.header_timeout"]),
            ("gateway.max_connections = 9", &["gateway.max_connections"]),
            ("gateway.publish_timeout = \"2s\"", &["gateway.publish_timeout"]),
            ("gateway.shutdown_grace = \"9s\"", &["gateway.shutdown_grace"]),
            ("nats.url = \"nats://127.0.0.1:9\"", &["nats.url"]),
            ("log.level = \"debug\"", &["log"]),
            ("gateway.listen = \"127.0.0.1:9\"\nlog.level = \"debug\"", &["gateway.listen", "log"]),
        ] {
            assert_eq!(needed_for(&running, &config(changed)), named, "{changed}");
        }
    }
}
