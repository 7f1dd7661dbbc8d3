//! Puts files where they belong before anybody is told of them.
//!
//! A store never refuses a file for what it is, so whatever fails is tried again; a file that is there already is put
//! again, which changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use runtime::error_chain::Chain;
use runtime::health::Dependency;
use runtime::objects::{ObjectName, Objects};
use tracing::warn;

use crate::metrics::Metrics;

/// Files on their way at once.
const IN_FLIGHT: usize = 8;

/// Where files are put, and who hears of it.
#[derive(Clone, Debug)]
pub struct Files {
    objects: Objects,
    health: Dependency,
    metrics: Arc<Metrics>,
}

impl Files {
    /// A store; `health` is told whether it takes files.
    pub fn new(objects: Objects, health: Dependency, metrics: Arc<Metrics>) -> Self {
        health.ok("no file was refused yet");
        Self { objects, health, metrics }
    }

    /// The start of the URLs of the files.
    pub fn url(&self) -> &str {
        self.objects.url()
    }

    /// Tries once to store all files; those that are left were not stored.
    pub async fn store(&self, of_requests: impl Iterator<Item = &mut Vec<(ObjectName, Bytes)>>) {
        let mut lists: Vec<&mut Vec<(ObjectName, Bytes)>> = of_requests.filter(|files| !files.is_empty()).collect();
        if lists.is_empty() {
            return;
        }
        let all: Vec<(ObjectName, Bytes)> = lists.iter().flat_map(|files| files.iter().cloned()).collect();
        let puts = all.into_iter().map(async |(name, bytes)| {
            let size = bytes.len();
            self.objects.put(&name, bytes).await.map(|()| (name, size))
        });
        let puts: Vec<_> = stream::iter(puts).buffer_unordered(IN_FLIGHT).collect().await;
        let (mut stored, mut failed, mut first) = (Vec::new(), 0_u64, None);
        for put in puts {
            match put {
                Ok((name, size)) => {
                    self.metrics.files.increment(1);
                    self.metrics.file_bytes.increment(size as u64);
                    stored.push(name);
                }
                Err(error) => {
                    failed += 1;
                    first.get_or_insert(error);
                }
            }
        }
        for files in &mut lists {
            files.retain(|(name, _)| !stored.contains(name));
        }
        match first {
            None => self.health.ok("files are stored"),
            Some(error) => {
                self.metrics.failed_files.increment(failed);
                self.health.failed(error.to_string());
                warn!(files = failed, error = %Chain(&error), "files cannot be stored now; trying again");
            }
        }
    }
}
