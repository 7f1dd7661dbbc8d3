//! TLS on the gateway's own port: who can speak with it, whose certificate it shows and asks for, and that another one can be
//! put in force while connections are open.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tests::eventually::{ensure, eventually};
use tests::{Pipeline, Role, config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

const SOON: Duration = Duration::from_secs(20);
const NAME: &str = "in.example.com";
const PARTNER: &str = "partner.example.com";

/// An authority, made for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key for a name, as PEM.
    pub(crate) fn certify(&self, name: &str) -> (String, String) {
        self.certify_until(name, 2100)
    }

    /// One that ends as that year begins.
    fn certify_until(&self, name: &str, year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}

/// Puts what the gateway shows into the files that its configuration names.
fn show(folder: &Path, (certificate, key): &(String, String)) {
    std::fs::write(folder.join("tls.crt"), certificate).unwrap();
    std::fs::write(folder.join("tls.key"), key).unwrap();
}

/// A system with a gateway that speaks TLS, and the folder with the files that its configuration names.
async fn with_tls(authority: &Authority, clients: &Authority) -> (Pipeline, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    show(folder.path(), &authority.certify(NAME));
    std::fs::write(folder.path().join("clients.crt"), clients.pem()).unwrap();
    let file = |name: &str| format!("{{ file = \"{}\" }}", folder.path().join(name).display());
    let (certificate, key, ca) = (file("tls.crt"), file("tls.key"), file("clients.crt"));
    let common =
        format!("{}\n[gateway.tls]\ncertificate = {certificate}\nkey = {key}\nclient_ca = {ca}\n", config::COMMON);
    let sources = [
        config::source("form", "generic", "contact", config::UNLIMITED),
        config::source("form", "generic", "partners", &format!("client_names = \"{PARTNER}\"\n{}", config::UNLIMITED)),
    ];
    (Pipeline::by_hand(&config::with(&common, sources), &Role::ALL).await, folder)
}

/// A client that believes one authority.
struct Client {
    config: ClientConfig,
}

impl Client {
    fn new(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&(String, String)>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        Self { config }
    }

    fn speaking(mut self, protocol: &str) -> Self {
        self.config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        self
    }

    async fn connect(&self, pipeline: &Pipeline) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(pipeline.gateways()[0].trim_start_matches("http://")).await?;
        let name = ServerName::try_from(NAME).unwrap();
        let stream = TlsConnector::from(Arc::new(self.config.clone())).connect(name, stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let (io, mut driver) = (TokioIo::new(stream), JoinSet::new());
        if is_http2 {
            let (send, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(std::io::Error::other)?;
            driver.spawn(async move { drop(connection.await) });
            return Ok(Connection { send: Send::Two(send), _driver: driver });
        }
        let (send, connection) = hyper::client::conn::http1::handshake(io).await.map_err(std::io::Error::other)?;
        driver.spawn(async move { drop(connection.await) });
        Ok(Connection { send: Send::One(send), _driver: driver })
    }
}

enum Send {
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

struct Connection {
    send: Send,
    _driver: JoinSet<()>,
}

impl Connection {
    async fn post(&mut self, source: &str) -> hyper::Result<Response<Incoming>> {
        let request = Request::post(format!("https://{NAME}/v1/form/{source}"))
            .header("Host", NAME)
            .header("Content-Type", "application/json")
            .body(Full::from(r#"{"message": "over TLS"}"#))
            .unwrap();
        match &mut self.send {
            Send::One(send) => {
                let (mut parts, body) = request.into_parts();
                parts.uri = parts.uri.path().parse().unwrap();
                send.send_request(Request::from_parts(parts, body)).await
            }
            Send::Two(send) => send.send_request(request).await,
        }
    }

    async fn status(&mut self, source: &str) -> StatusCode {
        let answer = self.post(source).await.unwrap();
        let status = answer.status();
        answer.into_body().collect().await.unwrap();
        status
    }
}

#[tokio::test]
async fn providers_are_served_over_both_versions_of_tls_and_of_http_and_nobody_without() {
    let authority = Authority::new();
    let (pipeline, _folder) = with_tls(&authority, &Authority::new()).await;
    for version in [&TLS12, &TLS13] {
        for (protocol, spoken) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
            let client = Client::new(&authority, &[version], None).speaking(protocol);
            let answer = client.connect(&pipeline).await.unwrap().post("contact").await.unwrap();
            assert_eq!((answer.status(), answer.version()), (StatusCode::OK, spoken), "{version:?} {protocol}");
            assert!(answer.headers()["Strict-Transport-Security"].to_str().unwrap().contains("max-age="));
        }
    }
    let stranger = Client::new(&Authority::new(), &[&TLS13], None);
    assert!(stranger.connect(&pipeline).await.is_err(), "the certificate is the one that was configured");
    let url = pipeline.gateways()[0].clone();
    let mut plain = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(!answer.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_new_certificate_is_shown_after_a_reload_open_connections_go_on_and_a_bad_one_changes_nothing() {
    let (old, new) = (Authority::new(), Authority::new());
    let (mut pipeline, folder) = with_tls(&old, &Authority::new()).await;
    let (before, after) = (Client::new(&old, &[&TLS13], None), Client::new(&new, &[&TLS13], None));
    let mut open = before.connect(&pipeline).await.unwrap();
    assert_eq!(open.status("contact").await, 200);

    show(folder.path(), &(new.certify(NAME).0, old.certify(NAME).1));
    pipeline.role(Role::Gateway).child().signal(Signal::SIGHUP);
    let refused =
        async || pipeline.scrape(Role::Gateway).await.sum("penstock_config_reloads_total", &[("result", "refused")]);
    eventually(SOON, "a key of another certificate is refused", async || {
        let refused = refused().await;
        ensure(refused == Some(1.0), || format!("{refused:?}"))
    })
    .await;
    assert_eq!(before.connect(&pipeline).await.unwrap().status("contact").await, 200);

    show(folder.path(), &new.certify(NAME));
    pipeline.role(Role::Gateway).child().signal(Signal::SIGHUP);
    let mut changed = eventually(SOON, "the new certificate is shown", async || after.connect(&pipeline).await).await;
    assert_eq!(changed.status("contact").await, 200);
    assert!(before.connect(&pipeline).await.is_err(), "the old one is not shown any more");
    assert_eq!(open.status("contact").await, 200, "what was open goes on");
}

#[tokio::test]
async fn who_has_shown_a_certificate_has_to_show_it_again_when_what_it_is_believed_by_has_changed() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (mut pipeline, folder) = with_tls(&authority, &clients).await;
    let partner = clients.certify(PARTNER);
    let client = |own| Client::new(&authority, &[&TLS13], own);
    let mut open = Vec::new();
    for protocol in ["http/1.1", "h2"] {
        open.push(client(Some(&partner)).speaking(protocol).connect(&pipeline).await.unwrap());
    }
    let mut nobody = client(None).connect(&pipeline).await.unwrap();
    for connection in &mut open {
        assert_eq!(connection.status("partners").await, 200);
    }
    assert_eq!(nobody.status("contact").await, 200);

    // The authority of the clients is another one now.
    std::fs::write(folder.path().join("clients.crt"), Authority::new().pem()).unwrap();
    pipeline.role(Role::Gateway).child().signal(Signal::SIGHUP);
    eventually(SOON, "the partner is not believed any more", async || {
        let status = match client(Some(&partner)).connect(&pipeline).await {
            Ok(mut connection) => connection.post("partners").await.map_or(401, |answer| answer.status().as_u16()),
            Err(_) => 401,
        };
        ensure(status == 401, || status.to_string())
    })
    .await;
    assert_eq!(nobody.status("contact").await, 200, "who has shown none goes on");
    for connection in &mut open {
        // A request that is on its way is still answered; then the connection ends.
        eventually(SOON, "the connection ends", async || {
            let answer = connection.post("partners").await.map(|answer| answer.status());
            ensure(answer.is_err(), || format!("{answer:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn when_certificates_end_is_told_and_a_reload_changes_it() {
    let authority = Authority::new();
    let (mut pipeline, folder) = with_tls(&authority, &authority).await;
    let told = async |pipeline: &Pipeline, setting| {
        let name = "penstock_gateway_certificate_expiration_timestamp_seconds";
        pipeline.scrape(Role::Gateway).await.sum(name, &[("setting", setting)])
    };
    assert_eq!(told(&pipeline, "certificate").await, Some(4_102_444_800.0), "1 January 2100");
    // rcgen's own default, which the authority has.
    assert_eq!(told(&pipeline, "client_ca").await, Some(67_090_118_400.0), "1 January 4096");

    // The server's own, and behind it one that signed it, in the same file: the first end counts.
    let (certificate, key) = authority.certify_until(NAME, 2050);
    show(folder.path(), &(certificate + &authority.pem(), key));
    pipeline.role(Role::Gateway).child().signal(Signal::SIGHUP);
    eventually(SOON, "the end of the new certificate is told", async || {
        let told = told(&pipeline, "certificate").await;
        ensure(told == Some(2_524_608_000.0), || format!("{told:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_source_that_names_its_clients_takes_their_certificate_and_no_other() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (pipeline, _folder) = with_tls(&authority, &clients).await;
    let (partner, other) = (clients.certify(PARTNER), clients.certify("other.example.com"));
    for (own, partners, contact) in [(Some(&partner), 200, 200), (Some(&other), 401, 200), (None, 401, 200)] {
        let client = Client::new(&authority, &[&TLS12, &TLS13], own);
        let mut connection = client.connect(&pipeline).await.unwrap();
        assert_eq!(connection.status("partners").await, partners);
        assert_eq!(connection.status("contact").await, contact);
    }
    // One that another authority made is no certificate at all.
    let forged = Authority::new().certify(PARTNER);
    let client = Client::new(&authority, &[&TLS12], Some(&forged));
    let refused = match client.connect(&pipeline).await {
        Err(_) => true,
        Ok(mut connection) => connection.post("partners").await.is_err(),
    };
    assert!(refused);
    let told = pipeline.scrape(Role::Gateway).await;
    let labels = [("source", "partners"), ("flaw", "client")];
    assert_eq!(told.sum("penstock_gateway_wrong_signatures_total", &labels), Some(2.0));
}
