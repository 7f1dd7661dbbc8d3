//! How much is taken of one source, by all gateways together: whose budget a request uses, and of which size.
//!
//! A request may have to wait for the answer, a quarter of a second at most: see [`crate::fleet`].

use std::sync::Arc;

use proto::Verified;
use providers::OverLimit;
use runtime::config::Rate;

use crate::fleet::{Fleet, Shared};
use crate::limits::Pressure;

/// The limit of a source and of those who send to it in its name, and ten times of it.
#[derive(Debug)]
struct Graded {
    own: Arc<Shared>,
    tenfold: Arc<Shared>,
}

impl Graded {
    fn new(source: &str, sender: &str, rate: Rate) -> Self {
        let shared = |times: u32| Arc::new(Shared::new(source, sender, rate, times));
        Self { own: shared(1), tenfold: shared(10) }
    }

    async fn check(&self, fleet: &Fleet, over_limit: OverLimit) -> Pressure {
        match over_limit {
            OverLimit::Reject => fleet.take(&self.own).await.map_or_else(Pressure::FarOver, |()| Pressure::Within),
            OverLimit::Accept => match tokio::join!(fleet.take(&self.own), fleet.take(&self.tenfold)) {
                (Ok(()), _) => Pressure::Within,
                (Err(over), Ok(())) => Pressure::Over(over),
                (Err(_), Err(over)) => Pressure::FarOver(over),
            },
        }
    }
}

/// The limits of one source, which all gateways keep together.
#[derive(Debug)]
pub struct PerSource {
    provider: Graded,
    /// For requests whose signature is wrong and that are accepted all the same (`verify = "observe"`): whoever sends
    /// them must not eat the provider's budget.
    unverified: Graded,
}

impl PerSource {
    /// The limits of a source with this name and rate.
    pub fn new(source: &str, rate: Rate) -> Self {
        Self { provider: Graded::new(source, "provider", rate), unverified: Graded::new(source, "unverified", rate) }
    }

    /// Takes one from the budget that a request with this verdict may use: the provider's own, or that of those who
    /// cannot prove who they are.
    pub async fn check(&self, fleet: &Fleet, verified: Verified, over_limit: OverLimit) -> Pressure {
        match verified {
            Verified::No => self.unverified.check(fleet, over_limit).await,
            Verified::Yes | Verified::None => self.provider.check(fleet, over_limit).await,
        }
    }
}
