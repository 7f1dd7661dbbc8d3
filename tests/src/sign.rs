//! Signatures, made as the providers' own documentation says, without a look at the adapters that check them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::Request;
use crate::time::unix_seconds;

/// Twilio: HMAC-SHA1 over the URL and the sorted names and distinct values of the form, in base64.
pub fn twilio(token: &str, url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in fields {
        sorted.entry(name).or_default().insert(value);
    }
    let mut text = url.to_owned();
    for (name, values) in sorted {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).expect("a key of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A request as Twilio sends it to a source of the tests' public URL.
pub fn twilio_request(token: &str, source: &str, fields: &[(&str, &str)]) -> Request {
    let path = format!("/v1/sms/{source}");
    let signature = twilio(token, &format!("{}{path}", crate::config::PUBLIC_URL), fields);
    Request::form(path, fields).header("X-Twilio-Signature", signature)
}

/// Standard Webhooks, version 1: HMAC-SHA256 over id, time and body, in base64. The secret is `whsec_` and base64.
pub fn standard(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("a secret in base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A request with a Standard Webhooks signature, signed now.
pub fn standard_request(secret: &str, source: &str, id: &str, body: &str) -> Request {
    standard_request_at(secret, source, id, unix_seconds(), body)
}

/// A request with a Standard Webhooks signature, signed then.
pub fn standard_request_at(secret: &str, source: &str, id: &str, timestamp: i64, body: &str) -> Request {
    Request::json(format!("/v1/webhook/{source}"), body)
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", standard(secret, id, timestamp, body.as_bytes()))
}

/// GitHub: HMAC-SHA256 over the body, in hex.
pub fn github(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A request as GitHub sends it.
pub fn github_request(secret: &str, source: &str, delivery: &str, body: &str) -> Request {
    Request::json(format!("/v1/webhook/{source}"), body)
        .header("X-GitHub-Event", "issues")
        .header("X-GitHub-Delivery", delivery)
        .header("X-Hub-Signature-256", github(secret, body))
}

/// Vonage's Messages API: a JSON Web Token in `Authorization`, under HMAC-SHA256, with the hash of the body.
pub fn vonage_messages_request(secret: &str, source: &str, body: &str) -> Request {
    let hash = hex::encode(Sha256::digest(body.as_bytes()));
    let claims = format!(r#"{{"iss":"Vonage","iat":{},"jti":"5b2e","payload_hash":"{hash}"}}"#, unix_seconds());
    let [header, claims] = [r#"{"alg":"HS256","typ":"JWT"}"#, &claims].map(|text| URL_SAFE_NO_PAD.encode(text));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(format!("{header}.{claims}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Request::json(format!("/v1/sms/{source}"), body)
        .header("Authorization", format!("Bearer {header}.{claims}.{signature}"))
}

/// Mailgun: HMAC-SHA256 over time and token, in hex. Gives the three fields: time, token, signature.
pub fn mailgun(key: &str, timestamp: i64, token: &str) -> [(&'static str, String); 3] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key of any length");
    mac.update(format!("{timestamp}{token}").as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    [("timestamp", timestamp.to_string()), ("token", token.to_owned()), ("signature", signature)]
}

/// `application/x-www-form-urlencoded`, with everything escaped that may be.
pub fn urlencoded(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |escaped, byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => escaped + &char::from(byte).to_string(),
            b' ' => escaped + "+",
            _ => escaped + &format!("%{byte:02X}"),
        })
    };
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published with the providers' own libraries.
    #[test]
    fn known_signatures_come_out() {
        let fields = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ];
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(twilio("12345", url, &fields), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        let body = br#"{"test": 2432232314}"#;
        let signature =
            standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
