//! JSON as people send it, read once. Numbers keep their exact text, the last of two equal keys wins, a byte order mark
//! is passed over, half a surrogate pair becomes U+FFFD, and what is nested too deep stays as the text it was.
//!
//! `serde_json`'s own `Value` is filled here by hand for one reason: with exact numbers it reads an object whose first
//! key is `$serde_json::private::Number` as a number, which would let a sender choose what we store. A number's key
//! reaches the visitor as text (small integers come without one), an object's as bytes; that is how they are told
//! apart.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::record::BadReason;

/// Levels that are read; `serde_json` itself refuses 128, and so may whoever reads our records.
const DEPTH: usize = 96;

/// Values that are read: a list of zeros takes 2 bytes for each, and we take a hundred times that.
pub(crate) const VALUES: usize = 200_000;

/// What was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Json {
    /// The value.
    pub(crate) value: Value,
    /// What had to be done.
    pub(crate) notes: Notes,
}

/// What had to be done to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Half a surrogate pair was replaced.
    pub(crate) surrogate: bool,
    /// Something was nested too deep and was kept as text.
    pub(crate) depth: bool,
}

impl Notes {
    /// What may have been done to this value, as far as it still shows.
    pub(crate) fn traces(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::default(),
            Value::String(text) => Self { surrogate: shows_replacement(text), depth: text.starts_with(['{', '[']) },
            Value::Array(values) => values.iter().map(Self::traces).fold(Self::default(), Self::or),
            Value::Object(map) => map.iter().fold(Self::default(), |notes, (name, value)| {
                let name = Self { surrogate: shows_replacement(name), depth: false };
                notes.or(name).or(Self::traces(value))
            }),
        }
    }

    /// What either says.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { surrogate: self.surrogate || other.surrogate, depth: self.depth || other.depth }
    }
}

/// How many values may still be read, where one request is read in parts.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(VALUES)
    }
}

/// Whether something in this text may have been replaced.
pub(crate) fn shows_replacement(text: &str) -> bool {
    text.contains('\u{fffd}')
}

/// The body as text, without its byte order mark.
pub(crate) fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok().map(|text| text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads a body.
pub(crate) fn read(body: &[u8]) -> Result<Json, BadReason> {
    read_part(text(body).ok_or(BadReason::NotUtf8)?, &mut Budget::default())
}

/// Reads a part of a body.
pub(crate) fn read_part(text: &str, budget: &mut Budget) -> Result<Json, BadReason> {
    let (value, depth, surrogate) = match parse(text, budget) {
        Ok((value, depth)) => (value, depth, false),
        Err(BadReason::NotJson) => {
            let Cow::Owned(mended) = without_lone_surrogates(text) else { return Err(BadReason::NotJson) };
            let (value, depth) = parse(&mended, budget)?;
            (value, depth, true)
        }
        Err(reason) => return Err(reason),
    };
    Ok(Json { value, notes: Notes { surrogate, depth } })
}

fn parse(text: &str, budget: &mut Budget) -> Result<(Value, bool), BadReason> {
    let mut progress = Progress { left: budget.0, ..Progress::default() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Tree { depth: 0, progress: &mut progress }.deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => {
            budget.0 = progress.left;
            Ok((value, progress.too_deep))
        }
        Err(_) if progress.too_many => Err(BadReason::TooMany),
        Err(_) => Err(BadReason::NotJson),
    }
}

/// How far the reading is.
#[derive(Default)]
struct Progress {
    /// Values that may still be begun.
    left: usize,
    /// There were more.
    too_many: bool,
    /// Something was nested too deep.
    too_deep: bool,
}

/// Fills a [`Value`].
struct Tree<'a> {
    depth: usize,
    progress: &'a mut Progress,
}

impl Tree<'_> {
    fn below(&mut self) -> Tree<'_> {
        Tree { depth: self.depth + 1, progress: self.progress }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.progress.left.checked_sub(1) else {
            self.progress.too_many = true;
            return Err(D::Error::custom("too many values"));
        };
        self.progress.left = left;
        if self.depth < DEPTH {
            return deserializer.deserialize_any(self);
        }
        // A raw value is passed over without recursion, however deep it is.
        let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        if raw.starts_with(['{', '[']) {
            self.progress.too_deep = true;
            return Ok(Value::String(raw.to_owned()));
        }
        let (value, _) = parse(raw, &mut Budget::default()).map_err(D::Error::custom)?;
        Ok(value)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self.below())? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(KeySeed)? {
            match key {
                Key::Number => {
                    let text: String = entries.next_value()?;
                    return text.parse::<Number>().map(Value::Number).map_err(A::Error::custom);
                }
                Key::Name(name) => drop(map.insert(name, entries.next_value_seed(self.below())?)),
            }
        }
        Ok(Value::Object(map))
    }
}

/// The key of an entry; the file's head says why it matters how it arrives.
enum Key {
    Number,
    Name(String),
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, _token: &str) -> Result<Key, E> {
        Ok(Key::Number)
    }

    fn visit_bytes<E: serde::de::Error>(self, name: &[u8]) -> Result<Key, E> {
        std::str::from_utf8(name).map(|name| Key::Name(name.to_owned())).map_err(E::custom)
    }
}

/// Replaces the escapes of half surrogate pairs. A backslash stands only in strings, so the text around them does not
/// matter.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut kept = 0;
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('\\')).map(|at| from + at) {
        from = at + 2;
        let Some(unit) = escape(text, at) else { continue };
        from = at + 6;
        match unit {
            0xd800..=0xdbff if escape(text, at + 6).is_some_and(|next| (0xdc00..=0xdfff).contains(&next)) => {
                from = at + 12;
            }
            0xd800..=0xdfff => {
                mended.push_str(text.get(kept..at).unwrap_or_default());
                mended.push_str("\\ufffd");
                kept = from;
            }
            _ => {}
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(mended)
}

/// The code unit of the escape `\uXXXX` at `at`.
fn escape(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        read(text.as_bytes()).unwrap().value
    }

    #[test]
    fn numbers_keep_their_text() {
        let text = "[0,-1,-0,1.0,2.50,1E400,12345678901234567890,0.1000000000000000055511151231257827]";
        assert_eq!(value(text).to_string().to_ascii_uppercase().replace("E+", "E"), text);
    }

    #[test]
    fn the_last_of_two_keys_wins() {
        assert_eq!(value(r#"{"a":1,"b":2,"\u0061":3}"#).to_string(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn a_key_that_serde_json_uses_itself_is_a_key() {
        for text in [
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"$serde_json::private::Number":"x","a":1}"#,
            r#"{"$serde_json::private::RawValue":"[1]"}"#,
        ] {
            assert!(value(text).is_object(), "{text}");
            assert_eq!(value(text).to_string(), text);
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced_and_said() {
        let json = read(br#"{"a\ud800":"x\udc00\ud83d\ude00\\ud800\ud800\ud83d\ude00"}"#).unwrap();
        assert!(json.notes.surrogate);
        assert_eq!(json.value.to_string(), "{\"a\u{fffd}\":\"x\u{fffd}😀\\\\ud800\u{fffd}😀\"}");
        assert!(!read(br#""\ud83d\ude00""#).unwrap().notes.surrogate);
    }

    #[test]
    fn what_is_nested_too_deep_stays_text() {
        let deep = |levels: usize| format!("{{\"a\":{}1{},\"b\":2}}", "[".repeat(levels), "]".repeat(levels));
        let shallow = read(deep(DEPTH - 1).as_bytes()).unwrap();
        assert!(!shallow.notes.depth);
        assert_eq!(shallow.value.to_string(), deep(DEPTH - 1));
        for levels in [DEPTH, 200, 100_000] {
            let json = read(deep(levels).as_bytes()).unwrap();
            assert!(json.notes.depth, "{levels}");
            assert_eq!(json.value["b"].to_string(), "2");
            assert!(serde_json::from_str::<Value>(&json.value.to_string()).is_ok(), "{levels} levels read back");
        }
    }

    #[test]
    fn values_are_bounded_wherever_they_are() {
        let flat = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
        assert!(read(flat(VALUES).as_bytes()).is_ok());
        assert_eq!(read(flat(VALUES + 1).as_bytes()), Err(BadReason::TooMany));
        let same_key = format!("{{{}\"a\":1}}", "\"a\":1,".repeat(VALUES));
        assert_eq!(read(same_key.as_bytes()), Err(BadReason::TooMany));
        let nested = format!("[{}0]", "[[]],".repeat(VALUES));
        assert_eq!(read(nested.as_bytes()), Err(BadReason::TooMany));
        let surrogate = format!("[{}\"\\ud800\"]", "0,".repeat(VALUES));
        assert_eq!(read(surrogate.as_bytes()), Err(BadReason::TooMany));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", " ", "{", "[1,]", "{\"a\":1}x", "nul", "\"\u{1}\"", "'a'", r#""\x""#, "01"] {
            assert_eq!(read(text.as_bytes()), Err(BadReason::NotJson), "{text:?}");
        }
        assert_eq!(read(b"\xff\xfe{\0}\0"), Err(BadReason::NotUtf8));
        assert_eq!(value("\u{feff}1").to_string(), "1");
    }
}
