//! Each role has a NATS user that may do what its work needs and nothing else, and the persister such a user in PostgreSQL:
//! so a role that is broken into cannot read, forge or delete what is another's. What it may do is tried by every test that
//! runs a role; this is the other half. Of PostgreSQL, `persister/tests/database/rights.rs` is.
//!
//! A server tells a client that breaks a rule, and answers nothing. So "refused" is read from the words that the server
//! sends to this very connection, and never from silence; and each connection also does something that it may, and is
//! not refused.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use serde_json::Value;
use tests::database::Database;
use tests::eventually::ensure;
use tests::up::Up;
use tests::{Pipeline, Request, config, eventually};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);
const STREAMS: [&str; 9] = ["RAW", "BODIES", "HELD", "REPLAY", "CANONICAL", "UNIQUE", "DUPLICATES", "DLQ", "LIMITS"];

/// What the contract gives a role, in the order of the flow.
struct Rights {
    user: &'static str,
    /// The first token of the subjects that it publishes to.
    publishes: &'static [&'static str],
    /// The streams that it trims.
    trims: &'static [&'static str],
    /// The streams that it may read messages of without a consumer.
    reads: &'static [&'static str],
    /// The consumers that it reads.
    consumers: &'static [(&'static str, &'static str)],
    /// The consumers that it only asks how far they are.
    asks: &'static [(&'static str, &'static str)],
    /// Something that it may ask.
    allowed: &'static str,
}

const RIGHTS: [Rights; 4] = [
    Rights {
        user: "gateway",
        publishes: &["raw", "held", "body", "limit"],
        trims: &[],
        reads: &[],
        consumers: &[],
        asks: &[],
        allowed: "$JS.API.STREAM.INFO.RAW",
    },
    Rights {
        user: "normalizer",
        publishes: &["canonical", "dlq", "body"],
        trims: &["RAW", "REPLAY", "BODIES", "HELD"],
        reads: &["RAW", "REPLAY", "BODIES"],
        consumers: &[
            ("RAW", "normalizer-email"),
            ("RAW", "normalizer-sms"),
            ("RAW", "normalizer-whatsapp"),
            ("RAW", "normalizer-form"),
            ("RAW", "normalizer-webhook"),
            ("REPLAY", "normalizer-replay"),
        ],
        asks: &[],
        allowed: "$JS.API.STREAM.INFO.CANONICAL",
    },
    Rights {
        user: "dedup",
        publishes: &["unique", "duplicate", "dlq", "body"],
        trims: &["CANONICAL"],
        reads: &["CANONICAL", "BODIES"],
        consumers: &[("CANONICAL", "dedup")],
        asks: &[],
        allowed: "$JS.API.STREAM.INFO.CANONICAL",
    },
    Rights {
        user: "persister",
        publishes: &["dlq", "body"],
        trims: &["UNIQUE", "DUPLICATES", "DLQ"],
        reads: &["UNIQUE", "DUPLICATES", "DLQ", "BODIES"],
        consumers: &[
            ("UNIQUE", "persister"),
            ("DUPLICATES", "persister-duplicates"),
            ("DLQ", "persister-dead-letters"),
            tests::broker::AUDIT,
        ],
        asks: &[
            ("RAW", "normalizer-email"),
            ("RAW", "normalizer-sms"),
            ("RAW", "normalizer-whatsapp"),
            ("RAW", "normalizer-form"),
            ("RAW", "normalizer-webhook"),
            ("REPLAY", "normalizer-replay"),
            ("CANONICAL", "dedup"),
        ],
        allowed: "$JS.API.STREAM.INFO.UNIQUE",
    },
];

const SUBJECTS: [&str; 10] =
    ["raw", "body", "held", "replay.raw", "canonical", "unique", "duplicate", "dlq", "limit", "anything.else"];

/// The broker's address with the name and password of another user than the administrator.
pub(crate) fn url_of(pipeline: &Pipeline, user: &str) -> String {
    let up = pipeline.up();
    let secrets = std::fs::read(up.folder().join("data/secrets.json")).unwrap();
    let secrets: Value = serde_json::from_slice(&secrets).unwrap();
    let password = secrets["nats"][user].as_str().unwrap();
    let server = up.run().unwrap().nats_url;
    format!("nats://{user}:{password}@{}", server.rsplit_once('@').unwrap().1)
}

/// A connection that hears what the server refuses it.
struct Tried {
    client: Client,
    refusals: UnboundedReceiver<String>,
    asked: u32,
}

impl Tried {
    async fn connect(url: &str, user: &str) -> Self {
        let address: async_nats::ServerAddr = url.parse().unwrap();
        let password = address.password().unwrap().to_owned();
        let (told, refusals) = unbounded_channel();
        let client = ConnectOptions::with_user_and_password(user.to_owned(), password)
            .custom_inbox_prefix(format!("_INBOX_{user}"))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    told.send(error.to_string()).unwrap();
                }
                std::future::ready(())
            })
            .connect(url)
            .await
            .unwrap();
        Self { client, refusals, asked: 0 }
    }

    /// Everything that the server has refused since this was last asked. It tells in order, so the last word is that
    /// about a subject which is nobody's.
    async fn refused(&mut self) -> Vec<String> {
        self.asked += 1;
        let last = format!("nobody.{}", self.asked);
        self.publish(&last).await;
        self.client.flush().await.unwrap();
        let mut refused = Vec::new();
        loop {
            let words = timeout(SOON, self.refusals.recv()).await.expect("the server tells").unwrap().to_lowercase();
            if words.contains(&format!("\"{last}\"")) {
                return refused;
            }
            refused.push(words);
        }
    }

    async fn publish(&self, subject: &str) {
        self.client.publish(subject.to_owned(), "{}".into()).await.unwrap();
    }
}

/// How many are tried before the server's words are waited for: the library keeps a limited number of them.
const AT_ONCE: usize = 20;

/// What a role must not publish to.
fn forbidden_publishes(rights: &Rights) -> Vec<String> {
    let mut subjects = Vec::new();
    for prefix in SUBJECTS.into_iter().filter(|prefix| !rights.publishes.contains(prefix)) {
        subjects.push(format!("{prefix}.webhook.orders"));
    }
    for stream in STREAMS {
        if !rights.trims.contains(&stream) {
            subjects.push(format!("$JS.API.STREAM.PURGE.{stream}"));
        }
        if !rights.reads.contains(&stream) {
            subjects.push(format!("$JS.API.STREAM.MSG.GET.{stream}"));
            subjects.push(format!("$JS.API.DIRECT.GET.{stream}"));
            subjects.push(format!("$JS.API.DIRECT.GET.{stream}.{stream}"));
        }
        for verb in ["CREATE", "UPDATE", "DELETE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "PEER.REMOVE"] {
            subjects.push(format!("$JS.API.STREAM.{verb}.{stream}"));
        }
        subjects.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
        subjects.push(format!("$JS.API.CONSUMER.CREATE.{stream}.mine"));
        subjects.push(format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.mine"));
    }
    for (stream, consumer) in tests::broker::CONSUMERS.into_iter().chain([tests::broker::AUDIT]) {
        for verb in ["DELETE", "PAUSE", "RESET"] {
            subjects.push(format!("$JS.API.CONSUMER.{verb}.{stream}.{consumer}"));
        }
        if !rights.consumers.contains(&(stream, consumer)) {
            if !rights.asks.contains(&(stream, consumer)) {
                subjects.push(format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"));
            }
            subjects.push(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"));
            subjects.push(format!("$JS.ACK.{stream}.{consumer}.1.1.1.1.1"));
        }
    }
    for other in RIGHTS.iter().filter(|other| other.user != rights.user) {
        subjects.push(format!("_INBOX_{}.1", other.user));
    }
    subjects.push("$SYS.REQ.SERVER.PING".to_owned());
    subjects
}

fn forbidden_subscriptions(rights: &Rights) -> Vec<String> {
    let own = ["raw.>", "body.>", "held.>", "replay.>", "canonical.>", "unique.>", "duplicate.>", "dlq.>"];
    let others = RIGHTS.iter().filter(|other| other.user != rights.user);
    own.map(str::to_owned)
        .into_iter()
        .chain(others.map(|other| format!("_INBOX_{}.>", other.user)))
        .chain([">", "*.>", "_INBOX.>", "_INBOX_admin.>", "$JS.API.>", "$JS.ACK.>", "$SYS.>"].map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_role_may_do_nothing_but_its_own_work() {
    let pipeline = Pipeline::by_hand(&config::with_sources([config::signed("orders")]), &[]).await;
    for rights in &RIGHTS {
        let user = rights.user;
        let mut tried = Tried::connect(&url_of(&pipeline, user), user).await;

        // The control: what it may do is answered, and nobody complains.
        let answer = timeout(SOON, tried.client.request(rights.allowed.to_owned(), "".into())).await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&answer.payload).contains("\"config\""), "{user}: {answer:?}");
        for (stream, consumer) in rights.consumers.iter().chain(rights.asks) {
            let question = format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}");
            timeout(SOON, tried.client.request(question, "".into())).await.unwrap().unwrap();
        }
        assert_eq!(tried.refused().await, Vec::<String>::new(), "{user} may do this");

        for subjects in forbidden_publishes(rights).chunks(AT_ONCE) {
            for subject in subjects {
                tried.publish(subject).await;
            }
            let refused = tried.refused().await;
            for subject in subjects {
                let words = format!("publish to \"{}\"", subject.to_lowercase());
                let told = refused.iter().any(|refusal| refusal.contains(&words));
                assert!(told, "{user} may publish to {subject}: {refused:#?}");
            }
        }
        for subjects in forbidden_subscriptions(rights).chunks(AT_ONCE) {
            let mut kept = Vec::new();
            for subject in subjects {
                kept.push(tried.client.subscribe(subject.clone()).await.unwrap());
            }
            let refused = tried.refused().await;
            for subject in subjects {
                let words = format!("subscription to \"{}\"", subject.to_lowercase());
                let told = refused.iter().any(|refusal| refusal.contains(&words));
                assert!(told, "{user} may subscribe to {subject}: {refused:#?}");
            }
        }
    }
    // Nothing of all this did anything.
    for stream in STREAMS {
        assert_eq!(pipeline.broker.stream(stream).await["state"]["messages"], 0, "{stream}");
    }
}

#[tokio::test]
async fn up_gives_the_persister_a_user_of_its_own_and_makes_it_where_an_earlier_version_had_none() {
    let mut up = Up::start(Some(&config::with_sources([config::source("webhook", "none", "any", "")])), &[]).await;
    for (n, life) in ["new", "made before there were users"].into_iter().enumerate() {
        let run = up.run().unwrap();
        let database = Database::new(&run.postgres_url);
        let message = Request::json("/v1/webhook/any", format!(r#"{{"message": "{life}"}}"#));
        message.send(&run.gateway_url.unwrap()).await.unwrap().accepted();
        eventually(SOON, "the row is there", async || {
            let rows = database.rows("messages", "any").await.len();
            ensure(rows == n + 1, || format!("{life}: {rows} rows"))
        })
        .await;
        let connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'penstock-persister'";
        assert!(database.number(&format!("{connections} AND usename = 'persister'")).await > 0, "{life}");
        assert_eq!(database.number(&format!("{connections} AND usename <> 'persister'")).await, 0, "{life}");
        // Who looks from outside can do everything.
        database.execute("CREATE TABLE of_a_test (n int)").await;
        database.execute("DROP TABLE of_a_test").await;
        if n == 0 {
            database.execute("DROP OWNED BY penstock_writer, penstock_reader, persister").await;
            database.execute("DROP ROLE persister, penstock_writer, penstock_reader").await;
            up.restart().await;
        }
    }
}
