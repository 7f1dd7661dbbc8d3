//! The shell: takes a request through everything the other files decide, in this order, and answers it.
//!
//! A head that can be read in one way only; route and method; `Content-Length`; limit per address; the client's certificate,
//! where its source asks for one; a handshake ends here; body; the signer's certificate, where it is not at hand; signature;
//! limit per source; publish; what its sender waits for; answer. Nothing is kept past the answer but the print of a stored
//! request (and what a signature was used for), so a crash loses only what was not answered.
//!
//! `received_at` is the moment when the whole body was there: what a slow client spends on sending is its own time.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use proto::Verified;
use proto::body_ref::INLINE;
use providers::{Certificate, Flaw, FollowUp, Handshake, Verdict};
use runtime::clock::now_millis;
use runtime::error_chain::Chain;
use runtime::http_server::{Peer, linger};
use runtime::kill_point;
use tokio::sync::watch;
use tracing::{debug, info, warn};
use uuid::Uuid;

use crate::address;
use crate::admit::{Admission, admit};
use crate::answer::{Answer, Refusal};
use crate::body::{self, BodyError};
use crate::budget::{Budget, NoRoom};
use crate::clock::{BrokerClock, Uncertain};
use crate::envelope;
use crate::fetcher::Fetcher;
use crate::fleet::Fleet;
use crate::intake::{Intake, State};
use crate::limits::Over;
use crate::metrics::{GatewayMetrics, InHand, Requests};
use crate::recent::{Print, Recent};
use crate::route;
use crate::sources::{Source, Table};
use crate::store::{Store, StoreError};
use crate::throttle::Throttle;
use crate::ticket::Ticket;

/// One log line a second of each kind of trouble.
const LOG_EVERY_MS: i64 = 1000;

/// The gateway.
#[derive(Debug)]
pub struct Gateway {
    state: watch::Receiver<Arc<State>>,
    store: Store,
    budget: Budget,
    clock: Arc<BrokerClock>,
    metrics: Arc<GatewayMetrics>,
    repeats: Recent<Uuid>,
    uses: Recent<Print>,
    fetcher: Fetcher,
    fleet: Fleet,
    unknown: Arc<Requests>,
    store_failures: Throttle,
    fetch_failures: Throttle,
    wrong_signatures: Throttle,
    over_limits: Throttle,
}

impl Gateway {
    /// A gateway that answers by the latest `state`.
    pub fn new(
        state: watch::Receiver<Arc<State>>,
        store: Store,
        budget: Budget,
        clock: Arc<BrokerClock>,
        fleet: Fleet,
        metrics: Arc<GatewayMetrics>,
    ) -> Self {
        Self {
            state,
            store,
            budget,
            clock,
            metrics,
            repeats: Recent::repeats(),
            uses: Recent::uses(),
            fetcher: Fetcher::default(),
            fleet,
            unknown: Arc::new(Requests::unknown()),
            store_failures: Throttle::new(LOG_EVERY_MS),
            fetch_failures: Throttle::new(LOG_EVERY_MS),
            wrong_signatures: Throttle::new(LOG_EVERY_MS),
            over_limits: Throttle::new(LOG_EVERY_MS),
        }
    }

    /// Takes a request in and answers it. It counts from here on, not from the first poll: a client that hangs up at once
    /// is dropped before that.
    pub fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send {
        let state = Arc::clone(&self.state.borrow());
        let source = route::source(&state.table, request.uri().path());
        let metrics = source.and_then(|source| state.metrics(source));
        let in_hand = metrics.map_or(&self.unknown, |metrics| &metrics.requests).begin(Instant::now());
        self.answer_in_hand(state, in_hand, request, peer)
    }

    async fn answer_in_hand(
        self: Arc<Self>,
        state: Arc<State>,
        in_hand: InHand,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Full<Bytes>> {
        let (head, mut body) = request.into_parts();
        let mut ticket = Ticket::draw(&self.clock);
        let source = route::source(&state.table, head.uri.path());
        let answer = match (route::unambiguous(&head.headers), source) {
            (Err(refusal), _) => Err(refusal),
            (Ok(()), Some(source)) => self.take(&state, source, &head, &mut body, &peer, &mut ticket).await,
            (Ok(()), None) => Err(Refusal::NotFound),
        };
        let answer = answer.unwrap_or_else(Answer::Refused);

        let mut response = answer.respond(ticket.id, ticket.jitter);
        let took = in_hand.end(answer.outcome());
        self.tell(source, &answer, took, ticket, response.status());
        leave(&head, body, &answer, &mut response);
        response
    }

    async fn take(
        &self,
        state: &State,
        source: &Source,
        head: &Parts,
        body: &mut Incoming,
        peer: &Peer,
        ticket: &mut Ticket,
    ) -> Result<Answer, Refusal> {
        let table = &state.table;
        let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        let header_bytes = envelope::header_bytes(&head.headers);
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let handshake = route::handshake(source, head);
        if handshake.is_none() {
            route::admissible(source, &head.method, target, header_bytes, content_type)?;
        }
        if body.size_hint().lower() > source.max_body {
            return Err(Refusal::TooLarge);
        }
        let forwarded = head.headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
        let address = address::client(peer.address.ip(), forwarded, &table.trusted_proxies);
        table.requests.check(address).map_err(|over| self.over_limit(table, source, address, over))?;
        if !source.client_names.fit(peer.certificate.as_deref()) {
            return Err(self.not_its_client(state, source, address));
        }
        if let Some(handshake) = handshake {
            return self.shake_hands(state, source, address, handshake);
        }

        let beside = target + header_bytes;
        let share = self.budget.share(address::limited_as(address));
        let read = body::read(body, source.max_body, table.body_timeout, share, beside).await;
        let bytes = read.map_err(|error| self.unread(table, source, address, error))?;
        ticket.stamp(&self.clock);
        if !ticket.certain {
            return Err(self.cannot_store(source, ticket.id, &Uncertain));
        }

        let pairs = envelope::pairs(head);
        let metrics = state.metrics(source);
        let intake = Intake { state, source, metrics, head, pairs, body: bytes, ticket: *ticket };
        let certificate = self.certificate(&intake, address).await?;
        let verdict = self.judge(&intake, certificate.as_deref());
        let fits_a_message = intake.body.len() <= INLINE;
        let admission = admit(verdict, source.verify, fits_a_message, || table.failures.check(address));
        self.tell_wrong(&intake, verdict, admission, address);
        match admission {
            Admission::Unauthorized(flaw) => Err(Refusal::Unauthorized(flaw)),
            Admission::TooManyFailures(over) => Err(Refusal::OverLimit(over, StatusCode::TOO_MANY_REQUESTS)),
            Admission::Hold(flaw) => match self.hold(intake).await {
                Ok(sequence) => Ok(Answer::Held { sequence }),
                Err(Held::NoRoom) => Err(Refusal::Unauthorized(flaw)),
                Err(Held::Refused(refusal)) => Err(refusal),
            },
            Admission::Store(verified) => self.store(intake, verified).await,
        }
    }

    /// Refuses a client that sends too much, and says who, if not its address: its operator wants to find all of it.
    fn over_limit(&self, table: &Table, source: &Source, address: IpAddr, over: Over) -> Refusal {
        if let Some(left_out) = self.over_limits.pass(now_millis()) {
            let (channel, source) = (source.channel.as_str(), source.name.as_str());
            info!(channel, source, client = table.pseudonyms.of(address), left_out, "a client is over its limit");
        }
        // Whether it is the provider is not known yet, and it may be.
        Refusal::OverLimit(over, source.adapter.contract().over_limit_status())
    }

    /// Refuses a request without a body, and says who takes more room for bodies than one client may: then no other is
    /// refused, and a larger budget is not what is missing.
    fn unread(&self, table: &Table, source: &Source, address: IpAddr, error: BodyError) -> Refusal {
        if error == BodyError::NoRoom(NoRoom::Share)
            && let Some(left_out) = self.over_limits.pass(now_millis())
        {
            let (channel, source) = (source.channel.as_str(), source.name.as_str());
            let client = table.pseudonyms.of(address);
            info!(channel, source, client, left_out, "a client has as many bytes in memory as one may");
        }
        error.into()
    }

    /// The verdict on a signature, and on what it is used for where it does not cover the message.
    fn judge(&self, intake: &Intake<'_>, certificate: Option<&Certificate>) -> Verdict {
        let verdict = intake.authenticate(certificate);
        let Verdict::Fits { .. } = verdict else { return verdict };
        let source = intake.source.name.as_str();
        match intake.used() {
            Some(used) if !self.uses.is_first_use(&used, source, Instant::now()) => Verdict::Wrong(Flaw::Reused),
            _ => verdict,
        }
    }

    /// A client that does not show the certificate that the source asks for. Nothing of it is read, and nothing held: to
    /// whom it belongs is not known.
    fn not_its_client(&self, state: &State, source: &Source, address: IpAddr) -> Refusal {
        if let Some(metrics) = state.metrics(source) {
            metrics.wrong(Flaw::Client);
        }
        if let Some(left_out) = self.wrong_signatures.pass(now_millis()) {
            let (channel, source) = (source.channel.as_str(), source.name.as_str());
            let client = state.table.pseudonyms.of(address);
            info!(
                channel,
                source, client, left_out, "a client shows none of the certificates that the source asks for"
            );
        }
        match state.table.failures.check(address) {
            Ok(()) => Refusal::Unauthorized(Flaw::Client),
            Err(over) => Refusal::OverLimit(over, StatusCode::TOO_MANY_REQUESTS),
        }
    }

    /// Whoever guesses tokens is slowed down like whoever guesses secrets.
    fn shake_hands(
        &self,
        state: &State,
        source: &Source,
        address: IpAddr,
        handshake: Handshake,
    ) -> Result<Answer, Refusal> {
        let flaw = match handshake {
            Handshake::Accepted { headers, body } => return Ok(Answer::Handshake { headers, body }),
            Handshake::Bad(bad) => return Err(Refusal::Bad(bad)),
            Handshake::Refused(flaw) => flaw,
        };
        if let Some(metrics) = state.metrics(source) {
            metrics.wrong(flaw);
        }
        if let Some(left_out) = self.wrong_signatures.pass(now_millis()) {
            let (channel, source) = (source.channel.as_str(), source.name.as_str());
            let client = state.table.pseudonyms.of(address);
            info!(channel, source, client, flaw = flaw.as_str(), left_out, "a handshake is refused");
        }
        let over = |over| Refusal::OverLimit(over, StatusCode::TOO_MANY_REQUESTS);
        state.table.failures.check(address).map_err(over)?;
        Err(Refusal::Handshake(flaw))
    }

    /// The certificate without which the request cannot be judged. Who has one fetched is slowed down like whoever guesses
    /// secrets: each costs a connection, and a provider's own requests name the same one for months.
    async fn certificate(&self, intake: &Intake<'_>, address: IpAddr) -> Result<Option<Arc<Certificate>>, Refusal> {
        let Some(url) = intake.certificate_url() else { return Ok(None) };
        let table = &intake.state.table;
        let mut over = None;
        let may_begin = || {
            over = table.failures.check(address).err();
            over.is_none()
        };
        let fetched = self.fetcher.certificate(&table.egress, &url, intake.ticket.received_at, may_begin).await;
        self.metrics.fetches.certificate(fetched.is_ok());
        fetched.map(Some).map_err(|error| {
            self.tell_fetch(intake.source, intake.ticket.id, &*error, "could not get a signer's certificate");
            let status = intake.source.adapter.contract().over_limit_status();
            over.map_or(Refusal::CannotVerify, |over| Refusal::OverLimit(over, status))
        })
    }

    /// Does what the sender of a stored request waits for. Killed before that, or where it fails: the sender hears no 200 and
    /// sends the request again, which is stored again and is a repeat.
    async fn follow(&self, state: &State, source: &Source, id: Uuid, follow_up: FollowUp) -> Result<(), Refusal> {
        let url = match follow_up {
            FollowUp::Call(url) => url,
            FollowUp::Warn(text) => {
                warn!(request_id = %id, channel = source.channel.as_str(), source = source.name.as_str(), "{text}");
                return Ok(());
            }
        };
        let confirmed = self.fetcher.confirm(&state.table.egress, &url).await;
        self.metrics.fetches.confirmation(confirmed.is_ok());
        match confirmed {
            Ok(()) => {
                let (channel, source) = (source.channel.as_str(), source.name.as_str());
                info!(request_id = %id, channel, source, "a subscription is confirmed");
                Ok(())
            }
            Err(error) => {
                self.tell_fetch(source, id, &error, "could not confirm a subscription");
                Err(Refusal::CannotConfirm)
            }
        }
    }

    fn tell_fetch(&self, source: &Source, request_id: Uuid, error: &(dyn Error + 'static), what: &str) {
        if let Some(left_out) = self.fetch_failures.pass(now_millis()) {
            let (channel, source) = (source.channel.as_str(), source.name.as_str());
            warn!(%request_id, channel, source, error = %Chain(error), left_out, "{what}");
        }
    }

    async fn store(&self, intake: Intake<'_>, verified: Verified) -> Result<Answer, Refusal> {
        let Intake { state, source, ticket, .. } = intake;
        let follow_up = intake.follow_up(verified);
        intake.check()?;
        intake.limit(&self.fleet, verified).await?;

        let print = intake.print(verified);
        let repeat_of = self.repeats.seen(print, Instant::now());
        if let (Some(repeat_of), true) = (repeat_of, source.refuses_repeats) {
            return Ok(Answer::Conflict { repeat_of });
        }
        let (envelope, body) = intake.into_message(verified);
        kill_point::reached("gateway.admitted");
        let stored = self.store.raw(&source.raw_subject, envelope, body, state.table.publish_timeout).await;
        let sequence = stored.map_err(|error| self.cannot_store(source, ticket.id, &error))?;
        kill_point::reached("gateway.stored");
        if let Some(follow_up) = follow_up {
            // Before it is entered: a request whose sender waits in vain comes again, and must not be refused for that.
            self.follow(state, source, ticket.id, follow_up).await?;
        }
        self.repeats.enter(print, ticket.id, Instant::now());
        Ok(Answer::Stored { sequence, repeat_of, success: source.adapter.contract().success })
    }

    async fn hold(&self, intake: Intake<'_>) -> Result<u64, Held> {
        intake.check().map_err(Held::Refused)?;
        let (source, id, limit) = (intake.source, intake.ticket.id, intake.state.table.publish_timeout);
        let (envelope, body) = intake.into_message(Verified::No);
        let held = self.store.held(&source.held_subject, &envelope, body, limit).await;
        held.map_err(|error| match error {
            StoreError::NoRoom => Held::NoRoom,
            other => Held::Refused(self.cannot_store(source, id, &other)),
        })
    }

    fn cannot_store(&self, source: &Source, request_id: Uuid, error: &(dyn Error + 'static)) -> Refusal {
        if let Some(left_out) = self.store_failures.pass(now_millis()) {
            let (channel, source) = (source.channel.as_str(), source.name.as_str());
            warn!(%request_id, channel, source, error = %Chain(error), left_out, "could not store a request");
        }
        Refusal::CannotStore
    }

    /// Counts what the signature says, and logs a wrong one: an operator who changed a secret wants to know at once.
    fn tell_wrong(&self, intake: &Intake<'_>, verdict: Verdict, admission: Admission, address: IpAddr) {
        let Some(metrics) = intake.metrics else { return };
        let flaw = match verdict {
            Verdict::Fits { secret } => return metrics.secret_used(secret),
            Verdict::NothingToVerify => return,
            Verdict::Wrong(flaw) => flaw,
        };
        metrics.wrong(flaw);
        if flaw == Flaw::Unasked {
            // How its sender begins, every time.
            return;
        }
        let ending = match admission {
            Admission::Store(_) if flaw == Flaw::Reused => "accepted, and not believed",
            Admission::Store(_) => {
                metrics.observed.increment(1);
                "accepted: the source only observes"
            }
            Admission::Hold(_) => "to be held",
            Admission::Unauthorized(_) => "refused",
            Admission::TooManyFailures(_) => "refused: its client had too many of them",
        };
        if let Some(left_out) = self.wrong_signatures.pass(now_millis()) {
            let (request_id, source) = (intake.ticket.id, intake.source);
            let (channel, source) = (source.channel.as_str(), source.name.as_str());
            let (client, flaw) = (intake.state.table.pseudonyms.of(address), flaw.as_str());
            info!(%request_id, channel, source, client, flaw, ending, left_out, "a signature is wrong");
        }
    }

    fn tell(&self, source: Option<&Source>, answer: &Answer, took: Duration, ticket: Ticket, status: StatusCode) {
        if ticket.corrected {
            self.metrics.clock_corrected.increment(1);
        }
        debug!(
            request_id = %ticket.id,
            channel = source.map(|source| source.channel.as_str()),
            source = source.map(|source| source.name.as_str()),
            outcome = answer.outcome().as_str(),
            status = status.as_u16(),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    }
}

/// Why a request with a wrong signature is not held.
enum Held {
    NoRoom,
    Refused(Refusal),
}

/// Parts from a request: from its connection, where it is not certain what comes next on that, and from a body that was
/// not read, whose client may be still sending and must be able to read its answer.
fn leave(head: &Parts, body: Incoming, answer: &Answer, response: &mut Response<Full<Bytes>>) {
    let unread = !body.is_end_stream();
    let ambiguous = matches!(answer, Answer::Refused(Refusal::Ambiguous));
    let broken = unread && matches!(answer, Answer::Refused(Refusal::TooSlow | Refusal::Broken));
    if (ambiguous || broken) && head.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // Whoever asked first whether to send has not sent anything.
    if unread && !broken && !head.headers.contains_key(EXPECT) {
        linger(body);
    }
}
