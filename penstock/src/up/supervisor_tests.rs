//! The supervisor with shell commands as children: what is started again, when it gives up, and how it stops.

use std::time::Duration;

use super::*;

fn supervisor(folder: &std::path::Path) -> Supervisor {
    Supervisor::new(Children::none(folder.join("children.json")), folder.to_owned())
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time")
}

#[tokio::test]
async fn what_dies_is_started_again_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(folder.path());
    let index = supervisor.start(Program::Script("exec sleep 60".into())).unwrap();
    let first = supervisor.running().next().and_then(|(_, pid)| pid).unwrap();
    process_id::send(first, Signal::SIGKILL).unwrap();
    assert!(matches!(within(supervisor.next()).await, Event::Died { .. }));
    assert!(matches!(within(supervisor.next()).await, Event::Restarted { .. }));
    let second = supervisor.running().next().and_then(|(_, pid)| pid).unwrap();
    assert_ne!(first, second);
    assert!(supervisor.is_ready(index).await);
    assert!(within(supervisor.stop()).await.is_empty());
}

#[tokio::test]
async fn what_cannot_live_is_given_up_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(folder.path());
    supervisor.start(Program::Script("echo no disk; exit 3".into())).unwrap();
    let mut deaths = 1;
    let end = loop {
        match within(supervisor.next()).await {
            Event::Died { .. } => deaths += 1,
            Event::Restarted { .. } => {}
            Event::GaveUp(end) => break end,
        }
    };
    assert_eq!((deaths, end.tail.as_str(), end.bad_configuration), (5, "no disk", false));
}

#[tokio::test]
async fn what_is_killed_from_outside_is_never_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(folder.path());
    supervisor.start(Program::Script("exec sleep 60".into())).unwrap();
    for _ in 0..8 {
        let pid = supervisor.running().next().and_then(|(_, pid)| pid).unwrap();
        process_id::send(pid, Signal::SIGKILL).unwrap();
        assert!(matches!(within(supervisor.next()).await, Event::Died { .. }));
        assert!(matches!(within(supervisor.next()).await, Event::Restarted { .. }));
    }
    within(supervisor.stop()).await;
}

#[tokio::test]
async fn a_bad_configuration_is_not_tried_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(folder.path());
    supervisor.start(Program::Script("exit 64".into())).unwrap();
    let Event::GaveUp(end) = within(supervisor.next()).await else { panic!("started again") };
    assert!(end.bad_configuration);
}

#[tokio::test]
async fn nothing_is_left_running_or_noted_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(folder.path());
    for _ in 0..3 {
        supervisor.start(Program::Script("exec sleep 60".into())).unwrap();
    }
    let pids: Vec<i32> = supervisor.running().filter_map(|(_, pid)| pid).collect();
    assert!(folder.path().join("children.json").exists());
    within(supervisor.stop()).await;
    assert!(pids.iter().all(|pid| process_id::birth(*pid).is_none()));
    assert!(!folder.path().join("children.json").exists());
}

#[tokio::test]
async fn an_impatient_user_gets_an_end_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(folder.path());
    supervisor.start(Program::Script("trap '' TERM; while :; do sleep 1; done".into())).unwrap();
    let begun = Instant::now();
    within(supervisor.kill()).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
}
