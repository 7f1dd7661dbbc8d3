//! What can happen to one of three NATS servers that hold copies of each other. With two left, requests have to be
//! accepted again by themselves, however the third has gone.

use std::time::Duration;

use tests::Role;
use tests::mix::Mix;
use tests::nats_cluster::NatsCluster;
use tests::nats_server::program_of;
use tests::up::Up;
use tokio::time::{Instant, sleep_until};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::trial::Trial;

const WRITERS: usize = 4;
const GATEWAY: &str = "penstock-gateway";
const STOP: Duration = Duration::from_secs(40);
/// How long a server is away where nothing else ends it.
const AWAY: Duration = Duration::from_secs(30);
/// A frozen server is found by three pings, two seconds apart, and another one may be chosen only after the frozen one
/// was tried once more.
const FOUND: Duration = Duration::from_secs(10);
/// The others choose a leader after 4 to 9 seconds without a word from the old one; requests wait meanwhile.
const ELECTION: Duration = Duration::from_secs(10);

/// What tells that a connection was lost; it is over before an alert on it fires.
const LOST_NATS: &str = "penstock_nats_disconnects_total";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let one = |name, what, run| Scenario { name, what, bounded: false, root: false, run };
    vec![
        one("cluster/leader-killed", "kill -9 of the server that leads RAW and has the gateway's connection", |run| {
            Box::pin(leader_killed(run))
        }),
        Scenario {
            bounded: true,
            ..one(
                "cluster/leader-frozen",
                "SIGSTOP of the server that leads RAW and has the gateway's connection",
                |run| Box::pin(frozen(run, true)),
            )
        },
        one(
            "cluster/leader-frozen-elsewhere",
            "SIGSTOP of the server that leads RAW; the gateway is at another",
            |run| Box::pin(frozen(run, false)),
        ),
        one(
            "cluster/leader-cut-off",
            "the server that leads RAW and has the gateway's connection sees no other",
            |run| Box::pin(cut_off(run, true)),
        ),
        one(
            "cluster/follower-cut-off",
            "a server that has the gateway's connection, and does not lead RAW, sees no other",
            |run| Box::pin(cut_off(run, false)),
        ),
        one(
            "cluster/rolling-restart",
            "each of the three stopped with SIGTERM and started again, one after the other",
            |run| Box::pin(rolling_restart(run)),
        ),
    ]
}

/// A system on three servers.
struct Clustered {
    trial: Trial,
    cluster: NatsCluster,
}

impl Clustered {
    async fn start(run: &mut Run) -> Self {
        let up = Up::start(None, &[]).await;
        let program = program_of(up.run().unwrap().pids.nats.expect("up runs it"));
        let cluster = NatsCluster::start(&program, &up.folder().join("cluster")).await;
        let (url, mix) = (cluster.url(), Mix::of_everything());
        let settings = "nats.replicas = 3";
        let trial = Trial::start_on(up, &url, None, mix, settings, WRITERS, &mut run.random).await;
        Self { trial, cluster }
    }

    /// Waits until a request is accepted that was sent from now on; how long that took.
    async fn accepted_again(&self) -> Duration {
        let begun = Instant::now();
        // The writers may each have had one on the way.
        self.trial.more(u64::try_from(WRITERS).unwrap() + 1).await;
        begun.elapsed()
    }

    async fn end(mut self, again: Duration, told: String) -> Report {
        let healed = self.trial.healed().await;
        self.cluster.well().await;
        let (report, _pipeline) = self.trial.end().await;
        Report {
            healed: Some(healed),
            told,
            note: format!("accepted again after {:.1} s, with the server still away", again.as_secs_f64()),
            ..report
        }
    }
}

async fn leader_killed(mut run: Run) -> Report {
    let mut clustered = Clustered::start(&mut run).await;
    let leader = clustered.cluster.server_of(GATEWAY).await;
    clustered.cluster.lead("RAW", leader).await;
    let lost = clustered.trial.counter(Role::Gateway, LOST_NATS).await;
    let end = Instant::now() + AWAY;
    clustered.cluster.servers[leader].kill();
    let again = clustered.accepted_again().await;
    let told = clustered.trial.counted(Role::Gateway, LOST_NATS, lost).await;
    assert!(again < ELECTION, "accepted again only after {again:?}");
    sleep_until(end).await;
    clustered.cluster.servers[leader].start();
    clustered.end(again, told).await
}

async fn frozen(mut run: Run, at_the_gateways: bool) -> Report {
    let mut clustered = Clustered::start(&mut run).await;
    let at = clustered.cluster.server_of(GATEWAY).await;
    let leader = if at_the_gateways { at } else { (at + 1) % clustered.cluster.servers.len() };
    clustered.cluster.lead("RAW", leader).await;
    let lost = clustered.trial.counter(Role::Gateway, LOST_NATS).await;
    let end = Instant::now() + run.length(Duration::from_secs(15), AWAY);
    clustered.cluster.freeze(leader);
    let again = clustered.accepted_again().await;
    let told =
        if at_the_gateways { clustered.trial.counted(Role::Gateway, LOST_NATS, lost).await } else { String::new() };
    assert!(again < FOUND.max(ELECTION) + Duration::from_secs(2), "accepted again only after {again:?}");
    sleep_until(end).await;
    clustered.cluster.thaw(leader);
    clustered.end(again, told).await
}

async fn cut_off(mut run: Run, leads: bool) -> Report {
    let clustered = Clustered::start(&mut run).await;
    let at = clustered.cluster.server_of(GATEWAY).await;
    let leader = if leads { at } else { (at + 1) % clustered.cluster.servers.len() };
    clustered.cluster.lead("RAW", leader).await;
    let lost = clustered.trial.counter(Role::Gateway, LOST_NATS).await;
    let end = Instant::now() + AWAY;
    clustered.cluster.cut_off(at, true);
    let again = clustered.accepted_again().await;
    let told = clustered.trial.counted(Role::Gateway, LOST_NATS, lost).await;
    assert!(again < FOUND + ELECTION, "accepted again only after {again:?}");
    sleep_until(end).await;
    clustered.cluster.cut_off(at, false);
    clustered.end(again, told).await
}

async fn rolling_restart(mut run: Run) -> Report {
    let mut clustered = Clustered::start(&mut run).await;
    let mut longest = Duration::ZERO;
    for place in 0..clustered.cluster.servers.len() {
        clustered.cluster.servers[place].stop(STOP).await;
        longest = longest.max(clustered.accepted_again().await);
        clustered.cluster.servers[place].start();
        clustered.cluster.well().await;
        clustered.trial.goes_on().await;
    }
    clustered.end(longest, String::new()).await
}
