//! The largest resident memory of processes while something happens, against what is stated for each role.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests::child::resident;
use tests::memory::bound;
use tests::{Pipeline, Role};
use tokio::task::JoinSet;
use tokio::time::sleep;

const LOOK: Duration = Duration::from_millis(100);
const MIB: u64 = 1024 * 1024;

/// Processes that are being watched.
pub(crate) struct Memory {
    stop: Arc<AtomicBool>,
    most: JoinSet<BTreeMap<Role, u64>>,
}

impl Memory {
    /// Watches every role of a pipeline that is run by hand.
    pub(crate) fn watch(pipeline: &mut Pipeline) -> Self {
        let pids: Vec<(Role, i32)> =
            pipeline.role_list().iter_mut().map(|process| (process.role, process.child().pid())).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut watcher = JoinSet::new();
        watcher.spawn(async move {
            let mut most: BTreeMap<Role, u64> = BTreeMap::new();
            while !stopped.load(Ordering::Relaxed) {
                for (role, pid) in &pids {
                    let now = resident(*pid);
                    most.entry(*role).and_modify(|most| *most = now.max(*most)).or_insert(now);
                }
                sleep(LOOK).await;
            }
            most
        });
        Self { stop, most: watcher }
    }

    /// The largest of each, in words. Panics where one was above what is stated.
    pub(crate) async fn within_bounds(mut self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let most = self.most.join_next().await.expect("there is one").expect("the watcher does not fail");
        let words: Vec<String> = most
            .iter()
            .map(|(role, bytes)| format!("{} {} of {} MiB", role.name(), bytes / MIB, bound(*role) / MIB))
            .collect();
        let words = words.join(", ");
        for (role, bytes) in most {
            assert!(bytes > 0, "the memory of the {} cannot be read", role.name());
            assert!(bytes <= bound(role), "above what is stated: {words}");
        }
        words
    }
}
