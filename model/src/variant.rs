//! The protocol with one piece of its safety taken out. Each is a mistake that somebody could make, and that the
//! checker has to find: a checker that finds none of these would prove nothing.

/// A broken protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// A worker whose claim is refused believes the claim and drops its message.
    RefusedIsDropped,
    /// A dedup worker acknowledges first and publishes then.
    AcknowledgedBeforePublish,
    /// The claim is made first, in a place of its own, and the message published then; who finds its own claim takes
    /// its message for published.
    ClaimedBeforePublish,
    /// The broker is told the key in place of the record's id, and its `duplicate: true` is taken for "stored".
    IdIsTheKey,
    /// The replay of a record has the id for the broker's memory that the record had.
    IdWithoutRun,
    /// Short windows: a worker looks whether the window before has a claim, and then claims its own. What is in
    /// `UNIQUE` becomes a row unjudged.
    LooksBackInsteadOfJudging,
    /// What is in `UNIQUE` becomes a row unjudged, though its claim may have been trimmed before.
    ClaimsAreTrusted,
    /// A persister acknowledges first and commits then.
    AcknowledgedBeforeCommit,
    /// Judging and writing are two transactions, so the key is not locked from one to the other.
    KeyIsNotLocked,
    /// Who takes a key over leaves nothing in `past_keys`, and neither does an older record.
    PastWindowsAreForgotten,
    /// The window has an end and no beginning: what is older than the holder repeats it, however old it is.
    WindowHasNoBeginning,
    /// A row is corrected by any replay, not only by a newer one.
    AnyReplayCorrects,
    /// An erasure deletes the key with the row.
    ErasureForgetsTheKey,
    /// An erasure deletes the row and says nowhere that it has been.
    ErasureLeavesNoEntry,
    /// Trimming counts what was delivered as processed.
    DeliveredIsTrimmed,
}
