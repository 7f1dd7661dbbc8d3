//! `penstock dlq show`: everything that is known of an entry. What people wrote is shown only where it is asked for.

use clap::Args;
use proto::envelope::Lookup as _;
use proto::{RawEnvelope, header};
use uuid::Uuid;

use super::entries::{Letter, of_id};
use crate::commands::error::{Answer, Ending};
use crate::commands::site::Where;
use crate::commands::{clock, out, resend};

/// What `penstock dlq show` is told.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The id of a record, or a Penstock-Id
    id: Uuid,
    #[command(flatten)]
    place: Where,
    /// Show the payload too: it is what somebody sent
    #[arg(long)]
    payload: bool,
}

pub(crate) async fn run(args: ShowArgs) -> Answer {
    let nats = args.place.site()?.nats().await?;
    for letter in of_id(&nats, args.id).await? {
        out::line(out::rendered(&described(&letter)));
        if args.payload {
            let (owner, body) = super::resend::payload_of(&letter);
            match resend::payload(&nats, owner, body, &letter.message.payload).await {
                Ok(payload) => out::line(format!("\n{}", out::shown(&String::from_utf8_lossy(&payload)))),
                Err(error) => out::note(error.to_string()),
            }
        }
    }
    Ok(Ending::Clean)
}

fn described(letter: &Letter) -> comfy_table::Table {
    let mut table = out::table(&[]);
    let mut row = |name: &str, value: String| {
        table.add_row([out::cell(name), out::cell(value)]);
    };
    let envelope = &letter.envelope;
    row("given up by", envelope.stage.to_string());
    row("reason", format!("{}: {}", envelope.reason, envelope.detail));
    row("record", format!("{} (part {})", envelope.record, envelope.part));
    row("request", envelope.request_id.to_string());
    row("source", format!("{}/{}", envelope.channel, envelope.source));
    row("received", envelope.received_at.to_string());
    row("in DLQ since", format!("{}, as DLQ/{}", clock::text(letter.message.stored_at), letter.message.sequence));
    match RawEnvelope::read(&letter.message) {
        Ok(raw) => {
            row("provider", format!("{}, verified: {}", raw.provider, raw.verified));
            row("method", raw.method);
            if let Some(query) = raw.query {
                row("query", query);
            }
            for (name, value) in raw.headers {
                row(&format!("  {name}"), String::from_utf8_lossy(&value).into_owned());
            }
        }
        Err(_) => {
            for name in [header::KEY, header::DEDUP, header::REPLAY] {
                if let Some(value) = letter.message.get(name) {
                    row(name, value.to_owned());
                }
            }
        }
    }
    let body = letter.message.get(header::BODY);
    row(
        "payload",
        body.map_or_else(|| out::bytes(letter.message.payload.len() as u64), |body| format!("in BODIES: {body}")),
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dlq::entries::tests::{envelope, stored};
    use proto::{Millis, Stage, Verified};

    #[test]
    fn headers_are_shown_and_the_payload_is_not() {
        let raw = RawEnvelope {
            id: Uuid::from_u128(1),
            received_at: Millis::from_unix(1_795_412_009_120).unwrap(),
            method: "POST".into(),
            query: Some("a=1".into()),
            provider: "twilio".into(),
            verified: Verified::No,
            headers: vec![("x-mark".into(), b"seen\x1b[0m".to_vec())],
            body: None,
            replay: None,
            traceparent: None,
        };
        let mut message = stored("dlq.x", &[raw.to_pairs(), envelope(Stage::Normalizer).to_pairs()]);
        message.payload = "what somebody wrote".into();
        let text = out::rendered(&described(&Letter::read(message).unwrap()));
        assert!(text.contains("not_json") && text.contains("x-mark") && text.contains("verified: no"), "{text}");
        assert!(text.contains("seen\\u{1b}") && !text.contains('\x1b'), "{text}");
        assert!(!text.contains("what somebody wrote"));
    }
}
