//! Who is at the other end of a connection, and whether what it has shown of itself still counts.
//!
//! A certificate is looked at when a connection begins and not again, and a connection can last for as long as its client
//! likes. So one that is believed by what is not in force any more has to be made anew.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use super::tls::CurrentTls;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it connected from.
    pub address: SocketAddr,
    /// Its certificate, where it showed one, which was signed by one of the authorities that are believed.
    pub certificate: Option<Arc<CertificateDer<'static>>>,
}

/// The same, with what its certificate was believed by, where it showed one.
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) believed: Option<Believed>,
}

/// What a certificate was believed by.
pub(super) struct Believed {
    pub(super) by: Arc<ServerConfig>,
    /// What certificates are believed by now.
    pub(super) current: CurrentTls,
}

impl Client {
    /// Whether it has shown a certificate that may not be believed any more, since TLS is spoken with something else now: it
    /// has to connect anew. An HTTP/1 connection is asked to end by its next answer, as at shutdown.
    pub(super) fn is_to_show_itself_again(&self) -> bool {
        let Some(Believed { by, current }) = &self.believed else { return false };
        current().is_none_or(|now| !Arc::ptr_eq(&now, by))
    }
}
