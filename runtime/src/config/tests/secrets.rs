//! Secrets are found, missed aloud, and never shown.

use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn a_secret_that_does_not_exist_is_a_problem() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    let file = folder.path().join("penstock.toml");
    for (secret, expected) in [
        ("{ env = \"TOKEN\" }", "the environment variable TOKEN is not set"),
        ("{ env = \"EMPTY\" }", "the environment variable EMPTY is empty"),
        ("{ file = \"absent\" }", "absent cannot be read: No such file"),
        ("{ file = \"empty\" }", "empty is empty"),
        ("{ file = \"/dev/zero\" }", "/dev/zero cannot be read: it is larger than 65536 bytes"),
        ("{ value = \"\" }", "the secret is empty"),
        ("{ value = 3 }", "with a string in it"),
        ("{ valeu = \"x\" }", "found the key \"valeu\""),
        ("{ env = \"A\", file = \"b\" }", "expected exactly one of { env"),
        ("{}", "expected exactly one of { env"),
    ] {
        fs::write(&file, format!("{ENOUGH}{SOURCE}secrets = [{secret}]")).unwrap();
        let error = Config::load(Some(&file), &[("EMPTY", "")].into_iter().collect());
        let error = error.unwrap_err().to_string();
        contains(&error, &format!("{}:8:12: sources[0].secrets[0]: ", file.display()));
        contains(&error, expected);
    }
}

#[test]
fn a_relative_secret_file_lies_beside_the_configuration() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("token"), "t0ken\n").unwrap();
    let file = folder.path().join("penstock.toml");
    fs::write(&file, format!("{ENOUGH}{SOURCE}secrets = [{{ file = \"token\" }}]")).unwrap();
    let config = Config::load(Some(&file), &no_env()).unwrap();
    assert_eq!(config.sources[0].secrets, [Secret::from("t0ken".to_owned())]);
}

#[test]
fn no_secret_is_ever_printed() {
    const HIDDEN: &str = "hunter2";
    let good = format!(
        "{ENOUGH}{SOURCE}secrets = [{{ value = \"{HIDDEN}\" }}]\nverify_token = {{ env = \"TOKEN\" }}\n\
         public_url = \"https://me:{HIDDEN}@example.com/?key={HIDDEN}\"\n\
         [gateway.egress]\nproxy = \"http://me:{HIDDEN}@proxy\"\nca = {{ value = \"{HIDDEN}\" }}\n\
         [attachments]\naccess_key_id = {{ value = \"{HIDDEN}\" }}\nsecret_access_key = {{ value = \"{HIDDEN}\" }}"
    )
    .replace("127.0.0.1", &format!("me:{HIDDEN}@127.0.0.1"))
    .replace("hash-key-for-tests", HIDDEN);
    let env: Environment = [("TOKEN", HIDDEN)].into_iter().collect();
    let config = Config::parse(&good, "penstock.toml", &env).unwrap();
    let printed = format!("{config:?} {config:#?} {env:?}");
    assert!(!printed.contains(HIDDEN), "{printed}");

    for bad in [
        ENOUGH.replace("nats://", "http://hunter2:"),
        ENOUGH.replace("postgres://", "hunter2"),
        ENOUGH.replace("{ value = \"hash-key-for-tests\" }", "\"hunter2\""),
        ENOUGH.replace("{ value = \"hash-key-for-tests\" }", "{ env = \"hunter2!\" }"),
        ENOUGH.replace("{ value = \"hash-key-for-tests\" }", "{ key = \"hunter2\" }"),
        ENOUGH.replace("{ value = \"hash-key-for-tests\" }", "[\"hunter2\"]"),
        ENOUGH.replace("{ value = \"hash-key-for-tests\" }", "{ value = \"hunter2"),
        format!("{ENOUGH}gateway.public_url = \"me:hunter2@example.com\""),
        format!("{ENOUGH}{SOURCE}secrets = [\"hunter2\"]"),
        format!("{ENOUGH}{SOURCE}secrets = \"hunter2\""),
        format!("{ENOUGH}{SOURCE}secret = \"hunter2\""),
    ] {
        let problems = Config::parse(&bad, "penstock.toml", &no_env()).unwrap_err();
        let printed = format!("{problems} {problems:?}");
        assert!(!printed.contains(HIDDEN), "{printed}");
    }
}

#[test]
fn a_process_is_only_given_the_secrets_it_uses() {
    let text = format!(
        "postgres.url = {{ env = \"DATABASE_URL\" }}\n{SOURCE}secrets = [{{ env = \"TOKEN\" }}]\nverify_token = {{ env = \"T\" }}"
    );
    let read = |need| Config::parse_for(&text, "penstock.toml", &no_env(), Requirements::every(need));
    let config = read(Need::Unused).unwrap();
    assert_eq!((config.postgres.url, config.nats.url), (None, None));
    assert!(config.sources[0].secrets.is_empty());
    assert_eq!(read(Need::Optional).unwrap_err().iter().count(), 3);
    assert_eq!(read(Need::Required).unwrap_err().iter().count(), 5);
    assert!(Config::load_for(None, &no_env(), Requirements::every(Need::Optional)).is_ok());
}

#[test]
fn a_change_of_a_secret_is_seen() {
    let old = parse(&format!("{SOURCE}secrets = [{{ value = \"a\" }}]"));
    let new = parse(&format!("{SOURCE}secrets = [{{ value = \"b\" }}]"));
    assert_eq!(old, old.clone());
    assert_ne!(old, new);
}
