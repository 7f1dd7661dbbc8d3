//! The books as a table, an equation and a list of what is missing. Pure, but for printing.

use persister::audit::course::Stage;
use serde_json::{Value, json};

use super::ledger::{Account, Ledger, Open};
use crate::commands::out;

/// How many missing requests are shown; `--json` has all.
const SHOWN: usize = 20;

/// Prints it.
pub(super) fn tell(ledger: &Ledger, json: bool) {
    if json {
        out::json(&as_json(ledger));
    } else {
        out::line(rendered(ledger));
    }
}

fn rendered(ledger: &Ledger) -> String {
    let mut table = out::table(&[
        "channel",
        "source",
        "accepted",
        "ended",
        "in flight",
        "missing",
        "rows",
        "statuses",
        "repeats",
        "dead letters",
    ]);
    let total = ledger.total();
    let accounts = ledger.accounts();
    for ((channel, source), account) in &accounts {
        row(&mut table, channel.as_str(), source.as_str(), account);
    }
    if accounts.len() > 1 {
        row(&mut table, "all", "", &total);
    }
    let mut lines = Vec::new();
    if accounts.is_empty() {
        lines.push("no request in RAW is meant by that".to_owned());
    } else {
        lines.push(out::rendered(&table));
        lines.push(String::new());
    }
    lines.push(format!("requests: {}", equation(&total)));
    if total.in_flight() > 0 {
        lines.push(format!("in flight: {}", stages(&total)));
    }
    if ledger.not_ours > 0 {
        lines.push(format!("not ours: {} messages in RAW do not carry our headers", out::count(ledger.not_ours)));
    }
    lines.push(verdict(&total));
    for open in ledger.missing().take(SHOWN) {
        lines.push(format!("  {}", missing(open)));
    }
    if let Some(more) = total.missing.checked_sub(SHOWN as u64).filter(|more| *more > 0) {
        lines.push(format!("  and {} more: --json lists all", out::count(more)));
    }
    if total.missing > 0 {
        lines.push(
            "  next: `penstock explain ID` tells what is known of one; `penstock replay --id ID` has it read again, \
                    which changes nothing else; please report it: nothing should ever be missing"
                .to_owned(),
        );
    }
    lines.join("\n")
}

fn row(table: &mut comfy_table::Table, channel: &str, source: &str, account: &Account) {
    let records = account.records;
    let mut cells = vec![out::cell(channel), out::cell(source)];
    cells.extend([account.accepted, account.ended, account.in_flight()].map(|number| out::cell(out::count(number))));
    cells.push(if account.missing > 0 {
        out::mark(out::count(account.missing), false)
    } else {
        out::cell(out::count(account.missing))
    });
    let counted = [records.messages, records.statuses, records.repeats, records.dead_letters];
    cells.extend(counted.map(|number| out::cell(out::count(number))));
    table.add_row(cells);
}

fn equation(total: &Account) -> String {
    let [accepted, ended, in_flight, missing] =
        [total.accepted, total.ended, total.in_flight(), total.missing].map(out::count);
    let past = match total.past_retention {
        0 => String::new(),
        past => format!(" + {} older than rows are kept", out::count(past)),
    };
    format!("{accepted} accepted = {ended} ended + {in_flight} in flight + {missing} missing{past}")
}

fn stages(total: &Account) -> String {
    let at = Stage::ALL.iter().zip(total.at).filter(|(_, requests)| *requests > 0);
    let words = at.map(|(stage, requests)| format!("{} at {}", out::count(requests), stage.as_str()));
    format!("{} (or after it)", words.collect::<Vec<_>>().join(", "))
}

fn verdict(total: &Account) -> String {
    if total.is_exact() {
        let rest = if total.in_flight() > 0 { "; what is in flight has not ended yet: --wait" } else { "" };
        return format!("{}: nothing is missing{rest}", out::good("exact"));
    }
    if total.missing == 0 {
        return format!(
            "{}: the two sides differ, which is a fault of this command; please report it",
            out::bad("wrong")
        );
    }
    let missing = usize::try_from(total.missing).unwrap_or(usize::MAX);
    format!(
        "{}: accepted, without an ending, and nothing of it is on its way:",
        out::bad(&out::several(missing, "request is missing", "requests are missing"))
    )
}

fn missing(open: &Open) -> String {
    let request = &open.request;
    let parts = if open.ended.are_none() {
        String::new()
    } else {
        let parts: Vec<String> = open.ended.lacking().iter().map(ToString::to_string).collect();
        format!("  without an ending: part {}", parts.join(", "))
    };
    format!(
        "{}  {}/{}  RAW/{}  {}{parts}",
        request.id,
        request.channel,
        out::shown(request.source.as_str()),
        request.sequence,
        request.received_at
    )
}

fn as_json(ledger: &Ledger) -> Value {
    let accounts = ledger.accounts();
    let sources = accounts.iter().map(|((channel, source), account)| {
        let named = [("channel", json!(channel)), ("source", json!(source.as_str()))];
        object(named.into_iter().chain(account_json(account)))
    });
    let missing = ledger.missing().map(|open| {
        let request = &open.request;
        json!({
            "request_id": request.id, "channel": request.channel, "source": request.source.as_str(),
            "raw_sequence": request.sequence, "received_at": request.received_at, "parts": open.ended.lacking(),
        })
    });
    let total = ledger.total();
    let more = [
        ("exact", json!(total.is_exact())),
        ("not_ours", json!(ledger.not_ours)),
        ("sources", Value::Array(sources.collect())),
        ("missing_requests", Value::Array(missing.collect())),
    ];
    object(account_json(&total).into_iter().chain(more))
}

fn object(fields: impl Iterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn account_json(account: &Account) -> [(&'static str, Value); 7] {
    let at = Stage::ALL.iter().zip(account.at).map(|(stage, at)| (stage.as_str().replace(' ', "_"), json!(at)));
    let records = account.records;
    [
        ("accepted", json!(account.accepted)),
        ("ended", json!(account.ended)),
        ("in_flight", json!(account.in_flight())),
        ("in_flight_at", Value::Object(at.collect())),
        ("missing", json!(account.missing)),
        ("past_retention", json!(account.past_retention)),
        (
            "records",
            json!({
                "messages": records.messages, "statuses": records.statuses, "repeats": records.repeats,
                "dead_letters": records.dead_letters,
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::ledger::tests::{ended, judged, request};
    use super::*;
    use persister::audit::endings::{Ending, Endings};

    #[test]
    fn the_equation_has_exact_integers_and_what_is_missing_is_named() {
        let mut ledger = Ledger::default();
        for sequence in 1..=7 {
            ledger.accept(request(sequence, "support"), ended(&[(0, Ending::Message)], Some(1)));
        }
        ledger.accept(request(8, "support"), ended(&[(0, Ending::Message)], Some(2)));
        ledger.accept(request(11, "other"), Endings::default());
        judged(&mut ledger);
        let text = rendered(&ledger);
        assert!(text.contains("requests: 9 accepted = 7 ended + 1 in flight + 1 missing"), "{text}");
        assert!(text.contains("in flight: 1 at normalizer"), "{text}");
        assert!(text.contains(&format!("{}  sms/support  RAW/8", request(8, "support").id)), "{text}");
        assert!(text.contains("part 1") && text.contains("penstock replay --id"), "{text}");
        let json = as_json(&ledger);
        assert_eq!(
            (&json["exact"], &json["missing"], &json["in_flight_at"]["normalizer"]),
            (&json!(false), &json!(1), &json!(1))
        );
        assert_eq!(json["missing_requests"][0]["parts"], json!([1]));
        assert_eq!(json["sources"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn more_than_can_be_shown_is_said() {
        let mut ledger = Ledger::default();
        for source in 0..30 {
            ledger.accept(request(1, &format!("s{source}")), Endings::default());
        }
        judged(&mut ledger);
        assert!(rendered(&ledger).contains("and 10 more"));
        assert_eq!(as_json(&ledger)["missing_requests"].as_array().unwrap().len(), 30);
    }
}
