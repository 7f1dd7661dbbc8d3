//! Whose certificate a source asks its client for. No I/O and no clock.
//!
//! That the certificate was signed by an authority of `gateway.tls.client_ca`, and is in force, was verified when the
//! connection was made; here only the name counts. A connection serves many requests, for sources that ask for different
//! names or for none.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

/// Names of which a client's certificate has to hold one.
#[derive(Clone, Debug, Default)]
pub struct ClientNames(Vec<ServerName<'static>>);

impl ClientNames {
    /// DNS names or IP addresses, as in a certificate's subject alternative names; the first that is none of both where one
    /// is not.
    pub fn parse(names: &[String]) -> Result<Self, &str> {
        let names = names.iter().map(|name| ServerName::try_from(name.clone()).map_err(|_| name.as_str()));
        names.collect::<Result<_, _>>().map(Self)
    }

    /// Whether none is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a client with this certificate may send.
    pub fn fit(&self, certificate: Option<&CertificateDer<'static>>) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some(parsed) = certificate.and_then(|der| ParsedCertificate::try_from(der).ok()) else { return false };
        self.0.iter().any(|name| verify_server_name(&parsed, name).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> ClientNames {
        ClientNames::parse(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn only_a_certificate_with_one_of_the_names_fits_where_names_are_asked_for() {
        let made = rcgen::generate_simple_self_signed(vec!["partner.example.com".into(), "192.0.2.7".into()]).unwrap();
        let certificate = Some(made.cert.der().clone());
        for (asked, fits) in [
            (&[][..], true),
            (&["partner.example.com"], true),
            (&["other.example.com", "Partner.Example.Com"], true),
            (&["192.0.2.7"], true),
            (&["other.example.com"], false),
            (&["example.com"], false),
            (&["192.0.2.8"], false),
        ] {
            assert_eq!(names(asked).fit(certificate.as_ref()), fits, "{asked:?}");
        }
        assert!(names(&[]).fit(None) && !names(&["partner.example.com"]).fit(None));
        assert_eq!(ClientNames::parse(&["a b".to_owned()]).unwrap_err(), "a b");
    }
}
