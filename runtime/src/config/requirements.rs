//! What a process cannot do without, and which secrets it has no business holding.
//!
//! One file serves all processes, yet not every process is given every secret: the gateway runs
//! without the database's password. So a secret that a process does not use is never looked up.

/// How much a process needs a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Required,
    /// It may be absent; where it is given, its secret must exist.
    Optional,
    /// Its form is checked, its secret is not looked up, and it reads as absent.
    Unused,
}

impl Need {
    /// The same, of a value that may always be absent.
    pub(super) fn optional(self) -> Self {
        if self == Self::Required { Self::Optional } else { self }
    }
}

/// The values whose need differs from process to process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirements {
    /// `nats.url`.
    pub nats: Need,
    /// `postgres.url`.
    pub postgres: Need,
    /// `dedup.hash_key`.
    pub hash_key: Need,
    /// `secrets` and `verify_token` of each source, which may always be absent: whether a scheme
    /// needs one is checked where the scheme is known; `gateway.egress`, which verifying may take; and
    /// `gateway.tls`.
    pub source_secrets: Need,
    /// `attachments.access_key_id` and `attachments.secret_access_key`, which may always be absent.
    pub attachments: Need,
}

impl Requirements {
    /// The whole file must stand.
    pub const ALL: Self = Self::every(Need::Required);

    /// The same need for every value.
    pub const fn every(need: Need) -> Self {
        Self { nats: need, postgres: need, hash_key: need, source_secrets: need, attachments: need }
    }
}
