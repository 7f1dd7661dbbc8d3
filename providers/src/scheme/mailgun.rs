//! Mailgun's signature: the HMAC of a time and a token, which stand beside the message, in fields of the same body.
//!
//! It covers nothing else. Whoever holds one such triple, from a log or as the receiver of another webhook of the same
//! account, can put it beside any message for as long as its time is right; [`used`] is what tells that a triple was used
//! for something else before.
//!
//! Every header of the mail is a field too, under a name that begins with a capital: the sender of a mail writes
//! `Signature`, only Mailgun writes `signature`. A name that is there twice is refused, because two readers could take
//! different ones.

use std::collections::HashSet;

use proto::Millis;
use serde_json::{Map, Value, json};

use super::mac;
use crate::adapter::{Signed, Used};
use crate::keyring::Keyring;
use crate::read::{form, json, media, multipart, parameters};
use crate::request::Request;
use crate::settings::{Algorithm, Encoding, Scheme};
use crate::verdict::Flaw;

/// The three fields; in a body of JSON, what is in the object called as the third.
pub(crate) const FIELDS: [&str; 3] = ["timestamp", "token", SIGNATURE];
/// The field with the MAC.
const SIGNATURE: &str = "signature";

/// How old a signature may be where the source does not say, in seconds: Mailgun tries for 8 hours, and does not say that
/// it signs anew.
const TOLERANCE: u64 = 9 * 60 * 60;

type Triple = [Vec<u8>; 3];

/// Which signing key made the MAC.
pub(crate) fn authenticate(
    request: &Request<'_>,
    keyring: &Keyring,
    scheme: &Scheme,
    now: Millis,
) -> Result<usize, Flaw> {
    let [timestamp, token, signature] = triple(request)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Flaw::Malformed);
    let given = mac::decode(Encoding::Hex, text(&signature)?)?;
    let signed_at = mac::seconds(text(&timestamp)?)?;
    let fits = mac::fitting(keyring, Algorithm::Sha256, &[&timestamp, &token], &given)?;
    mac::in_time(signed_at, now, scheme.tolerance_s.unwrap_or(TOLERANCE).saturating_mul(1000))?;
    Ok(fits)
}

/// What the triple was used for: everything beside it, in its order. A boundary is not part of it, because a form that is
/// written anew has another.
pub(crate) fn used(request: &Request<'_>) -> Option<Used> {
    let [timestamp, token, _] = triple(request).ok()?;
    let mut content = blake3::Hasher::new();
    let mut add = |piece: &[u8]| {
        content.update(&(piece.len() as u64).to_le_bytes());
        content.update(piece);
    };
    match Place::of(request) {
        Place::Form => {
            for (name, value) in form::escaped_pairs(request.body).filter(|(name, _)| !is_field(&form::unescape(name)))
            {
                add(name);
                add(value);
            }
        }
        Place::Multipart(boundary) => {
            for part in multipart::each(request.body, &boundary).map_while(Result::ok) {
                if !is_field(part.name.as_bytes()) {
                    add(part.name.as_bytes());
                    add(part.filename.unwrap_or_default().as_bytes());
                    add(part.body);
                }
            }
        }
        Place::Json => {
            let mut object = object(request.body).ok()?;
            object.remove(SIGNATURE);
            add(&crate::dedup::canonical_json(&Value::Object(object)));
        }
    }
    Some(Used { once: blake3::hash(&[timestamp, token].concat()), with: content.finalize() })
}

/// A triple under the first signing key, in the body.
pub(crate) fn sign(request: &Request<'_>, keyring: &Keyring, now: Millis) -> Option<Signed> {
    let (_, key) = keyring.shared().next()?;
    let timestamp = now.as_unix().div_euclid(1000).to_string();
    let token = blake3::hash(&[request.body, timestamp.as_bytes()].concat()).to_hex().get(..50)?.to_owned();
    let signature = mac::compute(Algorithm::Sha256, key, &[timestamp.as_bytes(), token.as_bytes()]);
    let values = [timestamp, token, mac::encode(Encoding::Hex, &signature)];
    let body = match Place::of(request) {
        Place::Form => {
            let kept = form::escaped_pairs(request.body).filter(|(name, _)| !is_field(&form::unescape(name)));
            let mut body: Vec<u8> = kept.flat_map(|(name, value)| [name, b"=", value, b"&"].concat()).collect();
            let mut added = form_urlencoded::Serializer::new(String::new());
            body.extend(added.extend_pairs(FIELDS.iter().zip(&values)).finish().into_bytes());
            body
        }
        Place::Multipart(boundary) => {
            let field = |(name, value): (&&str, &String)| {
                format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let fields: String = FIELDS.iter().zip(&values).map(field).collect();
            let rest = multipart::without(request.body, &boundary, |name| is_field(name.as_bytes()));
            // Where the first part was taken out, the line break that ended it is still there.
            let rest = rest.strip_prefix(b"\r\n").unwrap_or(&rest);
            [fields.as_bytes(), rest].concat()
        }
        Place::Json => {
            let mut object = object(request.body).ok()?;
            let [timestamp, token, signature] = values;
            let triple = json!({ "timestamp": timestamp, "token": token, "signature": signature });
            object.insert(SIGNATURE.to_owned(), triple);
            serde_json::to_vec(&object).ok()?
        }
    };
    Some(Signed { body: Some(body), ..Signed::default() })
}

/// Bytes of the longest name of a field that Mailgun writes, each of its characters escaped. Beyond are names that a sender
/// chose.
const LONGEST: usize = 3 * 32;

/// How the body is written.
enum Place {
    Form,
    Multipart(String),
    Json,
}

impl Place {
    fn of(request: &Request<'_>) -> Self {
        match request.content_type() {
            Some(value) if media::is_json(value) => Self::Json,
            Some(value) if media::is(value, media::MULTIPART) => {
                Self::Multipart(multipart::boundary(value).unwrap_or_default())
            }
            _ => Self::Form,
        }
    }
}

fn is_field(name: &[u8]) -> bool {
    FIELDS.iter().any(|field| field.as_bytes() == name)
}

/// The three values, each of which must be there once and not be empty; no other field of Mailgun's is there twice.
fn triple(request: &Request<'_>) -> Result<Triple, Flaw> {
    let mut found: [Option<Vec<u8>>; 3] = Default::default();
    let mut seen = HashSet::new();
    let mut take = |name: &[u8], value: &dyn Fn() -> Vec<u8>| {
        // Mailgun's own names are in lower case, a sender's headers are not. It writes each of them once; and whoever has a
        // triple could otherwise put a second `recipient` or `body-plain` beside the first.
        if name.first().is_some_and(u8::is_ascii_lowercase) && !seen.insert(name.to_vec()) {
            return Err(Flaw::Repeated);
        }
        let places = FIELDS.iter().zip(&mut found);
        for (_, place) in places.filter(|(field, _)| field.as_bytes() == name) {
            if place.replace(value()).is_some() {
                return Err(Flaw::Repeated);
            }
        }
        Ok(())
    };
    match Place::of(request) {
        Place::Form => {
            for (place, (name, value)) in form::escaped_pairs(request.body).enumerate() {
                // Nobody has shown yet that it is Mailgun who makes this much work.
                if place >= form::FIELDS {
                    return Err(Flaw::Malformed);
                }
                if name.len() <= LONGEST {
                    take(&form::unescape(name), &|| form::unescape(value))?;
                }
            }
        }
        Place::Multipart(boundary) => {
            for (place, part) in multipart::each(request.body, &boundary).enumerate() {
                if place >= multipart::PARTS {
                    return Err(Flaw::Malformed);
                }
                let part = part.map_err(|_| Flaw::Malformed)?;
                take(part.name.as_bytes(), &|| part.body.to_vec())?;
            }
        }
        Place::Json => {
            let mut object = object(request.body)?;
            let Some(Value::Object(triple)) = object.remove(SIGNATURE) else { return Err(Flaw::Missing) };
            for (name, value) in triple {
                let text = parameters::text(value);
                take(name.as_bytes(), &|| text.clone().into_bytes())?;
            }
        }
    }
    let [timestamp, token, signature] = found.map(|value| value.filter(|value| !value.is_empty()));
    match (timestamp, token, signature) {
        (Some(timestamp), Some(token), Some(signature)) => Ok([timestamp, token, signature]),
        _ => Err(Flaw::Missing),
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Flaw> {
    match json::read(body).map_err(|_| Flaw::Malformed)?.value {
        Value::Object(map) => Ok(map),
        _ => Err(Flaw::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proto::header::Pair;

    use super::*;
    use crate::keyring::Key;

    const MULTIPART: &str = "multipart/form-data; boundary=b";
    const NOW: i64 = 1_785_499_200;

    fn with<T>(content_type: &str, body: &[u8], then: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: [Pair; 1] = [("Content-Type".to_owned(), content_type.as_bytes().to_vec())];
        then(&Request { method: &Method::POST, url: "", query: None, headers: &headers, body })
    }

    fn keyring() -> Keyring {
        Keyring::parse(&["test-secret"], "", Key::text).unwrap()
    }

    fn judge(content_type: &str, body: &[u8], after: i64) -> Result<usize, Flaw> {
        let now = Millis::from_unix((NOW + after) * 1000).unwrap();
        with(content_type, body, |request| authenticate(request, &keyring(), &Scheme::default(), now))
    }

    fn signed(content_type: &str, body: &[u8]) -> Vec<u8> {
        let now = Millis::from_unix(NOW * 1000).unwrap();
        with(content_type, body, |request| sign(request, &keyring(), now)).unwrap().body.unwrap()
    }

    fn uses(content_type: &str, body: &[u8]) -> Used {
        with(content_type, body, used).unwrap()
    }

    const EXAMPLE: &str = "a=1&timestamp=1785499200&token=01234567890123456789012345678901234567890123456789&\
                           signature=28625f02afa9b5c04ebac5ab55f7f68c8d86f048460233874f95a7bd6e16add5";

    #[test]
    fn the_worked_example_holds_for_as_long_as_mailgun_tries() {
        let hours = |hours: i64| judge(media::FORM, EXAMPLE.as_bytes(), hours * 3600);
        assert_eq!((hours(0), hours(9)), (Ok(0), Ok(0)));
        assert_eq!((hours(10), hours(-10)), (Err(Flaw::Stale), Err(Flaw::Early)));
        let moved = EXAMPLE.replace("1785499200&token=0", "17854992000&token=");
        assert_eq!(judge(media::FORM, moved.as_bytes(), 0), Err(Flaw::Early), "a digit of the token is not time");
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused_and_a_header_of_the_mail_is_no_field() {
        for name in FIELDS {
            let capital = format!("{}{}", &name[..1].to_uppercase(), &name[1..]);
            let judge = |more: String| judge(media::FORM, format!("{EXAMPLE}{more}").as_bytes(), 0);
            assert_eq!(judge(format!("&{name}=")), Err(Flaw::Repeated), "{name}");
            assert_eq!(judge(format!("&%{:02x}{}=1", name.as_bytes()[0], &name[1..])), Err(Flaw::Repeated), "{name}");
            assert_eq!(judge(format!("&{capital}=x&{capital}=y")), Ok(0), "{name}");
            let without = EXAMPLE.replace(name, &capital);
            assert_eq!(super::tests::judge(media::FORM, without.as_bytes(), 0), Err(Flaw::Missing), "{name}");
        }
        for twice in ["recipient=a&recipient=b", "body-plain=a&x=1&%62ody-plain=a", "body-mime=a&body-mime=b"] {
            let body = format!("{EXAMPLE}&{twice}");
            assert_eq!(judge(media::FORM, body.as_bytes(), 0), Err(Flaw::Repeated), "{twice}");
        }
    }

    #[test]
    fn what_is_signed_here_verifies_wherever_the_fields_are() {
        let part = "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nold\r\n--b--\r\n";
        for (content_type, body) in [
            (media::FORM, "subject=a+b"),
            (media::FORM, EXAMPLE),
            (media::FORM, ""),
            (MULTIPART, part),
            (media::JSON, r#"{"event-data":{"id":"1"},"signature":{"token":"old"}}"#),
        ] {
            let body = signed(content_type, body.as_bytes());
            assert_eq!(judge(content_type, &body, 0), Ok(0), "{}", String::from_utf8_lossy(&body));
        }
        for (content_type, body) in
            [(media::JSON, "[]"), (media::JSON, "{"), (MULTIPART, "--b"), ("multipart/form-data", part)]
        {
            assert!(judge(content_type, body.as_bytes(), 0).is_err(), "{body}");
        }
        assert_eq!(judge(media::JSON, br#"{"signature":"x"}"#, 0), Err(Flaw::Missing));
    }

    #[test]
    fn a_retry_is_the_same_use_and_another_message_is_not() {
        let first = uses(media::FORM, EXAMPLE.as_bytes());
        assert_eq!(uses(media::FORM, EXAMPLE.as_bytes()), first);
        let forged = uses(media::FORM, EXAMPLE.replace("a=1", "a=2").as_bytes());
        assert!(forged.once == first.once && forged.with != first.with);
        let anew = signed(media::FORM, EXAMPLE.as_bytes());
        let anew = uses(media::FORM, &anew);
        assert!(anew.once != first.once && anew.with == first.with, "the triple is no part of the message");

        let body = "--b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"f\"\r\n\r\n1\r\n--b--\r\n";
        let first = uses(MULTIPART, &signed(MULTIPART, body.as_bytes()));
        let other_boundary = String::from_utf8(signed(MULTIPART, body.as_bytes())).unwrap().replace("--b", "--c");
        assert_eq!(uses("multipart/form-data; boundary=c", other_boundary.as_bytes()).with, first.with);
        for changed in [body.replace("\n1\r", "\n2\r"), body.replace("\"f\"", "\"g\""), body.replace("\"x\"", "\"y\"")]
        {
            assert_ne!(uses(MULTIPART, &signed(MULTIPART, changed.as_bytes())).with, first.with);
        }

        let event = |id: &str| uses(media::JSON, &signed(media::JSON, format!(r#"{{"event-data":{id}}}"#).as_bytes()));
        assert_eq!(event(r#"{"a":1,"b":2}"#).with, event(r#"{"b":2, "a":1}"#).with);
        assert_ne!(event("1").with, event("2").with);
    }
}
