//! `docs/configuration.md` says what is read.

use super::*;

const DOCUMENTATION: &str = include_str!("../../../../docs/configuration.md");

#[test]
fn the_documentation_lists_what_is_read_and_nothing_else() {
    let rows: Vec<_> = DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let documented: BTreeSet<_> = rows.iter().filter_map(|row| row.rsplitn(2, " | ").last()).collect();
    let read: Vec<_> = settings()
        .iter()
        .map(|Setting { key, kind, default, range }| format!("{key}` | {kind} | `{default}` | {range}"))
        .collect();
    let read: BTreeSet<_> = read.iter().map(String::as_str).collect();
    let missing: Vec<_> = read.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&read).collect();
    assert!(missing.is_empty() && stale.is_empty(), "missing: {missing:#?}\nstale: {stale:#?}");
    assert_eq!(rows.len(), read.len(), "a setting is documented twice");
}

#[test]
fn the_documentation_lists_the_providers() {
    for channel in CHANNELS {
        let names: Vec<_> =
            PROVIDERS.iter().filter(|(other, _)| *other == channel).map(|(_, name)| format!("`{name}`")).collect();
        let row = format!("| {channel} | {} |\n", names.join(", "));
        assert_eq!(DOCUMENTATION.contains(&row), !names.is_empty(), "{row}");
    }
}

#[test]
fn the_documentation_shows_a_file_that_reads() {
    let example = DOCUMENTATION.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let example = example.replace("{ file = \"/run/secrets/dedup-key\" }", "{ value = \"key\" }");
    let env = [("DATABASE_URL", "postgres://db/penstock"), ("TWILIO_AUTH_TOKEN", "token")];
    let config = Config::parse(&example, "penstock.toml", &env.into_iter().collect()).unwrap();
    assert_eq!(config.sources.len(), 1);
}
