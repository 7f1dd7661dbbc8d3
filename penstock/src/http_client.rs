//! A small HTTP client: one connection, one request at a time, a limit on everything. For our own processes and for
//! playing a provider; it follows no redirects and trusts no proxy settings.
//!
//! The connection is driven while somebody waits for an answer and not otherwise, so it needs no task of its own.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::Fuse;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest answer taken, in bytes.
const LONGEST: usize = 16 * 1024 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Not an address that can be called.
    #[error("{0} is not an address such as http://127.0.0.1:8080")]
    Address(String),
    /// Nobody listens there, or not to us.
    #[error("could not connect to {authority}")]
    Connect {
        authority: String,
        #[source]
        source: BoxError,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("{authority} did not answer")]
    Exchange {
        authority: String,
        #[source]
        source: BoxError,
    },
    /// Too slow.
    #[error("{authority} did not answer within {limit:?}")]
    Timeout { authority: String, limit: Duration },
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

type Driver = Fuse<Connection<TokioIo<TcpStream>, Full<Bytes>>>;

/// An open connection.
pub(crate) struct Client {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
    /// Fused: it may have ended during an earlier request.
    connection: Pin<Box<Driver>>,
}

impl Client {
    /// Connects to `http://host:port`; whatever follows is not looked at.
    pub(crate) async fn connect(url: &str, limit: Duration) -> Result<Self, HttpError> {
        let uri: Uri = url.parse().map_err(|_| HttpError::Address(url.to_owned()))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(|| HttpError::Address(url.to_owned()))?;
        let (host, port) = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let authority = authority.as_str().to_owned();
        let open = async {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, BoxError>(handshake(TokioIo::new(stream)).await?)
        };
        match tokio::time::timeout(limit, open).await {
            Ok(Ok((sender, connection))) => Ok(Self { authority, sender, connection: Box::pin(connection.fuse()) }),
            Ok(Err(source)) => Err(HttpError::Connect { authority, source }),
            Err(_) => Err(HttpError::Timeout { authority, limit }),
        }
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request, whose URI is a path, and reads the whole answer.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        if let Ok(host) = HeaderValue::from_str(&self.authority) {
            request.headers_mut().entry(HOST).or_insert(host);
        }
        let answer = self.sender.send_request(request);
        let exchange = async {
            let response = answer.await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await?.to_bytes();
            Ok::<_, BoxError>(Answer { status: parts.status, headers: parts.headers, body })
        };
        let driven = async {
            tokio::pin!(exchange);
            tokio::select! {
                // First: the answer may be whole when the connection has ended already.
                biased;
                answer = &mut exchange => answer,
                ended = &mut self.connection => match ended {
                    Ok(()) => exchange.await,
                    Err(error) => Err(error.into()),
                },
            }
        };
        match tokio::time::timeout(limit, driven).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(HttpError::Exchange { authority: self.authority.clone(), source }),
            Err(_) => Err(HttpError::Timeout { authority: self.authority.clone(), limit }),
        }
    }
}

/// `GET`, on a connection of its own.
pub(crate) async fn get(url: &str, path: &str, limit: Duration) -> Result<Answer, HttpError> {
    let mut client = Client::connect(url, limit).await?;
    let request = Request::get(path).body(Full::default()).map_err(|_| HttpError::Address(format!("{url}{path}")))?;
    client.send(request, limit).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_serves_one_request_after_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in ["HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nhi", "HTTP/1.1 503 No\r\n\r\nbye"] {
                let mut request = [0; 1024];
                let length = stream.read(&mut request).await.unwrap();
                assert!(String::from_utf8_lossy(&request[..length]).contains("host: 127.0.0.1:"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let client = async {
            let limit = Duration::from_secs(5);
            let mut client = Client::connect(&url, limit).await.unwrap();
            let request = || Request::post("/x").body(Full::from("body")).unwrap();
            let first = client.send(request(), limit).await.unwrap();
            assert_eq!((first.status, first.header("x-a"), &first.body[..]), (StatusCode::OK, Some("b"), &b"hi"[..]));
            assert!(client.is_open());
            let second = client.send(request(), limit).await.unwrap();
            assert_eq!((second.status.as_u16(), &second.body[..]), (503, &b"bye"[..]));
        };
        tokio::join!(server, client);
    }

    #[tokio::test]
    async fn silence_and_absence_are_errors_within_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let silent = get(&url, "/", Duration::from_millis(100)).await;
        assert!(matches!(silent, Err(HttpError::Timeout { .. })), "{silent:?}");
        // Another address: whoever connects to one that is being closed may be cut off instead.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let absent = get(&url, "/", Duration::from_secs(5)).await;
        assert!(matches!(absent, Err(HttpError::Connect { .. })), "{absent:?}");
        assert!(matches!(get("ftp://x", "/", Duration::from_secs(1)).await, Err(HttpError::Address(_))));
    }
}
