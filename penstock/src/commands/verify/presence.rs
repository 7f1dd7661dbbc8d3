//! What can be said of the headers and parameters that a signature needs, before anything is tried: which are missing,
//! which are there twice, and whose requests these look like. Pure.

use providers::{Adapter, Flaw};

use super::captured::header;
use super::case::{Case, query_of};
use super::expected::{self, Expected};
use super::way::header::{count, look_alikes, missing};
use super::words::Finding;
use crate::commands::out;

/// What the flaw is about, in sentences.
pub(crate) fn findings(case: &Case, expected: &Expected, flaw: Flaw) -> Vec<Finding> {
    match flaw {
        Flaw::Missing => absent(case, expected).into_iter().chain(looks_like(case)).collect(),
        Flaw::Repeated => repeated(case, expected),
        Flaw::Malformed | Flaw::Algorithm => looks_like(case).into_iter().collect(),
        Flaw::Unbound => vec![Finding::new(
            "body",
            "Nothing in the request binds the body to the signature, so anybody could have put another one there.",
            "have the provider send the form that it signs; look at its Content-Type, which decides what is signed",
        )],
        Flaw::Unasked => vec![Finding::new(
            "header",
            "The request shows no credential, because its sender waits to be asked for it.",
            "the gateway answers this with 401 and asks; judge the request that the sender makes after that",
        )],
        Flaw::Topic => vec![Finding::new(
            "settings",
            "The topic is not one of the source's `topics`; anybody can have a topic that signs as well.",
            "if the topic is yours, add its ARN to `topics`",
        )],
        Flaw::Certificate => vec![Finding::new(
            "settings",
            "The certificate that should have signed is not the provider's, or is not in force.",
            "look at `SigningCertURL` in the request and at the certificates in `secrets`; with none there, the one that \
             the request names is fetched",
        )],
        Flaw::Mismatch | Flaw::Stale | Flaw::Early | Flaw::Reused | Flaw::Client => Vec::new(),
    }
}

fn absent(case: &Case, expected: &Expected) -> Vec<Finding> {
    let headers = missing(case, expected).map(|wanted| {
        let alike = look_alikes(&case.headers, wanted).next();
        let alike = alike.map(|name| format!(" There is {}, which looks like it.", out::shown(&name)));
        let says = format!("The header {} is not there.{}", wanted.name, alike.unwrap_or_default());
        Finding::new(
            "header",
            says,
            "look whether the provider was told to sign, and what is between it and the gateway",
        )
    });
    let given = query_of(&case.url).unwrap_or_default();
    let has = |wanted: &str| form_urlencoded::parse(given.as_bytes()).any(|(name, _)| name == wanted);
    let parameters = expected.parameters.iter().filter(|wanted| !has(wanted)).map(|wanted| {
        let says = format!("The query has no {wanted}.");
        Finding::new("url", says, "compare with the URL that was entered at the provider")
    });
    headers.chain(parameters).collect()
}

fn repeated(case: &Case, expected: &Expected) -> Vec<Finding> {
    let twice = expected.headers.iter().filter(|wanted| count(&case.headers, &wanted.name) > 1);
    let finding = |name: &str| {
        let mut values = case.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, v)| v);
        let first = values.next();
        let equal = if values.all(|value| Some(value) == first) { "equal" } else { "different" };
        let says = format!("{name} is there {} times, with {equal} values.", count(&case.headers, name));
        Finding::new("header", says, "something on the way adds it again: have each header sent once")
    };
    twice.map(|wanted| finding(&wanted.name)).collect()
}

/// The other provider whose headers these are.
fn looks_like(case: &Case) -> Option<Finding> {
    let own = (case.adapter.channel(), case.adapter.name());
    let sent = |adapter: &&&dyn Adapter| {
        let scheme = providers::Scheme::default();
        let content_type = header(&case.headers, "content-type");
        let expected = expected::of(**adapter, &scheme, &case.method, content_type);
        expected.is_some_and(|expected| {
            let own_names = expected.headers.iter().filter(|wanted| !wanted.name.eq_ignore_ascii_case("authorization"));
            let mut own_names = own_names.peekable();
            own_names.peek().is_some() && own_names.all(|wanted| header(&case.headers, &wanted.name).is_some())
        })
    };
    let mut others = providers::registry::ALL.iter().filter(|other| (other.channel(), other.name()) != own);
    let other = others.find(sent)?;
    let name = format!("{}/{}", other.channel(), other.name());
    Some(Finding::new(
        "provider",
        format!("The headers are those of {name}."),
        format!("is the source's `provider` right, and does the provider call the right source? {name} needs its own"),
    ))
}
