//! Where the servers' programs are. `penstock up` knows how to find and fetch them, so it is asked: one is started with
//! nothing but the servers, and what it runs is looked up by process number.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use crate::up::Up;

/// What was found.
#[derive(Debug)]
pub struct Found {
    up: Up,
    /// The program.
    pub nats_server: PathBuf,
    /// The folder with `postgres` and `initdb`.
    pub postgres: PathBuf,
    /// User and group that PostgreSQL has to run as, where that is not us.
    pub account: Option<(u32, u32)>,
}

impl Found {
    /// A PostgreSQL that runs until the test process ends, with credentials.
    pub fn postgres_url(&self) -> String {
        self.up.run().expect("penstock up still runs").postgres_url
    }
}

/// Finds them, once in a process; fetches what is not there.
pub async fn found() -> &'static Found {
    static FOUND: OnceCell<Found> = OnceCell::const_new();
    FOUND
        .get_or_init(|| async {
            let up = Up::start(None, &[]).await;
            let pids = up.run().expect("penstock up has written run.json").pids;
            let (nats, postgres) = (pids.nats.expect("a nats-server"), pids.postgres.expect("a PostgreSQL"));
            let programs = program(postgres).parent().map(Path::to_owned);
            Found {
                up,
                nats_server: program(nats),
                postgres: programs.expect("a program is in a folder"),
                account: account(postgres),
            }
        })
        .await
}

fn program(pid: i32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).expect("a process of ours says which program it is")
}

fn account(pid: i32) -> Option<(u32, u32)> {
    let owner = |pid: &str| {
        let metadata = std::fs::metadata(format!("/proc/{pid}")).expect("a process has an owner");
        (metadata.uid(), metadata.gid())
    };
    let theirs = owner(&pid.to_string());
    (theirs.0 != owner("self").0).then_some(theirs)
}
