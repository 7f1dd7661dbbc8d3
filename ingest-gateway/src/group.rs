//! Requests that arrive together are stored together: while one batch is on its way to the disk, the next one fills up.
//!
//! Nobody waits for company. A request that comes alone goes alone, at once; under load a batch is as large as the disk
//! is slow. Each request still has an answer of its own, and only after the broker's acknowledgement.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use runtime::nats::Nats;
use runtime::publish::{Outgoing, Patience, PublishError, Published};
use runtime::tasks::Outcome;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Batches on their way at once: one is written while the next is sent.
const UNDER_WAY: usize = 2;
/// Requests of a batch at most.
const MOST: usize = 256;
/// Requests that wait for a batch at most; more are told that they cannot be stored now.
const WAITING: usize = 8192;

/// Where requests are handed in.
#[derive(Clone, Debug)]
pub struct Group(mpsc::Sender<Waiting>);

#[derive(Debug)]
struct Waiting {
    message: Outgoing,
    deadline: Instant,
    answer: oneshot::Sender<Result<Published, PublishError>>,
}

impl Group {
    /// A group, and the task that stores what is handed in. The task ends when every handle is gone.
    pub fn new(nats: Nats) -> (Self, impl Future<Output = Outcome> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), store(nats, receiver))
    }

    /// Stores a message, with whatever else arrives meanwhile.
    pub async fn publish(&self, message: Outgoing, deadline: Instant) -> Result<Published, PublishError> {
        let (answer, answered) = oneshot::channel();
        let full = || PublishError::Unconfirmed("too many requests wait to be stored".into());
        self.0.try_send(Waiting { message, deadline, answer }).map_err(|_| full())?;
        let late = || PublishError::Unconfirmed("no answer in time".into());
        timeout_at(deadline, answered).await.map_err(|_| late())?.map_err(|_| late())?
    }
}

async fn store(nats: Nats, mut waiting: mpsc::Receiver<Waiting>) -> Outcome {
    let mut under_way = FuturesUnordered::new();
    let mut together = Vec::with_capacity(MOST);
    loop {
        tokio::select! {
            taken = waiting.recv_many(&mut together, MOST), if under_way.len() < UNDER_WAY => {
                if taken == 0 {
                    break;
                }
                under_way.push(commit(&nats, std::mem::take(&mut together)));
            }
            Some(()) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
    Ok(())
}

async fn commit(nats: &Nats, mut together: Vec<Waiting>) {
    // Whoever was told that it is too late, or went away, comes again by itself.
    together.retain(|waiting| !waiting.answer.is_closed());
    // As long as there is one who may still be answered; whoever has waited too long is told so meanwhile.
    let Some(deadline) = together.iter().map(|waiting| waiting.deadline).max() else { return };
    let make = |waiting: &Waiting| Some(waiting.message.clone());
    let results = nats.publish_group(&together, make, Patience::Until(deadline)).await;
    for (waiting, result) in together.into_iter().zip(results) {
        if waiting.answer.send(result).is_err() {
            tracing::debug!("a request was stored after its client had gone");
        }
    }
}
