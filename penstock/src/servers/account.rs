//! The account that PostgreSQL runs as: it refuses to run as root.
//!
//! As an ordinary user there is nothing to choose. As root it is `postgres` where that exists, else `nobody`. What that
//! account may enter is asked of the system by trying, as that account: mode bits alone say nothing of ACLs, mounts or
//! security modules.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{User, geteuid};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(10);

/// Somebody to run a program as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// No account to run PostgreSQL as.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// Neither `postgres` nor `nobody` is known here.
    #[error(
        "PostgreSQL does not run as root, and there is no account `postgres` or `nobody`: make one, or run as an ordinary user"
    )]
    None,
    /// The account exists and cannot be used (a container that maps only one user).
    #[error(
        "PostgreSQL does not run as root, and this process cannot start one as `{0}`: run as an ordinary user, or give `postgres.url`"
    )]
    Unusable(String),
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Whom to run PostgreSQL as; `None` means as ourselves.
pub(crate) async fn for_postgres() -> Result<Option<Account>, AccountError> {
    if !is_root() {
        return Ok(None);
    }
    let account = ["postgres", "nobody"].into_iter().find_map(look_up).ok_or(AccountError::None)?;
    if account.can_enter(Path::new("/")).await { Ok(Some(account)) } else { Err(AccountError::Unusable(account.name)) }
}

fn look_up(name: &str) -> Option<Account> {
    let user = User::from_name(name).ok().flatten().filter(|user| !user.uid.is_root())?;
    Some(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

impl Account {
    /// Makes `command` run as this account, without root's supplementary groups (the standard library clears them).
    pub(crate) fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or an empty folder to this account.
    pub(crate) fn own(&self, path: &Path) -> std::io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }

    /// Whether this account can reach `folder` through all the folders above it.
    pub(crate) async fn can_enter(&self, folder: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "cd \"$1\"", "sh"]).arg(folder).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.apply(&mut command);
        let finished = tokio::time::timeout(LIMIT, command.status()).await;
        finished.is_ok_and(|status| status.is_ok_and(|status| status.success()))
    }
}
