//! The secrets of one data folder, drawn once and kept in `secrets.json`, readable by its owner only.
//!
//! They have to outlive the run: the database was made with its password, and a deduplication key that changed would make
//! every repeat look new.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::servers::files;
use crate::servers::nats::Passwords;

/// Everything that is drawn.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) nats: Passwords,
    pub(crate) postgres: String,
    /// Hex of 32 bytes: the key under which deduplication keys are hashed.
    pub(crate) dedup_hash_key: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// Those of this folder, drawn now where there are none.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let drawn = Self::draw();
                files::write(path, &serde_json::to_vec_pretty(&drawn)?, 0o600)?;
                Ok(drawn)
            }
            Err(error) => Err(error),
        }
    }

    fn draw() -> Self {
        Self {
            nats: Passwords {
                admin: password(),
                gateway: password(),
                normalizer: password(),
                dedup: password(),
                persister: password(),
            },
            postgres: password(),
            dedup_hash_key: hex::encode(random_bytes()),
        }
    }
}

/// Letters and digits, the first a letter: goes into URLs and configuration files unquoted.
pub(crate) fn password() -> String {
    format!("p{}", Uuid::new_v4().simple())
}

/// A secret of the Standard Webhooks scheme.
pub(crate) fn standard_webhook_secret() -> String {
    format!("whsec_{}", STANDARD.encode(random_bytes()))
}

fn random_bytes() -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for _ in 0..3 {
        hasher.update(Uuid::new_v4().as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn secrets_outlive_the_run_and_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let (first, second) = (Secrets::of(&path).unwrap(), Secrets::of(&path).unwrap());
        assert_eq!(first.dedup_hash_key, second.dedup_hash_key);
        assert_eq!(first.postgres, second.postgres);
        assert_ne!(first.postgres, first.nats.admin);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_spoilt_is_an_error_and_not_a_new_set() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        std::fs::write(&path, "{").unwrap();
        assert!(Secrets::of(&path).is_err());
    }
}
