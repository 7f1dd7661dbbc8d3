//! WhatsApp by Twilio: the parameters and signature of its SMS, with `whatsapp:` before each address and more about the
//! person and the message. What is common is in [`crate::sms::twilio`].

use proto::{Channel, Kind, Millis, Recipient};
use serde_json::{Map, Value};

use super::person::number;
use crate::adapter::{Adapter, Signed};
use crate::contract::Contract;
use crate::dedup::canonical_json;
use crate::keyring::{Keyring, KeyringError};
use crate::read::draft::Draft;
use crate::read::json;
use crate::record::{Normalized, RawRequest};
use crate::request::{BadRequest, Request};
use crate::settings::{Scheme, SourceSettings};
use crate::sms::twilio::{self as sms, Twilio as Sms};
use crate::verdict::Verdict;

/// What stands before every address.
const PREFIX: &str = "whatsapp:";

/// What tells two messages of equal text apart, beyond their text and files.
const CONTENT: [&str; 4] = ["location", "address", "label", "button_payload"];

/// The adapter.
#[derive(Debug)]
pub(crate) struct Twilio;

impl Adapter for Twilio {
    fn channel(&self) -> Channel {
        Channel::WhatsApp
    }

    fn name(&self) -> &'static str {
        "twilio"
    }

    fn contract(&self) -> &'static Contract {
        Sms.contract()
    }

    fn keyring(&self, secrets: &[&str], scheme: &Scheme) -> Result<Keyring, KeyringError> {
        Sms.keyring(secrets, scheme)
    }

    fn authenticate(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Verdict {
        Sms.authenticate(request, keyring, scheme, now)
    }

    fn check(&self, request: &Request<'_>, max_body: u64) -> Result<(), BadRequest> {
        Sms.check(request, max_body)
    }

    fn sign(&self, request: &Request<'_>, keyring: &Keyring, scheme: &Scheme, now: Millis) -> Option<Signed> {
        Sms.sign(request, keyring, scheme, now)
    }

    fn normalize(&self, raw: &RawRequest, settings: &SourceSettings) -> Normalized {
        match sms::draft(raw, settings) {
            Ok(mut draft) => {
                add(&mut draft);
                draft.alone(raw)
            }
            Err(reason) => Normalized::bad(reason),
        }
    }

    fn secret_parameters(&self) -> &'static [&'static str] {
        Sms.secret_parameters()
    }
}

/// Adds what only WhatsApp has.
fn add(draft: &mut Draft) {
    add_people(draft);
    if let Some(status) = &mut draft.status {
        if draft.kind == Kind::Status {
            status.recipient = draft.recipients.first().and_then(|recipient| recipient.address.clone());
        }
        return;
    }
    let metadata = &mut draft.metadata;
    draft.reply_to_id = take(metadata, "original_replied_message_sid");
    // A button or a picture without a caption comes with an empty `Body`.
    draft.text = draft.text.take().filter(|text| !text.is_empty()).or_else(|| text(metadata, "button_text"));
    let place = ["latitude", "longitude"].map(|name| metadata.remove(name).map(|value| (name.to_owned(), value)));
    let place: Map<String, Value> = place.into_iter().flatten().collect();
    if !place.is_empty() {
        metadata.insert("location".to_owned(), Value::Object(place));
    }
    for name in ["forwarded", "frequently_forwarded"] {
        if let Some(flag) = text(metadata, name).and_then(|text| text.parse::<bool>().ok()) {
            metadata.insert(name.to_owned(), Value::Bool(flag));
        }
    }
    if let Some(read) = text(metadata, "channel_metadata").and_then(|text| json::read(text.as_bytes()).ok()) {
        metadata.insert("channel_metadata".to_owned(), read.value);
        draft.note_json(read.notes);
    }
    let metadata = &draft.metadata;
    let told = CONTENT.iter().filter_map(|name| metadata.get(*name).map(|value| ((*name).to_owned(), value.clone())));
    let told: Map<String, Value> = told.collect();
    if !told.is_empty() {
        draft.content.fields = Some(canonical_json(&Value::Object(told)));
    }
}

/// Reads both addresses again, without their prefix. The originals stay in the metadata.
fn add_people(draft: &mut Draft) {
    let is_message = draft.status.is_none();
    // Whoever has no number is named beside the addresses: who wrote a message, or whom a status is about.
    let user = text(&draft.metadata, "external_user_id");
    if is_message {
        draft.content.sender = draft.content.sender.take().or(user);
    } else if draft.content.recipients.is_empty() {
        draft.content.recipients.extend(user);
    }
    if let Some(written) = &draft.content.sender {
        draft.metadata.insert("from_raw".to_owned(), Value::String(written.clone()));
        draft.sender = number(bare(written)).map(|person| person.party);
    }
    if let Some(written) = draft.content.recipients.first() {
        draft.metadata.insert("to_raw".to_owned(), Value::String(written.clone()));
        let address = number(bare(written)).and_then(|person| person.party.address);
        draft.recipients = address.map(Recipient::to).into_iter().collect();
    }
    if let (true, Some(sender)) = (is_message, &mut draft.sender) {
        sender.name = take(&mut draft.metadata, "profile_name");
    }
}

fn bare(address: &str) -> &str {
    let address = address.trim();
    match address.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => address,
    }
}

fn text(metadata: &Map<String, Value>, name: &str) -> Option<String> {
    metadata.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn take(metadata: &mut Map<String, Value>, name: &str) -> Option<String> {
    let text = text(metadata, name)?;
    metadata.remove(name);
    Some(text)
}

#[cfg(test)]
mod tests {
    use proto::subject::SourceName;
    use proto::{CanonicalMessage, RawEnvelope, Verified};

    use super::*;

    fn read(parameters: &str) -> (CanonicalMessage, Value) {
        let raw = RawRequest {
            envelope: RawEnvelope {
                id: uuid::Uuid::from_u128(7),
                received_at: Millis::from_unix(1_785_564_409_000).unwrap(),
                method: "GET".to_owned(),
                query: Some(parameters.to_owned()),
                provider: "twilio".to_owned(),
                verified: Verified::Yes,
                headers: Vec::new(),
                body: None,
                replay: None,
                traceparent: None,
            },
            channel: Channel::WhatsApp,
            source: SourceName::parse("test").unwrap(),
            body: bytes::Bytes::new(),
            raw_sequence: 1,
        };
        let record = *Twilio.normalize(&raw, &SourceSettings::default()).elements.remove(0).unwrap();
        let metadata = serde_json::from_str(record.message.metadata.get()).unwrap();
        (record.message, metadata)
    }

    #[test]
    fn an_address_is_read_without_its_prefix_and_kept_with_it() {
        let (message, metadata) =
            read("MessageSid=SM1&From=whatsapp%3A%2B44%207700%20900022&To=WhatsApp:%2B14155238886");
        assert_eq!(message.sender.unwrap().address.as_deref(), Some("+447700900022"));
        assert_eq!(message.recipients[0].address.as_deref(), Some("+14155238886"));
        assert_eq!(metadata["from_raw"], "whatsapp:+44 7700 900022");
        assert_eq!(message.conversation.as_deref(), Some("test:+14155238886:+447700900022"));
    }

    #[test]
    fn a_person_without_a_number_is_known_by_the_user_id() {
        for parameters in
            ["ExternalUserId=whatsapp:ID.13491", "From=whatsapp:ID.13491", "From=&ExternalUserId=ID.13491"]
        {
            let (message, _) = read(&format!("MessageSid=SM1&Body=x&ProfileName=Ada&{parameters}"));
            let sender = message.sender.unwrap();
            assert_eq!((sender.address.as_deref(), sender.name.as_deref()), (Some("bsuid:ID.13491"), Some("Ada")));
        }
    }

    #[test]
    fn what_twilio_writes_as_text_is_what_it_means() {
        let (message, metadata) = read(
            "MessageSid=SM1&Body=&ButtonText=Oui&ButtonPayload=p&Forwarded=true&FrequentlyForwarded=false\
             &ChannelMetadata=%7B%22type%22%3A%22whatsapp%22%7D&Latitude=1.5&Longitude=2&Label=Depot",
        );
        assert_eq!(message.text.as_deref(), Some("Oui"));
        assert_eq!(metadata["forwarded"], true);
        assert_eq!(metadata["frequently_forwarded"], false);
        assert_eq!(metadata["channel_metadata"]["type"], "whatsapp");
        assert_eq!(metadata["location"], serde_json::json!({ "latitude": "1.5", "longitude": "2" }));
        assert_eq!((&metadata["label"], &metadata["button_payload"]), (&"Depot".into(), &"p".into()));
        let (_, metadata) = read("MessageSid=SM1&Body=x&ChannelMetadata=%7B&Forwarded=maybe");
        assert_eq!((&metadata["channel_metadata"], &metadata["forwarded"]), (&"{".into(), &"maybe".into()));
    }

    #[test]
    fn a_status_is_of_the_person_it_was_sent_to() {
        let (message, metadata) = read(
            "MessageSid=SM1&MessageStatus=failed&ErrorCode=63016&To=whatsapp:%2B14155558729&From=whatsapp:%2B14155238886\
             &ChannelStatusMessage=outside&ExternalUserId=whatsapp:US.1",
        );
        let status = message.status.unwrap();
        assert_eq!((status.status.as_str(), status.error_code.as_deref()), ("failed", Some("63016")));
        assert_eq!(status.recipient.as_deref(), Some("+14155558729"));
        assert_eq!(message.sender.unwrap().address.as_deref(), Some("+14155238886"));
        assert_eq!(metadata["channel_status_message"], "outside");
        let (message, _) = read("MessageSid=SM1&MessageStatus=read&ExternalUserId=whatsapp:US.1");
        assert_eq!(message.status.unwrap().recipient.as_deref(), Some("bsuid:US.1"));
    }
}
