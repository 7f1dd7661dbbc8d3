//! Message ids, as they are compared: without angle brackets and without the white space that folding left.

/// Every id in a value, in order: what stands in angle brackets; where there are none, each word that looks like one.
pub(super) fn all(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((id, after)) = after.split_once('>') else { break };
        found.extend(clean(id));
        rest = after;
    }
    if found.is_empty() {
        let words = value.split([' ', '\t', ',', '<', '>']);
        found.extend(words.filter(|word| word.contains('@')).filter_map(clean));
    }
    found
}

/// The id that a value gives. A mail whose id is in no known form still has one: the whole value.
pub(super) fn one(value: &str) -> Option<String> {
    all(value).into_iter().next().or_else(|| clean(value.trim_matches(['<', '>', ' '])))
}

/// What stands in the last angle brackets (`The list <list.example>`), or the whole.
pub(super) fn bracketed(value: &str) -> String {
    let inner = value.rsplit_once('<').map_or(value, |(_, after)| after);
    inner.split('>').next().unwrap_or_default().trim().to_owned()
}

fn clean(id: &str) -> Option<String> {
    let id: String = id.chars().filter(|character| !character.is_whitespace()).collect();
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_what_mailers_write() {
        let written: [(&str, &[&str]); 6] = [
            ("<a@x> <b@x>\t<c@ x>", &["a@x", "b@x", "c@x"]),
            ("<a@x><b@x>", &["a@x", "b@x"]),
            ("Message from Jo of Tuesday <a@x>", &["a@x"]),
            ("a@x, b@x", &["a@x", "b@x"]),
            ("<a@x", &["a@x"]),
            ("no id", &[]),
        ];
        for (value, expected) in written {
            assert_eq!(all(value), expected, "{value}");
        }
        assert_eq!(one("20260731.1234").unwrap(), "20260731.1234");
        assert_eq!(one("<>"), None);
    }
}
