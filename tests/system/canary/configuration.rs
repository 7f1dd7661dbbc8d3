//! A source of every adapter, and a secret that is marked wherever one may stand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tests::config;
use tests::sns::TOPIC;

use super::marks::SECRET;
use crate::providers;

/// Private keys that are files, so that `penstock send` can sign with them.
pub(crate) const KEYS: [&str; 2] =
    ["providers/tests/data/keys/sendgrid-signer.key.pem", "providers/tests/data/keys/sns-signer.key.pem"];

/// The key of every fingerprint and pseudonym.
pub(crate) fn hash_key() -> String {
    format!("{SECRET}hashkey")
}

/// The secret of an adapter's source.
pub(crate) fn secret(adapter: &str) -> String {
    let name = adapter.replace(['/', '-'], "");
    match adapter {
        "webhook/standard" => format!("whsec_{}", STANDARD.encode(format!("{SECRET}{name}"))),
        "webhook/basic" | "email/postmark" => format!("{SECRET}user:{SECRET}{name}"),
        _ => format!("{SECRET}{name}"),
    }
}

fn settings(adapter: &str) -> String {
    let value = || format!("secrets = [{{ value = \"{}\" }}]", secret(adapter));
    let key = |path: &str| {
        let path = providers::repository(path).canonicalize().unwrap();
        format!("secrets = [{{ file = \"{}\" }}]", path.display())
    };
    match adapter {
        "webhook/none" => String::new(),
        "webhook/hmac" => format!("{}\nheader = \"X-Signature\"", value()),
        "whatsapp/meta" => format!("{}\nverify_token = {{ value = \"{SECRET}token\" }}", value()),
        "email/sendgrid" => key(KEYS[0]),
        "email/ses" => format!("{}\ntopics = [\"{TOPIC}\"]", key(KEYS[1])),
        _ => value(),
    }
}

/// All of it, with the logs as loud as they may become.
pub(crate) fn whole<'a>(adapters: impl Iterator<Item = &'a str>) -> String {
    let mut sources: Vec<String> = adapters
        .map(|adapter| {
            let (channel, provider) = adapter.split_once('/').unwrap();
            let settings = format!("{}\n{}", settings(adapter), config::UNLIMITED);
            config::source(channel, provider, &providers::source(adapter), &settings)
        })
        .collect();
    sources.push(config::source("form", "generic", "open", config::UNLIMITED));
    // Whose certificate has to be fetched, through a proxy that nobody is.
    sources.push(config::source("email", "ses", "fetched", &format!("topics = [\"{TOPIC}\"]\n{}", config::UNLIMITED)));
    sources.push(config::source(
        "email",
        "mime",
        "enforced",
        &format!("secrets = [{{ value = \"{SECRET}enforced\" }}]\nverify = \"enforce\""),
    ));
    let common = config::COMMON.replace(config::HASH_KEY, &hash_key());
    let logs = "[log]\nlevel = \"debug,ingest_gateway=trace,normalizer=trace,dedup_worker=trace,persister=trace,\
                runtime=trace,providers=trace,proto=trace\"\n";
    let proxy = format!("[gateway.egress]\nproxy = {{ value = \"http://{SECRET}user:{SECRET}proxy@127.0.0.1:9\" }}\n");
    config::with(&format!("{common}\n{logs}\n{proxy}"), sources)
}

/// Files that are wrong somewhere near a secret.
pub(crate) fn wrong(right: &str) -> Vec<String> {
    let key = format!("{{ value = \"{}\" }}", hash_key());
    let instead = |text: &str| right.replace(&key, text);
    vec![
        instead(&format!("\"{}\"", hash_key())),
        instead(&format!("[\"{}\"]", hash_key())),
        instead(&format!("{{ value = \"{}", hash_key())),
        instead(&format!("{{ env = \"{}-\" }}", hash_key())),
        instead(&format!("{{ key = \"{}\" }}", hash_key())),
        format!("{right}\nsecret = \"{SECRET}\"\n"),
        format!("{right}\nverify_token = \"{SECRET}\"\n"),
        format!("{right}\npublic_url = \"ftp://{SECRET}:{SECRET}@example.org\"\n"),
        right.replace("proxy = { value = \"http://", "proxy = { value = \"ftp://"),
        right.replace("user:", "user"),
        right.replace("whsec_", "whsek_"),
        right.replace("https://in.example.com", &format!("https://{SECRET}:{SECRET}@in.example.com/?x")),
    ]
}
