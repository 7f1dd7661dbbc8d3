//! Metrics, as Prometheus reads them.

use std::collections::BTreeMap;

use crate::Request;

/// What `/metrics` said at one moment.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
    text: String,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Asks an admin address.
    pub async fn of(admin_url: &str) -> Result<Self, String> {
        let answer = Request::get("/metrics").send(admin_url).await.map_err(|error| error.to_string())?;
        crate::eventually::ensure(answer.status == 200, || answer.to_string())?;
        Ok(Self::parse(&answer.text()))
    }

    /// Reads the text format.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(Sample::parse).collect();
        Self { samples, text: text.to_owned() }
    }

    /// The sum over all series of this name that have these labels; `None` where there is no such series.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        };
        let mut found = self.samples.iter().filter(fits).peekable();
        found.peek()?;
        Some(found.map(|sample| sample.value).sum())
    }

    /// Whether there is a metric of this name; a histogram counts by its parts.
    pub fn has(&self, name: &str) -> bool {
        let parts = ["", "_bucket", "_sum", "_count"];
        self.samples.iter().any(|sample| parts.iter().any(|part| sample.name == format!("{name}{part}")))
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        self.samples.len()
    }

    /// The names of all label values of this label.
    pub fn values_of(&self, label: &str) -> std::collections::BTreeSet<&str> {
        self.samples.iter().filter_map(|sample| sample.labels.get(label).map(String::as_str)).collect()
    }

    /// As it came.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.trim().rsplit_once(' ')?;
        let value = value.parse().ok()?;
        let Some((name, rest)) = series.split_once('{') else {
            return Some(Self { name: series.to_owned(), labels: BTreeMap::new(), value });
        };
        let labels = rest.trim_end_matches('}').split("\",").filter_map(|pair| {
            let (label, value) = pair.split_once("=\"")?;
            Some((label.trim_start_matches(',').trim().to_owned(), value.trim_end_matches('"').to_owned()))
        });
        Some(Self { name: name.to_owned(), labels: labels.collect(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_added_up_by_their_labels() {
        let text = "# TYPE a counter\na{x=\"1\",y=\"p\"} 2\na{x=\"2\",y=\"p\"} 3\nb 1e3\nh_bucket{le=\"+Inf\"} 4\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.sum("a", &[("y", "p")]), Some(5.0));
        assert_eq!(metrics.sum("a", &[("x", "2")]), Some(3.0));
        assert_eq!(metrics.sum("a", &[("x", "3")]), None);
        assert_eq!(metrics.sum("b", &[]), Some(1000.0));
        assert!(metrics.has("h") && !metrics.has("c"));
    }
}
