//! When certificates end. No I/O and no clock.
//!
//! A file may hold several: the server's and those that signed it, or several authorities. What counts is the one that ends
//! first, because from then on some client is refused. One that cannot be read counts as ended, so that somebody looks:
//! TLS is spoken with whatever its library takes, which need not be what this reads.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The end of the certificate in a PEM text that ends first, since 1970; `None` where there is no certificate in it.
pub fn first_end(pem: &str) -> Option<Duration> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    certificates.map(|der| der.ok().and_then(|der| end(&der)).unwrap_or(Duration::ZERO)).min()
}

fn end(der: &[u8]) -> Option<Duration> {
    let certificate = Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_unix_duration())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn until(year: i32) -> String {
        let mut params = CertificateParams::new(vec!["in.example.com".into()]).unwrap();
        params.not_before = date_time_ymd(1980, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    /// Seconds of 1 January.
    const Y2030: u64 = 1_893_456_000;
    const Y2060: u64 = 2_840_140_800;

    #[test]
    fn of_several_certificates_the_one_that_ends_first_counts() {
        let end = |pem: &str| first_end(pem).map(|end| end.as_secs());
        assert_eq!(end(&until(2030)), Some(Y2030));
        assert_eq!(end(&until(2060)), Some(Y2060), "after 2049 it is written in another form");
        for pems in [[until(2030), until(2060)], [until(2060), until(2030)]] {
            assert_eq!(end(&pems.concat()), Some(Y2030));
        }
        assert_eq!(end("no PEM"), None);
    }

    #[test]
    fn what_cannot_be_read_has_ended() {
        let unreadable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(first_end(&(until(2030) + unreadable)), Some(Duration::ZERO));
    }
}
