//! The way out: one GET over TLS to a provider, directly or through a proxy, with a limit on everything. Redirects are not
//! followed: whoever allowed a URL allowed that one.
//!
//! A connection is driven while its answer is waited for and not otherwise, so it needs no task of its own. Errors name
//! the host and never the URL, which may hold a token.

use std::pin::pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use runtime::config;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Who asks, for whoever reads the other side's logs.
const AGENT: &str = concat!("penstock/", env!("CARGO_PKG_VERSION"));
/// Bytes of an answer's head.
const HEAD: usize = 16 * 1024;
/// Where `https` is served.
const PORT: u16 = 443;

/// How providers are reached.
#[derive(Clone)]
pub struct Egress {
    proxy: Option<Proxy>,
    tls: TlsConnector,
}

/// A proxy that takes `CONNECT`.
#[derive(Clone)]
struct Proxy {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EgressSetting {
    /// The proxy is no address.
    #[error("is not an address such as http://proxy.example:3128")]
    Proxy,
    /// The certificates are none.
    #[error("holds no certificate as PEM that can be believed")]
    Ca,
    /// The TLS library has no such thing.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

impl EgressSetting {
    /// The setting.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Proxy => "gateway.egress.proxy",
            Self::Ca | Self::Tls(_) => "gateway.egress.ca",
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no answer, or none that counts.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Not a URL that can be asked.
    #[error("this is not a URL that can be asked")]
    Url,
    /// Nobody is there, or not for us.
    #[error("could not connect to {0}")]
    Connect(String, #[source] BoxError),
    /// The proxy says no.
    #[error("the proxy refused to connect: {0}")]
    Proxy(StatusCode),
    /// It is not who it should be, or it speaks no TLS that we do.
    #[error("TLS with {0} failed")]
    Tls(String, #[source] BoxError),
    /// The connection broke, or what came is no HTTP.
    #[error("{0} did not answer")]
    Exchange(String, #[source] BoxError),
    /// It answered with something else than 200.
    #[error("{0} answered {1}")]
    Status(String, StatusCode),
    /// The answer does not end where it should.
    #[error("the answer of {0} is larger than is taken")]
    TooLarge(String),
    /// It took too long.
    #[error("{0} did not answer in time")]
    TooSlow(String),
}

/// Says whether there is a proxy, and not which password it takes.
impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Egress({})", self.proxy.as_ref().map_or("direct", |_| "through a proxy"))
    }
}

impl Egress {
    /// As configured.
    pub fn build(config: &config::Egress) -> Result<Self, EgressSetting> {
        let proxy = config.proxy.as_ref().map(|url| Proxy::parse(url.expose_secret()).ok_or(EgressSetting::Proxy));
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(ca) = &config.ca {
            let ours: Vec<_> = CertificateDer::pem_slice_iter(ca.expose_secret().as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|_| EgressSetting::Ca)?;
            let (added, refused) = roots.add_parsable_certificates(ours);
            if added == 0 || refused > 0 {
                return Err(EgressSetting::Ca);
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(EgressSetting::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { proxy: proxy.transpose()?, tls: TlsConnector::from(Arc::new(tls)) })
    }

    /// The body of a 200, all of it at most so large, and by then.
    pub async fn get(&self, url: &str, deadline: Instant, most: usize) -> Result<Bytes, EgressError> {
        let uri: Uri = url.parse().map_err(|_| EgressError::Url)?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or(EgressError::Url)?;
        let port = uri.port_u16().unwrap_or(PORT);
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let answer = async {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| EgressError::Url)?;
            let stream = self.reach(host, port).await?;
            let tls = self.tls.connect(name, stream).await;
            let tls = tls.map_err(|error| EgressError::Tls(host.to_owned(), error.into()))?;
            ask(host, target, tls, most).await
        };
        timeout_at(deadline, answer).await.map_err(|_| EgressError::TooSlow(host.to_owned()))?
    }

    async fn reach(&self, host: &str, port: u16) -> Result<Box<dyn Stream>, EgressError> {
        let (to, at) = self.proxy.as_ref().map_or((host, port), |proxy| (proxy.host.as_str(), proxy.port));
        let stream = TcpStream::connect((to, at)).await;
        let stream = stream.map_err(|error| EgressError::Connect(to.to_owned(), error.into()))?;
        match &self.proxy {
            None => Ok(Box::new(stream)),
            Some(proxy) => proxy.through(stream, host, port).await,
        }
    }
}

/// What bytes go to and fro on.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Proxy {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http") && uri.path() == "/")?;
        let user = authority.as_str().rsplit_once('@').map(|(user, _)| percent_decode_str(user).collect::<Vec<u8>>());
        let authorization = user.map(|user| HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(user))));
        let mut authorization = authorization.transpose().ok()?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        (!host.is_empty()).then(|| Self { host, port: authority.port_u16().unwrap_or(80), authorization })
    }

    /// A tunnel to the host.
    async fn through(&self, stream: TcpStream, host: &str, port: u16) -> Result<Box<dyn Stream>, EgressError> {
        let broken = |error: hyper::Error| EgressError::Exchange("the proxy".to_owned(), error.into());
        let authority = format!("{host}:{port}");
        let mut connect = Request::new(Empty::<Bytes>::new());
        *connect.method_mut() = Method::CONNECT;
        *connect.uri_mut() = authority.parse().map_err(|_| EgressError::Url)?;
        let headers = connect.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&authority).map_err(|_| EgressError::Url)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = &self.authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let (mut sender, connection) = client().handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let asked = async move {
            let response = sender.send_request(connect).await.map_err(broken)?;
            if !response.status().is_success() {
                return Err(EgressError::Proxy(response.status()));
            }
            hyper::upgrade::on(response).await.map_err(broken)
        };
        let upgraded = driven(asked, connection.with_upgrades()).await?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }
}

/// One request and its answer.
async fn ask(host: &str, target: &str, stream: impl Stream + 'static, most: usize) -> Result<Bytes, EgressError> {
    let broken = |error: BoxError| EgressError::Exchange(host.to_owned(), error);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = target.parse().map_err(|_| EgressError::Url)?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(host).map_err(|_| EgressError::Url)?);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let (mut sender, connection) =
        client().handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    let answered = async move {
        let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        if response.status() != StatusCode::OK {
            return Err(EgressError::Status(host.to_owned(), response.status()));
        }
        match Limited::new(response.into_body(), most).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(EgressError::TooLarge(host.to_owned())),
            Err(error) => Err(broken(error)),
        }
    };
    driven(answered, connection).await
}

fn client() -> http1::Builder {
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD);
    client
}

/// Drives the connection until the answer is there. Where the other side ends the connection first, what it has sent before
/// is still to be had.
async fn driven<T>(answer: impl Future<Output = T>, connection: impl Future) -> T {
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::{Config, Environment, Need, Requirements};

    use super::*;

    fn build(settings: &str) -> Result<Egress, EgressSetting> {
        let needs = Requirements::every(Need::Optional);
        let config = Config::parse_for(settings, "t.toml", &Environment::default(), needs).unwrap();
        Egress::build(&config.gateway.egress)
    }

    #[test]
    fn a_proxy_has_an_address_and_may_take_a_password_which_is_not_printed() {
        for (url, host, port, password) in [
            ("http://proxy.example:3128", "proxy.example", 3128, None),
            ("http://proxy.example/", "proxy.example", 80, None),
            ("http://[::1]:3128", "::1", 3128, None),
            ("http://user:p%40ss@10.0.0.1:8", "10.0.0.1", 8, Some("Basic dXNlcjpwQHNz")),
        ] {
            let egress = build(&format!("gateway.egress.proxy = '{url}'")).unwrap();
            assert!(!format!("{egress:?}").contains("p@ss"), "{egress:?}");
            let proxy = egress.proxy.unwrap();
            let authorization = proxy.authorization.as_ref().map(|value| value.to_str().unwrap());
            assert_eq!((proxy.host.as_str(), proxy.port, authorization), (host, port, password), "{url}");
        }
        for url in ["http://", "http://a b", "http://proxy.example/path", "http://:3128"] {
            let refused = build(&format!("gateway.egress.proxy = '{url}'"));
            assert!(matches!(refused, Err(EgressSetting::Proxy)), "{url}");
        }
        assert!(build("").unwrap().proxy.is_none());
    }

    #[test]
    fn a_certification_authority_is_a_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&key).unwrap().pem();
        assert!(build(&format!("gateway.egress.ca = {{ value = {pem:?} }}")).is_ok());
        for other in ["no pem", key.serialize_pem().as_str()] {
            let refused = build(&format!("gateway.egress.ca = {{ value = {other:?} }}"));
            assert!(matches!(refused, Err(EgressSetting::Ca)), "{other}");
        }
    }

    #[tokio::test]
    async fn nothing_but_https_is_asked() {
        let egress = build("").unwrap();
        for url in ["http://sns.eu-west-1.amazonaws.com/a.pem", "/a.pem", "file:///a.pem", "https://"] {
            let asked = egress.get(url, Instant::now(), 1).await;
            assert!(matches!(asked, Err(EgressError::Url)), "{url}: {asked:?}");
        }
    }
}
