//! What PostgreSQL cannot hold: U+0000 in any text, and numbers beyond `numeric` in `jsonb`. The first is taken out,
//! the second becomes text; both are noted. A key that would take another's place without its U+0000 gets a new name.

use proto::Truncation;
use serde_json::{Map, Number, Value};

/// Notes kept for one record; a body of a million NULs needs no million notes.
const NOTES: usize = 32;
/// Bytes of a field's path kept in a note.
const PATH: usize = 200;
/// Decimal places, before or after the point, that are sure to fit `numeric`.
const DIGITS: i64 = 10_000;

/// Cleans a record's texts, and keeps the notes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleaner {
    notes: Vec<Truncation>,
}

impl Cleaner {
    /// Notes that something in `field` could not be kept as it came.
    pub(crate) fn note(&mut self, field: &str, reason: &str) {
        let note = Truncation { field: cut(field).replace('\0', ""), reason: reason.to_owned() };
        if self.notes.len() < NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The notes.
    pub(crate) fn into_notes(self) -> Vec<Truncation> {
        self.notes
    }

    /// Takes U+0000 out of a text.
    pub(crate) fn text(&mut self, field: &str, text: &mut String) {
        if text.contains('\0') {
            text.retain(|character| character != '\0');
            self.note(field, "nul");
        }
    }

    /// As [`Self::text`], where there may be none.
    pub(crate) fn optional(&mut self, field: &str, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(field, text);
        }
    }

    /// Cleans every text, key and number in an object.
    pub(crate) fn object(&mut self, path: &str, map: &mut Map<String, Value>) {
        let dirty: Vec<String> = map.keys().filter(|key| key.contains('\0')).cloned().collect();
        // Counts over the whole object, so that a thousand keys that clean to one name do not try a thousand each.
        let mut taken = 0_usize;
        for key in dirty {
            if let Some(value) = map.remove(&key) {
                let mut clean = key;
                self.text(path, &mut clean);
                let mut free = clean.clone();
                while map.contains_key(&free) {
                    taken += 1;
                    free = format!("{clean} (nul {taken})");
                }
                if free != clean {
                    self.note(&join(path, &free), "name");
                }
                map.insert(free, value);
            }
        }
        for (key, value) in map {
            if !is_clean(value) {
                self.value(&join(path, key), value);
            }
        }
    }

    fn value(&mut self, path: &str, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => self.text(path, text),
            Value::Number(number) if fits_numeric(number) => {}
            Value::Number(number) => {
                let text = number.to_string();
                self.note(path, "number");
                *value = Value::String(text);
            }
            Value::Array(values) => {
                for value in values {
                    self.value(path, value);
                }
            }
            Value::Object(map) => self.object(path, map),
        }
    }
}

/// Whether there is surely nothing to do, so that no path need be put together.
fn is_clean(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => !text.contains('\0'),
        Value::Number(number) => fits_numeric(number),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// The path of a child, cut: a long name above many children would otherwise be copied for each of them.
fn join(path: &str, key: &str) -> String {
    let mut joined = String::with_capacity(PATH);
    joined.push_str(path);
    joined.push('.');
    joined.push_str(cut(key));
    joined.truncate(cut(&joined).len());
    joined
}

/// The beginning of a field's path.
fn cut(path: &str) -> &str {
    let end = (0..=PATH.min(path.len())).rev().find(|end| path.is_char_boundary(*end)).unwrap_or(0);
    path.get(..end).unwrap_or_default()
}

/// Whether PostgreSQL's `numeric` takes the number: 131,072 digits before the point, 16,383 after it.
fn fits_numeric(number: &Number) -> bool {
    let text = number.to_string();
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    let digits = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    exponent.unsigned_abs() <= DIGITS.unsigned_abs() && digits <= DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_taken_out_wherever_it_is_and_said() {
        let mut map: Map<String, Value> = serde_json::from_str(r#"{"a\u0000":{"b":["x\u0000"]},"c":"d"}"#).unwrap();
        let mut cleaner = Cleaner::default();
        cleaner.object("metadata", &mut map);
        assert_eq!(Value::Object(map).to_string(), r#"{"a":{"b":["x"]},"c":"d"}"#);
        let fields: Vec<String> = cleaner.into_notes().into_iter().map(|note| note.field).collect();
        assert_eq!(fields, ["metadata", "metadata.a.b"]);
    }

    #[test]
    fn a_field_whose_name_held_nul_takes_the_place_of_no_other() {
        let text = r#"{"a":"real","a\u0000":"1","\u0000a":"2","b\u0000":"3","b":"also real","a (nul 1)":"4"}"#;
        let mut map: Map<String, Value> = serde_json::from_str(text).unwrap();
        let mut cleaner = Cleaner::default();
        cleaner.object("metadata", &mut map);
        let expected = [("a", "real"), ("b", "also real"), ("a (nul 1)", "4")];
        assert!(expected.iter().all(|(name, value)| map[*name] == *value), "{map:?}");
        assert_eq!(map.len(), 6, "{map:?}");
        let notes = cleaner.into_notes();
        let renamed: Vec<&str> = notes.iter().filter(|note| note.reason == "name").map(|note| &*note.field).collect();
        assert_eq!(renamed.len(), 3, "{notes:?}");
        assert!(renamed.iter().all(|field| map.contains_key(field.trim_start_matches("metadata."))), "{notes:?}");
    }

    #[test]
    fn many_names_that_clean_to_the_same_cost_nothing() {
        let name =
            |number: u32| (0..16).map(|bit| if (number >> bit) & 1 == 1 { "\0a" } else { "a" }).collect::<String>();
        let mut map: Map<String, Value> = (0..65_536).map(|number| (name(number), Value::Null)).collect();
        Cleaner::default().object("metadata", &mut map);
        assert_eq!(map.len(), 65_536);
    }

    #[test]
    fn a_number_too_large_for_the_database_becomes_text() {
        let mut map: Map<String, Value> =
            serde_json::from_str(r#"{"a":1e999999999999999999999,"b":-1E-20000,"c":1e308}"#).unwrap();
        Cleaner::default().object("", &mut map);
        assert!(map["a"].is_string() && map["b"].is_string() && map["c"].is_number(), "{map:?}");
    }

    #[test]
    fn a_long_name_above_many_children_costs_nothing() {
        let children = vec!["{}"; 200_000].join(",");
        let text = format!(r#"{{"{}":[{children}]}}"#, "x".repeat(1_000_000));
        let mut map: Map<String, Value> = serde_json::from_str(&text).unwrap();
        Cleaner::default().object("metadata", &mut map);
    }

    #[test]
    fn notes_are_bounded() {
        let mut cleaner = Cleaner::default();
        for number in 0..1000 {
            cleaner.note(&format!("{number}{}", "ü".repeat(1000)), "nul");
        }
        let notes = cleaner.into_notes();
        assert_eq!(notes.len(), NOTES);
        assert!(notes.iter().all(|note| note.field.len() <= PATH));
    }
}
