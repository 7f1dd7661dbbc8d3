//! Samples of what providers post, in `penstock/samples`, and their blanks: pure.
//!
//! A sample is a text: a line that says what it is, `for:` the adapters that take it, a blank line, then the method, the
//! headers, a blank line and the body, as HTTP has them. `{{name:kind}}` is a blank; one name and kind have one value
//! throughout a sample. The values follow from a seed, so that each send can be a new message, or always the same one.

use proto::{Channel, Millis};

/// Every sample, in the order in which `--list-samples` shows them; the first that fits a source is its default.
const FILES: &[(&str, &str)] = &[
    ("twilio-text", include_str!("../../../samples/twilio-text.http")),
    ("twilio-mms", include_str!("../../../samples/twilio-mms.http")),
    ("twilio-status", include_str!("../../../samples/twilio-status.http")),
    ("vonage-text", include_str!("../../../samples/vonage-text.http")),
    ("vonage-part", include_str!("../../../samples/vonage-part.http")),
    ("vonage-receipt", include_str!("../../../samples/vonage-receipt.http")),
    ("vonage-messages-text", include_str!("../../../samples/vonage-messages-text.http")),
    ("vonage-messages-status", include_str!("../../../samples/vonage-messages-status.http")),
    ("messagebird-text", include_str!("../../../samples/messagebird-text.http")),
    ("messagebird-status", include_str!("../../../samples/messagebird-status.http")),
    ("bird-text", include_str!("../../../samples/bird-text.http")),
    ("bird-status", include_str!("../../../samples/bird-status.http")),
    ("sinch-text", include_str!("../../../samples/sinch-text.http")),
    ("sinch-report", include_str!("../../../samples/sinch-report.http")),
    ("plivo-text", include_str!("../../../samples/plivo-text.http")),
    ("plivo-status", include_str!("../../../samples/plivo-status.http")),
    ("meta-text", include_str!("../../../samples/meta-text.http")),
    ("meta-status", include_str!("../../../samples/meta-status.http")),
    ("twilio-whatsapp-text", include_str!("../../../samples/twilio-whatsapp-text.http")),
    ("twilio-whatsapp-status", include_str!("../../../samples/twilio-whatsapp-status.http")),
    ("sendgrid-mail", include_str!("../../../samples/sendgrid-mail.http")),
    ("sendgrid-raw", include_str!("../../../samples/sendgrid-raw.http")),
    ("sendgrid-event", include_str!("../../../samples/sendgrid-event.http")),
    ("ses-mail", include_str!("../../../samples/ses-mail.http")),
    ("ses-s3", include_str!("../../../samples/ses-s3.http")),
    ("ses-bounce", include_str!("../../../samples/ses-bounce.http")),
    ("postmark-inbound", include_str!("../../../samples/postmark-inbound.http")),
    ("postmark-raw", include_str!("../../../samples/postmark-raw.http")),
    ("postmark-bounce", include_str!("../../../samples/postmark-bounce.http")),
    ("mailgun-store", include_str!("../../../samples/mailgun-store.http")),
    ("mailgun-mime", include_str!("../../../samples/mailgun-mime.http")),
    ("mailgun-event", include_str!("../../../samples/mailgun-event.http")),
    ("mime-mail", include_str!("../../../samples/mime-mail.http")),
    ("mime-bounce", include_str!("../../../samples/mime-bounce.http")),
    ("form-urlencoded", include_str!("../../../samples/form-urlencoded.http")),
    ("form-json", include_str!("../../../samples/form-json.http")),
    ("form-multipart", include_str!("../../../samples/form-multipart.http")),
    ("typeform-response", include_str!("../../../samples/typeform-response.http")),
    ("tally-response", include_str!("../../../samples/tally-response.http")),
    ("jotform-submission", include_str!("../../../samples/jotform-submission.http")),
    ("standard-json", include_str!("../../../samples/standard-json.http")),
    ("github-issue", include_str!("../../../samples/github-issue.http")),
    ("github-ping", include_str!("../../../samples/github-ping.http")),
    ("cloudevents-structured", include_str!("../../../samples/cloudevents-structured.http")),
    ("cloudevents-binary", include_str!("../../../samples/cloudevents-binary.http")),
    ("cloudevents-batch", include_str!("../../../samples/cloudevents-batch.http")),
    ("webhook-json", include_str!("../../../samples/webhook-json.http")),
    ("webhook-text", include_str!("../../../samples/webhook-text.http")),
];

/// A sample, its blanks still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) about: &'static str,
    /// `sms/twilio`, separated by spaces.
    adapters: &'static str,
    request: &'static str,
}

/// A request without signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsigned {
    pub(crate) method: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// All samples for which there is an adapter in this version.
pub(crate) fn all() -> impl Iterator<Item = Sample> {
    FILES
        .iter()
        .filter_map(|(name, text)| Sample::parse(name, text))
        .filter(|sample| sample.adapters().next().is_some())
}

/// The sample of this name, or the first that fits the adapter.
pub(crate) fn choose(channel: Channel, provider: &str, name: Option<&str>) -> Option<Sample> {
    match name {
        Some(name) => all().find(|sample| sample.name == name),
        None => all().find(|sample| sample.fits(channel, provider)),
    }
}

impl Sample {
    fn parse(name: &'static str, text: &'static str) -> Option<Self> {
        let (about, rest) = text.strip_prefix("# ")?.split_once('\n')?;
        let (adapters, request) = rest.strip_prefix("for: ")?.split_once("\n\n")?;
        Some(Self { name, about, adapters, request })
    }

    /// The adapters that take it, of those there are.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = &'static str> {
        self.adapters.split(' ').filter(|adapter| {
            let (channel, provider) = adapter.split_once('/').unwrap_or_default();
            channel.parse().is_ok_and(|channel| providers::find(channel, provider).is_some())
        })
    }

    /// Whether this adapter takes it.
    pub(crate) fn fits(&self, channel: Channel, provider: &str) -> bool {
        self.adapters.split(' ').any(|adapter| adapter.split_once('/') == Some((channel.as_str(), provider)))
    }

    /// The seed that gives the same message each time.
    pub(crate) fn verbatim_seed(&self) -> [u8; 32] {
        *blake3::hash(self.name.as_bytes()).as_bytes()
    }

    /// The request, its blanks filled. `None` where the text has no such form, which a test rules out.
    pub(crate) fn fill(&self, seed: [u8; 32], now: i64) -> Option<Unsigned> {
        let text = fill(self.request, seed, now)?;
        let (head, body) = text.split_once("\n\n")?;
        let mut lines = head.lines();
        let (method, query) = match lines.next()?.split_once(" ?") {
            Some((method, query)) => (method, Some(query.to_owned())),
            None => (head.lines().next()?, None),
        };
        let headers: Option<Vec<(String, String)>> =
            lines.map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        let headers = headers?;
        let body = body.strip_suffix('\n').unwrap_or(body);
        // Text files have the line ends of this repository; these two have those of the wire.
        let wire = headers.iter().any(|(_, value)| value.starts_with("multipart/") || value.starts_with("message/"));
        let body = if wire { format!("{}\r\n", body.replace('\n', "\r\n")) } else { body.to_owned() };
        Some(Unsigned { method: method.to_owned(), query, headers, body: body.into_bytes() })
    }
}

fn fill(text: &str, seed: [u8; 32], now: i64) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 256);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (blank, after) = after.split_once("}}")?;
        out.push_str(before);
        out.push_str(&value(blank, seed, now)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

fn value(blank: &str, seed: [u8; 32], now: i64) -> Option<String> {
    let (_, kind) = blank.split_once(':')?;
    let mut random = [0; 64];
    blake3::Hasher::new_keyed(&seed).update(blank.as_bytes()).finalize_xof().fill(&mut random);
    if let Some(length) = kind.strip_prefix("hex") {
        return hex::encode(random).get(..length.parse().ok()?).map(str::to_owned);
    }
    if let Some(length) = kind.strip_prefix("digits") {
        // No zero: a number that begins with one is no JSON.
        let digits = random.iter().map(|byte| char::from(b'1' + byte % 9));
        return Some(digits.take(length.parse().ok()?).collect());
    }
    match kind {
        "uuid" => {
            let bytes = random.first_chunk::<16>()?;
            Some(uuid::Builder::from_random_bytes(*bytes).into_uuid().to_string())
        }
        "unix" => Some(now.div_euclid(1000).to_string()),
        "date" => Millis::from_unix(now)?.to_string().get(..10).map(str::to_owned),
        "clock" => Millis::from_unix(now)?.to_string().get(11..19).map(str::to_owned),
        "rfc5322" => Millis::from_unix(now).map(|time| time.to_datetime().to_rfc2822()),
        "rfc3339" => Millis::from_unix(now).map(|time| time.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_412_009_120;

    #[test]
    fn every_sample_can_be_read_and_filled() {
        assert_eq!(FILES.iter().filter_map(|(name, text)| Sample::parse(name, text)).count(), FILES.len());
        for (name, text) in FILES {
            let sample = Sample::parse(name, text).unwrap();
            let request = sample.fill(sample.verbatim_seed(), NOW).unwrap_or_else(|| panic!("{name} cannot be filled"));
            assert!(matches!(request.method.as_str(), "POST" | "GET"), "{name}: {}", request.method);
            let json = request.headers.iter().any(|(_, value)| value == "application/json");
            assert!(!json || serde_json::from_slice::<serde_json::Value>(&request.body).is_ok(), "{name} is no JSON");
            assert!(!String::from_utf8_lossy(&request.body).contains("{{"), "{name}");
        }
    }

    #[test]
    fn every_adapter_has_a_sample() {
        for adapter in providers::registry::ALL {
            let found = choose(adapter.channel(), adapter.name(), None);
            assert!(found.is_some(), "no sample for {}/{}", adapter.channel(), adapter.name());
        }
    }

    #[test]
    fn each_send_is_a_new_message_unless_it_is_verbatim() {
        let sample = choose(Channel::Sms, "twilio", None).unwrap();
        let filled = |seed| sample.fill(seed, NOW).unwrap();
        assert_ne!(filled([1; 32]), filled([2; 32]));
        assert_eq!(filled(sample.verbatim_seed()), filled(sample.verbatim_seed()));
        let body = String::from_utf8(filled([1; 32]).body).unwrap();
        let sid = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().to_owned();
        assert_eq!(sid("MessageSid="), sid("SmsSid="), "one blank, one value");
    }

    #[test]
    fn multipart_has_the_line_ends_of_the_wire() {
        let sample = choose(Channel::Form, "generic", Some("form-multipart")).unwrap();
        let body = String::from_utf8(sample.fill([1; 32], NOW).unwrap().body).unwrap();
        assert!(body.ends_with("--\r\n") && !body.replace("\r\n", "").contains('\n'));
    }
}
