//! SIGTERM: each role finishes what is in hand and exits with 0; who calls notices nothing.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::config::{self, STANDARD};
use tests::eventually::ensure;
use tests::ledger::{Findings, Outcome};
use tests::load::Load;
use tests::mix::{Kind, Mix};
use tests::random::Random;
use tests::sign::standard;
use tests::time::unix_seconds;
use tests::{Pipeline, Request, Role, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const STOPPED: Duration = Duration::from_secs(30);
const PROGRESS: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_rolling_restart_under_load_fails_no_request() {
    let mut random = Random::seeded("shutdown");
    // Two gateways: while one is away, a balancer has another.
    let roles = [Role::Gateway, Role::Gateway, Role::Normalizer, Role::Dedup, Role::Persister];
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &roles).await;
    let load = Load::start(&pipeline.gateways(), &Mix::only(Kind::Webhook), 4, &mut random);
    load.more(30, PROGRESS).await;
    for index in 0..roles.len() {
        pipeline.role_list()[index].stop(STOPPED).await;
        load.more(20, PROGRESS).await;
        pipeline.role_list()[index].start_again();
        pipeline.role_list()[index].ready().await;
        load.more(20, PROGRESS).await;
    }
    let deliveries = load.stop().await;
    let failed: Vec<_> = deliveries
        .iter()
        .filter(|delivery| !matches!(delivery.outcome, Outcome::Accepted(_) | Outcome::NotSent))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    pipeline.settled().await;
    Findings::of(&deliveries, &pipeline.database.endings("orders").await).assert_exact();
}

#[tokio::test]
async fn a_request_in_hand_is_answered_before_the_end() {
    let mut pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &Role::ALL).await;
    let address = pipeline.gateways()[0].trim_start_matches("http://").to_owned();
    let (body, now) = (r#"{"message": "in hand"}"#, unix_seconds());
    let signature = standard(STANDARD, "in-hand", now, body.as_bytes());
    let (first, rest) = body.split_at(5);
    let head = format!(
        "POST /v1/webhook/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         webhook-id: in-hand\r\nwebhook-timestamp: {now}\r\nwebhook-signature: {signature}\r\n\r\n{first}",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // An answer on another connection: by now the request above was accepted, too.
    Request::get("/").send(&pipeline.gateways()[0]).await.unwrap();

    pipeline.role(Role::Gateway).child().signal(Signal::SIGTERM);
    eventually(STOPPED, "nobody new is let in", async || {
        let connected = TcpStream::connect(&address).await;
        ensure(connected.is_err(), || "a connection was accepted".to_owned())
    })
    .await;
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let gateway = pipeline.role(Role::Gateway).child();
    let status = gateway.end(STOPPED).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.tail());
    pipeline.role(Role::Gateway).kill();
    pipeline.settled().await;
    assert_eq!(pipeline.database.rows("messages", "orders").await.len(), 1);
}

#[tokio::test]
async fn up_stops_everything_it_has_started() {
    let mut up =
        tests::up::Up::start(Some(&config::with_sources([config::signed("orders")])), &["--scale", "dedup=2"]).await;
    let run = up.run().unwrap();
    assert_eq!(run.pids.roles.of(Role::Dedup).len(), 2);
    up.child().stop(Duration::from_secs(40)).await;
    assert!(up.run().is_err(), "run.json says only what is true");
    let roles = Role::ALL.into_iter().flat_map(|role| run.pids.roles.of(role).to_vec());
    for pid in roles.chain(run.pids.nats).chain(run.pids.postgres) {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is left");
    }
}
