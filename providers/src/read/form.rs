//! `application/x-www-form-urlencoded`, as the WHATWG defines it: order and repeats kept, `+` is a space, a malformed
//! `%` stands for itself. The character set is `_charset_`, else that of `Content-Type`, else UTF-8 or windows-1252 by
//! look.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{charset, media};
use crate::record::BadReason;

/// Names and values taken at most; whoever takes [`pairs`] stops there.
pub(crate) const FIELDS: usize = 10_000;

/// Fields as text, in order, and whether something had to be replaced.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Name and value.
    pub(crate) pairs: Vec<(String, String)>,
    /// A byte that does not belong to the character set became U+FFFD.
    pub(crate) replaced: bool,
}

/// The names and values as bytes, in order, undecoded, one at a time: a body of separators has half a million of them.
pub(crate) fn pairs(body: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    escaped_pairs(body).map(|(name, value)| (unescape(name), unescape(value)))
}

/// The same as they came, for whoever looks for one of them: a value can be the whole body.
pub(crate) fn escaped_pairs(body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pieces = body.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| {
        let mut halves = piece.splitn(2, |byte| *byte == b'=');
        (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
    })
}

/// A name or value with its `+` and `%` undone.
pub(crate) fn unescape(bytes: &[u8]) -> Vec<u8> {
    let spaced: Cow<'_, [u8]> = if bytes.contains(&b'+') {
        bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect::<Vec<_>>().into()
    } else {
        bytes.into()
    };
    percent_encoding::percent_decode(&spaced).collect()
}

/// Reads a form.
pub(crate) fn read(body: &[u8], content_type: Option<&str>) -> Result<Fields, BadReason> {
    let pairs: Vec<_> = pairs(body).take(FIELDS + 1).collect();
    if pairs.len() > FIELDS {
        return Err(BadReason::TooMany);
    }
    let named = |name: &[u8]| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice());
    let stated = named(b"_charset_").and_then(|label| charset::of_form(std::str::from_utf8(label).ok()?));
    let stated = stated.or_else(|| charset::of_form(&media::parameter(content_type?, "charset")?));
    let encoding = stated
        .unwrap_or_else(|| charset::guess(pairs.iter().flat_map(|(name, value)| [name.as_slice(), value.as_slice()])));
    let mut fields = Fields::default();
    for (name, value) in pairs {
        let ((name, bad_name), (value, bad_value)) =
            (charset::decode_value(&name, encoding), charset::decode_value(&value, encoding));
        fields.pairs.push((name, value));
        fields.replaced |= bad_name || bad_value;
    }
    Ok(fields)
}

impl Fields {
    /// The first value of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The fields by name; the values of a repeated one in an array, in order.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        let mut map = Map::new();
        for (name, value) in self.pairs {
            match map.get_mut(&name) {
                None => drop(map.insert(name, Value::String(value))),
                Some(Value::Array(values)) => values.push(Value::String(value)),
                Some(only) => *only = Value::Array(vec![only.take(), Value::String(value)]),
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(body: &[u8], content_type: Option<&str>) -> String {
        Value::Object(read(body, content_type).unwrap().into_map()).to_string()
    }

    #[test]
    fn a_form_is_read_as_a_browser_writes_it() {
        assert_eq!(map(b"a=1&&b&=x&a=%2B+%26&a=", None), r#"{"":"x","a":["1","+ &",""],"b":""}"#);
        assert_eq!(
            map(b"a=%ZZ&b=%4&c=100%&d=%E2%82", None),
            "{\"a\":\"%ZZ\",\"b\":\"%4\",\"c\":\"100%\",\"d\":\"\u{fffd}\"}"
        );
        assert_eq!(map(b"", None), "{}");
    }

    #[test]
    fn the_stated_character_set_goes_before_the_look() {
        assert_eq!(map(b"a=%D0%BF", None), r#"{"a":"п"}"#);
        assert_eq!(map(b"a=%EF", Some("x/y; charset=koi8-r")), r#"{"a":"О"}"#);
        for label in ["utf-16", "UTF-16BE", "hz-gb-2312", "iso-2022-kr", "replacement", "no-such-label"] {
            let content_type = format!("x/y; charset={label}");
            assert_eq!(map(b"a=%C3%A9+e", Some(&content_type)), r#"{"a":"é e"}"#, "{label}");
        }
        assert_eq!(map(b"a=caf%E9", Some("x/y; charset=iso-2022-kr")), r#"{"a":"café"}"#);
        assert_eq!(map(b"_charset_=koi8-r&a=%EF", Some("x/y; charset=utf-8")), r#"{"_charset_":"koi8-r","a":"О"}"#);
    }
}
