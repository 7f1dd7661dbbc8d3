//! The variables a configuration may refer to.
//!
//! A value, not the process: tests hand in a map, and only [`Environment::of_process`] looks at the
//! process. It holds secrets, so its `Debug` prints names alone.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::DeValue;

/// What every override begins with: `PENSTOCK__SECTION__KEY`.
pub(super) const PREFIX: &str = "PENSTOCK__";

/// Environment variables by name.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `None` is a variable that is set, but not to text.
    variables: BTreeMap<String, Option<String>>,
}

impl Environment {
    /// The variables of this process, as they are now.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok())))
            .collect();
        Self { variables }
    }

    /// The value of a variable, or why there is none in words that fit "the variable X ..".
    pub(super) fn get(&self, name: &str) -> Result<&str, &'static str> {
        match self.variables.get(name) {
            Some(Some(value)) => Ok(value),
            Some(None) => Err("is not valid UTF-8"),
            None => Err("is not set"),
        }
    }

    /// Every variable that means to override a setting, by name.
    pub(super) fn overrides(&self) -> BTreeMap<&str, Override<'_>> {
        self.variables
            .iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, text)| (name.as_str(), Override::new(text.as_deref())))
            .collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), Some(value.into()))).collect();
        Self { variables }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// What a variable sets a setting to.
pub(super) struct Override<'a> {
    /// As it stands in the environment; `None` where that is not text.
    pub(super) text: Option<&'a str>,
    pub(super) value: DeValue<'a>,
}

impl<'a> Override<'a> {
    fn new(text: Option<&'a str>) -> Self {
        let value = value_of(text.unwrap_or_default());
        Self { text, value }
    }
}

/// The value that a text outside a file stands for: TOML where it is TOML, a string otherwise.
pub(super) fn value_of(text: &str) -> DeValue<'_> {
    DeValue::parse(text).map_or_else(|_| DeValue::String(text.into()), Spanned::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_variable_that_is_not_text_is_told() {
        let text = "dedup.hash_key.env = \"KEY\"\nnats.url = \"nats://a\"\npostgres.url = \"postgres://a\"";
        let variables = ["KEY", "PENSTOCK__NATS__URL"].map(|name| (name.to_owned(), None));
        let env = Environment { variables: variables.into() };
        let error = Config::parse(text, "penstock.toml", &env).unwrap_err().to_string();
        let expected = "penstock.toml:1:7: dedup.hash_key: the environment variable KEY is not valid UTF-8\n\
                        PENSTOCK__NATS__URL: is not valid UTF-8";
        assert_eq!(error, expected);
    }
}
