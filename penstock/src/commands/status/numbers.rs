//! Prometheus text, as far as a status needs it: names, labels, values. Pure.

/// The samples of one process, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    /// What stands between the braces.
    labels: String,
    value: f64,
}

impl Samples {
    /// Reads what can be read; a line of another shape is passed over.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter(|line| line.starts_with("penstock_")).filter_map(sample).collect())
    }

    /// The sum over all samples of a name whose labels are not among `but`: pieces such as `outcome="retried"`.
    pub(crate) fn sum(&self, name: &str, but: &[&str]) -> f64 {
        self.named(name).filter(|sample| !but.iter().any(|piece| sample.labels.contains(piece))).map(|s| s.value).sum()
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| sample.name == name)
    }
}

/// `name{labels} value` or `name value`.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    Some(Sample { name: name.to_owned(), labels: labels.to_owned(), value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_leaves_out_what_it_is_told_to() {
        let samples = Samples::parse(
            "# HELP penstock_x_total X.\n# TYPE penstock_x_total counter\n\
             penstock_x_total{channel=\"sms\",outcome=\"unique\"} 3\n\
             penstock_x_total{channel=\"sms\",outcome=\"retried\"} 40\n\
             penstock_x_total 0.5\npenstock_y 7\nprocess_cpu 1\nbroken{ x\n",
        );
        assert!((samples.sum("penstock_x_total", &["outcome=\"retried\""]) - 3.5).abs() < 1e-9);
        assert!((samples.sum("penstock_x_total", &[]) - 43.5).abs() < 1e-9);
        assert!((samples.sum("penstock_y", &[]) - 7.0).abs() < 1e-9);
        assert!(samples.sum("process_cpu", &[]).abs() < 1e-9);
    }
}
