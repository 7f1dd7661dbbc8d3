//! Files in a folder or a bucket, named by month and BLAKE3: `{YYYY-MM}/{hash}`.
//!
//! A name says what is in the file, so putting one again changes nothing, and two messages with the same file in one
//! month share it. Whoever refers to a file puts it first; once [`Objects::put`] has returned, it is on disk.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use secrecy::ExposeSecret as _;

use crate::config::Attachments;

/// Longest wait for a connection, and for an answer once the file is on its way.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_mins(1);
/// The store is asked again this often before a failure is told.
const RETRIES: usize = 2;
const RETRYING: Duration = Duration::from_secs(10);
/// Region where neither the configuration nor the environment names one.
const REGION: &str = "us-east-1";

/// Why something could not be done with a file. All of it may pass: a file itself is never refused.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// The folder cannot be made or used.
    #[error("could not use the folder {folder} of attachments.store: may this user write there?")]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The settings make no store.
    #[error("could not make sense of [attachments]")]
    Settings(#[source] object_store::Error),
    /// A file was not stored, or it is not known that it was.
    #[error("could not store the file {name}: is attachments.store there, and may this process write to it?")]
    Put {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// A file could not be read.
    #[error("could not read the file {name}")]
    Get {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The files there are could not be listed or deleted.
    #[error("could not clear away the files of {month}")]
    Clear {
        /// Of which month, or `*`.
        month: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

/// A file's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// `YYYY-MM`.
    pub month: String,
    /// BLAKE3 of its bytes.
    pub hash: blake3::Hash,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.month, self.hash.to_hex())
    }
}

/// The files. Clones share one client.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    url: Arc<str>,
    /// Where it is a folder.
    folder: Option<Arc<std::path::Path>>,
}

impl Objects {
    /// The store that is configured, if any. A folder is made; a bucket is not looked at before it is needed, because a
    /// bucket that is away now is not an error yet.
    pub fn open(config: &Attachments) -> Result<Option<Self>, ObjectsError> {
        let Some(url) = &config.store else { return Ok(None) };
        let folder = url.strip_prefix("file://").map(std::path::Path::new);
        let store = match folder {
            Some(folder) => Self::folder(folder)?,
            None => Self::bucket(url.strip_prefix("s3://").unwrap_or(url), config)?,
        };
        Ok(Some(Self { store, url: url.trim_end_matches('/').into(), folder: folder.map(Into::into) }))
    }

    /// Where the files are: a URL to which `/` and an [`ObjectName`] are added.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn folder(folder: &std::path::Path) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
        std::fs::create_dir_all(folder).map_err(|source| ObjectsError::Folder { folder: folder.to_owned(), source })?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(ObjectsError::Settings)?;
        Ok(Arc::new(store.with_fsync(true).with_automatic_cleanup(true)))
    }

    fn bucket(place: &str, config: &Attachments) -> Result<Arc<dyn ObjectStore>, ObjectsError> {
        // The client asks for the process' own: there is only this one.
        let installed = rustls::crypto::ring::default_provider().install_default();
        if installed.is_err() {
            tracing::debug!("another part of the process has chosen the TLS provider");
        }
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(ANSWER))
            .with_retry(RetryConfig { max_retries: RETRIES, retry_timeout: RETRYING, ..RetryConfig::default() });
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &config.region {
            builder = builder.with_region(region);
        }
        if let (Some(id), Some(secret)) = (&config.access_key_id, &config.secret_access_key) {
            builder = builder.with_access_key_id(id.expose_secret()).with_secret_access_key(secret.expose_secret());
        }
        if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
            builder = builder.with_region(REGION);
        }
        // Whoever writes `http://` means it.
        let plain =
            builder.get_config_value(&AmazonS3ConfigKey::Endpoint).is_some_and(|url| url.starts_with("http://"));
        let store = builder.with_allow_http(plain).build().map_err(ObjectsError::Settings)?;
        Ok(if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, Path::from(prefix))) })
    }

    /// Stores a file. It may be there already.
    pub async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), ObjectsError> {
        let put = self.store.put(&path(name), bytes.into()).await;
        put.map(drop).map_err(|source| ObjectsError::Put { name: name.to_string(), source })
    }

    /// Reads a file; `None` where there is none of this name.
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Bytes>, ObjectsError> {
        let failed = |source| ObjectsError::Get { name: name.to_string(), source };
        match self.store.get(&path(name)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether there is a file of this name.
    pub async fn has(&self, name: &ObjectName) -> Result<bool, ObjectsError> {
        match self.store.head(&path(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(ObjectsError::Get { name: name.to_string(), source }),
        }
    }

    /// The months of which there are files.
    pub async fn months(&self) -> Result<Vec<String>, ObjectsError> {
        let listed = self.store.list_with_delimiter(None).await;
        let listed = listed.map_err(|source| ObjectsError::Clear { month: "*".into(), source })?;
        Ok(listed.common_prefixes.iter().filter_map(|prefix| prefix.filename().map(str::to_owned)).collect())
    }

    /// The files of a month that were last stored before a moment (milliseconds since 1970), by the store's clock, in no
    /// order. One that is stored again while they are read may be among them.
    pub fn stored_before(&self, month: &str, moment: i64) -> BoxStream<'static, Result<blake3::Hash, ObjectsError>> {
        let month = month.to_owned();
        let listed = self.store.list(Some(&Path::from(month.as_str())));
        let named = move |file: object_store::ObjectMeta| {
            let hash = blake3::Hash::from_hex(file.location.filename()?).ok()?;
            let name = ObjectName { month: month.clone(), hash };
            (file.last_modified.timestamp_millis() < moment && path(&name) == file.location).then_some(name)
        };
        listed
            .map_err(|source| ObjectsError::Clear { month: "*".into(), source })
            .try_filter_map(move |file| std::future::ready(Ok(named(file).map(|name| name.hash))))
            .boxed()
    }

    /// Deletes files of a month; says how many were there. One that cannot be deleted does not keep the others.
    pub async fn delete(&self, month: &str, files: Vec<blake3::Hash>) -> Result<u64, ObjectsError> {
        let month = month.to_owned();
        let names = files.into_iter().map(|hash| path(&ObjectName { month: month.clone(), hash }));
        let names: Vec<_> = names.map(Ok).collect();
        self.delete_all(&month, futures::stream::iter(names).boxed()).await
    }

    async fn delete_all(
        &self,
        month: &str,
        names: BoxStream<'static, object_store::Result<Path>>,
    ) -> Result<u64, ObjectsError> {
        let mut deleted = self.store.delete_stream(names);
        let (mut count, mut failed) = (0, None);
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) => count += 1,
                // Somebody else was faster.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => drop(failed.get_or_insert(source)),
            }
        }
        let failed = failed.map(|source| ObjectsError::Clear { month: month.to_owned(), source });
        failed.map_or(Ok(count), Err)
    }

    /// Deletes files of a month, at most `most`; says how many. Fewer than `most`: there are no more. What is not named as a
    /// file is here is somebody else's, and stays.
    pub async fn delete_month(&self, month: &str, most: usize) -> Result<u64, ObjectsError> {
        let files = self.store.list(Some(&Path::from(month))).map_ok(|file| file.location);
        let names = files.try_filter(|path| std::future::ready(is_ours(path))).take(most).boxed();
        let count = self.delete_all(month, names).await?;
        if let Some(folder) = self.folder.as_ref().filter(|_| count < most as u64) {
            remove_unfinished(&folder.join(month)).await;
        }
        Ok(count)
    }
}

/// Removes what a process left that was killed while it wrote a file: the library writes to `{hash}#{number}` first, and does
/// not list that. Then the folder, if nothing of anybody's is left in it. What cannot be removed is tried again when the
/// month is looked at again.
async fn remove_unfinished(month: &std::path::Path) {
    let Ok(mut entries) = tokio::fs::read_dir(month).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let name = entry.file_name();
        let unfinished = name.to_str().and_then(|name| name.split_once('#'));
        if unfinished.is_some_and(|(hash, _)| blake3::Hash::from_hex(hash).is_ok())
            && let Err(error) = tokio::fs::remove_file(entry.path()).await
        {
            tracing::warn!(%error, "a file that was never finished cannot be removed");
        }
    }
    if let Err(error) = tokio::fs::remove_dir(month).await {
        tracing::debug!(%error, "the folder of a month stays");
    }
}

/// Whether a file has the name of one that was put: its hash.
fn is_ours(path: &Path) -> bool {
    path.filename().is_some_and(|name| blake3::Hash::from_hex(name).is_ok())
}

fn path(name: &ObjectName) -> Path {
    Path::from(name.to_string())
}
