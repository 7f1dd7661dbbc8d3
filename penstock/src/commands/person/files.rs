//! The files of somebody in the attachment store: deleted where nobody else refers to them.
//!
//! What a reader would get wrong: a file is named by its content, so somebody else's record can come to need the very one
//! that is being deleted. The tables are asked again behind it, while the rows are still there by which a next run would.

use persister::erasure::{FileName, PersonsRow};
use runtime::objects::{ObjectName, Objects};

use super::receipt::Receipt;
use super::{Stores, wait};
use crate::commands::error::CommandError;
use crate::commands::out;

/// The files that rows refer to.
pub(super) struct Files {
    /// Theirs alone.
    pub(super) own: Vec<FileName>,
    /// Those that other rows refer to as well.
    shared: Vec<FileName>,
}

impl Files {
    pub(super) async fn of(stores: &Stores, rows: &[PersonsRow]) -> Result<Self, CommandError> {
        let own = stores.tables.files(rows).await?;
        let mut shared = stores.tables.all_files(rows).await?;
        shared.retain(|file| !own.contains(file));
        Ok(Self { own, shared })
    }

    /// Deletes their own. One that is not there was deleted by an earlier run, or is in another store: it is named.
    pub(super) async fn delete(&self, store: &Objects, receipt: &mut Receipt) -> Result<(), CommandError> {
        for file in &self.own {
            let Some(name) = object_name(file) else { continue };
            if store.has(&name).await? {
                store.delete(&name.month, vec![name.hash]).await?;
                receipt.erased("files", 1);
            } else {
                receipt.absent_files.insert(format!("{}/{}", file.month, file.blake3));
            }
        }
        Ok(())
    }

    /// Names the requests that need a file which is gone: it was stored again for somebody else's record just before it was
    /// deleted, and that record became a row since, also if it was an earlier run that deleted it.
    pub(super) async fn look_for_whoever_needs(
        &self,
        stores: &Stores,
        store: &Objects,
        rows: &[PersonsRow],
        patience: std::time::Duration,
        receipt: &mut Receipt,
    ) -> Result<(), CommandError> {
        let mut gone = self.own.clone();
        for file in &self.shared {
            let Some(name) = object_name(file) else { continue };
            if !store.has(&name).await? {
                gone.push(file.clone());
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        if !wait::for_everything(&stores.nats, patience).await? {
            out::note(
                "a stage stands still: whether somebody else needs a file that was deleted is not known yet, so his rows stay, \
                 which name the files; run this again",
            );
            receipt.unsure = true;
        }
        receipt.replay = stores.tables.referring(&gone, rows).await?.into_iter().collect();
        Ok(())
    }
}

/// A row of ours names its file by a hash; anything else is no file of the store.
pub(super) fn object_name(file: &FileName) -> Option<ObjectName> {
    let hash = blake3::Hash::from_hex(&file.blake3).ok()?;
    Some(ObjectName { month: file.month.clone(), hash })
}
