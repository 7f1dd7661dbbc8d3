//! The load generator against small servers: it keeps its pace, and it hides neither a stall nor a lost answer.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::floors::empty_server;
use super::ledger::Answer;
use super::load::{Live, Plan, Sending, send};
use super::player::tests::player;

fn plan(address: SocketAddr, connections: u32, rate: Option<f64>) -> Plan {
    Plan { address, connections, first_connection: 5, rate, duration: Duration::from_millis(400), repeats: 0.0 }
}

async fn drive(plan: Plan) -> Sending {
    send(plan, Arc::new(player("orders")), Arc::new(Live::default())).await.unwrap()
}

#[tokio::test]
async fn at_a_rate_exactly_what_is_due_is_sent_and_no_message_twice() {
    let (address, _stop) = empty_server().await.unwrap();
    let sending = drive(plan(address, 4, Some(500.0))).await;
    assert_eq!(sending.sent.len(), 200);
    let messages: HashSet<_> = sending.sent.iter().map(|sent| sent.message).collect();
    assert_eq!(messages.len(), 200);
    assert!(messages.iter().all(|message| (5..9).contains(&message.connection)), "{messages:?}");
    // An empty server names nothing, which the ledger would not accept.
    assert!(sending.sent.iter().all(|sent| sent.answer == Answer::Nameless));
    assert!(sending.took >= Duration::from_millis(398), "{:?}", sending.took);
}

#[tokio::test]
async fn flat_out_it_goes_on_until_the_time_is_up() {
    let (address, _stop) = empty_server().await.unwrap();
    let sending = drive(plan(address, 4, None)).await;
    assert!(sending.sent.len() > 4, "one a connection is not going on: {}", sending.sent.len());
    assert!(sending.took >= Duration::from_millis(400));
}

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\npenstock-id: 01990000-0000-7000-8000-000000000001\r\n\r\n";

/// Reads requests of one connection and answers each after `delay`, `answers` times; then it hangs up.
async fn answer(mut stream: TcpStream, delay: Duration, answers: usize) {
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..answers {
        if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
        tokio::time::sleep(delay).await;
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\npenstock-id: 01990000-0000-7000-8000-000000000001\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }
}

#[tokio::test]
async fn a_slow_server_does_not_hide_the_wait_of_what_was_due() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, Duration::from_millis(20), usize::MAX).await;
    };
    // One connection, 20 ms an answer, a request due every 10 ms: the last one waits for as long as was sent.
    let (sending, ()) = futures::join!(drive(plan(address, 1, Some(100.0))), server);
    assert_eq!(sending.sent.len(), 40);
    assert!(sending.latency.max() > 350_000, "{} µs", sending.latency.max());
    assert!(sending.latency.min() * 2 < sending.latency.max(), "{} µs", sending.latency.min());
}

#[tokio::test]
async fn a_broken_connection_is_made_anew_and_what_was_not_answered_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // One answer, and then the next request is read and never answered.
            let mut buffer = vec![0; 64 * 1024];
            assert_ne!(stream.read(&mut buffer).await.unwrap(), 0);
            stream.write_all(ANSWER).await.unwrap();
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
        }
    };
    let sending = tokio::select! {
        sending = drive(plan(address, 1, Some(50.0))) => sending,
        () = server => panic!("the server goes on for ever"),
    };
    let of = |wanted: fn(&Answer) -> bool| sending.sent.iter().filter(|sent| wanted(&sent.answer)).count();
    assert_eq!(of(|answer| matches!(answer, Answer::Accepted(_))), 10);
    assert_eq!(of(|answer| *answer == Answer::Unanswered), 10);
}
