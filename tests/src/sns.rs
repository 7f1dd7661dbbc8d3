//! Amazon SNS, played: messages signed by a key whose certificate lies at its own host, and that host, behind a proxy that
//! takes `CONNECT`.
//!
//! The host has a certificate of an authority made for the test, as a company's proxy would. What was connected to and
//! asked for is written down, so that a test sees also what did not happen.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{RSA_PKCS1_SHA256, RsaEncoding};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::{Request, ports};

/// The topic of the tests.
pub const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:inbound-mail";
/// Where SNS is.
pub const HOST: &str = "sns.eu-west-1.amazonaws.com";

const KEY: &str = include_str!("../../providers/tests/data/keys/sns-signer.key.pem");
const CERTIFICATE: &str = include_str!("../../providers/tests/data/keys/sns-signer.pem");

/// SNS' own host and the proxy before it. Gone when it is dropped.
#[derive(Debug)]
pub struct Sns {
    /// Where the proxy is.
    pub proxy: String,
    /// The authority that its certificate is from, as PEM.
    pub ca: String,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    away: bool,
    confirms: bool,
    connected: Vec<String>,
    asked: Vec<String>,
}

impl Sns {
    /// Starts it; it is there, and confirms nothing yet.
    pub async fn start() -> Self {
        let (tls, ca) = tls();
        let proxy = ports::free_address();
        let listener = TcpListener::bind(&proxy).await.unwrap();
        let state = Arc::<Mutex<State>>::default();
        let mut server = JoinSet::new();
        let shared = Arc::clone(&state);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, tls.clone(), Arc::clone(&shared)));
            }
        });
        Self { proxy: format!("http://{proxy}"), ca, state, _server: server }
    }

    /// From now on nobody gets through to it, or everybody.
    pub fn away(&self, away: bool) {
        self.state.lock().unwrap().away = away;
    }

    /// From now on it confirms subscriptions, or fails to.
    pub fn confirms(&self, confirms: bool) {
        self.state.lock().unwrap().confirms = confirms;
    }

    /// Everything that the proxy was asked to connect to.
    pub fn connected(&self) -> Vec<String> {
        self.state.lock().unwrap().connected.clone()
    }

    /// How often its host was asked for something that begins so.
    pub fn asked(&self, beginning: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|target| target.starts_with(beginning)).count()
    }
}

/// A message of the topic, with the certificate at this URL, or one of the two about the subscription.
pub fn envelope(kind: &str, message: &str, certificate_url: &str) -> Value {
    let mut envelope = json!({
        "Type": kind,
        "MessageId": uuid::Uuid::new_v4().to_string(),
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
        "SignatureVersion": "2",
        "SigningCertURL": certificate_url,
    });
    if kind == "Notification" {
        envelope["Subject"] = "Amazon SES Email Receipt Notification".into();
    } else {
        envelope["Token"] = "2336412f37fb687f5d51e6e2425ba1".into();
        let url =
            format!("https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e2425ba1");
        envelope["SubscribeURL"] = url.into();
    }
    envelope
}

/// The request that delivers an envelope, signed as SNS' documentation says.
pub fn request(source: &str, mut envelope: Value) -> Request {
    let names: &[&str] = if envelope["Type"] == "Notification" {
        &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    } else {
        &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    };
    let lines: Vec<&str> = names.iter().flat_map(|name| [*name, envelope[*name].as_str().unwrap()]).collect();
    let signed = format!("{}\n", lines.join("\n"));
    let key = PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let key = KeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    let padding: &'static dyn RsaEncoding = &RSA_PKCS1_SHA256;
    key.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    envelope["Signature"] = STANDARD.encode(signature).into();
    Request::post(format!("/v1/email/{source}"), envelope.to_string())
        .header("Content-Type", "text/plain; charset=UTF-8")
        .header("x-amz-sns-message-type", envelope["Type"].as_str().unwrap())
        .header("x-amz-sns-topic-arn", envelope["TopicArn"].as_str().unwrap())
}

/// TLS as the host, under an authority made for it.
fn tls() -> (TlsAcceptor, String) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca)
}

/// One connection to the proxy, which also is the host. Whoever breaks it off breaks it off.
async fn connection(mut stream: TcpStream, tls: TlsAcceptor, state: Arc<Mutex<State>>) {
    let Some(target) = head(&mut stream).await else { return };
    let away = {
        let mut state = state.lock().unwrap();
        state.connected.push(target);
        state.away
    };
    if away {
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await.ok();
        return;
    }
    if stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_err() {
        return;
    }
    let Ok(mut stream) = tls.accept(stream).await else { return };
    let Some(target) = head(&mut stream).await else { return };
    let confirms = {
        let mut state = state.lock().unwrap();
        state.asked.push(target.clone());
        state.confirms
    };
    answer(&mut stream, &target, confirms).await;
    stream.shutdown().await.ok();
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), target: &str, confirms: bool) {
    let whole = |status: &str, body: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = match target {
        "/slow.pem" => return std::future::pending().await,
        "/huge.pem" => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes()).await;
            while sent.is_ok() {
                sent = stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes()).await;
            }
            return;
        }
        "/moved.pem" => format!("HTTP/1.1 302 Found\r\nLocation: https://{HOST}/a.pem\r\nContent-Length: 0\r\n\r\n"),
        "/none.pem" => whole("404 Not Found", ""),
        "/text.pem" => whole("200 OK", "no certificate"),
        target if target.starts_with("/?Action=ConfirmSubscription") && confirms => whole("200 OK", "<xml/>"),
        target if target.starts_with("/?") => whole("500 Internal Server Error", ""),
        _ => whole("200 OK", CERTIFICATE),
    };
    stream.write_all(answer.as_bytes()).await.ok();
}

/// What a request is for, once its head is there.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    text.split(' ').nth(1).map(str::to_owned)
}
