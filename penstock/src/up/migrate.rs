//! `up`'s step that brings the database's tables up to date.

use super::site::{Site, StepError};

/// Applies what is missing on `site.postgres_url`; gives a short account for the user. Running it again changes nothing.
pub(crate) async fn migrate(site: &Site) -> Result<String, StepError> {
    persister::migrate(&site.configuration()?).await.map_err(StepError::failed)?;
    Ok("tables are up to date".to_owned())
}
