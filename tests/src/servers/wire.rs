//! `JetStream` as it answers on the wire, before a library has read it: what a contract test asserts is JSON of the
//! server's, and nothing is taken for granted in between.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, HeaderMap, Message};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};

/// Longest wait for any answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A connection of a test's own.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The plain client.
    pub client: Client,
}

/// What a pull brought, and the words with which the server ended it: status and description.
#[derive(Debug)]
pub struct Pulled {
    /// Its messages.
    pub messages: Vec<Delivered>,
    /// `None` where it ended because it had brought all that was asked for.
    pub end: Option<(u16, String)>,
}

/// A delivered message, with what its reply subject says.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Where the answer goes.
    pub reply: String,
    /// Its content.
    pub payload: Bytes,
    /// How many times it was delivered.
    pub delivered: u64,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// How many wait behind it.
    pub pending: u64,
}

impl Wire {
    /// Connects, once; the reason where that does not work.
    pub async fn connect(address: &str, options: ConnectOptions) -> Result<Self, String> {
        let options = options.request_timeout(Some(ANSWER));
        let client = options.connect(address).await.map_err(|error| error.to_string())?;
        Ok(Self { client })
    }

    /// Whether `JetStream` answers; the reason where it does not.
    pub async fn ready(&self) -> Result<(), String> {
        let answer = self.client.request("$JS.API.INFO", Bytes::new()).await.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
        answer.get("error").map_or(Ok(()), |error| Err(error.to_string()))
    }

    /// Publishes, and gives the acknowledgement or the refusal.
    pub async fn publish(&self, subject: &str, headers: &[(&str, &str)], payload: impl Into<Bytes>) -> Value {
        self.try_publish(subject, headers, payload).await.expect("the server answers a publish")
    }

    /// Publishes; the library's words where no answer came.
    pub async fn try_publish(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: impl Into<Bytes>,
    ) -> Result<Value, String> {
        let answer = self.client.request_with_headers(subject.to_owned(), map(headers), payload.into()).await;
        Ok(parse(&answer.map_err(|error| error.to_string())?.payload))
    }

    /// Stores so many messages.
    pub async fn fill(&self, subject: &str, messages: usize) {
        for _ in 0..messages {
            stored(&self.publish(subject, &[], "1").await);
        }
    }

    /// Asks the API with a payload as it is.
    pub async fn api_bytes(&self, subject: &str, payload: impl Into<Bytes>) -> Value {
        let answer = self.client.request(format!("$JS.API.{subject}"), payload.into()).await;
        parse(&answer.expect("the server answers its API").payload)
    }

    /// Asks the API.
    pub async fn api(&self, subject: &str, request: Value) -> Value {
        self.api_bytes(subject, request.to_string()).await
    }

    /// Makes a stream as Penstock's are (`runtime/src/provision.rs`), but for `changes`.
    pub async fn stream(&self, name: &str, changes: Value) -> Value {
        let config = stream(name, changes);
        let made = self.api(&format!("STREAM.CREATE.{name}"), config).await;
        assert_eq!(made.get("error"), None, "{made}");
        made
    }

    /// What a stream holds: `messages`, `bytes`, `first_seq`, `last_seq` ...
    pub async fn state(&self, stream: &str) -> Value {
        self.api_bytes(&format!("STREAM.INFO.{stream}"), "").await["state"].clone()
    }

    /// How many messages a stream holds.
    pub async fn messages(&self, stream: &str) -> u64 {
        number(&self.state(stream).await["messages"])
    }

    /// Makes a consumer as Penstock's are, but for `changes`.
    pub async fn consumer(&self, stream: &str, name: &str, changes: Value) -> Value {
        let mut config = json!({
            "durable_name": name, "deliver_policy": "all", "ack_policy": "explicit", "ack_wait": 30_000_000_000_u64,
            "max_deliver": -1, "max_ack_pending": 10_000, "replay_policy": "instant",
        });
        merge(&mut config, changes);
        let request = json!({ "stream_name": stream, "config": config });
        let made = self.api(&format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"), request).await;
        assert_eq!(made.get("error"), None, "{made}");
        made
    }

    /// What a consumer says of itself.
    pub async fn consumer_info(&self, stream: &str, name: &str) -> Value {
        self.api_bytes(&format!("CONSUMER.INFO.{stream}.{name}"), "").await
    }

    /// Pulls until all that was asked for is there or the server ends it.
    pub async fn pull(&self, stream: &str, consumer: &str, request: Value) -> Pulled {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.expect("a subscription");
        let wanted = request["batch"].as_u64().unwrap_or(1);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let asked = self.client.publish_with_reply(subject, inbox, request.to_string().into()).await;
        asked.expect("a pull is sent");
        let mut pulled = Pulled { messages: Vec::new(), end: None };
        while (pulled.messages.len() as u64) < wanted {
            let message = tokio::time::timeout(ANSWER, answers.next()).await;
            let message = message.expect("a pull is answered").expect("the connection stays");
            match message.status {
                Some(status) => {
                    pulled.end = Some((status.as_u16(), message.description.clone().unwrap_or_default()));
                    break;
                }
                None => pulled.messages.push(Delivered::of(&message)),
            }
        }
        pulled
    }

    /// Pulls what is there, at most so many. A consumer hears of a message after its publisher does, so what is missing
    /// is waited for a little.
    pub async fn pull_now(&self, stream: &str, consumer: &str, batch: u64) -> Vec<Delivered> {
        self.pull(stream, consumer, json!({ "batch": batch, "expires": 700_000_000 })).await.messages
    }

    /// Pulls so many, which have to be there, and acknowledges each.
    pub async fn acknowledge(&self, stream: &str, consumer: &str, messages: usize) {
        let delivered = self.pull_now(stream, consumer, messages as u64).await;
        assert_eq!(delivered.len(), messages, "{delivered:?}");
        for delivered in &delivered {
            self.answer(delivered, "+ACK").await;
        }
    }

    /// Answers a delivery (`+ACK`, `-NAK {..}`, `+WPI`), and waits until the server has it.
    pub async fn answer(&self, delivered: &Delivered, word: &'static str) {
        let answer = self.client.request(delivered.reply.clone(), word.into()).await;
        answer.expect("the server confirms the answer of a delivery");
    }
}

impl Delivered {
    fn of(message: &Message) -> Self {
        let reply = message.reply.as_ref().expect("a delivery says where its answer goes").to_string();
        // $JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<time>.<pending>
        let tokens: Vec<&str> = reply.split('.').collect();
        let number = |place: usize| tokens[place].parse::<u64>().expect("a number in the reply subject");
        assert_eq!(tokens.len(), 9, "{reply}");
        let (delivered, sequence, pending) = (number(4), number(5), number(8));
        Self { reply, payload: message.payload.clone(), delivered, sequence, pending }
    }
}

/// The configuration of a stream as Penstock makes them, but for `changes`.
pub fn stream(name: &str, changes: Value) -> Value {
    let mut config = json!({
        "name": name, "subjects": [format!("{}.>", name.to_lowercase())], "retention": "limits", "storage": "file",
        "discard": "new", "max_bytes": 64 * 1024 * 1024, "max_msgs": -1, "max_msgs_per_subject": -1,
        "max_age": 0, "duplicate_window": 120_000_000_000_u64, "num_replicas": 1, "allow_direct": true,
    });
    merge(&mut config, changes);
    config
}

/// Number and words of a refusal.
pub fn refusal(answer: &Value) -> (u64, &str) {
    let error = answer.get("error").unwrap_or_else(|| panic!("no refusal: {answer}"));
    (number(&error["err_code"]), error["description"].as_str().unwrap_or_default())
}

/// The sequence of an acknowledgement that says that the message was stored now.
pub fn stored(answer: &Value) -> u64 {
    assert!(answer.get("error").is_none() && answer.get("duplicate").is_none(), "not stored: {answer}");
    number(&answer["seq"])
}

/// A number of an answer.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Headers for a publish.
pub fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, *value);
    }
    map
}

fn merge(config: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        config[name] = value;
    }
}

fn parse(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(payload)))
}
