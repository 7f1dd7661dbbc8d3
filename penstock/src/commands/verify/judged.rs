//! Puts a request together as the gateway would have seen it, and has it judged: as a handshake, as one whose credential
//! was replaced when it was stored, or by its signature. Pure.

use http::header::HOST;
use proto::{Millis, RawEnvelope};
use providers::{Flaw, Handshake, Keyring};
use runtime::config::{Config, Secret, Source};
use secrecy::ExposeSecret as _;

use super::captured::{self, Captured};
use super::case::{Case, OtherSecret, path_of, query_of};
use super::expected::{self, Covers, Expected};
use super::input::Given;
use super::report::{Holds, Report};
use super::words::{Context, Finding};
use super::{AsOf, examine, way};
use crate::commands::out;
use crate::commands::recheck::{self, Judge};

/// The report on a request.
pub(crate) fn report(config: &Config, source: &Source, judge: &Judge, given: Given, path: String) -> Report {
    let Given { captured, at: (now, as_of), stored } = given;
    let mut notes = captured.notes.clone();
    let case = case(config, source, judge, captured, now, stored.as_ref());
    notes.extend(gateway_s_answer(&case, &path));
    let content_type = captured::header(&case.headers, "content-type");
    let expected = expected::of(case.adapter, &case.scheme, &case.method, content_type).unwrap_or_else(unknown);
    let content_length = captured::header(&case.headers, "content-length").and_then(|value| value.parse().ok());
    let context =
        Context { case: &case, path, source: source.name.clone(), content_length, as_of_now: as_of == AsOf::Now };
    let report = Report::on(&context, &expected, as_of, notes);
    let token = source.scheme.verify_token.as_ref().map(Secret::expose_secret);
    if let Some(handshake) = case.adapter.handshake(&case.unchanged().request(), token) {
        return shaken(report, &handshake, token.is_some());
    }
    if let Some(report) = redacted(&report, &case, &expected) {
        return report;
    }
    report.after(&examine::examine(&case, &expected), &expected, &context)
}

/// An adapter that cannot say what it looks for may look at anything.
pub(crate) fn unknown() -> Expected {
    let covers = Covers { url: true, query: true, body: true, time: true };
    Expected { covers, ..Expected::default() }
}

fn case(
    config: &Config,
    source: &Source,
    judge: &Judge,
    captured: Captured,
    now: Millis,
    stored: Option<&RawEnvelope>,
) -> Case {
    let Captured { method, target, mut headers, body, .. } = captured;
    // HTTP/2 and HAR have the host in the URL alone.
    if let (None, Some((_, rest))) = (captured::header(&headers, HOST.as_str()), target.split_once("://")) {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        headers.insert(0, (HOST.as_str().to_owned(), authority.as_bytes().to_vec()));
    }
    let others = config.sources.iter().filter(|other| other.name != source.name).flat_map(|other| {
        (1..).zip(&other.secrets).map(|(number, secret)| OtherSecret {
            source: other.name.clone(),
            number,
            secret: secret.clone(),
        })
    });
    let mut case = Case {
        adapter: judge.adapter,
        scheme: judge.scheme.clone(),
        keyring: judge.keyring.clone(),
        secrets: source.secrets.clone(),
        others: others.collect(),
        method,
        url: judge.url(&headers, query_of(&target)),
        target,
        headers,
        body,
        now,
        max_body: source.max_body.unwrap_or(judge.adapter.contract().max_body),
    };
    if let Some(envelope) = stored {
        let readings: Vec<Keyring> = way::secret::ways(&case).iter().filter_map(|way| way.keyring(&case)).collect();
        let (headers, query) = judge.restored(&case.method, envelope, &case.body, &readings);
        case.url = judge.url(&headers, query.as_deref());
        case.headers = headers;
    }
    case
}

/// What the gateway says before it looks at a signature, where it refuses the request for something else.
fn gateway_s_answer(case: &Case, path: &str) -> Vec<String> {
    let contract = case.adapter.contract();
    let mut notes = Vec::new();
    if path_of(&case.target) != path {
        notes.push(format!(
            "captured on its way to {}; the gateway takes it at {path}, so that is how it is judged",
            path_of(&case.target)
        ));
    }
    if !contract.methods.contains(&case.method) {
        notes.push(format!("the gateway answers {} with 405 whatever the signature is", case.method));
    }
    if !contract.accepts(captured::header(&case.headers, "content-type")) {
        notes.push("the gateway answers this Content-Type with 415 whatever the signature is".to_owned());
    }
    if case.body.len() as u64 > case.max_body {
        let most = out::bytes(case.max_body);
        notes.push(format!("the gateway answers a body over {most} with 413 whatever the signature is (`max_body`)"));
    }
    notes
}

/// The report on a handshake, which has a token and no signature.
fn shaken(mut report: Report, handshake: &Handshake, has_token: bool) -> Report {
    "its `verify_token`, which the provider shows in a handshake".clone_into(&mut report.covers);
    match handshake {
        Handshake::Accepted { .. } => {
            report.holds = Holds::Yes;
            "this is a handshake, and its token is the source's".clone_into(&mut report.says);
        }
        Handshake::Bad(bad) => {
            report.holds = Holds::No;
            report.says = format!("this is a handshake: {bad}");
        }
        Handshake::Refused(flaw) => {
            report.holds = if *flaw == Flaw::Missing { Holds::CannotBeJudged } else { Holds::No };
            report.flaw = Some(*flaw);
            "this is a handshake, and its token is not the source's".clone_into(&mut report.says);
            let next = if has_token {
                "enter the source's `verify_token` in the provider's console again"
            } else {
                "give the source a `verify_token`, and enter the same in the provider's console"
            };
            report.findings.push(Finding::new("secret", "The handshake's token does not fit.", next));
        }
    }
    report
}

/// The report where what would have to be judged was replaced by a fingerprint, and no secret that is known makes it.
fn redacted(report: &Report, case: &Case, expected: &Expected) -> Option<Report> {
    let in_header = expected.headers.iter().find(|wanted| {
        let value = captured::header(&case.headers, &wanted.name);
        value.is_some_and(|value| recheck::is_fingerprint(value.as_bytes()))
    });
    let query = query_of(&case.url).unwrap_or_default();
    let secret = case.adapter.secret_parameters();
    let in_query = form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| secret.contains(&&**name) && recheck::is_fingerprint(value.as_bytes()));
    let name = in_header.map(|wanted| wanted.name.clone()).or_else(|| in_query.map(|(name, _)| name.into_owned()))?;
    let covers = expected.covers;
    let is_credential = !(covers.url || covers.query || covers.body || covers.time);
    let says = if is_credential {
        format!("the credential in {name} is none of the secrets that the configuration has now")
    } else {
        format!("the signature in {name} was not stored")
    };
    let next = if is_credential {
        "enter the secret at the provider again; only the fingerprint of what it sent is stored, so more cannot be told: \
         judge a capture of the request (--file)"
    } else {
        "judge a capture of the request (--file): what stands in a credential's header is stored as a fingerprint, from \
         which nothing can be judged"
    };
    let holds = if is_credential { Holds::No } else { Holds::CannotBeJudged };
    let finding = Finding::new("secret", "What the provider sent there was replaced by a fingerprint.", next);
    Some(Report {
        holds,
        says,
        flaw: is_credential.then_some(Flaw::Mismatch),
        findings: vec![finding],
        ..report.clone()
    })
}

#[cfg(test)]
#[path = "judged_tests.rs"]
mod tests;
