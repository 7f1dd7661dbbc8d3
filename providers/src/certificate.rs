//! The certificate that a provider signs with, where its requests only say where it lies. What is read of it is the RSA key
//! and when it is in force. Whose certificate it is cannot be told from it: that rests on where it was fetched from, or on
//! the operator who wrote it into `secrets`.

use std::fmt;
use std::time::Duration;

use proto::Millis;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::{Certificate as X509, spki};

/// `rsaEncryption` (RFC 8017).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A certificate with an RSA key.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The key as `RSAPublicKey` (PKCS#1).
    key: Vec<u8>,
    from: Millis,
    until: Millis,
}

impl Certificate {
    /// Reads the first certificate of a PEM file; `None` where there is none, or its key is not RSA.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let certificate = X509::from_der(&der).ok()?;
        let certificate = certificate.tbs_certificate();
        let validity = certificate.validity();
        Some(Self {
            key: rsa_key(certificate.subject_public_key_info())?,
            from: millis(validity.not_before.to_unix_duration())?,
            until: millis(validity.not_after.to_unix_duration())?,
        })
    }

    /// Whether it is in force at that moment.
    pub fn in_force(&self, at: Millis) -> bool {
        (self.from..=self.until).contains(&at)
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate(in force from {} until {})", self.from, self.until)
    }
}

/// The `RSAPublicKey` in a `SubjectPublicKeyInfo`.
pub(crate) fn rsa_key(info: &spki::SubjectPublicKeyInfoOwned) -> Option<Vec<u8>> {
    let key = info.subject_public_key.as_bytes()?;
    (info.algorithm.oid == RSA).then(|| key.to_vec())
}

fn millis(since_epoch: Duration) -> Option<Millis> {
    Millis::from_unix(i64::try_from(since_epoch.as_millis()).ok()?)
}
