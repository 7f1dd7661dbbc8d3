//! A wrong configuration at SIGHUP, under load; then a good one, with a new source and another secret.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::config::{self, STANDARD, STANDARD_OLD};
use tests::eventually::ensure;
use tests::mix::Mix;
use tests::sign::standard_request;
use tests::{Pipeline, Role, eventually};

use crate::report::Report;
use crate::scenario::{Run, Scenario};
use crate::sign::CONFIG_REFUSED;
use crate::trial::Trial;

const WRITERS: usize = 4;
const SOON: Duration = Duration::from_secs(30);
const RELOADS: &str = "penstock_config_reloads_total";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "configuration/wrong-file",
        what: "four kinds of a wrong file at SIGHUP to every role, then a good one",
        bounded: true,
        root: false,
        run: |run| Box::pin(wrong_file(run)),
    }]
}

/// What is wrong, and who has to find out: a role is given no secret that it does not use.
fn wrong(good: &str) -> [(String, &'static [Role]); 4] {
    let source = |more: &str| config::source("webhook", "standard", "broken", more);
    let missing = source("secrets = [{ env = \"PENSTOCK_TEST_NO_SUCH_VARIABLE\" }]");
    let twice = config::source("form", "generic", "contact", "id_field = \"id\"");
    [
        (format!("{good}\n[gateway\n"), &Role::ALL),
        (good.replace("[dedup]", "[dedup]\nwindw = \"8d\""), &Role::ALL),
        (format!("{good}\n[[sources]]\n{missing}"), &[Role::Gateway]),
        (format!("{good}\n[[sources]]\n{twice}"), &Role::ALL),
    ]
}

/// A source of its own, apart from what the ledger counts, with this secret.
fn guarded(good: &str, secret: &str, added: bool) -> String {
    let names = if added { &["rotated", "added"][..] } else { &["rotated"] };
    names.iter().fold(good.to_owned(), |text, name| {
        let more = format!("secrets = [{{ value = \"{secret}\" }}]\n{}", config::UNLIMITED);
        format!("{text}\n[[sources]]\n{}", config::source("webhook", "standard", name, &more))
    })
}

async fn wrong_file(mut run: Run) -> Report {
    let times = run.length(1, 5);
    let mix = Mix::of_everything();
    let good = Trial::configuration(&mix, "");
    let mut pipeline = Trial::system(None, &mix, "").await;
    let first = guarded(&good, STANDARD_OLD, false);
    apply(&mut pipeline, &first).await;
    let mut trial = Trial::of(pipeline, mix, WRITERS, &mut run.random).await;
    let message = |secret, source, id| standard_request(secret, source, id, r#"{"text": "hello"}"#);
    for _ in 0..times {
        for (text, who) in wrong(&first) {
            std::fs::write(trial.pipeline.config(), text).unwrap();
            for role in who {
                let before = reloads(&trial.pipeline, *role, "refused").await;
                trial.pipeline.role(*role).child().signal(Signal::SIGHUP);
                eventually(SOON, &format!("the {} refuses it", role.name()), async || {
                    let now = reloads(&trial.pipeline, *role, "refused").await;
                    ensure(now > before, || format!("{now} refused"))
                })
                .await;
            }
            trial.goes_on().await;
        }
    }
    let mut told = String::new();
    for role in Role::ALL {
        trial.pipeline.role(role).ready().await;
        told = trial.tells(role, &CONFIG_REFUSED, SOON).await;
    }
    // The old one is still in force, to the last secret.
    trial.pipeline.post(&message(STANDARD_OLD, "rotated", "before")).await.accepted();
    trial.pipeline.post(&message(STANDARD, "rotated", "early")).await.problem(401);
    trial.pipeline.post(&message(STANDARD, "added", "early")).await.problem(404);

    apply(&mut trial.pipeline, &guarded(&good, STANDARD, true)).await;
    for source in ["rotated", "added"] {
        let stored = trial.pipeline.post(&message(STANDARD, source, "after")).await.accepted();
        trial.pipeline.row("messages", stored).await;
    }
    trial.pipeline.post(&message(STANDARD_OLD, "rotated", "late")).await.problem(401);
    trial.goes_on().await;

    let (report, _pipeline) = trial.end_accepted().await;
    let note = "a person mends the file and sends SIGHUP again; until then the old one is in force".to_owned();
    Report { told, note, ..report }
}

/// Has every role take a good file, the gateway last: the others have to know what it lets in.
async fn apply(pipeline: &mut Pipeline, text: &str) {
    std::fs::write(pipeline.config(), text).unwrap();
    for role in [Role::Persister, Role::Dedup, Role::Normalizer, Role::Gateway] {
        let before = reloads(pipeline, role, "applied").await;
        pipeline.role(role).child().signal(Signal::SIGHUP);
        eventually(SOON, &format!("the {} takes it", role.name()), async || {
            let now = reloads(pipeline, role, "applied").await;
            ensure(now > before, || format!("{now} applied"))
        })
        .await;
    }
}

async fn reloads(pipeline: &Pipeline, role: Role, result: &str) -> f64 {
    pipeline.scrape(role).await.sum(RELOADS, &[("result", result)]).expect("it is there from the start")
}
