//! What a client sees of a server that is told to stop, and of one that it keeps waiting.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";

async fn answer(_request: Request<Incoming>, _peer: SocketAddr) -> Response<Full<Bytes>> {
    Response::new(Full::from("done"))
}

fn limits(header_timeout: Duration) -> ServerLimits {
    ServerLimits { connections: 10, header_timeout, grace: Duration::from_secs(10) }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into(), "test").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// One answer, up to the end of its body.
async fn read(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"done") {
        let read = stream.read_buf(&mut text).await.unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&text));
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_connection_that_waits_to_be_accepted_at_shutdown_is_answered() {
    let (listener, address) = listener().await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let server = serve(listener, answer, limits(Duration::from_secs(5)), shutdown);
    let (outcome, text) = tokio::join!(server, read(&mut client));
    assert!(outcome.is_ok());
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("connection: close"), "{text}");
}

#[tokio::test]
async fn a_kept_connection_is_closed_by_its_next_answer_and_not_under_its_next_request() {
    let (listener, address) = listener().await;
    let shutdown = CancellationToken::new();
    let server = serve(listener, answer, limits(Duration::from_secs(5)), shutdown.clone());
    let client = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        assert!(!read(&mut client).await.contains("connection: close"));
        shutdown.cancel();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        client.write_all(REQUEST).await.unwrap();
        let text = read(&mut client).await;
        assert!(text.contains("connection: close"), "{text}");
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    };
    let (outcome, ()) = tokio::join!(server, client);
    assert!(outcome.is_ok());
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_keep_its_place() {
    let (listener, address) = listener().await;
    let shutdown = CancellationToken::new();
    let server = serve(listener, answer, limits(Duration::from_millis(50)), shutdown.clone());
    let client = async {
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
        shutdown.cancel();
    };
    let (outcome, ()) = tokio::join!(server, client);
    assert!(outcome.is_ok());
}
