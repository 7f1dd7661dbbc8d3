//! What the gateway asks providers for: the certificate that a request names as its signer's, and a subscription's
//! confirmation. Never more than a few at once; a certificate once for all who wait for it, and then not again for a day.
//!
//! Where the provider cannot be asked, the request cannot be judged: that is an error, and no wrong signature.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use proto::Millis;
use providers::Certificate;
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::egress::{Egress, EgressError};

/// Requests to providers at once.
const AT_ONCE: usize = 4;
/// For a certificate, with the wait for a turn: its request waits, and so does whoever sent it.
const FETCH: Duration = Duration::from_secs(2);
/// For a confirmation, which comes once in a subscription's life. SNS itself waits 15 s.
const CONFIRM: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const LARGEST: usize = 64 * 1024;
/// After so long a certificate is fetched again, where that is possible.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// How many are kept: a provider has a few for each of its regions.
const KEPT: usize = 64;

/// Why something could not be had from a provider.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Too many others wait.
    #[error("too much is asked of providers at once")]
    Busy,
    /// It could not be asked, or said no.
    #[error("a provider could not be asked")]
    Asking(#[source] EgressError),
    /// Whoever named the URL has had too many asked for.
    #[error("too many certificates were asked for from one address")]
    TooMany,
    /// What it gave is no certificate.
    #[error("what lies at the certificate's place is none")]
    NoCertificate,
}

type Fetched = Result<Arc<Certificate>, Arc<FetchError>>;
type Flight = Shared<BoxFuture<'static, Fetched>>;

/// Asks providers.
#[derive(Debug)]
pub struct Fetcher {
    turns: Arc<Semaphore>,
    certificates: Arc<Mutex<Certificates>>,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), certificates: Arc::default() }
    }
}

impl Fetcher {
    /// The certificate at this URL, for a request of that moment. `may_begin` is asked before the provider is, and not
    /// where somebody else's question is waited for.
    ///
    /// One that is still in force and cannot be fetched again is as good as it was.
    pub async fn certificate(
        &self,
        egress: &Egress,
        url: &str,
        now: Millis,
        may_begin: impl FnOnce() -> bool,
    ) -> Fetched {
        let flight = {
            let mut certificates = lock(&self.certificates);
            if let Some(kept) = certificates.kept(url, now, Some(Instant::now())) {
                return Ok(kept);
            }
            match certificates.join(url) {
                Some(flight) => Some(flight),
                None => may_begin().then(|| certificates.begin(url, self.fetch(egress, url, now))),
            }
        };
        let fetched = match flight {
            Some(flight) => flight.await,
            None => Err(Arc::new(FetchError::TooMany)),
        };
        fetched.or_else(|error| lock(&self.certificates).kept(url, now, None).ok_or(error))
    }

    /// Calls a URL that does what it says when it is called.
    pub async fn confirm(&self, egress: &Egress, url: &str) -> Result<(), FetchError> {
        ask(&self.turns, egress, url, CONFIRM).await.map(|_| ())
    }

    /// Keeps it before it hands it out, so that nobody fetches it meanwhile.
    fn fetch(&self, egress: &Egress, url: &str, now: Millis) -> BoxFuture<'static, Fetched> {
        let (turns, certificates) = (Arc::clone(&self.turns), Arc::clone(&self.certificates));
        let (egress, url) = (egress.clone(), url.to_owned());
        async move {
            let pem = ask(&turns, &egress, &url, FETCH).await.map_err(Arc::new)?;
            let certificate = Certificate::from_pem(&pem).map(Arc::new);
            let certificate = certificate.ok_or_else(|| Arc::new(FetchError::NoCertificate))?;
            lock(&certificates).keep(&url, &certificate, now, Instant::now());
            Ok(certificate)
        }
        .boxed()
    }
}

fn lock(certificates: &Mutex<Certificates>) -> MutexGuard<'_, Certificates> {
    certificates.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a turn and asks, all of it within the limit.
async fn ask(turns: &Semaphore, egress: &Egress, url: &str, limit: Duration) -> Result<bytes::Bytes, FetchError> {
    let deadline = tokio::time::Instant::now() + limit;
    let turn = timeout_at(deadline, turns.acquire()).await;
    let _turn = turn.map_err(|_| FetchError::Busy)?.map_err(|_| FetchError::Busy)?;
    egress.get(url, deadline, LARGEST).await.map_err(FetchError::Asking)
}

/// What is kept and what is on its way.
#[derive(Debug, Default)]
struct Certificates {
    kept: HashMap<String, (Arc<Certificate>, Instant)>,
    /// A flight that nobody waits for any more is none.
    flights: HashMap<String, WeakShared<BoxFuture<'static, Fetched>>>,
}

impl Certificates {
    /// One that is kept and in force; where `at` is told, one that need not be looked at again by then.
    fn kept(&self, url: &str, now: Millis, at: Option<Instant>) -> Option<Arc<Certificate>> {
        let (certificate, since) = self.kept.get(url)?;
        let is_fresh = at.is_none_or(|at| at.saturating_duration_since(*since) < KEPT_FOR);
        (is_fresh && certificate.in_force(now)).then(|| Arc::clone(certificate))
    }

    fn join(&self, url: &str) -> Option<Flight> {
        let landed_badly = |flight: &Flight| flight.peek().is_some_and(Result::is_err);
        self.flights.get(url)?.upgrade().filter(|flight| !landed_badly(flight))
    }

    fn begin(&mut self, url: &str, fetch: BoxFuture<'static, Fetched>) -> Flight {
        self.flights.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        let flight = fetch.shared();
        self.flights.extend(flight.downgrade().map(|weak| (url.to_owned(), weak)));
        flight
    }

    /// Keeps one that is in force, in place of the oldest where there are enough.
    fn keep(&mut self, url: &str, certificate: &Arc<Certificate>, now: Millis, at: Instant) {
        if !certificate.in_force(now) {
            return;
        }
        if !self.kept.contains_key(url) && self.kept.len() >= KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, (_, since))| *since).map(|(url, _)| url.clone());
            oldest.and_then(|url| self.kept.remove(&url));
        }
        self.kept.insert(url.to_owned(), (Arc::clone(certificate), at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNER: &[u8] = include_bytes!("../../providers/tests/data/keys/sns-signer.pem");

    fn at(time: &str) -> Millis {
        time.parse().unwrap()
    }

    #[test]
    fn a_certificate_is_kept_for_a_day_and_while_it_is_in_force_and_the_oldest_goes_first() {
        let (mut certificates, start) = (Certificates::default(), Instant::now());
        let signer = Arc::new(Certificate::from_pem(SIGNER).unwrap());
        let (now, too_late) = (at("2026-08-01T00:00:00.000Z"), at("2046-08-01T00:00:00.000Z"));
        certificates.keep("late", &signer, too_late, start);
        assert!(certificates.kept("late", too_late, Some(start)).is_none(), "not in force");
        for number in 0..KEPT {
            let after = Duration::from_millis(number as u64);
            certificates.keep(&number.to_string(), &signer, now, start + after);
        }
        assert!(certificates.kept("0", now, Some(start + KEPT_FOR.mul_f64(0.99))).is_some());
        assert!(certificates.kept("0", now, Some(start + KEPT_FOR)).is_none(), "a day is over");
        assert!(
            certificates.kept("0", now, None).is_some(),
            "it is as good as it was where it cannot be fetched again"
        );
        assert!(certificates.kept("0", too_late, None).is_none(), "it ran out meanwhile");
        certificates.keep("1", &signer, now, start + KEPT_FOR);
        assert_eq!(certificates.kept.len(), KEPT);
        certificates.keep("one more", &signer, now, start + KEPT_FOR);
        assert_eq!(certificates.kept.len(), KEPT);
        assert!(!certificates.kept.contains_key("0") && certificates.kept.contains_key("1"));
    }

    #[tokio::test]
    async fn who_asks_for_the_same_waits_for_the_same_and_a_failure_is_tried_again() {
        let signer = Arc::new(Certificate::from_pem(SIGNER).unwrap());
        let landing = |fetched: Fetched| std::future::ready(fetched).boxed();
        let mut certificates = Certificates::default();
        let first = certificates.begin("a", landing(Ok(Arc::clone(&signer))));
        assert!(certificates.join("b").is_none());
        let second = certificates.join("a").unwrap();
        assert!(first.ptr_eq(&second));
        assert!(first.await.is_ok() && second.await.is_ok());
        assert!(certificates.join("a").is_none(), "nobody waits for it any more");

        let failed = certificates.begin("c", landing(Err(Arc::new(FetchError::Busy))));
        assert!(failed.clone().await.is_err());
        assert!(certificates.join("c").is_none(), "a failure is tried again");
        let _next = certificates.begin("d", landing(Ok(signer)));
        assert_eq!(certificates.flights.len(), 1, "what is over is forgotten");
    }
}
