//! Configurations for tests: what they all need, and the sources that a test names.

/// What providers call, by the configuration of the tests.
pub const PUBLIC_URL: &str = "https://in.example.com";

/// Secrets of the tests' sources.
pub const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// A second secret that is live at the same time.
pub const STANDARD_OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// A Twilio auth token.
pub const TWILIO: &str = "5bb083376430c45517a0e36c7ac656b6";
/// A GitHub secret.
pub const GITHUB: &str = "4x5eAtBCtF8eLWLlXDF9cW0bnfMa7DAc";
/// A signing key of Mailgun.
pub const MAILGUN: &str = "073c67c453743a581bbc3c80efe10148";
/// The public key that SendGrid's samples are signed for.
pub const SENDGRID: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEctHXcnJ0biPglU/XsJkLzhnxdEX2PzCF2Jw556dRKwpf3mZSZRYUiRitqYhlEVabrMhMKz+uxXdyHd8LhtAcAg==";
/// A bearer token.
pub const BEARER: &str = "VDGQwcdqhK2GXGojISx4fPIovshRjLOqaRMmKmnw";
/// User and password.
pub const BASIC: &str = "penny:correct-horse-battery";
/// `dedup.hash_key`.
pub const HASH_KEY: &str = "d0f5c1c4b7f24b0f9f5e6a0c3b1a8e77";

/// A configuration of these sources, each a table without its head: `name = "x" ...`.
pub fn with_sources<S: AsRef<str>>(sources: impl IntoIterator<Item = S>) -> String {
    with(COMMON, sources)
}

/// A configuration that begins otherwise.
pub fn with<S: AsRef<str>>(common: &str, sources: impl IntoIterator<Item = S>) -> String {
    sources.into_iter().fold(common.to_owned(), |text, source| format!("{text}\n[[sources]]\n{}\n", source.as_ref()))
}

/// A source with the lines that every one has, and further ones.
pub fn source(channel: &str, provider: &str, name: &str, more: &str) -> String {
    format!("name = \"{name}\"\nchannel = \"{channel}\"\nprovider = \"{provider}\"\n{more}\n")
}

/// A source of signed webhooks.
pub fn signed(name: &str) -> String {
    source("webhook", "standard", name, &format!("secrets = [{{ value = \"{STANDARD}\" }}]\n{UNLIMITED}"))
}

/// No limit that a test on two cores could reach.
pub const UNLIMITED: &str = "limit = { per_second = 100000, burst = 100000 }";

/// Every address of a client has a small budget, and every request of a test an address of its own.
pub const COMMON: &str = r#"
[gateway]
public_url = "https://in.example.com"
trusted_proxies = ["127.0.0.1"]
body_timeout = "2s"
limits = { address = { per_second = 1, burst = 20 }, auth_failures = { per_minute = 1, burst = 5 } }

[dedup]
hash_key = { value = "d0f5c1c4b7f24b0f9f5e6a0c3b1a8e77" }

# A broker reserves what its streams may hold: many systems have to fit on one disk.
[streams]
raw = "256 MiB"
bodies = "256 MiB"
held = "64 MiB"
replay = "256 MiB"
canonical = "256 MiB"
unique = "256 MiB"
duplicates = "256 MiB"
dlq = "64 MiB"
"#;
