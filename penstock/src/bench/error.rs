//! Why a benchmark could not be run. That it ran and found a message missing is no error but its result.

use providers::KeyringError;

use crate::commands::error::CommandError;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// Nothing says where the gateway is.
    #[error("nothing says where the gateway is")]
    NoGateway,
    /// The gateway's URL.
    #[error("{0} is not an address that can be driven: http://host:port is needed")]
    Gateway(String),
    /// `--source`.
    #[error("there is no source {0} in the configuration")]
    NoSource(String),
    /// No source can be played.
    #[error("no source of the configuration can be played; a webhook with provider standard, for example, can")]
    NothingToPlay,
    /// The named source cannot be played.
    #[error("requests of {provider} ({channel}) cannot be made; webhooks, generic forms, twilio and meta can")]
    Unplayable { channel: String, provider: String },
    /// The source's secrets.
    #[error("the source's secrets cannot be used")]
    Secrets(#[source] KeyringError),
    /// The source holds a public key, or nothing.
    #[error("the source's secrets cannot sign: a shared secret or a private key is needed")]
    CannotSign,
    /// This machine's clock.
    #[error("this machine's clock is out of range")]
    Clock,
    /// The source's path or query.
    #[error("the source's URL cannot be built")]
    Uri(#[source] http::uri::InvalidUri),
    /// The gateway's address as a header.
    #[error("the gateway's address cannot be a header")]
    Header(#[source] http::header::InvalidHeaderValue),
    /// A request.
    #[error("a request cannot be built")]
    Request(#[source] http::Error),
    /// No connection, before anything was sent.
    #[error("nobody listens on {address}: is the gateway running?")]
    Connect {
        address: String,
        #[source]
        source: std::io::Error,
    },
    /// A thread of the load generator.
    #[error("the load generator could not {0}")]
    Load(&'static str),
    /// A query.
    #[error("PostgreSQL could not be asked")]
    Database(#[from] sqlx::Error),
    /// A look at the workers' consumers.
    #[error("NATS could not be asked how far the workers are")]
    Consumers(#[from] runtime::stream_info::InfoError),
    /// The second floor.
    #[error("the floor of NATS could not be measured: {doing}")]
    Nats {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A local server for the first floor, or a file of the system.
    #[error("{doing}")]
    System {
        doing: &'static str,
        #[source]
        source: std::io::Error,
    },
}

impl From<BenchError> for CommandError {
    fn from(error: BenchError) -> Self {
        use BenchError as E;
        let next = match &error {
            E::NoGateway => "start `penstock up` here, or name it: --gateway URL",
            E::Gateway(_) => "name it as http://host:port; TLS would measure the load generator",
            E::NoSource(_) | E::NothingToPlay | E::Unplayable { .. } => "name another one: --source NAME",
            E::Secrets(_) | E::CannotSign => "look at its `secrets` in the configuration",
            E::Connect { .. } => "look whether the gateway runs: penstock status",
            E::Database(_) => "look whether PostgreSQL runs and has its tables: penstock status",
            E::Consumers(_) | E::Nats { .. } => "look whether NATS runs: penstock status",
            _ => "try again; if it stays, this is a fault of `penstock bench`",
        };
        let text = error.to_string();
        let told = match &error {
            E::Connect { .. } | E::Database(_) | E::Consumers(_) | E::Nats { .. } => Self::unreachable(text, next),
            _ => Self::usage(text, next),
        };
        match error {
            E::Secrets(cause) => told.because(cause),
            E::Uri(cause) => told.because(cause),
            E::Header(cause) => told.because(cause),
            E::Request(cause) => told.because(cause),
            E::Database(cause) => told.because(cause),
            E::Consumers(cause) => told.because(cause),
            E::Nats { source, .. } => told.because(source),
            E::Connect { source, .. } | E::System { source, .. } => told.because(source),
            _ => told,
        }
    }
}
