//! Amazon SNS: an RSA signature over selected fields of the body, with the key in a certificate that the body says where to
//! find.
//!
//! The signature says that SNS sent it and not for whom: anybody with an AWS account has a topic that signs as well. So
//! `topics` decides, and it decides first: for a topic that is not the source's nothing is fetched and nothing computed.
//! A message without envelope (raw delivery) is not signed; it takes a `user:password` of the source.

mod envelope;
mod url;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::Millis;

pub(crate) use self::envelope::{Envelope, Type};
use super::rsa::{self, Hash};
use super::{mac, token};
use crate::adapter::{FollowUp, Signed};
use crate::keyring::{Key, Keyring, KeyringError};
use crate::request::Request;
use crate::settings::Scheme;
use crate::verdict::Flaw;

/// What a secret is, for the error.
const SECRETS: &str = "nothing (the certificate is fetched), a PEM of a certificate, public or private RSA key, or \
                       `user:password` for raw message delivery";
/// What a topic is, for the error.
const TOPICS: &str = "the ARNs of the topics that may deliver: `arn:aws:sns:eu-west-1:123456789012:inbound-mail`";

/// How old a signature may be where the source does not say, in seconds: SNS tries for an hour at most, and clocks differ.
const TOLERANCE: u64 = 65 * 60;

const TYPE: &str = "x-amz-sns-message-type";
const TOPIC: &str = "x-amz-sns-topic-arn";

/// Parses a source's secrets, if it has any. It must name its topics.
pub(crate) fn keyring(secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
    if scheme.topics.is_empty() {
        return Err(KeyringError::Setting { setting: "topics", expected: TOPICS });
    }
    if !scheme.topics.iter().all(|topic| is_topic(topic)) {
        return Err(KeyringError::UnfitSetting { setting: "topics", expected: TOPICS });
    }
    Keyring::parse_any(secrets, SECRETS, |secret| {
        if secret.trim_start().starts_with(rsa::PEM) {
            return rsa::from_pem(secret);
        }
        // A user has no colon, so the first one divides.
        secret.contains(':').then(|| Key::text(secret)).flatten()
    })
}

/// `arn:{partition}:sns:{region}:{account}:{name}`.
fn is_topic(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    matches!(parts.as_slice(), ["arn", _, "sns", _, _, _]) && parts.iter().all(|part| !part.is_empty())
}

/// Which secret, or which certificate behind them, made the signature; or which one the basic credentials are.
pub(crate) fn authenticate(
    request: &Request<'_>,
    keyring: &Keyring,
    scheme: &Scheme,
    now: Millis,
) -> Result<usize, Flaw> {
    let Some(envelope) = Envelope::read(request.body) else { return unsigned(request, keyring, scheme) };
    let signed = signed(request, &envelope, scheme)?;
    let fits = rsa::fitting(keyring, signed.hash, &signed.text, &signed.signature, now);
    let fits = fits.map_err(|rsa::NoKey| Flaw::Certificate)?.ok_or(Flaw::Mismatch)?;
    let signed_at = envelope.timestamp.as_unix().div_euclid(1000);
    mac::in_time(signed_at, now, scheme.tolerance_s.unwrap_or(TOLERANCE).saturating_mul(1000))?;
    Ok(fits)
}

/// Where the certificate lies that signed this request, if everything else is as it has to be and no secret is one.
pub(crate) fn certificate_url(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme) -> Option<String> {
    if keyring.keys().iter().any(|key| !matches!(key, Key::Shared(_))) {
        return None;
    }
    let envelope = Envelope::read(request.body)?;
    signed(request, &envelope, scheme).ok().map(|_| envelope.certificate_url)
}

/// A subscription wants to be confirmed by calling it. The end of one carries the same URL, and calling that would
/// subscribe again.
pub(crate) fn follow_up(request: &Request<'_>) -> Option<FollowUp> {
    let envelope = Envelope::read(request.body)?;
    match envelope.kind {
        Type::Notification => None,
        Type::SubscriptionConfirmation => {
            let url = envelope.subscribe_url.filter(|url| url::is_of_sns(url, &envelope.topic));
            url.map(FollowUp::Call)
        }
        Type::UnsubscribeConfirmation => Some(FollowUp::Warn(
            "SNS has ended the subscription of this source to its topic: nothing more comes from there until it is \
             subscribed again",
        )),
    }
}

/// What the signature is over, and it.
struct SignedText {
    hash: Hash,
    text: Vec<u8>,
    signature: Vec<u8>,
}

/// Everything that can be said without the key.
fn signed(request: &Request<'_>, envelope: &Envelope, scheme: &Scheme) -> Result<SignedText, Flaw> {
    match request.single(TYPE) {
        Ok(kind) if kind != envelope.kind.as_str() => return Err(Flaw::Malformed),
        Ok(_) | Err(Flaw::Missing) => {}
        Err(flaw) => return Err(flaw),
    }
    if !scheme.topics.contains(&envelope.topic) {
        return Err(Flaw::Topic);
    }
    let signature = envelope.signature.as_deref().ok_or(Flaw::Missing)?;
    let signature = STANDARD.decode(signature).map_err(|_| Flaw::Malformed)?;
    let hash = match envelope.version.as_str() {
        "1" => Hash::Sha1,
        "2" => Hash::Sha256,
        _ => return Err(Flaw::Algorithm),
    };
    if !url::is_certificate(&envelope.certificate_url, &envelope.topic) {
        return Err(Flaw::Certificate);
    }
    Ok(SignedText { hash, text: envelope.signed_text(), signature })
}

/// Raw delivery, or something else. SNS keeps credentials of the subscription's URL to itself until it is asked for them.
fn unsigned(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme) -> Result<usize, Flaw> {
    if keyring.shared().next().is_none() {
        return Err(Flaw::Missing);
    }
    match token::basic(request, keyring) {
        Err(Flaw::Missing) => Err(Flaw::Unasked),
        Err(flaw) => Err(flaw),
        Ok(secret) => match request.single(TOPIC) {
            Ok(topic) if !scheme.topics.iter().any(|known| known == topic) => Err(Flaw::Topic),
            Ok(_) | Err(Flaw::Missing) => Ok(secret),
            Err(flaw) => Err(flaw),
        },
    }
}

/// The envelope as SNS would send it now, under the first private key and from the first topic; or, without envelope, the
/// first credentials.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
    let Some(mut envelope) = Envelope::read(request.body) else { return token::sign_basic(keyring) };
    envelope.send(scheme.topics.first()?, now);
    let signature = rsa::sign(keyring, &envelope.signed_text())?;
    envelope.signature = Some(STANDARD.encode(signature));
    Some(Signed { body: Some(envelope.write(request.body)?), ..Signed::default() })
}

#[cfg(test)]
mod tests;
