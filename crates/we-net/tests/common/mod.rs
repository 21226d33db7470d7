//! What the tests share: a limit on everything that waits, servers in the background, certificates,
//! raw peers.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use we_net::server::{ServerBuilder, ServerHandle, echo};
use we_net::transport::{TlsConfig, TlsServerConfig};
use we_net::{Server, WebSocket};

/// Fails a test that waits for something that does not come.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("this should have come by now")
}

/// A server that runs in the background.
pub struct Running {
    pub url: String,
    pub port: u16,
    pub handle: ServerHandle,
    pub serving: JoinHandle<()>,
}

/// Starts `server` on a port of its own.
pub async fn start<H, F>(server: ServerBuilder, handler: H) -> Running
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let server = server.bind("127.0.0.1:0").await.unwrap();
    Running {
        url: server.url(),
        port: server.local_addr().unwrap().port(),
        handle: server.handle(),
        serving: tokio::spawn(server.serve(handler)),
    }
}

pub async fn start_echo() -> Running {
    start(Server::builder(), echo).await
}

/// A certificate authority for `127.0.0.1` and `localhost`, or whatever names a test wants.
pub struct Authority {
    pub root_pem: String,
    pub certificate_pem: String,
    pub key_pem: String,
    pub server: TlsServerConfig,
}

pub fn authority(names: &[&str]) -> Authority {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // Two authorities must not be taken for one another by their names.
    let name = format!("authority of {}", names.join(", "));
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let root_key = rcgen::KeyPair::generate().unwrap();
    let root = params.self_signed(&root_key).unwrap();
    let issuer = rcgen::Issuer::new(params, root_key);
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let (certificate_pem, key_pem) = (certificate.pem(), key.serialize_pem());
    let server = TlsServerConfig::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes());
    Authority {
        root_pem: root.pem(),
        certificate_pem,
        key_pem,
        server: server.unwrap(),
    }
}

impl Authority {
    /// For a TLS server that is not one of ours.
    pub fn server_acceptor(&self) -> tokio_rustls::TlsAcceptor {
        use rustls::pki_types::pem::PemObject as _;
        let chain =
            rustls::pki_types::CertificateDer::from_pem_slice(self.certificate_pem.as_bytes());
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes());
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain.unwrap()], key.unwrap());
        std::sync::Arc::new(config.unwrap()).into()
    }

    pub fn client(&self) -> TlsConfig {
        TlsConfig::with_extra_roots(self.root_pem.as_bytes()).unwrap()
    }
}

/// A server of raw bytes: accepts one connection and hands it to `script`.
pub async fn raw_server<F>(script: impl FnOnce(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        script(stream).await;
    });
    url
}

/// Reads up to the empty line of a head.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the head should be complete"));
    }
    String::from_utf8(head).unwrap()
}

/// The value of a header in a head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (field, value) = line.split_once(": ")?;
        field.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Answers a client's request as it should be answered.
pub async fn upgrade(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let head = read_head(stream).await;
    let request = we_net::handshake::RequestReader::new(we_net::handshake::HeadLimits::default())
        .receive(head.as_bytes())
        .unwrap()
        .unwrap();
    stream
        .write_all(&request.accept().to_bytes())
        .await
        .unwrap();
}

/// The proper request for `path` at `port`, with more headers.
pub fn request(path: &str, port: u16, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}
