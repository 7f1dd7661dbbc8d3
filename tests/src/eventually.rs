//! Waiting for something that can be asked, instead of sleeping.

use std::fmt::Display;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Asks again until the answer is `Ok`, and gives it. Past the deadline the test fails with what was awaited and the
/// last reason why it was not so.
pub async fn eventually<T, E: Display>(within: Duration, what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) if begun.elapsed() > within => panic!("{what}: not within {within:?}: {reason}"),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// For the closures above: `Ok` where the claim holds, the reason otherwise.
pub fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason()) }
}
