//! What a configuration promises its reader: all that is wrong, where it is, and no secret shown.

mod documentation;
mod overrides;
mod problems;
mod secrets;
mod values;

use super::*;

/// What every process needs, and nothing else.
const ENOUGH: &str = r#"nats.url = "nats://127.0.0.1:4222"
postgres.url = "postgres://127.0.0.1/penstock"
dedup.hash_key = { value = "hash-key-for-tests" }
"#;

const SOURCE: &str = r#"[[sources]]
name = "support"
channel = "sms"
provider = "twilio"
"#;

fn no_env() -> Environment {
    Environment::default()
}

/// `text` behind [`ENOUGH`], so that its first line is line 4.
fn parse_with(text: &str, env: &Environment) -> Result<Config, Problems> {
    Config::parse(&format!("{ENOUGH}{text}"), "penstock.toml", env)
}

fn parse(text: &str) -> Config {
    parse_with(text, &no_env()).unwrap()
}

fn problems(text: &str) -> String {
    parse_with(text, &no_env()).unwrap_err().to_string()
}

fn overridden(name: &str, value: &str) -> Result<Config, String> {
    let env = [(name, value)].into_iter().collect();
    parse_with(SOURCE, &env).map_err(|problems| problems.to_string())
}

#[track_caller]
fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in:\n{text}");
}

/// The problems of a text that does without [`ENOUGH`], whose sections may not be opened again.
fn problems_alone(text: &str) -> String {
    let optional = Requirements::every(Need::Optional);
    let config = Config::parse_for(text, "penstock.toml", &no_env(), optional);
    config.unwrap_err().to_string()
}
