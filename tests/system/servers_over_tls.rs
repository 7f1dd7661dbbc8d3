//! NATS and PostgreSQL over TLS: their certificates are believed for the authority that we name and for no other, and who
//! asked for TLS never speaks without it.
//!
//! What a reader would get wrong: with `nats://` a server may still ask for TLS and get it, and with `tls://` it is the
//! client that insists. So the promise is about servers that offer less than was asked for.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tempfile::TempDir;
use tests::eventually::ensure;
use tests::nats_server::{NatsServer, password};
use tests::role::RoleProcess;
use tests::servers::{Postgres, found};
use tests::{Request, Role, binary, config, eventually, ports};

use crate::tls::Authority;

const COMMAND: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(30);
const HERE: &str = "127.0.0.1";

/// What a command is told of where things are.
type Environment = Vec<(String, String)>;

/// A folder with a configuration, and an authority whose certificate is in it.
struct Site {
    authority: Authority,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("other.crt"), Authority::new().pem()).unwrap();
        let config = config::with_sources([config::source("webhook", "none", "any", config::UNLIMITED)]);
        std::fs::write(folder.path().join("penstock.toml"), config).unwrap();
        Self { authority, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A NATS server that shows this certificate, and is well.
    async fn nats(&self, name: &str, shown: Option<(String, String)>) -> NatsServer {
        let folder = self.file(name);
        let mut server = NatsServer::new(&found().await.nats_server, &folder, name, "max_file_store: 8GB", "");
        if let Some((certificate, key)) = shown {
            let (at, of) = (folder.join("tls.crt"), folder.join("tls.key"));
            std::fs::write(&at, certificate).unwrap();
            std::fs::write(&of, key).unwrap();
            let tls = format!("tls: {{ cert_file: \"{}\", key_file: \"{}\" }}", at.display(), of.display());
            server.write("max_file_store: 8GB", &tls);
        }
        server.start();
        server.well().await;
        server
    }

    fn gateway(&self, environment: &Environment) -> RoleProcess {
        RoleProcess::start(Role::Gateway, 0, &self.file("penstock.toml"), self.folder.path(), environment)
    }

    async fn penstock(&self, command: &str, environment: &Environment) -> Output {
        let mut process = tokio::process::Command::new(binary::penstock());
        process.arg(command).arg("--config").arg(self.file("penstock.toml")).kill_on_drop(true);
        let output = process.envs(environment.iter().cloned()).output();
        tokio::time::timeout(COMMAND, output).await.expect("it ends").unwrap()
    }
}

/// To NATS, believing the authorities in this file.
fn nats_at(url: &str, authorities: &Path) -> Environment {
    let authorities = authorities.display().to_string();
    vec![("PENSTOCK__NATS__URL".to_owned(), url.to_owned()), ("SSL_CERT_FILE".to_owned(), authorities)]
}

fn with_tls(server: &NatsServer) -> String {
    server.url().replacen("nats://", "tls://", 1)
}

/// How many a server has taken in its life.
async fn connections(server: &NatsServer) -> u64 {
    server.ask("/varz").await.unwrap()["total_connections"].as_u64().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn nats_is_spoken_to_over_tls_where_its_certificate_is_good_and_else_not_at_all() {
    let site = Site::new();
    let (believed, others) = (site.file("ca.crt"), site.file("other.crt"));
    let good = site.nats("good", Some(site.authority.certify(HERE))).await;
    let url = with_tls(&good);
    let done = site.penstock("provision", &nats_at(&url, &believed)).await;
    assert!(done.status.success(), "{}", said(&done));

    // The gateway as well, from its first byte to a stored message.
    let mut gateway = site.gateway(&nats_at(&url, &believed));
    gateway.ready().await;
    let answer = Request::json("/v1/webhook/any", r#"{"message": "x"}"#).send(&gateway.url()).await.unwrap();
    answer.accepted();
    gateway.stop(SOON).await;

    // Signed by an authority that is not believed; and by one that is, for another host.
    let other = site.nats("other", Some(site.authority.certify("nats.example.com"))).await;
    for (url, authorities) in [(&url, &others), (&with_tls(&other), &believed)] {
        let refused = site.penstock("provision", &nats_at(url, authorities)).await;
        assert!(!refused.status.success(), "it has connected to {url} with {}", authorities.display());
        assert!(said(&refused).contains("certificate"), "{}", said(&refused));
    }
}

#[tokio::test]
async fn who_asked_for_tls_shows_no_password_to_a_nats_server_without_it() {
    let site = Site::new();
    let plain = site.nats("plain", None).await;
    let believed = site.file("ca.crt");
    // The control: it is a server that takes this password.
    let done = site.penstock("provision", &nats_at(&plain.url(), &believed)).await;
    assert!(done.status.success(), "{}", said(&done));

    let address = plain.url().rsplit_once('@').unwrap().1.to_owned();
    let nobody = format!("tls://admin:{}@{}", password("admin"), ports::free_address());
    for url in [with_tls(&plain), format!("{nobody},{address}"), format!("{nobody},{}", plain.url())] {
        let refused = site.penstock("provision", &nats_at(&url, &believed)).await;
        assert!(!refused.status.success(), "{url} was spoken to without TLS");
    }
    // A role goes on trying, and is never taken in.
    let url = format!("{nobody},{address}");
    let before = connections(&plain).await;
    let gateway = site.gateway(&nats_at(&url, &believed));
    eventually(SOON, "the gateway tries again and again", async || {
        let now = connections(&plain).await;
        ensure(now >= before + 3, || format!("{before} connections, and now {now}"))
    })
    .await;
    assert!(!plain.serves("penstock-gateway").await && gateway.is_ready().await.is_err());
    for scheme in ["ws", "wss"] {
        let refused = site.penstock("provision", &nats_at(&format!("{scheme}://{address}"), &believed)).await;
        assert_eq!(refused.status.code(), Some(64), "{}", said(&refused));
    }
}

#[tokio::test]
async fn postgresql_is_spoken_to_over_tls_where_its_certificate_is_good_and_else_not_at_all() {
    let site = Site::new();
    // Where the server may read it, which runs as another user here or as this one.
    let files = tempfile::tempdir().unwrap();
    std::fs::set_permissions(files.path(), Permissions::from_mode(0o711)).unwrap();
    let (certificate, key) = site.authority.certify(HERE);
    let (at, of) = (files.path().join("tls.crt"), files.path().join("tls.key"));
    std::fs::write(&at, certificate).unwrap();
    std::fs::write(&of, key).unwrap();
    std::fs::set_permissions(&of, Permissions::from_mode(0o600)).unwrap();
    let account = found().await.account;
    std::os::unix::fs::chown(&of, account.map(|(user, _)| user), account.map(|(_, group)| group)).unwrap();
    let shown = [format!("ssl_cert_file={}", at.display()), format!("ssl_key_file={}", of.display())];
    let server = Postgres::start(&["ssl=on", &shown[0], &shown[1]]).await;
    let plain = Postgres::start(&[]).await;

    let migrate = async |server: &Postgres, mode: &str, authorities: &str| {
        let (options, authorities) = (server.options(), site.file(authorities));
        let place = format!("{}@{HERE}:{}/postgres", options.get_username(), options.get_port());
        let url = format!("postgres://{place}?sslmode={mode}&sslrootcert={}", authorities.display());
        site.penstock("migrate", &vec![("PENSTOCK__POSTGRES__URL".to_owned(), url)]).await
    };
    let done = migrate(&server, "verify-full", "ca.crt").await;
    assert!(done.status.success(), "{}", said(&done));
    for (server, mode, authorities) in
        [(&server, "verify-full", "other.crt"), (&plain, "verify-full", "ca.crt"), (&plain, "require", "ca.crt")]
    {
        let refused = migrate(server, mode, authorities).await;
        assert!(!refused.status.success(), "it has connected with {mode} and {authorities}");
    }
    // The control: what is missing is TLS and nothing else.
    let done = migrate(&plain, "disable", "ca.crt").await;
    assert!(done.status.success(), "{}", said(&done));
}
