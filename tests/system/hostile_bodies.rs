//! One client that fills the memory with bodies that it does not finish: it is refused, and nobody else is.

use std::time::Duration;

use tests::eventually::ensure;
use tests::{Answer, Pipeline, Request, Role, config, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(20);
const GREEDY: &str = "10.68.0.1";

/// What each body that is not finished holds: three of them are most of three quarters of 4 MiB.
const BEGUN: usize = 1_000_000;

/// Announces a byte more than it sends.
async fn begun(url: &str) -> TcpStream {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/webhook/bodies HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {GREEDY}\r\nContent-Length: {}\r\n\r\n",
        BEGUN + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; BEGUN]).await.unwrap();
    stream
}

#[tokio::test]
async fn one_address_has_its_share_of_the_memory_and_another_is_served_meanwhile() {
    let settings = "[gateway]\nbody_budget = \"4 MiB\"\n";
    let common = config::COMMON.replace("body_timeout = \"2s\"", "body_timeout = \"30s\"");
    let common = common.replace("[gateway]\n", settings);
    let source = config::source("webhook", "none", "bodies", config::UNLIMITED);
    let mut pipeline = Pipeline::by_hand(&config::with(&common, [source]), &[Role::Gateway]).await;
    pipeline.may_be_unsettled();
    let url = pipeline.gateways()[0].clone();
    let from = async |address: &str| -> Answer {
        Request::post("/v1/webhook/bodies", vec![b'x'; 300_000]).from(address).send(&url).await.unwrap()
    };

    from(GREEDY).await.accepted();
    let held = [begun(&url).await, begun(&url).await, begun(&url).await];
    // All of it, before anything else asks for the room that is left.
    eventually(SOON, "what was sent is in memory", async || {
        let bytes = pipeline.scrape(Role::Gateway).await.sum("penstock_gateway_body_bytes", &[]);
        ensure(bytes >= Some(2_999_000.0), || format!("{bytes:?}"))
    })
    .await;
    let refused = from(GREEDY).await;
    assert!(refused.problem(503).header("Retry-After").is_some_and(|wait| wait != "0"), "{refused}");
    from("10.68.0.2").await.accepted();
    from(GREEDY).await.problem(503);
    let log = pipeline.role(Role::Gateway).child().log();
    assert!(log.contains("a client has as many bytes in memory as one may") && !log.contains(GREEDY), "{log}");

    drop(held);
    eventually(SOON, "what was given up has given its room back", async || {
        let answer = from(GREEDY).await;
        ensure(answer.status == 200, || answer.to_string())
    })
    .await;
}
