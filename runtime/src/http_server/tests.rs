//! What a client sees of a server that is told to stop, and of one that it keeps waiting.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";

async fn answer(_request: Request<Incoming>, _peer: Peer) -> Response<Full<Bytes>> {
    Response::new(Full::from("done"))
}

fn limits(header_timeout: Duration) -> ServerLimits {
    ServerLimits {
        connections: 10,
        share: None,
        refuse: None,
        tls: None,
        header_timeout,
        grace: Duration::from_secs(10),
    }
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
async fn a_peer_that_has_its_share_of_connections_is_hung_up_on_until_one_of_them_ends() {
    let (listener, address) = listener().await;
    let shutdown = CancellationToken::new();
    let share: Share = Arc::new(|peer| Some((peer, 2)));
    let limits = ServerLimits { share: Some(share), ..limits(Duration::from_secs(5)) };
    let server = serve(listener, answer, limits, shutdown.clone());
    let client = async {
        let connect = async || TcpStream::connect(address).await.unwrap();
        let ask = async |mut client: TcpStream| -> Option<TcpStream> {
            client.write_all(REQUEST).await.ok()?;
            let mut first = [0];
            (client.read(&mut first).await.ok()? == 1).then_some(client)
        };
        let (first, second) = (ask(connect().await).await, ask(connect().await).await);
        assert!(first.is_some() && second.is_some());
        assert!(ask(connect().await).await.is_none(), "a third is hung up on");
        drop(first);
        // It is free as soon as the server has seen the end of the first.
        while ask(connect().await).await.is_none() {
            tokio::task::yield_now().await;
        }
        shutdown.cancel();
    };
    assert!(tokio::join!(server, client).0.is_ok());
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

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds the only place of a server by what `hold` does, for ever; the next client must have it all the same.
async fn the_place_is_given_on<H, F>(handler: H, hold: impl AsyncFnOnce(TcpStream))
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let (listener, address) = listener().await;
    let shutdown = CancellationToken::new();
    let limits = ServerLimits { connections: 1, ..limits(Duration::from_millis(50)) };
    let server = serve(listener, handler, limits, shutdown.clone());
    let clients = async {
        let holder = TcpStream::connect(address).await.unwrap();
        let next = async {
            let mut next = TcpStream::connect(address).await.unwrap();
            next.write_all(REQUEST).await.unwrap();
            next.read(&mut [0; 1]).await.unwrap()
        };
        tokio::select! {
            () = hold(holder) => {}
            answered = timeout(PATIENCE, next) => assert_eq!(answered.expect("the place is free again"), 1),
        }
        shutdown.cancel();
    };
    let (outcome, ()) = tokio::join!(server, clients);
    assert!(outcome.is_ok());
    let tasks = tokio::runtime::Handle::current();
    let none_left = async {
        while tasks.metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, none_left).await.expect("no task is left of a connection that is gone");
}

#[tokio::test]
async fn an_http1_client_that_reads_no_answer_does_not_keep_its_place() {
    the_place_is_given_on(answer, async |mut holder| {
        // Blocks once its requests, and their answers, fill all buffers on the way; nothing is read.
        while holder.write_all(&REQUEST.repeat(1000)).await.is_ok() {}
        std::future::pending::<()>().await;
    })
    .await;
}

/// HTTP/2 by hand, by somebody who lets no byte of an answer's body be sent.
mod unread {
    use tokio::net::tcp::OwnedWriteHalf;
    use tokio::sync::mpsc;

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// `SETTINGS_INITIAL_WINDOW_SIZE` = 0.
    const SETTINGS: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    const SETTINGS_FRAME: u8 = 4;
    const PING_FRAME: u8 = 6;
    const ACK: u8 = 1;
    /// The status 200, in a byte.
    pub(super) const OK: u8 = 0x88;

    /// A frame of an answer: its kind, its stream, and what is in it.
    pub(super) type Heard = (u8, u32, Vec<u8>);

    /// A whole request.
    pub(super) fn get(stream: u32) -> Vec<u8> {
        [&[0, 0, 6, HEADERS, 5][..], &stream.to_be_bytes(), &[0x82, 0x86, 0x84, 0x41, 1, b'x']].concat()
    }

    /// Lets 255 bytes of an answer be sent.
    pub(super) fn take(stream: u32) -> Vec<u8> {
        [&[0, 0, 4, 8, 0][..], &stream.to_be_bytes(), &[0, 0, 0, 255]].concat()
    }

    /// Begins, and hears what comes until the connection ends. What has to be acknowledged is.
    #[expect(clippy::disallowed_methods, reason = "a client, which ends with its connection")]
    pub(super) async fn begin(stream: TcpStream) -> (mpsc::Sender<Vec<u8>>, mpsc::UnboundedReceiver<Heard>) {
        let (mut reader, mut writer) = stream.into_split();
        writer.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
        let (say, said) = mpsc::channel(100);
        let (tell, heard) = mpsc::unbounded_channel();
        let acknowledge = say.downgrade();
        tokio::spawn(write(writer, said));
        tokio::spawn(async move {
            let mut prefix = [0; 9];
            while reader.read_exact(&mut prefix).await.is_ok() {
                let [a, b, c, kind, flags, stream @ ..] = prefix;
                let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
                reader.read_exact(&mut payload).await.unwrap();
                let answer = match (kind, flags & ACK) {
                    (SETTINGS_FRAME, 0) => vec![0, 0, 0, SETTINGS_FRAME, ACK, 0, 0, 0, 0],
                    (PING_FRAME, 0) => [&[0, 0, 8, PING_FRAME, ACK, 0, 0, 0, 0][..], &payload].concat(),
                    _ => Vec::new(),
                };
                // Whoever does not listen any more needs no answer either.
                if let Some(say) = acknowledge.upgrade() {
                    say.send(answer).await.ok();
                }
                tell.send((kind, u32::from_be_bytes(stream), payload)).ok();
            }
        });
        (say, heard)
    }

    async fn write(mut writer: OwnedWriteHalf, mut said: mpsc::Receiver<Vec<u8>>) {
        while let Some(bytes) = said.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }

    /// The first frame of that stream.
    pub(super) async fn of_stream(heard: &mut mpsc::UnboundedReceiver<Heard>, stream: u32) -> (u8, Vec<u8>) {
        let wait = async {
            loop {
                let (kind, of, payload) = heard.recv().await.expect("the connection lasts");
                if of == stream {
                    return (kind, payload);
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("the stream is answered")
    }
}

#[tokio::test]
async fn an_http2_client_that_takes_no_answer_does_not_keep_its_place() {
    the_place_is_given_on(answer, async |holder| {
        let (say, mut heard) = unread::begin(holder).await;
        say.send(unread::get(1)).await.unwrap();
        while heard.recv().await.is_some() {}
        std::future::pending::<()>().await;
    })
    .await;
}

#[tokio::test]
async fn an_http2_client_that_takes_some_answers_and_leaves_one_does_not_keep_its_place() {
    the_place_is_given_on(answer, async |holder| {
        let (say, mut heard) = unread::begin(holder).await;
        say.send(unread::get(1)).await.unwrap();
        let asks = async {
            for stream in (3..).step_by(2) {
                if say.send([unread::get(stream), unread::take(stream)].concat()).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::join!(asks, async { while heard.recv().await.is_some() {} });
        std::future::pending::<()>().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_nobody_takes_counts_as_a_request_in_hand() {
    let (listener, address) = listener().await;
    let shutdown = CancellationToken::new();
    let refuse: Refuse = Arc::new(|| {
        let mut response = Response::new(Full::from("full"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    });
    // Looked at rarely, so that the connection lasts.
    let limits = ServerLimits { connections: 2, refuse: Some(refuse), ..limits(Duration::from_secs(30)) };
    let server = serve(listener, answer, limits, shutdown.clone());
    let client = async {
        let (say, mut heard) = unread::begin(TcpStream::connect(address).await.unwrap()).await;
        // Two are answered, one hears that there is no room, and what comes then is not looked at.
        for (stream, served) in [(1, true), (3, true), (5, false)] {
            say.send(unread::get(stream)).await.unwrap();
            let (kind, payload) = unread::of_stream(&mut heard, stream).await;
            assert_eq!((kind, payload[0] == unread::OK), (unread::HEADERS, served), "{stream}");
        }
        say.send(unread::get(9)).await.unwrap();
        let refused = unread::of_stream(&mut heard, 9).await;
        assert_eq!(refused, (unread::RST_STREAM, vec![0, 0, 0, 7]), "REFUSED_STREAM");
        // Once an answer is taken, its place is another's.
        say.send(unread::take(1)).await.unwrap();
        assert_eq!(unread::of_stream(&mut heard, 1).await, (unread::DATA, b"done".to_vec()));
        say.send(unread::get(11)).await.unwrap();
        let (kind, payload) = unread::of_stream(&mut heard, 11).await;
        assert_eq!((kind, payload[0]), (unread::HEADERS, unread::OK));
        shutdown.cancel();
    };
    let (outcome, ()) = tokio::join!(server, client);
    assert!(outcome.is_ok());
}

#[tokio::test]
async fn a_request_is_let_go_when_its_client_hangs_up() {
    struct Dropped(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    let (listener, address) = listener().await;
    let shutdown = CancellationToken::new();
    let (sender, mut dropped) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |request: Request<Incoming>, _peer| {
        let dropped = Dropped(sender.clone());
        async move {
            request.into_body().collect().await.unwrap();
            std::future::pending::<()>().await;
            drop(dropped);
            Response::new(Full::default())
        }
    };
    let server = serve(listener, handler, limits(Duration::from_secs(5)), shutdown.clone());
    let client = async {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        drop(client);
        timeout(PATIENCE, dropped.recv()).await.expect("the handler is dropped").unwrap();
        shutdown.cancel();
    };
    let (outcome, ()) = tokio::join!(server, client);
    assert!(outcome.is_ok());
}
