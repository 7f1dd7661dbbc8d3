//! What becomes of a request once its signature has been looked at.
//!
//! A wrong signature may be our fault: a secret that was changed on one side only. So it is never 403, where some
//! providers give up for good, and it is put aside where the provider would not send it again.

use proto::Verified;
use providers::{Flaw, OverLimit, Verdict, Verify};

use crate::limits::{Over, Pressure};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It goes to `RAW`, with this verdict.
    Store(Verified),
    /// It goes to `HELD`; 401 where that has no room.
    Hold(Flaw),
    /// 401.
    Unauthorized(Flaw),
    /// 429: its address fails too often.
    TooManyFailures(Over),
}

/// Decides from the verdict. `failure` takes one from the budget of failed authentications of the request's address,
/// and is called only for a request that may be refused: a good signature from a shared address always passes.
pub fn admit(
    verdict: Verdict,
    verify: Verify,
    fits_a_message: bool,
    failure: impl FnOnce() -> Result<(), Over>,
) -> Admission {
    let Verdict::Wrong(flaw) = verdict else { return Admission::Store(verdict.verified()) };
    // Which of the two messages is the real one is not known, and a retry that was written anew looks the same: it is
    // kept, and not believed.
    if flaw == Flaw::Reused {
        return Admission::Store(Verified::No);
    }
    if flaw == Flaw::Unasked && verify != Verify::Observe {
        // No guess at a secret: its sender shows what it has once it hears this, and holding would be the wrong answer.
        return Admission::Unauthorized(flaw);
    }
    match (verify, failure_unless_observed(verify, failure)) {
        (Verify::Observe, _) => Admission::Store(Verified::No),
        (Verify::Hold, Ok(())) if fits_a_message => Admission::Hold(flaw),
        (Verify::Hold, _) | (Verify::Enforce, Ok(())) => Admission::Unauthorized(flaw),
        (Verify::Enforce, Err(over)) => Admission::TooManyFailures(over),
    }
}

fn failure_unless_observed(verify: Verify, failure: impl FnOnce() -> Result<(), Over>) -> Result<(), Over> {
    if verify == Verify::Observe { Ok(()) } else { failure() }
}

/// Whether a source under this pressure takes one more.
pub fn within_limit(pressure: Pressure, over_limit: OverLimit) -> Result<(), Over> {
    match (pressure, over_limit) {
        (Pressure::Within, _) | (Pressure::Over(_), OverLimit::Accept) => Ok(()),
        (Pressure::Over(over), OverLimit::Reject) | (Pressure::FarOver(over), _) => Err(over),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OVER: Over = Over { policy: "auth", quota: 10, window_s: 60, wait: Duration::from_secs(6) };
    const WRONG: Verdict = Verdict::Wrong(Flaw::Mismatch);

    #[test]
    fn every_verdict_has_its_ending() {
        use Admission::{Hold, Store, TooManyFailures, Unauthorized};
        let flaw = Flaw::Mismatch;
        let table = [
            // verdict, mode, fits a message, address within its limit
            (WRONG, Verify::Enforce, true, true, Unauthorized(flaw)),
            (WRONG, Verify::Enforce, true, false, TooManyFailures(OVER)),
            (WRONG, Verify::Observe, true, true, Store(Verified::No)),
            (WRONG, Verify::Observe, false, false, Store(Verified::No)),
            (WRONG, Verify::Hold, true, true, Hold(flaw)),
            (WRONG, Verify::Hold, false, true, Unauthorized(flaw)),
            (WRONG, Verify::Hold, true, false, Unauthorized(flaw)),
        ];
        for (verdict, verify, fits, within, expected) in table {
            let failure = || if within { Ok(()) } else { Err(OVER) };
            assert_eq!(admit(verdict, verify, fits, failure), expected, "{verify:?} {fits} {within}");
        }
    }

    #[test]
    fn what_came_with_a_used_signature_is_kept_unverified_and_never_answered_with_an_error() {
        for verify in [Verify::Enforce, Verify::Observe, Verify::Hold] {
            let admission = admit(Verdict::Wrong(Flaw::Reused), verify, false, || panic!("the address was charged"));
            assert_eq!(admission, Admission::Store(Verified::No));
        }
    }

    #[test]
    fn who_has_to_be_asked_is_asked_and_it_costs_its_address_nothing() {
        let unasked = Verdict::Wrong(Flaw::Unasked);
        for verify in [Verify::Enforce, Verify::Hold] {
            let admission = admit(unasked, verify, true, || panic!("the address was charged"));
            assert_eq!(admission, Admission::Unauthorized(Flaw::Unasked));
        }
        let admission = admit(unasked, Verify::Observe, true, || panic!("the address was charged"));
        assert_eq!(admission, Admission::Store(Verified::No));
    }

    #[test]
    fn a_good_signature_passes_and_costs_its_address_nothing() {
        for (verdict, verified) in
            [(Verdict::Fits { secret: 1 }, Verified::Yes), (Verdict::NothingToVerify, Verified::None)]
        {
            for verify in [Verify::Enforce, Verify::Observe, Verify::Hold] {
                let admission = admit(verdict, verify, false, || panic!("the address was charged"));
                assert_eq!(admission, Admission::Store(verified));
            }
        }
    }

    #[test]
    fn a_source_that_accepts_over_its_limit_does_so_up_to_ten_times() {
        assert!(within_limit(Pressure::Within, OverLimit::Reject).is_ok());
        assert!(within_limit(Pressure::Over(OVER), OverLimit::Reject).is_err());
        assert!(within_limit(Pressure::Over(OVER), OverLimit::Accept).is_ok());
        assert!(within_limit(Pressure::FarOver(OVER), OverLimit::Accept).is_err());
    }
}
