//! Whose fault a database error is: pure. The database's: everybody waits. A missing month's: it is made. Otherwise it
//! may be a row's, which is found by bisecting, and confirmed by the database taking another row.

use sqlx::Error;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The database cannot take anything now, or not this way: try all of it again later.
    Wait,
    /// A row's month has no partition: make it and try again.
    MakePartition,
    /// A row may be at fault: try the halves.
    Split,
}

/// Judges an error of a statement.
pub fn verdict(error: &Error) -> Verdict {
    match error {
        Error::Database(error) => error.code().map_or(Verdict::Split, |state| by_sqlstate(&state, error.constraint())),
        Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } | Error::InvalidArgument(_) => Verdict::Split,
        _ => Verdict::Wait,
    }
}

/// 23514 is a missing partition only where no constraint is named; with one it is a check that the row fails.
fn by_sqlstate(state: &str, constraint: Option<&str>) -> Verdict {
    match state {
        "23514" if constraint.is_none() => Verdict::MakePartition,
        // Connection; transaction state (read-only among them); rollback (deadlock, serialization); schema or rights;
        // resources; object in use; operator (shutdown, cancelled statement); system.
        _ if ["08", "25", "40", "42", "53", "55", "57", "58"].iter().any(|class| state.starts_with(class)) => {
            Verdict::Wait
        }
        _ => Verdict::Split,
    }
}

/// The SQLSTATE of an error that the database reported: safe to log and to store, unlike its text, which may quote
/// the row.
pub fn sqlstate(error: &Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_own_troubles_are_never_a_rows_fault() {
        for state in
            ["08006", "25006", "40001", "40P01", "42P01", "42501", "53100", "53300", "55P03", "57014", "57P01", "58030"]
        {
            assert_eq!(by_sqlstate(state, None), Verdict::Wait, "{state}");
        }
        assert_eq!(verdict(&Error::PoolTimedOut), Verdict::Wait);
        assert_eq!(verdict(&Error::Io(std::io::ErrorKind::ConnectionReset.into())), Verdict::Wait);
    }

    #[test]
    fn what_a_row_can_cause_is_bisected() {
        for state in ["21000", "22021", "22P05", "22P02", "22003", "22001", "23502", "54000", "P0001", "XX000"] {
            assert_eq!(by_sqlstate(state, None), Verdict::Split, "{state}");
        }
    }

    #[test]
    fn a_missing_month_is_told_from_a_failed_check() {
        assert_eq!(by_sqlstate("23514", None), Verdict::MakePartition);
        assert_eq!(by_sqlstate("23514", Some("a_check")), Verdict::Split);
    }
}
