//! What operators are told by: metrics, and the alerts of `deploy/alerts.yml` on them.
//!
//! What a reader would get wrong: a sign can be written in this file only. Each is looked up in the rules before anything
//! is run, also those of scenarios that are not run: one that no rule looks at tells nobody.

use tests::scrape::Metrics;

use crate::alerts;
use crate::processes::FILES;

/// A metric, and the alert on it.
#[derive(Debug)]
pub(crate) struct Sign {
    alert: &'static str,
    metric: &'static str,
    labels: &'static [(&'static str, &'static str)],
    /// Whether this value is one that the alert is for. How long it has to be so is the rule's.
    holds: fn(f64) -> bool,
}

/// Names each of them, and lists all.
macro_rules! signs {
    ($($(#[$words:meta])* $name:ident = $sign:expr;)*) => {
        $($(#[$words])* pub(crate) const $name: Sign = $sign;)*
        const ALL: &[Sign] = &[$($name),*];
    };
}

signs! {
    /// No answer from a process. The metric is Prometheus' own.
    PROCESS_DOWN = Sign { alert: "PenstockProcessDown", metric: "up", labels: &[], holds: |up| up == 0.0 };
    /// A process was started anew: the value is by how much its start has moved.
    RESTARTS = Sign {
        alert: "PenstockRestarts",
        metric: "process_start_time_seconds",
        labels: &[],
        holds: |moved| moved > 0.0,
    };
    /// A role says that it cannot do its job.
    NOT_READY = Sign { alert: "PenstockNotReady", metric: "penstock_ready", labels: &[], holds: |ready| ready == 0.0 };
    /// A process has most of the files open that it may.
    FILES_RUN_OUT = Sign {
        alert: "PenstockFilesRunOut",
        metric: "process_open_fds",
        labels: &[],
        holds: |open| open > 0.8 * f64::from(FILES),
    };
    /// What a role uses of NATS is not there, or not as it must be.
    STREAMS_CHANGED = Sign {
        alert: "PenstockStreamsChanged",
        metric: "penstock_stream_faults",
        labels: &[],
        holds: |faults| faults > 0.0,
    };
    /// A process keeps losing its connection.
    NATS_UNSTEADY = Sign {
        alert: "PenstockNatsUnsteady",
        metric: "penstock_nats_disconnects_total",
        labels: &[],
        holds: |lost| lost > 3.0,
    };
    /// A file was not taken at SIGHUP.
    CONFIG_REFUSED = Sign {
        alert: "PenstockConfigRefused",
        metric: "penstock_config_reloads_total",
        labels: &[("result", "refused")],
        holds: |refused| refused > 0.0,
    };
    /// A gateway's clock is not the broker's.
    CLOCK_SKEW = Sign {
        alert: "PenstockClockSkew",
        metric: "penstock_gateway_clock_ahead_seconds",
        labels: &[],
        holds: |ahead| ahead.abs() > 30.0,
    };
    /// A gateway answers 503. The alert is for a hundredth of all requests; no scenario sends enough for a few to be less.
    INTAKE_REFUSES = Sign {
        alert: "PenstockIntakeRefuses",
        metric: "penstock_gateway_requests_total",
        labels: &[("outcome", "unavailable")],
        holds: |refused| refused > 3.0,
    };
    /// What waits for a stage has waited for too long.
    BACKLOG_OLD = Sign {
        alert: "PenstockBacklogOld",
        metric: "penstock_backlog_age_seconds",
        labels: &[],
        holds: |age| age > 120.0,
    };
    /// RAW is at its limit.
    RAW_FULL = Sign {
        alert: "PenstockStreamFull",
        metric: "penstock_stream_bytes_ratio",
        labels: &[("stream", "RAW")],
        holds: |ratio| ratio > 0.85,
    };
    /// Messages are delivered again and again.
    REDELIVERIES = Sign {
        alert: "PenstockRedeliveries",
        metric: "penstock_redelivered_total",
        labels: &[],
        holds: |again| again > 200.0,
    };
}

/// Fails where an alert of one of them is not there, or not about its metric.
pub(crate) fn all_are_covered() {
    for sign in ALL {
        alerts::covers(sign.alert, sign.metric).unwrap();
    }
}

impl Sign {
    /// What a process says of it.
    pub(crate) fn value(&self, metrics: &Metrics) -> Result<f64, String> {
        metrics.sum(self.metric, self.labels).ok_or_else(|| format!("{} is not there", self.metric))
    }

    /// Whether the alert is for this value.
    pub(crate) fn holds(&self, value: f64) -> bool {
        (self.holds)(value)
    }

    /// The metric, what it does, and the alert: as it stands in the table.
    pub(crate) fn told(&self, does: &str) -> String {
        format!("`{}` {does}: {}", self.metric, self.alert)
    }
}
