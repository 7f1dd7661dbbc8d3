//! Where the database's files are.
//!
//! Usually in the data folder. As root they belong to another account, and that account may be unable to reach them: a
//! clone in root's home, or in a temporary folder that only root may enter. Then they go to a place of their own, which is
//! remembered in the data folder (`postgres-data`), so that the next start and `--fresh` find it. Its name is drawn, not
//! made from the path: a data folder that was moved keeps its database, and a new one in the old place gets its own.

use std::io;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::files;

/// Where to put what the account cannot reach; `/var/tmp` where a system forbids the first.
const ELSEWHERE: [&str; 2] = ["/var/lib/penstock", "/var/tmp/penstock"];
const POINTER: &str = "postgres-data";

/// The folder for PostgreSQL's files, made and given to the account. Whether it is outside `data` is for the user to know.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) elsewhere: bool,
}

/// Decides where the files are, once; later calls find the same place.
pub(crate) async fn place(data: &Path, account: Option<&Account>) -> io::Result<Place> {
    let inside = data.join("postgres");
    let Some(account) = account else {
        files::make_dir(&inside, 0o700)?;
        return Ok(Place { folder: inside, elsewhere: false });
    };
    if let Some(folder) = remembered(data)? {
        make_for(account, &folder)?;
        return Ok(Place { folder, elsewhere: true });
    }
    if account.can_enter(data).await {
        make_for(account, &inside)?;
        return Ok(Place { folder: inside, elsewhere: false });
    }
    let folder = somewhere_else(account)?;
    files::write(&data.join(POINTER), folder.as_os_str().as_encoded_bytes(), 0o600)?;
    Ok(Place { folder, elsewhere: true })
}

/// Where an earlier run has put the files; says nothing about whether they are there.
pub(crate) fn existing(data: &Path) -> io::Result<PathBuf> {
    Ok(remembered(data)?.unwrap_or_else(|| data.join("postgres")))
}

/// Removes the database, wherever it is.
pub(crate) fn forget(data: &Path) -> io::Result<()> {
    if let Some(folder) = remembered(data)? {
        files::remove(&folder)?;
    }
    files::remove(&data.join(POINTER))?;
    files::remove(&data.join("postgres"))
}

fn remembered(data: &Path) -> io::Result<Option<PathBuf>> {
    match std::fs::read_to_string(data.join(POINTER)) {
        // `forget` removes this folder, so only one that we can have made is believed.
        Ok(text) if ELSEWHERE.iter().any(|parent| Path::new(&text).parent() == Some(Path::new(parent))) => {
            Ok(Some(text.into()))
        }
        Ok(text) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{POINTER} names {text}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn somewhere_else(account: &Account) -> io::Result<PathBuf> {
    let name = uuid::Uuid::new_v4().simple().to_string();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for parent in ELSEWHERE {
        let folder = Path::new(parent).join(&name);
        match files::make_dir(Path::new(parent), 0o755).and_then(|()| make_for(account, &folder)) {
            Ok(()) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn make_for(account: &Account, folder: &Path) -> io::Result<()> {
    files::make_dir(folder, 0o700)?;
    account.own(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_ordinary_user_has_everything_in_one_folder() {
        let data = tempfile::tempdir().unwrap();
        let place = place(data.path(), None).await.unwrap();
        assert_eq!((place.folder, place.elsewhere), (data.path().join("postgres"), false));
        forget(data.path()).unwrap();
        assert!(!data.path().join("postgres").exists());
    }

    #[test]
    fn a_pointer_to_a_folder_that_is_not_ours_is_not_followed() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join(POINTER), "/home/somebody").unwrap();
        assert!(forget(data.path()).is_err());
        std::fs::write(data.path().join(POINTER), "/var/lib/penstock/../x").unwrap();
        assert!(forget(data.path()).is_err());
    }
}
