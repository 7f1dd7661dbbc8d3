//! What a user who may not do something is told, and what one who may publish can do beyond that.

use std::time::Duration;

use serde_json::json;
use tests::eventually;
use tests::eventually::ensure;
use tests::servers::NatsServer;
use tests::servers::wire::{Wire, number, stored};

const USERS: &str = "authorization: { users: [
    { user: admin, password: a, permissions: { publish: \">\", subscribe: \">\" } }
    { user: gateway, password: g, permissions: { publish: [\"raw.>\"], subscribe: [\"_INBOX.>\"] } }
] }";

async fn server() -> (NatsServer, Wire, Wire) {
    let server = NatsServer::start_as("admin", "a", USERS).await;
    let admin = server.connect().await;
    let options = async_nats::ConnectOptions::with_user_and_password("gateway".to_owned(), "g".to_owned());
    let options = options.request_timeout(Some(Duration::from_secs(1)));
    let gateway = Wire { client: options.connect(server.address()).await.unwrap() };
    (server, admin, gateway)
}

/// Rests on it: `runtime/src/nats.rs` (the event is the only sign of a missing permission), `runtime/src/publish.rs`
/// (`Unconfirmed`).
#[tokio::test]
async fn a_publish_that_is_not_allowed_gets_no_answer() {
    let (_server, admin, gateway) = server().await;
    admin.stream("RAW", json!({})).await;
    admin.stream("CANONICAL", json!({})).await;
    let error = gateway.try_publish("canonical.a", &[], "1").await.unwrap_err();
    assert!(error.contains("timed out"), "{error}");
    stored(&gateway.publish("raw.a", &[], "1").await);
    assert_eq!(admin.messages("CANONICAL").await, 0);
}

/// Rests on it: `deploy/nats-users.conf`, `dedup-worker/src/decide.rs` (no message is trusted without Penstock's headers).
#[tokio::test]
async fn who_may_publish_one_subject_can_have_the_server_write_to_another() {
    let (_server, admin, gateway) = server().await;
    admin.stream("RAW", json!({})).await;
    admin.stream("CANONICAL", json!({})).await;
    gateway.client.publish_with_reply("raw.a", "canonical.a", "1".into()).await.unwrap();
    eventually(Duration::from_secs(10), "the acknowledgement lands in the other stream", async || {
        let found = number(&admin.state("CANONICAL").await["messages"]);
        ensure(found == 1, || format!("{found}"))
    })
    .await;
    let written = admin.api("STREAM.MSG.GET.CANONICAL", json!({ "seq": 1 })).await;
    assert_eq!(written["message"].get("hdrs"), None, "it has no headers: {written}");
}
