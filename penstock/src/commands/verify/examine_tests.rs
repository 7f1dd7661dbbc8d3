//! Every valid signature vector of the providers, damaged in every way that applies, must be told by that way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::Millis;
use providers::{Algorithm, Encoding, Keyring, Scheme};
use serde_json::Value;

use super::*;
use crate::commands::verify::captured::header;
use crate::commands::verify::case::{OtherSecret, query_of, without_query};
use crate::commands::verify::expected::{self, prefix};
use crate::commands::verify::judged::unknown;
use crate::commands::verify::way::body::BodyWay;
use crate::commands::verify::way::header::{HeaderWay, Spelling, count};
use crate::commands::verify::way::json_text::{Escapes, Spacing, rewritten};
use crate::commands::verify::way::secret::{Reading, SecretWay, Whose};
use crate::commands::verify::way::url::parts;

#[path = "../../../../providers/tests/it/support.rs"]
#[expect(dead_code, reason = "what the providers' own tests share; only the vectors are of interest here")]
mod support;

/// Every valid request that has a signature or a credential, as a case.
fn cases() -> Vec<(String, Case)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../providers/tests/data/vectors.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = vectors.iter().filter_map(case).collect::<Vec<_>>();
    assert!(cases.len() > 100, "{}", cases.len());
    cases
}

fn case(vector: &Value) -> Option<(String, Case)> {
    let text = support::text;
    if text(vector, "/expect") != "ok" || text(vector, "/method") == "OPTIONS" || support::is_handshake(vector) {
        return None;
    }
    let source = support::Source::of_vector(vector).unwrap();
    let request = support::Owned::of(vector, support::body(vector));
    let case = Case {
        adapter: source.adapter,
        scheme: source.scheme,
        keyring: source.keyring,
        secrets: support::secrets(&vector["keys"]).into_iter().map(Into::into).collect(),
        others: Vec::new(),
        target: crate::commands::verify::case::path_of(&request.url).to_owned(),
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.to_vec(),
        now: support::now(vector),
        max_body: support::MAX_BODY,
    };
    let name = format!("{}/{}", text(vector, "/provider"), text(vector, "/name"));
    assert!(is_right(case.unchanged().verdict(case.now)), "{name}");
    Some((name, case))
}

fn clone(case: &Case) -> Case {
    Case {
        adapter: case.adapter,
        scheme: case.scheme.clone(),
        keyring: case.keyring.clone(),
        secrets: case.secrets.clone(),
        others: Vec::new(),
        method: case.method.clone(),
        url: case.url.clone(),
        target: case.target.clone(),
        headers: case.headers.clone(),
        body: case.body.clone(),
        now: case.now,
        max_body: case.max_body,
    }
}

fn expected_of(case: &Case) -> Expected {
    let content_type = header(&case.headers, "content-type");
    expected::of(case.adapter, &case.scheme, &case.method, content_type).unwrap_or_else(unknown)
}

fn is_signed(expected: &Expected) -> bool {
    let covers = expected.covers;
    covers.url || covers.query || covers.body || covers.time
}

/// Collects what was not told, so that one run shows all of it.
#[derive(Default)]
struct Tally {
    applied: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// Damages a case; where that breaks the signature, one of the ways found must be told.
    fn damage(
        &mut self,
        name: &str,
        case: &Case,
        damage: &str,
        change: impl FnOnce(&mut Case),
        told: impl Fn(&Way) -> bool,
    ) {
        let mut damaged = clone(case);
        change(&mut damaged);
        if is_right(damaged.unchanged().verdict(damaged.now)) {
            return;
        }
        self.applied += 1;
        // What is expected is known of the source, and the media type decides it.
        let found = examine(&damaged, &expected_of(&damaged)).found;
        if !found.iter().any(|found| found.ways.iter().any(&told)) {
            self.wrong.push(format!("{name}: {damage}: {found:?}"));
        }
    }

    fn end(self, at_least: usize) {
        println!("{} damages", self.applied);
        assert!(self.applied >= at_least, "only {} damages applied", self.applied);
        assert!(self.wrong.is_empty(), "{} of {}:\n{}", self.wrong.len(), self.applied, self.wrong.join("\n"));
    }
}

fn with_secret(case: &mut Case, secret: &str) -> Option<()> {
    case.keyring = case.adapter.keyring(&[secret], &case.scheme).ok()?;
    case.secrets = vec![secret.to_owned().into()];
    Some(())
}

/// A secret that the source's provider could have given out, and did not.
fn wrong_secret(case: &Case) -> &'static str {
    let made_up = ["another secret", "another:secret", "whsec_YW5vdGhlciBzZWNyZXQ="];
    made_up.into_iter().find(|secret| case.adapter.keyring(&[*secret], &case.scheme).is_ok()).unwrap()
}

fn fitting_secret(case: &Case) -> String {
    use secrecy::ExposeSecret as _;
    match case.unchanged().verdict(case.now) {
        Verdict::Fits { secret } => case.secrets[secret].expose_secret().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_secret_is_told() {
    let mut tally = Tally::default();
    for (name, case) in cases() {
        let secret = fitting_secret(&case);
        let own = |reading| move |way: &Way| *way == Way::Secret(SecretWay { whose: Whose::Own(0), reading });
        let mut as_text = case.unchanged();
        as_text.keyring = std::borrow::Cow::Owned(Keyring::of_bytes(secret.as_bytes()));
        let takes_text = is_right(as_text.verdict(case.now));
        let damages = [
            (Reading::Trimmed, format!(" {secret}\n"), true),
            (Reading::Unquoted, format!("\"{secret}\""), true),
            (Reading::Base64Decoded, STANDARD.encode(&secret), takes_text),
            (Reading::HexDecoded, hex::encode(&secret), takes_text),
            (Reading::WithoutPrefix, format!("whsec_{secret}"), takes_text),
        ];
        for (reading, damaged, applies) in damages {
            if applies && case.adapter.keyring(&[&damaged], &case.scheme).is_ok() {
                let change = |case: &mut Case| with_secret(case, &damaged).unwrap();
                tally.damage(&name, &case, "secret", change, own(reading));
            }
        }
        let swapped = |case: &mut Case| {
            with_secret(case, wrong_secret(case)).unwrap();
            case.others = vec![OtherSecret { source: "other".into(), number: 1, secret: secret.clone().into() }];
        };
        let other = SecretWay { whose: Whose::Other(0), reading: Reading::AsItIs };
        tally.damage(&name, &case, "another source's", swapped, |way| *way == Way::Secret(other));
    }
    tally.end(500);
}

#[test]
fn another_url_is_told() {
    let mut tally = Tally::default();
    for (name, case) in cases().into_iter().filter(|(_, case)| expected_of(case).covers.url) {
        let signed = case.url.clone();
        let (path, query) = (without_query(&signed).to_owned(), query_of(&signed));
        let query_text = query.map(|query| format!("?{query}")).unwrap_or_default();
        let of = parts(&signed);
        let is_url = |way: &Way| matches!(way, Way::Url(_));
        let mut url = |damage: &str, change: &dyn Fn(&mut Case)| tally.damage(&name, &case, damage, change, is_url);
        url("scheme", &|case| {
            let other = if of.scheme == "http" { "https" } else { "http" };
            case.url = signed.replacen(of.scheme, other, 1);
        });
        url("port", &|case| {
            let host = if of.port.is_none() { format!("{}:8443", of.host) } else { of.host.to_owned() };
            let signed =
                signed.replacen(&of.port.map_or(of.host.to_owned(), |port| format!("{}:{port}", of.host)), &host, 1);
            case.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
            let port = of.port.unwrap_or("443");
            case.headers.push(("X-Forwarded-Port".into(), port.as_bytes().to_vec()));
            case.url = signed;
        });
        url("slash", &|case| {
            let other = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
            case.url = format!("{other}{query_text}");
        });
        if query.is_none() {
            url("query added", &|case| case.url = format!("{signed}?utm=1"));
        } else {
            url("query dropped", &|case| {
                case.headers.push(("X-Original-URI".into(), format!("{}{query_text}", of.path).into_bytes()));
                case.url.clone_from(&path);
            });
        }
        let authority = path.split("://").nth(1).unwrap().split('/').next().unwrap();
        let authority = authority.rsplit('@').next().unwrap();
        if of.user.is_none() {
            url("host", &|case| {
                case.headers.push(("X-Forwarded-Host".into(), authority.as_bytes().to_vec()));
                case.url = format!("{}://gateway.internal:8080{}{query_text}", of.scheme, of.path);
            });
            url("prefix", &|case| {
                case.target.clone_from(&signed);
                case.url = format!("{}://{authority}/v1/sms/support{query_text}", of.scheme);
            });
        }
    }
    tally.end(300);
}

/// A damage of a body, and the way that must be told; `None` where it does not apply.
fn damaged_bodies(body: &[u8]) -> Vec<(BodyWay, Vec<u8>)> {
    let most = support::MAX_BODY;
    let text = String::from_utf8_lossy(body).into_owned();
    let mut damages = vec![
        (BodyWay::CutLineEnd, [body, b"\n"].concat()),
        (BodyWay::CutLineEnd, [body, b"\r\n"].concat()),
        (BodyWay::CutBom, [b"\xef\xbb\xbf", body].concat()),
        (BodyWay::Unchunked, [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()),
    ];
    let mut add = |applies: bool, back: BodyWay, damaged: Option<Vec<u8>>| {
        damages.extend(damaged.filter(|damaged| applies && damaged != body).map(|damaged| (back, damaged)));
    };
    let has = |piece: &str| text.contains(piece);
    let done = |way: BodyWay| way.apply(body, most);
    add(!has("\r\n"), BodyWay::AddLf, body.strip_suffix(b"\n").map(<[u8]>::to_vec));
    add(!has("\r"), BodyWay::ToLf, done(BodyWay::ToCrLf));
    add(!text.replace("\r\n", "").contains('\n'), BodyWay::ToCrLf, done(BodyWay::ToLf));
    add(!body.is_empty(), BodyWay::Base64Decoded, Some(STANDARD.encode(body).into_bytes()));
    add(!body.is_empty(), BodyWay::Unzipped, Some(zipped(body)));
    let is_utf8 = std::str::from_utf8(body).is_ok();
    let narrow = done(BodyWay::ToLatin1);
    add(is_utf8 && narrow.is_some(), BodyWay::ToUtf8, narrow);
    add(is_utf8, BodyWay::ToLatin1, done(BodyWay::ToUtf8));
    let is_json = text.starts_with(['{', '[']);
    let style = |spacing| rewritten(body, spacing, Escapes::Kept);
    let spaced = style(Spacing::Spaced).is_none();
    let compact = style(Spacing::Compact).is_none();
    add(is_json && compact, BodyWay::Json(Spacing::Compact, Escapes::Kept), style(Spacing::Indented(2)));
    add(is_json && compact, BodyWay::Json(Spacing::Compact, Escapes::Kept), style(Spacing::Spaced));
    add(is_json && spaced, BodyWay::Json(Spacing::Spaced, Escapes::Kept), style(Spacing::Compact));
    let escaped = |escapes| rewritten(body, Spacing::Kept, escapes);
    add(!has("\\u"), BodyWay::Json(Spacing::Kept, Escapes::Utf8), escaped(Escapes::Ascii));
    add(!has("%20") && !is_json, BodyWay::PlusFrom20, done(BodyWay::PlusTo20));
    add(!has("+") && !is_json, BodyWay::PlusTo20, done(BodyWay::PlusFrom20));
    add(!has("+") && has("%2B"), BodyWay::PlusEscaped, Some(text.replace("%2B", "+").into_bytes()));
    let is_form = has("=") && text.bytes().all(|byte| byte.is_ascii_graphic());
    let full = done(BodyWay::WithoutEmpty).is_none();
    add(is_form && full, BodyWay::WithoutEmpty, Some(format!("{text}&empty=").into_bytes()));
    damages
}

fn zipped(body: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_altered_body_is_told() {
    let mut tally = Tally::default();
    for (name, case) in cases().into_iter().filter(|(_, case)| expected_of(case).covers.body) {
        for (way, body) in damaged_bodies(&case.body) {
            let damage = format!("{way:?}");
            tally.damage(&name, &case, &damage, |case| case.body = body, |told| *told == Way::Body(way));
        }
    }
    tally.end(600);
}

#[test]
fn damaged_headers_are_told() {
    let mut tally = Tally::default();
    for (name, case) in cases() {
        let expected = expected_of(&case);
        for wanted in &expected.headers {
            if count(&case.headers, &wanted.name) != 1 {
                continue;
            }
            let header = wanted.name.as_str();
            let value = crate::commands::verify::captured::header(&case.headers, header).unwrap().to_owned();
            let set = |case: &mut Case, value: String| {
                case.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(header));
                case.headers.push((header.to_owned(), value.into_bytes()));
            };
            let mut told = |damage: &str, change: &dyn Fn(&mut Case), way: HeaderWay| {
                tally.damage(&name, &case, &format!("{header} {damage}"), change, |told| {
                    *told == Way::Header(way.clone())
                });
            };
            let renamed = header.replace('-', "_").to_uppercase();
            let rename = |case: &mut Case| {
                set(case, value.clone());
                case.headers.last_mut().unwrap().0.clone_from(&renamed);
            };
            if renamed.contains('_') {
                told("renamed", &rename, HeaderWay::Renamed(vec![(renamed.clone(), header.to_owned())]));
            }
            let twice = |case: &mut Case| case.headers.push((header.to_owned(), value.clone().into_bytes()));
            told("twice", &twice, HeaderWay::First(header.to_owned()));
            let before = |case: &mut Case| case.headers.insert(0, (header.to_owned(), b"x".to_vec()));
            told("before", &before, HeaderWay::Last(header.to_owned()));
            let spelled = |spelling| HeaderWay::Value(header.to_owned(), spelling);
            told("quoted", &|case| set(case, format!("\"{value}\"")), spelled(Spelling::Unquoted));
            let mac = value.strip_prefix(prefix(&value)).unwrap();
            if !wanted.prefix.is_empty() && value.starts_with(&wanted.prefix) && !mac.contains(' ') {
                told("without its word", &|case| set(case, mac.to_owned()), spelled(Spelling::WithPrefix));
            }
            let hex_mac = mac.len() >= 32 && hex::decode(mac).is_ok();
            if is_signed(&expected) && hex_mac && value.to_ascii_lowercase() == value {
                told("upper", &|case| set(case, value.to_ascii_uppercase()), spelled(Spelling::LowerCase));
            }
            if is_signed(&expected) && !hex_mac && mac.len() >= 24 && STANDARD.decode(mac).is_ok() {
                let url_safe = value.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned();
                told("url-safe", &|case| set(case, url_safe.clone()), spelled(Spelling::StandardBase64));
                // At an end, a space is gone before anybody could look at it.
                let inside = !value.starts_with('+') && !value.ends_with('+');
                if inside {
                    told("spaces", &|case| set(case, value.replace('+', " ")), spelled(Spelling::Pluses));
                }
            }
        }
    }
    tally.end(600);
}

#[test]
fn a_wrong_clock_is_told_with_its_distance() {
    let mut told = 0;
    for (name, mut case) in cases() {
        let real = case.now;
        for hours in [-5_i64, 2] {
            case.now = Millis::from_unix(real.as_unix() + hours * 3_600_000).unwrap();
            let examination = examine(&case, &expected_of(&case));
            let Some(window) = examination.window else {
                assert!(is_right(examination.verdict), "{name}: {examination:?}");
                continue;
            };
            told += 1;
            let second = real.as_unix() / 1000;
            assert!(window.from <= second && second <= window.to, "{name}: {window:?}");
            assert!((window.off() > 0) == (hours > 0), "{name}: {window:?}");
            // A vector may be at the edge of its window, from where it is less than whole hours to its middle.
            let to_middle = (second - window.from.midpoint(window.to)).abs();
            if to_middle <= 60 {
                assert_eq!(window.zone(), Some(hours), "{name}: {window:?}");
            }
        }
    }
    assert!(told > 50, "{told}");
}

#[test]
fn other_settings_are_told() {
    let mut tally = Tally::default();
    let settable = |case: &Case| case.adapter.name() == "hmac";
    for (name, case) in cases().into_iter().filter(|(_, case)| settable(case)) {
        let right = case.scheme.clone();
        let told = |way: &Way| {
            let Way::Scheme(scheme) = way else { return false };
            let algorithm = |scheme: &Scheme| scheme.algorithm.unwrap_or(Algorithm::Sha256);
            let encoding = |scheme: &Scheme| scheme.encoding.unwrap_or(Encoding::Hex);
            algorithm(scheme) == algorithm(&right) && encoding(scheme) == encoding(&right)
        };
        let mut change = |damage: &str, change: &dyn Fn(&mut Scheme)| {
            tally.damage(&name, &case, damage, |case| change(&mut case.scheme), told);
        };
        let sha512 = right.algorithm == Some(Algorithm::Sha512);
        change("algorithm", &|scheme| {
            scheme.algorithm = Some(if sha512 { Algorithm::Sha256 } else { Algorithm::Sha512 });
        });
        let base64 = right.encoding == Some(Encoding::Base64);
        change("encoding", &|scheme| scheme.encoding = Some(if base64 { Encoding::Hex } else { Encoding::Base64 }));
        change("prefix", &|scheme| scheme.prefix = "mac=".to_owned());
        change("header", &|scheme| scheme.header = Some("x-none".to_owned()));
        if right.timestamp_header.is_some() {
            change("time", &|scheme| scheme.timestamp_header = None);
        } else {
            change("no time", &|scheme| scheme.timestamp_header = Some("x-time".to_owned()));
        }
    }
    tally.end(40);
}

#[test]
fn two_things_that_differ_are_told_together() {
    let mut tally = Tally::default();
    for (name, case) in cases().into_iter().filter(|(_, case)| expected_of(case).covers.url).step_by(7) {
        let line_end = |case: &mut Case| case.body.push(b'\n');
        let mut with_line_end = clone(&case);
        line_end(&mut with_line_end);
        if is_right(with_line_end.unchanged().verdict(case.now)) {
            continue;
        }
        let other_scheme = |case: &mut Case| {
            let (scheme, rest) = case.url.split_once("://").unwrap();
            case.url = format!("{}://{rest}", if scheme == "http" { "https" } else { "http" });
        };
        let cut = |way: &Way| *way == Way::Body(BodyWay::CutLineEnd);
        let both = |case: &mut Case| {
            line_end(case);
            other_scheme(case);
        };
        tally.damage(&name, &case, "URL and body", both, cut);
    }
    tally.end(3);
}

#[test]
fn what_nobody_can_tell_is_searched_for_within_bounds() {
    for (name, case) in cases().into_iter().step_by(11) {
        let mut forged = clone(&case);
        forged.keyring = case.adapter.keyring(&[wrong_secret(&case)], &case.scheme).unwrap();
        forged.secrets = vec![wrong_secret(&case).to_owned().into()];
        let examination = examine(&forged, &expected_of(&forged));
        assert_eq!((examination.found.len(), examination.verdict), (0, Verdict::Wrong(Flaw::Mismatch)), "{name}");
        assert!(examination.tried <= MOST, "{name}: {}", examination.tried);
    }
}
