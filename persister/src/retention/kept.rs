//! How long whose rows are kept, as the configuration says: pure.
//!
//! What a reader would get wrong: only a source that is in the file has a shorter time, its own or its channel's. One that
//! is not (renamed, taken out, or the file was read while somebody wrote it) is kept as long as all: what is deleted is gone
//! for good, and that a name is missing does not say that anybody wanted it so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::Millis;
use runtime::config::Config;

/// A channel and a source of it.
type Name = (String, String);

/// How long the rows of each source are kept. `None` is for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    all: Option<Duration>,
    /// Those that have a time of their own or one by their channel.
    sources: BTreeMap<Name, Duration>,
}

/// Those whose rows are kept for the same time, which is shorter than that of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// For how long.
    pub(crate) time: Duration,
    /// Whose rows.
    pub(crate) sources: Vec<Name>,
}

impl Kept {
    /// What a configuration says.
    pub fn of(config: &Config) -> Self {
        let of_source = |source: &runtime::config::Source| {
            let of_channel = config.retention.channels.get(source.channel.as_str());
            let time = source.retention.or(of_channel.copied())?;
            Some(((source.channel.clone(), source.name.clone()), time))
        };
        Self { all: config.retention.messages, sources: config.sources.iter().filter_map(of_source).collect() }
    }

    /// The same, but nobody's rows go before their requests do. `raw` is for how long those are kept in fact, which is as it
    /// was at start: the configuration may say less since.
    #[must_use]
    pub fn not_below(self, raw: Duration) -> Self {
        Self {
            all: self.all.map(|time| time.max(raw)),
            sources: self.sources.into_iter().map(|(name, time)| (name, time.max(raw))).collect(),
        }
    }

    /// For how long the rows of a source are kept.
    pub fn time(&self, channel: &str, source: &str) -> Option<Duration> {
        self.sources.get(&(channel.to_owned(), source.to_owned())).copied().or(self.all)
    }

    /// The moment before which rows of a source may be gone, where it is `now` by the broker's clock.
    pub fn since(&self, now: Option<i64>, channel: &str, source: &str) -> Option<Millis> {
        before(now?, self.time(channel, source)?)
    }

    /// Those whose rows go before their month does, by how long they are kept.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let times: BTreeSet<Duration> = self.sources.values().copied().collect();
        let shorter = times.into_iter().filter(|time| self.all.is_none_or(|all| *time < all));
        let of = |time| self.sources.iter().filter(move |(_, other)| **other == time).map(|(name, _)| name.clone());
        shorter.map(|time| Group { time, sources: of(time).collect() }).collect()
    }
}

/// The moment `age` before `moment`, in milliseconds since 1970.
pub(crate) fn before(moment: i64, age: Duration) -> Option<Millis> {
    Millis::from_unix(moment.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::config::{Environment, Need, Requirements};

    const DAY: i64 = 86_400_000;

    fn kept(text: &str) -> Kept {
        let requirements = Requirements {
            nats: Need::Unused,
            postgres: Need::Unused,
            hash_key: Need::Unused,
            source_secrets: Need::Unused,
            attachments: Need::Unused,
        };
        Kept::of(&Config::parse_for(text, "", &Environment::default(), requirements).unwrap())
    }

    fn days(days: u64) -> Duration {
        Duration::from_hours(24 * days)
    }

    fn form(name: &str, retention: &str) -> String {
        format!("[[sources]]\nname = '{name}'\nchannel = 'form'\nprovider = 'generic'\n{retention}\n")
    }

    fn name(source: &str) -> Name {
        ("form".to_owned(), source.to_owned())
    }

    #[test]
    fn a_source_goes_before_its_channel_and_that_before_all() {
        let text = format!("retention.channels.form = '90d'\n{}{}", form("a", "retention = '30d'"), form("b", ""));
        let kept = kept(&text);
        let days_of = |channel, source| kept.time(channel, source).unwrap().as_secs() / 86_400;
        assert_eq!([days_of("form", "a"), days_of("form", "b")], [30, 90]);
        // The same name in a channel that it does not have any more.
        assert_eq!([days_of("email", "a"), days_of("sms", "c")], [400, 400]);
        assert_eq!(kept.since(Some(100 * DAY), "form", "a"), Millis::from_unix(70 * DAY));
        assert_eq!(kept.since(None, "form", "a"), None);
    }

    #[test]
    fn a_source_that_is_not_in_the_file_is_kept_as_long_as_all() {
        let kept = kept(&format!("retention.channels.form = '90d'\n{}", form("a", "retention = '30d'")));
        assert_eq!(kept.time("form", "gone"), Some(days(400)));
        assert_eq!(kept.since(Some(500 * DAY), "form", "gone"), Millis::from_unix(100 * DAY));
        assert_eq!(kept.groups(), [Group { time: days(30), sources: vec![name("a")] }]);
    }

    #[test]
    fn those_with_the_same_time_are_gone_through_together() {
        let own = [("a", "30d"), ("b", "90d"), ("c", "400d")]
            .map(|(name, time)| form(name, &format!("retention = '{time}'")));
        let text = format!("retention.channels = {{ form = '90d', sms = '90d' }}\n{}{}", own.concat(), form("d", ""));
        let month = Group { time: days(30), sources: vec![name("a")] };
        let quarter = Group { time: days(90), sources: vec![name("b"), name("d")] };
        assert_eq!(kept(&text).groups(), [month, quarter]);
    }

    #[test]
    fn a_reload_does_not_let_rows_go_before_the_requests_that_are_still_kept() {
        let text = format!("retention = {{ raw = '1d', messages = '5d', channels.form = '2d' }}\n{}", form("a", ""));
        let kept = kept(&text);
        assert_eq!(kept.time("form", "a"), Some(days(2)));
        let four = kept.clone().not_below(days(4));
        assert_eq!((four.time("form", "a"), four.time("form", "gone")), (Some(days(4)), Some(days(5))));
        assert_eq!(four.groups(), [Group { time: days(4), sources: vec![name("a")] }]);
        let seven = kept.not_below(days(7));
        assert_eq!((seven.time("form", "a"), seven.time("form", "gone")), (Some(days(7)), Some(days(7))));
        assert!(seven.groups().is_empty(), "they go with their month");
    }

    #[test]
    fn nothing_goes_before_its_month_unless_somebody_said_so() {
        assert!(kept(&form("a", "")).groups().is_empty());
        let for_ever = kept("retention.messages = 'forever'");
        assert_eq!((for_ever.groups().len(), for_ever.since(Some(i64::MAX), "form", "a")), (0, None));
    }
}
