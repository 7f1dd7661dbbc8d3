//! TLS for a server: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, and certificates of clients where there is an authority
//! for them.
//!
//! A client without a certificate is let in all the same: which of the paths ask for one is not known before its request.

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// What TLS is spoken with: asked for each new connection, so that another certificate needs no restart; `None` where it is
/// not spoken.
pub type CurrentTls = Arc<dyn Fn() -> Option<Arc<ServerConfig>> + Send + Sync>;

/// A setting that TLS cannot be spoken with.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetting {
    /// The certificate is none.
    #[error("holds no certificate as PEM: the server's first, then those that signed it")]
    Certificate,
    /// The key is none.
    #[error("holds no private key as PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)")]
    Key,
    /// The library does not take certificate and key.
    #[error("does not fit the certificate, or is of a kind that cannot be used")]
    Pair(#[source] rustls::Error),
    /// The clients' authority is none.
    #[error("holds no certificate as PEM of an authority that signs clients' certificates")]
    ClientCa,
}

impl TlsSetting {
    /// The setting, below the table of TLS.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key | Self::Pair(_) => "key",
            Self::ClientCa => "client_ca",
        }
    }
}

/// Makes of three PEM texts what TLS is spoken with.
pub fn server_tls(certificate: &str, key: &str, client_ca: Option<&str>) -> Result<Arc<ServerConfig>, TlsSetting> {
    let chain = certificates(certificate).ok_or(TlsSetting::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| TlsSetting::Key)?;
    let provider = Arc::new(default_provider());
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsSetting::Pair)?;
    let clients = match client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(ca).ok_or(TlsSetting::ClientCa)? {
                roots.add(authority).map_err(|_| TlsSetting::ClientCa)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            verifier.allow_unauthenticated().build().map_err(|_| TlsSetting::ClientCa)?
        }
    };
    let tls = versions.with_client_cert_verifier(clients).with_single_cert(chain, key);
    let mut tls = tls.map_err(TlsSetting::Pair)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

/// All certificates of a PEM text; `None` where there is none, or one that cannot be read.
fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_cannot_be_spoken_with_is_named() {
        let (own, other) = (
            rcgen::generate_simple_self_signed(vec!["in.example.com".into()]).unwrap(),
            rcgen::generate_simple_self_signed(vec!["in.example.com".into()]).unwrap(),
        );
        let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        assert!(server_tls(&certificate, &key, Some(&certificate)).is_ok());
        let wrong = |certificate: &str, key: &str, ca| server_tls(certificate, key, ca).unwrap_err().key();
        assert_eq!(wrong("", &key, None), "certificate");
        assert_eq!(wrong(&key, &key, None), "certificate");
        assert_eq!(wrong(&certificate, &certificate, None), "key");
        assert_eq!(wrong(&certificate, &other.signing_key.serialize_pem(), None), "key");
        assert_eq!(wrong(&certificate, &key, Some("no PEM")), "client_ca");
    }
}
