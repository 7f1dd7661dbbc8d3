//! `up`'s step that makes the streams and consumers.

use std::time::Duration;

use runtime::health::Health;
use runtime::nats::Nats;

use super::site::{Site, StepError};

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Makes and updates the streams and consumers on `site.nats_url`; gives a short account for the user. Running it again
/// changes nothing.
pub(crate) async fn provision(site: &Site) -> Result<String, StepError> {
    let config = site.configuration()?;
    let health = Health::default().dependency("nats");
    let nats = Nats::connect(&config.nats, "admin", TIMEOUT, health).await.map_err(StepError::failed)?;
    let done = nats.provision(&config).await.map_err(StepError::failed)?;
    Ok(match (done.made, done.updated) {
        (0, 0) => "streams and consumers are as they should be".to_owned(),
        (made, 0) => format!("{made} streams and consumers made"),
        (made, updated) => format!("{made} streams and consumers made, {updated} brought up to date"),
    })
}
