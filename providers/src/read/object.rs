//! Fields of a JSON object, where a provider may write a number for a text. What is taken out is what was understood: all
//! else stays, to be kept as it is.

use proto::Millis;
use serde_json::{Map, Value};

use super::moment;

/// A text that is not empty, or a number as it is written.
pub(crate) fn text(map: &Map<String, Value>, name: &str) -> Option<String> {
    match map.get(name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The same, taken out.
pub(crate) fn take(map: &mut Map<String, Value>, name: &str) -> Option<String> {
    let text = text(map, name)?;
    map.remove(name);
    Some(text)
}

/// A time, taken out.
pub(crate) fn take_moment(map: &mut Map<String, Value>, name: &str) -> Option<Millis> {
    let time = moment::read(map.get(name)?.as_str()?)?;
    map.remove(name);
    Some(time)
}
