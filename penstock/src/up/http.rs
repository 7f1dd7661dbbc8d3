//! One HTTP request to a process of ours on this machine.
//!
//! Not a client for anything else: no TLS, no redirects, no pool, a new connection each time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(2);
const LONGEST: usize = 1024 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Status and body of `GET path`; an error where nobody answers within two seconds.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), BoxError> {
    tokio::time::timeout(LIMIT, exchange(address, path)).await?
}

async fn exchange(address: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(http::header::HOST, address.to_string())
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await?.to_bytes();
        Ok::<_, BoxError>((status, body))
    };
    // Joined, not selected: the answer may be on its way to us when the connection has ended already.
    let (answer, _) = futures::join!(answer, connection);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn status_and_body_arrive() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /readyz HTTP/1.1"));
            stream.write_all(b"HTTP/1.1 503 Unavailable\r\ncontent-length: 5\r\n\r\nnope\n").await.unwrap();
        };
        let (got, ()) = tokio::join!(get(address, "/readyz"), server);
        assert_eq!(got.unwrap(), (StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(b"nope\n")));
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(get(address, "/readyz").await.is_err());
    }
}
