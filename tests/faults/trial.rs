//! A system under load, with something done to it: the shape that all scenarios share.
//!
//! What a reader would get wrong: a promise is judged at the very end, when everything has settled. What is looked at
//! while the fault lasts is only what the sender sees, and what an operator would be told.

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

use crate::report::Report;
use crate::sign::{PROCESS_DOWN, Sign};

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
    pub(crate) async fn tells(&self, role: Role, sign: &Sign, within: Duration) -> String {
        let what = format!("the {} tells: {}", role.name(), sign.told("is enough"));
        let value = self.shows(role, within, &what, |metrics| sign.value(metrics), |value| sign.holds(value)).await;
        sign.told(&format!("= {value:.0}"))
    }

    /// What a counter is at.
    pub(crate) async fn counter(&self, role: Role, metric: &str) -> f64 {
        self.pipeline.scrape(role).await.sum(metric, &[]).expect("a counter is there from the start")
    }

    /// Waits until a counter has moved from what it was before: what tells where nothing is away for long enough for an
    /// alert.
    pub(crate) async fn counted(&self, role: Role, metric: &str, before: f64) -> String {
        let what = format!("{metric} of the {} has moved", role.name());
        let count = |metrics: &Metrics| metrics.sum(metric, &[]).ok_or_else(|| "it is not there".to_owned());
        let value = self.shows(role, COUNTED, &what, count, |value| value > before).await;
        format!("`{metric}` = {value:.0}; over before an alert")
    }

    /// Waits until a figure among the metrics of a role is as it has to be, and gives it.
    async fn shows(
        &self,
        role: Role,
        within: Duration,
        what: &str,
        figure: impl Fn(&Metrics) -> Result<f64, String>,
        holds: impl Fn(f64) -> bool,
    ) -> f64 {
        let admin = self.pipeline.admin_url(role);
        eventually(within, what, async || {
            let value = figure(&Metrics::of(&admin).await?)?;
            if holds(value) { Ok(value) } else { Err(value.to_string()) }
        })
        .await
    }

    /// Fails unless Prometheus would have no answer from this admin address: its own `up` is 0 then, and an alert on it.
    pub(crate) async fn silent(&self, admin: &str) -> String {
        let answer = timeout(SCRAPE, Metrics::of(admin)).await;
        assert!(!matches!(answer, Ok(Ok(_))), "{admin} answers");
        PROCESS_DOWN.told("= 0")
    }

    /// Ends the load, waits until everything has settled, and compares. Panics where a promise is broken.
    pub(crate) async fn end(self) -> (Report, Pipeline) {
        let (deliveries, pipeline) = self.exact().await;
        (Report::of(&deliveries), pipeline)
    }

    /// As [`Self::end`]; and every answer was a 200 or a 503, in time.
    pub(crate) async fn end_served(self) -> (Report, Pipeline) {
        let since = self.since;
        let (mut deliveries, pipeline) = self.exact().await;
        deliveries.retain(|delivery| delivery.at > since);
        all_are(&deliveries, served);
        (Report::of(&deliveries), pipeline)
    }

    /// As [`Self::end`]; and no request has failed.
    pub(crate) async fn end_accepted(self) -> (Report, Pipeline) {
        let (deliveries, pipeline) = self.exact().await;
        all_are(&deliveries, accepted);
        (Report::of(&deliveries), pipeline)
    }

    async fn exact(self) -> (Vec<Delivery>, Pipeline) {
        let (findings, deliveries, pipeline) = self.judge().await;
        findings.assert_exact();
        assert!(findings.accepted > 0 && findings.duplicates > 0, "the load repeats messages: {findings}");
        (deliveries, pipeline)
    }

    /// Ends the load and waits until everything has settled, whatever is found.
    pub(crate) async fn judge(self) -> (Findings, Vec<Delivery>, Pipeline) {
        let deliveries = self.load.stop().await;
        self.pipeline.settled().await;
        let endings = self.pipeline.database.endings_of(&self.mix.names()).await;
        (Findings::of(&deliveries, &endings), deliveries, self.pipeline)
    }
}

#[track_caller]
fn all_are(deliveries: &[Delivery], fine: fn(&Delivery) -> bool) {
    let wrong: Vec<&Delivery> = deliveries.iter().filter(|delivery| !fine(delivery)).collect();
    assert!(wrong.is_empty(), "answers that no provider should see: {wrong:#?}");
}

/// Whether a request has not failed. A connection that is refused was none: a balancer takes the other gateway.
fn accepted(delivery: &Delivery) -> bool {
    matches!(delivery.outcome, Outcome::Accepted(_) | Outcome::NotSent)
}

/// Whether an answer is one that a provider may see while something is broken behind the gateway.
fn served(delivery: &Delivery) -> bool {
    matches!(delivery.outcome, Outcome::Accepted(_) | Outcome::Refused(503)) && delivery.took < LATEST
}
