//! What `nats-server --version` and `postgres --version` say, as numbers that can be compared.
//!
//! Distributions add words of their own behind the number, and PostgreSQL has had two-part numbers since 10 and names
//! like `18beta1` before a release: only the leading digits count.

/// Major, minor and patch; what is missing is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

impl Version {
    pub(crate) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The first word of `text` that starts like a version, with or without a `v`.
    pub(crate) fn find_in(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let mut parts = word.trim_start_matches('v').split('.').map(leading_number);
        let major = parts.next()??;
        let mut rest = || parts.next().flatten().unwrap_or(0);
        Some(Self { major, minor: rest(), patch: rest() })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

fn leading_number(part: &str) -> Option<u32> {
    let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
    part.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_print_is_understood() {
        let cases = [
            ("nats-server: v2.15.1", Version::new(2, 15, 1)),
            ("nats-server: v2.9.10", Version::new(2, 9, 10)),
            ("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)", Version::new(15, 13, 0)),
            ("postgres (PostgreSQL) 18beta1", Version::new(18, 0, 0)),
            ("postgres (PostgreSQL) 18.4", Version::new(18, 4, 0)),
        ];
        for (text, version) in cases {
            assert_eq!(Version::find_in(text), Some(version), "{text}");
        }
        assert_eq!(Version::find_in("command not found"), None);
    }

    #[test]
    fn ten_is_more_than_nine() {
        assert!(Version::new(2, 10, 0) > Version::new(2, 9, 10));
        assert!(Version::new(2, 14, 3) < Version::new(2, 14, 4));
    }
}
