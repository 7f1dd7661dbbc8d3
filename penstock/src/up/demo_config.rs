//! The configuration that `up` makes where the user has none: one source of each channel, with secrets of its own.
//!
//! Written once and then left alone, so that what a user changes in it stays, and so that a sender which was given a
//! secret can go on using it.

use std::io;
use std::path::PathBuf;

use super::data_dir::DataDir;
use super::secrets::{Secrets, password, standard_webhook_secret};
use crate::servers::files;

const TEMPLATE: &str = include_str!("demo.toml");

/// A source of the configuration above that takes unsigned posts, for the `curl` at the end.
pub(crate) const UNSIGNED: &str = "/v1/form/contact";

/// The file, made now where it is missing.
pub(crate) fn file(data: &DataDir, secrets: &Secrets) -> io::Result<PathBuf> {
    let path = data.at("penstock.toml");
    if path.is_file() {
        return Ok(path);
    }
    let key_file = data.at("dedup.key");
    files::write(&key_file, secrets.dedup_hash_key.as_bytes(), 0o600)?;
    files::write(&path, fill(&key_file.to_string_lossy()).as_bytes(), 0o600)?;
    Ok(path)
}

fn fill(key_file: &str) -> String {
    TEMPLATE
        .replace("@HASH_KEY_FILE@", &toml::Value::from(key_file).to_string())
        .replace("@TWILIO@", &password())
        .replace("@META@", &password())
        .replace("@VERIFY@", &password())
        .replace("@POSTMARK@", &password())
        .replace("@STANDARD@", &standard_webhook_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_a_source_and_no_blank_is_left() {
        let text = fill("/tmp/it's \"here\"/dedup.key");
        let table: toml::Table = text.parse().unwrap();
        let sources = table["sources"].as_array().unwrap();
        let mut channels: Vec<&str> = sources.iter().map(|source| source["channel"].as_str().unwrap()).collect();
        channels.sort_unstable();
        assert_eq!(channels, ["email", "form", "sms", "webhook", "whatsapp"]);
        assert!(!text.contains('@'), "{text}");
        assert_eq!(table["dedup"]["hash_key"]["file"].as_str(), Some("/tmp/it's \"here\"/dedup.key"));
    }

    #[test]
    fn it_is_a_configuration_that_the_processes_take() {
        let folder = tempfile::tempdir().unwrap();
        let (key, file) = (folder.path().join("dedup.key"), folder.path().join("penstock.toml"));
        std::fs::write(&key, "00".repeat(32)).unwrap();
        std::fs::write(&file, fill(key.to_str().unwrap())).unwrap();
        crate::up::settings::check(&file, &crate::servers::Env::new()).unwrap();
    }

    #[test]
    fn two_folders_have_different_secrets() {
        assert_ne!(fill("/a"), fill("/a"));
    }
}
