//! Keeps processes running: what dies is started again, later each time, until it is clear that it cannot live.
//!
//! What a reader would get wrong: [`Supervisor::next`] is dropped and called again all the time (it waits beside other
//! things), so it may hold nothing across an await that is not in `self`. A child's number is used for signals only while
//! its exit has not been seen: until then the system keeps it, as a zombie, and gives it to nobody else.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::children::Children;
use super::kind::Kind;
use super::log_file::LogFile;
use super::process_id;
use super::program::Program;
use crate::servers::ports::Ports;

/// A child that ends earlier than this after its start has not really run.
const QUICK: Duration = Duration::from_secs(5);
const QUICK_DEATHS: u32 = 5;
/// For a server that has been ready before: sessions of a killed PostgreSQL may hold its memory until their query ends.
const QUICK_DEATHS_OF_A_SERVER: u32 = 20;
/// How long to wait before the first, second .. restart after a quick death; the last for all further.
const DELAYS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// A role's way of saying that its configuration is wrong: another start changes nothing.
const BAD_CONFIGURATION: i32 = 64;

/// Runs and watches children.
pub(crate) struct Supervisor {
    members: Vec<Member>,
    exits: FuturesUnordered<BoxFuture<'static, (usize, io::Result<ExitStatus>)>>,
    children: Children,
    logs: PathBuf,
    ports: Ports,
}

struct Member {
    program: Program,
    log: LogFile,
    pid: Option<i32>,
    started: Instant,
    restart_at: Option<Instant>,
    quick_deaths: u32,
    was_ready: bool,
}

/// Something happened to a child.
#[derive(Debug)]
pub(crate) enum Event {
    /// It ended by itself, and will be started again.
    Died { name: String, how: String, again_in: Duration },
    /// It was started again.
    Restarted { name: String },
    /// It ended and starting it again is pointless.
    GaveUp(GaveUp),
}

/// Why a child is not started again.
#[derive(Debug, Clone)]
pub(crate) struct GaveUp {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) how: String,
    pub(crate) bad_configuration: bool,
    pub(crate) log: PathBuf,
    pub(crate) tail: String,
}

impl Supervisor {
    pub(crate) fn new(children: Children, logs: PathBuf) -> Self {
        Self { members: Vec::new(), exits: FuturesUnordered::new(), children, logs, ports: Ports::default() }
    }

    /// Free ports, none of which was given to another child.
    pub(crate) fn ports(&mut self) -> &mut Ports {
        &mut self.ports
    }

    /// Starts a program for the first time; gives its place for the other calls.
    pub(crate) fn start(&mut self, program: Program) -> io::Result<usize> {
        let log = LogFile::new(self.logs.join(format!("{}.log", program.name())));
        let index = self.members.len();
        self.members.push(Member {
            program,
            log,
            pid: None,
            started: Instant::now(),
            restart_at: None,
            quick_deaths: 0,
            was_ready: false,
        });
        self.spawn(index)?;
        Ok(index)
    }

    fn spawn(&mut self, index: usize) -> io::Result<()> {
        let Some(member) = self.members.get_mut(index) else { return Ok(()) };
        member.program.move_off_taken_ports(member.was_ready, &mut self.ports)?;
        let log = member.log.open()?;
        let mut command = member.program.command();
        // Its own process group: Ctrl-C in the terminal reaches `up` alone, which stops them in order.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let mut child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        member.pid = pid;
        member.started = Instant::now();
        member.restart_at = None;
        let (kind, name) = (member.program.kind(), member.program.name());
        self.exits.push(Box::pin(async move { (index, child.wait().await) }));
        pid.map_or(Ok(()), |pid| self.children.add(kind, &name, pid))
    }

    /// The next thing that happens. Never, where nothing runs.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            let restart = self.next_restart();
            tokio::select! {
                Some((index, status)) = self.exits.next(), if !self.exits.is_empty() => {
                    if let Some(event) = self.ended(index, status) {
                        return event;
                    }
                }
                index = due(restart) => return self.restart(index),
            }
        }
    }

    fn next_restart(&self) -> Option<(usize, Instant)> {
        let planned = self.members.iter().enumerate().filter_map(|(index, member)| Some((index, member.restart_at?)));
        planned.min_by_key(|(_, at)| *at)
    }

    fn restart(&mut self, index: usize) -> Event {
        let name = self.members.get(index).map(|member| member.program.name()).unwrap_or_default();
        match self.spawn(index) {
            Ok(()) => Event::Restarted { name },
            Err(error) => {
                self.plan(index, format!("cannot be started: {error}"), None).unwrap_or(Event::Restarted { name })
            }
        }
    }

    fn ended(&mut self, index: usize, status: io::Result<ExitStatus>) -> Option<Event> {
        let member = self.members.get_mut(index)?;
        if let Some(pid) = member.pid.take() {
            // The file is a help for the next run; that it cannot be written is no reason to stop this one.
            self.children.remove(pid).ok();
        }
        let status = match status {
            Ok(status) => status,
            Err(error) => return self.plan(index, error.to_string(), None),
        };
        if let Some(member) = self.members.get_mut(index).filter(|_| was_killed(status)) {
            // Somebody else's doing, however often: it says nothing about whether the child can live.
            member.quick_deaths = member.quick_deaths.saturating_sub(1);
        }
        self.plan(index, status.to_string(), status.code())
    }

    /// Decides what follows a death.
    fn plan(&mut self, index: usize, how: String, code: Option<i32>) -> Option<Event> {
        let member = self.members.get_mut(index)?;
        member.quick_deaths = if member.started.elapsed() < QUICK { member.quick_deaths + 1 } else { 0 };
        let name = member.program.name();
        let bad_configuration = code == Some(BAD_CONFIGURATION);
        if bad_configuration || member.quick_deaths >= member.patience() {
            member.restart_at = None;
            let (log, tail) = (member.log.path().to_owned(), member.log.tail());
            let kind = member.program.kind();
            return Some(Event::GaveUp(GaveUp { name, kind, how, bad_configuration, log, tail }));
        }
        let step = usize::try_from(member.quick_deaths.saturating_sub(1)).unwrap_or(usize::MAX);
        let again_in = DELAYS.get(step).or(DELAYS.last()).copied().unwrap_or_default();
        member.restart_at = Some(Instant::now() + again_in);
        Some(Event::Died { name, how, again_in })
    }

    /// Asks a child whether it can do its job; `false` while it is down.
    pub(crate) async fn is_ready(&mut self, index: usize) -> bool {
        let Some(member) = self.members.get_mut(index).filter(|member| member.pid.is_some()) else { return false };
        let ready = member.program.ready().await;
        member.was_ready |= ready;
        ready
    }

    /// What runs, in the order of starting, with the process's number where it is up.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&Program, Option<i32>)> {
        self.members.iter().map(|member| (&member.program, member.pid))
    }

    /// Name and the end of the log of one child, for a message about it.
    pub(crate) fn describe(&self, index: usize) -> (String, PathBuf, String) {
        let member = self.members.get(index);
        member.map(|m| (m.program.name(), m.log.path().to_owned(), m.log.tail())).unwrap_or_default()
    }

    /// Stops everything in order and waits for it, each group with a bound; gives the names of what had to be killed.
    pub(crate) async fn stop(&mut self) -> Vec<String> {
        for member in &mut self.members {
            member.restart_at = None;
        }
        let mut ranks: Vec<usize> = self.members.iter().map(|member| member.program.rank()).collect();
        ranks.sort_unstable();
        ranks.dedup();
        let mut killed = Vec::new();
        for rank in ranks {
            self.stop_rank(rank, &mut killed).await;
        }
        killed
    }

    async fn stop_rank(&mut self, rank: usize, killed: &mut Vec<String>) {
        for stage in 0.. {
            let mut limit = Duration::ZERO;
            for member in self.members.iter().filter(|member| member.program.rank() == rank) {
                let step = member.program.kind().ending().get(stage);
                if let (Some(pid), Some((signal, wait))) = (member.pid, step) {
                    process_id::send(pid, *signal).ok();
                    limit = limit.max(*wait);
                    if stage > 0 {
                        killed.push(member.program.name());
                    }
                }
            }
            if limit.is_zero() {
                break;
            }
            // Running out of time is not an error: the next stage is more insistent.
            tokio::time::timeout(limit, self.wait_for(rank)).await.ok();
        }
    }

    async fn wait_for(&mut self, rank: usize) {
        while self.members.iter().any(|member| member.program.rank() == rank && member.pid.is_some()) {
            let Some((index, _)) = self.exits.next().await else { return };
            if let Some(pid) = self.members.get_mut(index).and_then(|member| member.pid.take()) {
                self.children.remove(pid).ok();
            }
        }
    }

    /// Ends everything now, without asking.
    pub(crate) async fn kill(&mut self) {
        for member in &mut self.members {
            member.restart_at = None;
            if let Some(pid) = member.pid {
                process_id::send(pid, member.program.kind().now()).ok();
            }
        }
        let rest = async { while self.exits.next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(5), rest).await.ok();
    }
}

impl Member {
    fn patience(&self) -> u32 {
        if self.was_ready && self.program.kind() != Kind::Role { QUICK_DEATHS_OF_A_SERVER } else { QUICK_DEATHS }
    }
}

/// By an operator, by a test, or by a system that ran out of memory.
fn was_killed(status: ExitStatus) -> bool {
    [Signal::SIGKILL, Signal::SIGTERM].iter().any(|signal| status.signal() == Some(*signal as i32))
}

async fn due(restart: Option<(usize, Instant)>) -> usize {
    match restart {
        Some((index, at)) => {
            tokio::time::sleep_until(at).await;
            index
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
