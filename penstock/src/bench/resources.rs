//! What each process used: CPU seconds and peak memory, from `/proc`. Elsewhere there are no figures, and none are
//! made up.
//!
//! A process counts with its children, those that have ended included: PostgreSQL has one for each connection. Memory of
//! one process is the kernel's own peak; of several it is the highest sum that was sampled, with what they share (the
//! buffers, the program) counted once.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// `USER_HZ`, which is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: u32 = 100;

/// Who is watched: name and processes.
pub(crate) type Groups = Vec<(String, Vec<i32>)>;

/// What one group used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Since the processes began.
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) memory: u64,
}

/// The processes of a run, and the most memory that was seen.
#[derive(Debug)]
pub(crate) struct Observer {
    groups: Groups,
    peaks: BTreeMap<String, u64>,
}

impl Observer {
    pub(crate) fn new(groups: Groups) -> Self {
        Self { groups, peaks: BTreeMap::new() }
    }

    /// Each group's usage now; `None` where a process is gone or cannot be looked at.
    pub(crate) fn sample(&mut self) -> Vec<(String, Option<Usage>)> {
        let children = children();
        let mut samples = Vec::new();
        for (name, pids) in &self.groups {
            let usage = usage(pids, &children).map(|now| {
                let peak = self.peaks.entry(name.clone()).or_default();
                *peak = (*peak).max(now.memory);
                Usage { memory: *peak, ..now }
            });
            samples.push((name.clone(), usage));
        }
        samples
    }
}

fn usage(pids: &[i32], children: &BTreeMap<i32, Vec<i32>>) -> Option<Usage> {
    let mut all: Vec<i32> = pids.to_vec();
    for pid in pids {
        stat(*pid)?;
        all.extend(children.get(pid).into_iter().flatten());
    }
    // A child can end between the listing and here.
    let stats: Vec<(Stat, Memory)> = all.iter().filter_map(|pid| Some((stat(*pid)?, memory(*pid)?))).collect();
    let ticks: u64 = stats.iter().map(|(stat, _)| stat.ticks).sum();
    let memory = match stats.as_slice() {
        [(_, one)] => one.peak,
        several => {
            let shared = several.iter().map(|(_, memory)| memory.shared).max().unwrap_or_default();
            several.iter().map(|(_, memory)| memory.own).sum::<u64>() + shared
        }
    };
    Some(Usage { cpu: Duration::from_millis(ticks * 1000 / u64::from(TICKS_PER_SECOND)), memory })
}

/// Every process's children.
fn children() -> BTreeMap<i32, Vec<i32>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return children };
    for pid in entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()) {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    children
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: i32,
    /// User and system, and those of children that have ended.
    ticks: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name is in brackets and may hold anything, brackets too; what follows the last one is numbers.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Memory {
    peak: u64,
    own: u64,
    shared: u64,
}

fn memory(pid: i32) -> Option<Memory> {
    parse_memory(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn parse_memory(text: &str) -> Option<Memory> {
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    };
    Some(Memory {
        peak: kilobytes("VmHWM")?,
        own: kilobytes("RssAnon")?,
        shared: kilobytes("RssFile")? + kilobytes("RssShmem")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let text = "42 (a) b) c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 500 1 2";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, ticks: 124 }));
        assert_eq!(parse_stat("42 (x) S 7"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let text = "Name:\tnats\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\nRssAnon:\t 512 kB\nRssFile:\t 256 kB\nRssShmem:\t 0 kB\n";
        assert_eq!(parse_memory(text), Some(Memory { peak: 2 << 20, own: 512 << 10, shared: 256 << 10 }));
        assert_eq!(parse_memory("Name:\tkthreadd\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_can_be_looked_at_and_one_that_is_gone_cannot() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut observer = Observer::new(vec![("own".into(), vec![own]), ("gone".into(), vec![i32::MAX])]);
        let samples = observer.sample();
        assert!(samples[0].1.unwrap().memory > 1 << 20);
        assert_eq!(samples[1].1, None);
    }
}
