//! A system under load, with something done to it: the shape that all scenarios share.
//!
//! What a reader would get wrong: a promise is judged at the very end, when everything has settled. What is looked at
//! while the fault lasts is only what the sender sees, and what an operator would be told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tests::ledger::{Delivery, Findings, Outcome};
use tests::load::Load;
use tests::mix::Mix;
use tests::random::Random;
use tests::scrape::Metrics;
use tests::up::Up;
use tests::{Pipeline, Role, config, eventually};
use tokio::time::{Instant, timeout};

use crate::alerts;
use crate::report::Report;

/// Longest wait for the load to get on.
const PROGRESS: Duration = Duration::from_mins(2);
/// How long Prometheus waits for an answer.
const SCRAPE: Duration = Duration::from_secs(10);
/// How soon a counter shows what has happened.
const COUNTED: Duration = Duration::from_secs(20);
/// Requests that show that it goes on.
const GOES_ON: u64 = 12;

/// An answer comes within 3 s; the rest is for a machine with other things to do.
const LATEST: Duration = Duration::from_secs(5);

/// A system under load.
pub(crate) struct Trial {
    pub(crate) pipeline: Pipeline,
    pub(crate) mix: Mix,
    load: Load,
    /// What was answered before is of no interest: the test itself has restarted something.
    since: Instant,
}

/// What an operator would be told by: a metric, and the alert on it in `deploy/alerts.yml`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sign {
    pub(crate) alert: &'static str,
    pub(crate) role: Role,
    pub(crate) metric: &'static str,
    pub(crate) labels: &'static [(&'static str, &'static str)],
    /// Whether this value is one that the alert is for.
    pub(crate) holds: fn(f64) -> bool,
}

impl Sign {
    /// A role says that it cannot do its job.
    pub(crate) const fn not_ready(role: Role) -> Self {
        Self { alert: "PenstockNotReady", role, metric: "penstock_ready", labels: &[], holds: |ready| ready == 0.0 }
    }
}

impl Trial {
    /// The servers by `penstock up`, every role by hand, and writers at work.
    pub(crate) async fn start(mix: Mix, settings: &str, writers: usize, random: &mut Random) -> Self {
        Self::start_as(None, mix, settings, writers, random).await
    }

    /// The same with another program for the roles.
    pub(crate) async fn start_as(
        program: Option<&Path>,
        mix: Mix,
        settings: &str,
        writers: usize,
        random: &mut Random,
    ) -> Self {
        let pipeline = Self::system(program, &mix, settings).await;
        Self::of(pipeline, mix, writers, random).await
    }

    /// The same with servers that were started before, of which NATS may be another one.
    pub(crate) async fn start_on(
        up: Up,
        nats_url: &str,
        program: Option<&Path>,
        mix: Mix,
        settings: &str,
        writers: usize,
        random: &mut Random,
    ) -> Self {
        let pipeline = Self::system_on(up, nats_url, program, &mix, settings).await;
        Self::of(pipeline, mix, writers, random).await
    }

    /// The same before anything is sent.
    pub(crate) async fn system(program: Option<&Path>, mix: &Mix, settings: &str) -> Pipeline {
        let up = Up::start(None, &[]).await;
        let nats_url = up.run().expect("it runs").nats_url;
        Self::system_on(up, &nats_url, program, mix, settings).await
    }

    async fn system_on(up: Up, nats_url: &str, program: Option<&Path>, mix: &Mix, settings: &str) -> Pipeline {
        let text = Self::configuration(mix, settings);
        let mut pipeline = Pipeline::by_hand_on(up, nats_url, &text, &Role::ALL).await;
        let store = format!("file://{}", pipeline.up().folder().join("files").display());
        for process in pipeline.role_list() {
            process.set("PENSTOCK__ATTACHMENTS__STORE", Some(&store));
            if let Some(program) = program {
                process.becomes(program);
            }
            process.kill();
            process.start_again();
        }
        for process in pipeline.role_list() {
            process.ready().await;
        }
        pipeline
    }

    /// The configuration that all of these run with.
    pub(crate) fn configuration(mix: &Mix, settings: &str) -> String {
        // Large bodies are kept as long as RAW: half an hour of them has to fit.
        let common = config::COMMON.replace("bodies = \"256 MiB\"", "bodies = \"4 GiB\"");
        format!("{settings}\n{}", config::with(&common, mix.sources("")))
    }

    /// A system that was started otherwise.
    pub(crate) async fn of(pipeline: Pipeline, mix: Mix, writers: usize, random: &mut Random) -> Self {
        let load = Load::start(&pipeline.gateways(), &mix, writers, random);
        let trial = Self { pipeline, mix, load, since: Instant::now() };
        trial.goes_on().await;
        trial
    }

    /// Starts a role anew with another value for a variable of its environment.
    pub(crate) async fn restart_with(&mut self, role: Role, variable: &str, value: &str) {
        let process = self.pipeline.role(role);
        process.set(variable, Some(value));
        process.kill();
        process.start_again();
        process.ready().await;
        self.since = Instant::now();
    }

    /// Waits until the load has got on.
    pub(crate) async fn goes_on(&self) {
        self.load.more(GOES_ON, PROGRESS).await;
    }

    /// Waits until the load has got on by so many requests.
    pub(crate) async fn more(&self, requests: u64) {
        self.load.more(requests, PROGRESS).await;
    }

    /// Requests accepted until now.
    pub(crate) fn accepted(&self) -> u64 {
        self.load.accepted()
    }

    /// From now until requests are accepted and every role is ready.
    pub(crate) async fn healed(&mut self) -> Duration {
        let begun = Instant::now();
        self.goes_on().await;
        for process in self.pipeline.role_list() {
            process.ready().await;
        }
        begun.elapsed()
    }

    /// Waits until the metric of a sign says what its alert is for.
    pub(crate) async fn tells(&self, sign: &Sign, within: Duration) -> String {
        let Sign { alert, role, metric, labels, holds } = *sign;
        alerts::covers(alert, metric).unwrap();
        let admin = self.pipeline.admin_url(role);
        let value = eventually(within, &format!("{metric} of the {} tells ({alert})", role.name()), async || {
            let metrics = Metrics::of(&admin).await?;
            let value = metrics.sum(metric, labels).ok_or_else(|| format!("{metric} is not there"))?;
            if holds(value) { Ok(value) } else { Err(value.to_string()) }
        })
        .await;
        format!("`{metric}` = {value:.0}: {alert}")
    }

    /// Waits until a counter has moved: what tells where nothing is away for long enough for an alert.
    pub(crate) async fn counted(&self, role: Role, metric: &str) -> String {
        let what = format!("{metric} of the {} has moved", role.name());
        let value = eventually(COUNTED, &what, async || {
            let value = self.pipeline.scrape(role).await.sum(metric, &[]).unwrap_or_default();
            if value > 0.0 { Ok(value) } else { Err("it has not") }
        })
        .await;
        format!("`{metric}` = {value:.0}; over before an alert")
    }

    /// Fails unless Prometheus would have no answer from this admin address: its own `up` is 0 then, and an alert on it.
    pub(crate) async fn silent(&self, admin: &str, alert: &'static str) -> String {
        alerts::covers(alert, "up").unwrap();
        let answer = timeout(SCRAPE, Metrics::of(admin)).await;
        assert!(!matches!(answer, Ok(Ok(_))), "{admin} answers, so {alert} tells nothing");
        format!("`up` = 0: {alert}")
    }

    /// Ends the load, waits until everything has settled, and compares. Panics where a promise is broken.
    pub(crate) async fn end(self) -> (Report, Pipeline) {
        let (findings, deliveries, pipeline) = self.judge().await;
        findings.assert_exact();
        assert!(findings.accepted > 0 && findings.duplicates > 0, "the load repeats messages: {findings}");
        (Report { saw: saw(&deliveries), ..Report::default() }, pipeline)
    }

    /// As [`Self::end`]; and every answer was a 200 or a 503, in time.
    pub(crate) async fn end_served(self) -> (Report, Pipeline) {
        let since = self.since;
        let (findings, mut deliveries, pipeline) = self.judge().await;
        findings.assert_exact();
        deliveries.retain(|delivery| delivery.at > since);
        let wrong: Vec<&Delivery> = deliveries.iter().filter(|delivery| !served(delivery)).collect();
        assert!(wrong.is_empty(), "answers that no provider should see: {wrong:#?}");
        (Report { saw: saw(&deliveries), ..Report::default() }, pipeline)
    }

    /// As [`Self::end`], whatever was found.
    pub(crate) async fn judge(self) -> (Findings, Vec<Delivery>, Pipeline) {
        let deliveries = self.load.stop().await;
        self.pipeline.settled().await;
        let endings = self.pipeline.database.endings_of(&self.mix.names()).await;
        (Findings::of(&deliveries, &endings), deliveries, self.pipeline)
    }
}

/// Whether an answer is one that a provider may see while something is broken behind the gateway.
fn served(delivery: &Delivery) -> bool {
    matches!(delivery.outcome, Outcome::Accepted(_) | Outcome::Refused(503)) && delivery.took < LATEST
}

/// What the senders saw, in a line: answers by kind, the slowest, and the longest time without an accepted request.
pub(crate) fn saw(deliveries: &[Delivery]) -> String {
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in deliveries {
        let kind = match &delivery.outcome {
            Outcome::Accepted(_) => "200".to_owned(),
            Outcome::Refused(status) => status.to_string(),
            Outcome::NotSent => "no connection".to_owned(),
            Outcome::Unknown(_) => "cut".to_owned(),
        };
        *answers.entry(kind).or_default() += 1;
    }
    let answers: Vec<String> = answers.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
    let slowest = deliveries.iter().map(|delivery| delivery.took).max().unwrap_or_default();
    format!(
        "{}; slowest answer {:.1} s, longest without a 200 {:.1} s",
        answers.join(", "),
        slowest.as_secs_f64(),
        longest_gap(deliveries).as_secs_f64()
    )
}

/// The longest time in which nothing was accepted.
pub(crate) fn longest_gap(deliveries: &[Delivery]) -> Duration {
    let accepted = deliveries.iter().filter(|delivery| matches!(delivery.outcome, Outcome::Accepted(_)));
    let mut times: Vec<Instant> = accepted.map(|delivery| delivery.at).collect();
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}
