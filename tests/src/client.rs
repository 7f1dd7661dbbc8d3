//! A provider's side of the intake: plain HTTP, one connection for each request, nothing hidden.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Longer than anything that the gateway promises.
const LIMIT: Duration = Duration::from_secs(20);

/// What is posted.
#[derive(Clone, Debug)]
pub struct Request {
    /// In upper case.
    pub method: Method,
    /// With the query.
    pub path: String,
    /// In this order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The exact bytes.
    pub body: Bytes,
    sending: Sending,
    http2: bool,
}

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// With `Content-Length`.
    Whole,
    /// Without it, in pieces of this many bytes.
    Pieces(usize),
    /// With `Content-Length`, the first byte and then nothing.
    Stuck,
}

/// No answer: the connection was refused, cut, or silent.
#[derive(Debug)]
pub enum NoAnswer {
    /// There was no connection, so the request cannot have been seen.
    NotSent(String),
    /// It may have been seen and stored, or not.
    Cut(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(reason) => write!(f, "not sent: {reason}"),
            Self::Cut(reason) => write!(f, "cut: {reason}"),
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// From the connection to the last byte.
    pub took: Duration,
}

impl Request {
    /// A request without headers and body. It says that it comes from an address of its own, by `X-Forwarded-For`, so that
    /// tests do not spend each other's budget: the gateway of the tests trusts the loopback address.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Self {
            method,
            path: path.into(),
            headers: vec![("X-Forwarded-For".into(), format!("10.{a}.{b}.{c}").into_bytes())],
            body: Bytes::new(),
            sending: Sending::Whole,
            http2: false,
        }
    }

    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST of these bytes, without a `Content-Type`.
    pub fn post(path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(Method::POST, path) }
    }

    /// A POST of JSON, exactly as the text is written.
    pub fn json(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self::post(path, text.into()).header("Content-Type", "application/json")
    }

    /// A POST of an urlencoded form.
    pub fn form(path: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let body = crate::sign::urlencoded(fields);
        Self::post(path, body).header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
    }

    /// One header more, after the others.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The client's address, in the place of one of its own.
    #[must_use]
    pub fn from(mut self, address: &str) -> Self {
        self.headers.retain(|(name, _)| name != "X-Forwarded-For");
        self.header("X-Forwarded-For", address)
    }

    /// Without a `Content-Length`, in pieces.
    #[must_use]
    pub fn in_pieces(mut self, of: usize) -> Self {
        self.sending = Sending::Pieces(of.max(1));
        self
    }

    /// Announces the whole body and sends one byte of it.
    #[must_use]
    pub fn stuck(mut self) -> Self {
        self.sending = Sending::Stuck;
        self
    }

    /// Over HTTP/2, with prior knowledge.
    #[must_use]
    pub fn over_http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Sends it to `url` (scheme, host and port) over a connection of its own.
    pub async fn send(&self, url: &str) -> Result<Answer, NoAnswer> {
        let begun = Instant::now();
        let authority = url.trim_start_matches("http://").trim_end_matches('/');
        let stream = tokio::time::timeout(LIMIT, TcpStream::connect(authority)).await;
        let stream = stream.map_err(|_| NoAnswer::NotSent("no connection in time".into()))?;
        let stream = stream.map_err(|error| NoAnswer::NotSent(error.to_string()))?;
        stream.set_nodelay(true).ok();
        match tokio::time::timeout(LIMIT, self.exchange(stream, authority)).await {
            Ok(Ok((status, headers, body))) => Ok(Answer { status, headers, body, took: begun.elapsed() }),
            Ok(Err(error)) => Err(NoAnswer::Cut(error.to_string())),
            Err(_) => Err(NoAnswer::Cut(format!("no answer within {LIMIT:?}"))),
        }
    }

    /// Sends it whole, over HTTP/1.1, and goes without waiting for an answer.
    pub async fn hang_up(&self, url: &str) {
        let authority = url.trim_start_matches("http://").trim_end_matches('/');
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {authority}\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        head.extend_from_slice(&self.body);
        let mut stream = TcpStream::connect(authority).await.expect("a connection");
        stream.write_all(&head).await.expect("the request is sent");
    }

    async fn exchange(&self, stream: TcpStream, authority: &str) -> hyper::Result<(u16, HeaderMap, Bytes)> {
        let io = TokioIo::new(stream);
        // The connection's own work ends with this request.
        let mut work = JoinSet::new();
        let answer = if self.http2 {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            work.spawn(connection);
            sender.send_request(self.to_hyper(&format!("http://{authority}{}", self.path), None)).await?
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::Builder::new().title_case_headers(true).handshake(io).await?;
            work.spawn(connection);
            sender.send_request(self.to_hyper(&self.path, Some(authority))).await?
        };
        let (head, body) = answer.into_parts();
        Ok((head.status.as_u16(), head.headers, body.collect().await?.to_bytes()))
    }

    fn to_hyper(&self, uri: &str, host: Option<&str>) -> hyper::Request<BoxBody<Bytes, Infallible>> {
        let mut builder = hyper::Request::builder().method(self.method.clone()).uri(uri);
        let headers = builder.headers_mut().expect("the target of a request is a URI");
        if let Some(host) = host {
            headers.insert(http::header::HOST, HeaderValue::from_str(host).expect("a host"));
        }
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
            headers.append(name, HeaderValue::from_bytes(value).expect("a header's value"));
        }
        if self.sending == Sending::Stuck {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        builder.body(self.to_body()).expect("a request")
    }

    fn to_body(&self) -> BoxBody<Bytes, Infallible> {
        match self.sending {
            Sending::Whole => Full::new(self.body.clone()).boxed(),
            Sending::Pieces(of) => {
                let pieces: Vec<Bytes> = self.body.chunks(of).map(Bytes::copy_from_slice).collect();
                BoxBody::new(StreamBody::new(futures::stream::iter(pieces).map(|piece| Ok(Frame::data(piece)))))
            }
            Sending::Stuck => {
                let first = self.body.slice(..1);
                let pieces = futures::stream::iter([first]).chain(futures::stream::pending());
                BoxBody::new(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))))
            }
        }
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Penstock-Id`, which every answer has.
    pub fn id(&self) -> Uuid {
        let id = self.header("Penstock-Id").unwrap_or_else(|| panic!("no Penstock-Id: {self}"));
        id.parse().unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The sequence in RAW that `Penstock-Stored` names.
    pub fn sequence(&self) -> u64 {
        let stored = self.header("Penstock-Stored").unwrap_or_else(|| panic!("no Penstock-Stored: {self}"));
        let sequence = stored.strip_prefix("RAW/").and_then(|text| text.parse().ok());
        sequence.unwrap_or_else(|| panic!("{stored:?} is no place in RAW: {self}"))
    }

    /// Checks that it is a 200 for a stored request, new or byte-identical to an earlier one, and gives its id.
    #[track_caller]
    pub fn accepted(&self) -> Uuid {
        assert_eq!(self.status, 200, "{self}");
        let status = self.json()["status"].clone();
        assert!(status == "accepted" || status == "duplicate", "{self}");
        assert_eq!(self.json()["id"], self.id().to_string(), "{self}");
        assert!(self.sequence() > 0, "{self}");
        self.id()
    }

    /// Checks that it is this status with a problem document (RFC 9457) that says so too.
    #[track_caller]
    pub fn problem(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self}");
        assert_eq!(self.header("Content-Type"), Some("application/problem+json"), "{self}");
        let problem = self.json();
        assert_eq!(problem["status"].as_u64(), Some(u64::from(status)), "{self}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{self}");
        assert!(self.header("Penstock-Stored").is_none(), "what is refused is not stored: {self}");
        self.id();
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} after {:?}", self.status, self.took)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        write!(f, "{}", self.text())
    }
}
