//! Address lists: `mail-parser` reads them, and this mends what it leaves: comments, quoted local parts without angle
//! brackets, routes, blanks within an address. Groups are flattened: their names address nobody.
//!
//! What is no address is kept as a name, as long as it says anything.

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, HeaderValue};
use proto::Party;

use super::words;
use crate::read::address;

/// Everybody in the value of a field, in order. The second value says whether bytes had to be replaced.
pub(crate) fn read(value: &[u8]) -> (Vec<Party>, bool) {
    let (line, replaced) = words::tidy(value);
    let mut line = without_comments(&line);
    // Without the end of the line, the parser leaves the last address out.
    line.push('\n');
    let parties = match MessageStream::new(line.as_bytes()).parse_address() {
        HeaderValue::Address(Address::List(list)) => list.iter().filter_map(party).collect(),
        HeaderValue::Address(Address::Group(groups)) => {
            groups.iter().flat_map(|group| &group.addresses).filter_map(party).collect()
        }
        _ => Vec::new(),
    };
    (parties, replaced)
}

/// The line without what stands in parentheses, which the parser takes for a name. A parenthesis that is never closed
/// opens nothing, and is left out, because the parser thinks otherwise.
fn without_comments(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 1);
    let (mut quoted, mut escaped, mut depth, mut comment) = (false, false, 0_usize, 0);
    for (at, character) in line.char_indices() {
        let was_escaped = std::mem::take(&mut escaped);
        match character {
            _ if was_escaped => {}
            '\\' => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => {
                if depth == 0 {
                    comment = at;
                }
                depth += 1;
            }
            ')' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    out.push(' ');
                    continue;
                }
            }
            _ => {}
        }
        if depth == 0 {
            out.push(character);
        }
    }
    if depth > 0 {
        out.push_str(&line.get(comment..).unwrap_or_default().replace(['(', ')'], " "));
    }
    out
}

/// The first who has an address; else the first who has a name.
pub(super) fn first(parties: Vec<Party>) -> Option<Party> {
    let at = parties.iter().position(|party| party.address.is_some()).unwrap_or(0);
    parties.into_iter().nth(at)
}

fn party(found: &Addr<'_>) -> Option<Party> {
    let name = found.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let Some(written) = found.address.as_deref().map(str::trim).filter(|address| !address.is_empty()) else {
        return name.map(|name| Party { address: None, name: Some(name.to_owned()) });
    };
    // `"two words"@example.com`, which the parser takes for a name and a domain.
    if let (Some(local), true) = (name, written.starts_with('@') && !written.contains(':')) {
        return Some(Party { address: address::email(&format!("\"{local}\"{written}")), name: None });
    }
    // `@relay.example:jo@example.com`: the way it took, which nobody uses any more.
    let written = match written.strip_prefix('@').and_then(|route| route.split_once(':')) {
        Some((_, address)) => address,
        None => written,
    };
    let written = if written.contains('"') { written.to_owned() } else { written.replace([' ', '\t'], "") };
    Some(Party { address: address::email(&written), name: name.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(value: &str) -> Vec<(String, String)> {
        let text = |text: Option<String>| text.unwrap_or_default();
        read(value.as_bytes()).0.into_iter().map(|party| (text(party.address), text(party.name))).collect()
    }

    #[test]
    fn addresses_are_read_as_mailers_write_them() {
        let written: [(&str, &[(&str, &str)]); 14] = [
            (
                r#""O'Neil, \"Bo\" (Sales)" <"bo, jr"@Pine.Example>"#,
                &[("\"bo, jr\"@pine.example", "O'Neil, \"Bo\" (Sales)")],
            ),
            (
                "Team: a@x.example, \"B, C\" <b@x.example>;, undisclosed-recipients:;, c@x.example",
                &[("a@x.example", ""), ("b@x.example", "B, C"), ("c@x.example", "")],
            ),
            ("d@x.example,, <e@x.example>", &[("d@x.example", ""), ("e@x.example", "")]),
            ("\"two words\"@x.example", &[("\"two words\"@x.example", "")]),
            ("<@a.example,@b.example:jo@x.example>", &[("jo@x.example", "")]),
            ("jo @ x . example", &[("jo@x.example", "")]),
            ("=?utf-8?Q?Jo,_=C3?= =?utf-8?Q?=B6?= <jo@x.example>", &[("jo@x.example", "Jo, ö")]),
            ("\"=?utf-8?Q?J=C3=B6?=\" <jo@x.example>", &[("jo@x.example", "Jö")]),
            ("Jö <jö@EXÄMPLE.example>", &[("jö@exämple.example", "Jö")]),
            ("Doe, John <jo@x.example>", &[("", "Doe"), ("jo@x.example", "John")]),
            ("Undisclosed recipients:;", &[]),
            ("nobody", &[("", "nobody")]),
            ("jo@x.example (a (b), \\) c), \"(d)\" (e) <k@x.example>", &[("jo@x.example", ""), ("k@x.example", "(d)")]),
            ("jo@x.example, (a, k@x.example", &[("jo@x.example", ""), ("", "a"), ("k@x.example", "")]),
        ];
        for (value, expected) in written {
            let expected: Vec<_> =
                expected.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect();
            assert_eq!(read_all(value), expected, "{value}");
        }
    }
}
