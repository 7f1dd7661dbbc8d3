//! Every attack: what it sends, and how often. Each goes on until its process is killed.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tests::config::STANDARD_OLD;
use tests::floods;
use tests::sign::standard_request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// An attack.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// In words.
    pub(crate) rate: &'static str,
    begin: Box<dyn Fn(Target) -> Work>,
}

/// Connections that are held at once by those that hold any.
const HELD: u32 = 2_000;
/// What they are begun over, where it is not to be at one moment.
const SPREAD: Duration = Duration::from_secs(1);
/// Where attackers come from.
const ADDRESSES: u8 = 4;
/// Those that wait for an answer at once; more are not begun.
const AT_ONCE: usize = 500;
const PATH: &str = "/v1/webhook/orders";

fn attack<F>(name: &'static str, rate: &'static str, work: impl Fn(Target) -> F + 'static) -> Attack
where
    F: Future<Output = ()> + 'static,
{
    Attack { name, rate, begin: Box::new(move |target| Box::pin(work(target))) }
}

/// All of them.
pub(crate) fn all() -> Vec<Attack> {
    let mut attacks = vec![
        attack("slow heads", "2,000 connections, each a byte a second", |target| {
            hold(target, HELD, Slow::Head, SPREAD)
        }),
        attack("slow bodies", "2,000 connections, each a byte a second", |target| {
            hold(target, HELD, Slow::Body, SPREAD)
        }),
        attack("answers that nobody reads", "500 connections, each a request a second", |target| {
            hold(target, 500, Slow::Reader, SPREAD)
        }),
        attack(
            "unfinished bodies of one address",
            "64 connections with most of 1 MiB each, each again a second after it is refused",
            |target| hold(Target { addresses: 1, ..target }, 64, Slow::Large, SPREAD),
        ),
        attack(
            "unfinished bodies at one moment",
            "200 connections with most of 1 MiB each, each again a second after it is refused",
            |target| hold(Target { addresses: 1, ..target }, 200, Slow::Large, Duration::ZERO),
        ),
        attack("connections", "1,000 opened and closed a second", |target| {
            at_rate(1000, move || {
                let target = target.clone();
                async move { drop(target.connect().await) }
            })
        }),
    ];
    let requests = [
        ("requests without a signature", "1,000 a second", 1000, unsigned()),
        ("wrong signatures", "1,000 a second, 1 KiB", 1000, wrongly_signed(1000)),
        ("largest bodies, wrong signatures", "20 a second, 1 MiB", 20, wrongly_signed(1_040_000)),
    ];
    for (name, rate, per_second, bytes) in requests {
        let bytes: Arc<[u8]> = bytes.into();
        attacks.push(attack(name, rate, move |target| {
            let bytes = Arc::clone(&bytes);
            at_rate(per_second, move || ask(target.clone(), Arc::clone(&bytes)))
        }));
    }
    for flood in floods::all("orders") {
        let (name, flood) = (flood.name, Arc::new(flood));
        attacks.push(attack(name, "5 connections a second, up to 10,000 frames each", move |target| {
            let flood = Arc::clone(&flood);
            at_rate(5, move || {
                let (target, flood) = (target.clone(), Arc::clone(&flood));
                async move {
                    if let Ok(stream) = target.connect().await {
                        floods::send(stream, flood.settings, &flood.frames).await;
                    }
                }
            })
        }));
    }
    attacks
}

/// Attacks until it is killed, and says each half second how much it has done.
pub(crate) async fn run(name: &str, url: &str) -> ExitCode {
    let Some(attack) = all().into_iter().find(|attack| attack.name == name) else {
        eprintln!("no attack is called {name:?}");
        return ExitCode::from(64);
    };
    let done = Arc::<AtomicU64>::default();
    let target =
        Target { authority: url.trim_start_matches("http://").into(), addresses: ADDRESSES, done: Arc::clone(&done) };
    let tell = async {
        loop {
            sleep(Duration::from_millis(500)).await;
            println!("{}", done.load(Ordering::Relaxed));
        }
    };
    tokio::join!((attack.begin)(target), tell);
    ExitCode::SUCCESS
}

/// Who is attacked, from where, and how often that was.
#[derive(Clone)]
struct Target {
    authority: Arc<str>,
    addresses: u8,
    done: Arc<AtomicU64>,
}

impl Target {
    /// A connection from one of the attackers' addresses, in turn.
    async fn connect(&self) -> std::io::Result<TcpStream> {
        let number = self.done.fetch_add(1, Ordering::Relaxed);
        let last = 2 + u8::try_from(number % u64::from(self.addresses)).expect("a remainder");
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        socket.connect(self.authority.parse().expect("an address")).await
    }
}

/// Begins so many a second, whether the ones before have ended or not, up to a number of them.
async fn at_rate<F>(per_second: u32, begin: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (mut tick, mut going) = (interval(Duration::from_secs(1) / per_second), JoinSet::new());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        while going.try_join_next().is_some() {}
        if going.len() < AT_ONCE {
            going.spawn(begin());
        }
    }
}

/// How a connection is held.
#[derive(Clone, Copy)]
enum Slow {
    /// By a head that never ends.
    Head,
    /// By a body that never ends.
    Body,
    /// By a body that never ends, of which most is there at once.
    Large,
    /// By one request after the other, and no answer read.
    Reader,
}

/// Holds so many connections, begun over that time; one that is turned away comes again a second later.
async fn hold(target: Target, connections: u32, slow: Slow, spread: Duration) {
    let mut held = JoinSet::new();
    for number in 0..connections {
        let target = target.clone();
        held.spawn(async move {
            sleep(spread * number / connections).await;
            loop {
                if let Ok(stream) = target.connect().await {
                    // However it ends: to be turned away is what the gateway is there for.
                    drop(be_slow(stream, slow, &target.done).await);
                }
                sleep(Duration::from_secs(1)).await;
            }
        });
    }
    held.join_all().await;
}

async fn be_slow(mut stream: TcpStream, slow: Slow, done: &AtomicU64) -> std::io::Result<()> {
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
    let (first, again): (Vec<u8>, &[u8]) = match slow {
        Slow::Head => (head.into(), b"X"),
        Slow::Body => (format!("{head}Content-Length: 100000\r\n\r\n{{").into(), b" "),
        Slow::Large => {
            ([format!("{head}Content-Length: 1000001\r\n\r\n").into_bytes(), vec![b' '; 1_000_000]].concat(), b"")
        }
        Slow::Reader => (Vec::new(), b"GET /v1/webhook/nobody HTTP/1.1\r\nHost: x\r\n\r\n"),
    };
    let mut answer = [0; 512];
    stream.write_all(&first).await?;
    loop {
        stream.write_all(again).await?;
        done.fetch_add(1, Ordering::Relaxed);
        let pause = sleep(Duration::from_secs(1));
        if matches!(slow, Slow::Reader) {
            pause.await;
            continue;
        }
        tokio::select! {
            () = pause => {}
            _ = stream.read(&mut answer) => return Ok(()),
        }
    }
}

/// Sends a request over a connection of its own, and reads what is answered.
async fn ask(target: Target, request: Arc<[u8]>) {
    let Ok(mut stream) = target.connect().await else { return };
    let (mut reader, mut writer) = stream.split();
    let send = async { drop(writer.write_all(&request).await) };
    // It closes behind its answer; an end before that is one too.
    let read = async { drop(reader.read_to_end(&mut Vec::new()).await) };
    tokio::join!(send, read);
}

fn unsigned() -> Vec<u8> {
    let body = "{}";
    format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into()
}

/// As `orders` wants it, but for the secret.
fn wrongly_signed(bytes: usize) -> Vec<u8> {
    let body = format!(r#"{{"text": "{}"}}"#, "x".repeat(bytes));
    let request = standard_request(STANDARD_OLD, "orders", "forged", &body);
    let headers = request.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value)));
    let headers: String = headers.collect();
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}
