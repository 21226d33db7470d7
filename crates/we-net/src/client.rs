//! The client: from a URL to an open connection.
//!
//! Follows <https://websockets.spec.whatwg.org/#concept-websocket-establish> and [RFC 6455 section
//! 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1): blocked ports are never dialled,
//! redirects are not followed, TLS is always verified, and every step has a time limit.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsConnector, TlsStream};

use crate::handshake::{
    Accepted, ClientHandshake, ExtensionHeader, HandshakeError, HeadLimits, WebSocketUrl,
};
use crate::protocol::{Config, Connection, Role};
use crate::socket::{Established, Negotiated, WebSocket};
use crate::transport::gate::Gate;
use crate::transport::{ConnectError, Driver, MaybeTls, Resolver, TlsConfig, dial};

/// Connects to `url` with the default settings.
///
/// ```
/// # use we_net::server::{Server, echo};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Server::builder().bind("127.0.0.1:0").await?;
/// # let url = server.url();
/// # tokio::spawn(server.serve(echo));
/// let mut socket = we_net::connect(&url).await?;
/// socket.send("hello").await?;
/// assert_eq!(socket.next().await?, Some("hello".into()));
/// socket.close(None).await;
/// # Ok(())
/// # }
/// ```
pub async fn connect<U>(url: U) -> Result<WebSocket, ConnectError>
where
    U: TryInto<WebSocketUrl>,
    ConnectError: From<U::Error>,
{
    Client::default().request(url)?.connect().await
}

/// How long a client waits. Browsers give up as well, so a server that says nothing cannot hold a
/// script for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectTimeouts {
    /// For name look-up and all attempts to connect by TCP together. Waiting until another
    /// connection to the same address has been opened does not count. Default 20 s.
    pub connect: Duration,
    /// From then on until the WebSocket is open: TLS and the opening handshake. Default 20 s, as in
    /// Firefox (which starts to count earlier).
    pub handshake: Duration,
}

impl Default for ConnectTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            handshake: Duration::from_secs(20),
        }
    }
}

/// The settings that many connections share. Cheap to clone.
///
/// It opens one connection to an address at a time and lets further ones wait until that one is
/// open or has failed, as [RFC 6455 section
/// 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1) demands of clients; clones share that
/// queue. The number of open connections is not limited.
#[derive(Clone, Debug, Default)]
pub struct Client {
    config: Arc<Config>,
    head_limits: HeadLimits,
    timeouts: ConnectTimeouts,
    resolver: Resolver,
    gate: Gate,
    /// `None`: the authorities of the web, looked up when the first `wss:` connection is made.
    tls: Option<TlsConfig>,
}

/// Puts a [`Client`] together.
#[derive(Clone, Debug, Default)]
pub struct ClientBuilder(Client);

impl Client {
    /// Starts from the default settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Prepares a connection to `url`.
    pub fn request<U>(&self, url: U) -> Result<Request, ConnectError>
    where
        U: TryInto<WebSocketUrl>,
        ConnectError: From<U::Error>,
    {
        let url = url.try_into()?;
        let handshake = ClientHandshake::new(&url).with_limits(self.head_limits);
        Ok(Request {
            client: self.clone(),
            url,
            handshake,
        })
    }

    /// Connects to `url` without origin, subprotocols and headers of its own.
    pub async fn connect<U>(&self, url: U) -> Result<WebSocket, ConnectError>
    where
        U: TryInto<WebSocketUrl>,
        ConnectError: From<U::Error>,
    {
        self.request(url)?.connect().await
    }
}

impl ClientBuilder {
    /// Sets limits and timeouts of open connections.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.0.config = config.into();
        self
    }

    /// Sets how large the head of a server's answer may be.
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.0.head_limits = limits;
        self
    }

    /// Sets how long to wait for a connection.
    pub fn timeouts(mut self, timeouts: ConnectTimeouts) -> Self {
        self.0.timeouts = timeouts;
        self
    }

    /// Sets where names are looked up.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.0.resolver = resolver;
        self
    }

    /// Sets whom to trust for `wss:`.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.0.tls = Some(tls);
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        self.0
    }
}

/// One connection about to be made.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = we_net::Client::default();
/// let socket = client
///     .request("wss://chat.example/rooms/1")?
///     .origin("https://chat.example")?
///     .subprotocols(["chat.v2", "chat.v1"])?
///     .header("Authorization", "Bearer …")?
///     .connect()
///     .await?;
/// println!("speaking {:?}", socket.subprotocol());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    client: Client,
    url: WebSocketUrl,
    handshake: ClientHandshake,
}

impl Request {
    /// Where the connection will lead.
    pub fn url(&self) -> &WebSocketUrl {
        &self.url
    }

    /// Sets `Origin`, as a script's request has it.
    pub fn origin(mut self, origin: impl Into<String>) -> Result<Self, ConnectError> {
        self.handshake = self.handshake.with_origin(origin)?;
        Ok(self)
    }

    /// Asks for subprotocols, the preferred one first; the connection fails unless the server
    /// chooses one of them.
    pub fn subprotocols<T: Into<String>>(
        mut self,
        subprotocols: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConnectError> {
        self.handshake = self.handshake.with_subprotocols(subprotocols)?;
        Ok(self)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, ConnectError> {
        self.handshake = self.handshake.with_header(name, value)?;
        Ok(self)
    }

    /// Makes the connection.
    ///
    /// Dropping the future gives the attempt up.
    pub async fn connect(self) -> Result<WebSocket, ConnectError> {
        Ok(self.establish().await?.into())
    }

    /// Makes the connection and returns its [`Driver`] instead of a [`WebSocket`]: for an owner
    /// with an event loop of its own.
    pub async fn establish(self) -> Result<Established<MaybeTls>, ConnectError> {
        let ConnectTimeouts {
            connect,
            handshake: limit,
        } = self.client.timeouts;
        let host = self.url.host_header();
        tracing::debug!(url = %self.url, "connecting");
        // https://fetch.spec.whatwg.org/#block-bad-port
        if self.url.is_bad_port() {
            return Err(ConnectError::BadPort(self.url.port()));
        }
        let started = Instant::now();
        let addresses = self.in_time(connect, self.look_up()).await?;
        let left = connect.saturating_sub(started.elapsed());
        // RFC 6455 section 4.1: while another connection to this address is being opened, wait.
        // That one has its time limits, so this ends.
        let _turn = match addresses.first() {
            Some(address) => Some(self.client.gate.enter(*address).await),
            None => return Err(ConnectError::NoAddress { host }),
        };
        let tcp = self.in_time(left, self.dial(addresses)).await?;
        let peer_addr = tcp.peer_addr().ok();
        let open = async {
            let stream = self.secure(tcp).await?;
            self.on_stream(stream).await
        };
        let mut established = match timeout(limit, open).await {
            Ok(result) => result?,
            Err(_) => return Err(ConnectError::HandshakeTimeout { host, after: limit }),
        };
        established.negotiated.peer_addr = peer_addr;
        tracing::debug!(%host, subprotocol = ?established.negotiated.subprotocol, "connected");
        Ok(established)
    }

    /// Opens the WebSocket on a stream that is there already (a tunnel, a pipe), without time
    /// limit.
    ///
    /// TLS is the stream's affair: what the URL's scheme says makes no difference here.
    pub async fn on_stream<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut stream: S,
    ) -> Result<Established<S>, ConnectError> {
        let host = self.url.host_header();
        let accepted = match exchange(&mut stream, self.handshake).await {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(source)) => return Err(ConnectError::Handshake { host, source }),
            Err(source) => return Err(ConnectError::Broken { host, source }),
        };
        let connection = Connection::new(Role::Client, self.client.config);
        Ok(Established {
            driver: Driver::new(stream, connection).with_leftover(&accepted.leftover),
            negotiated: Negotiated {
                resource: self.url.resource_name(),
                subprotocol: accepted.subprotocol,
                extensions: ExtensionHeader::format_list(&accepted.extensions),
                headers: accepted.headers,
                peer_addr: None,
            },
        })
    }

    /// The addresses of the URL's host.
    async fn look_up(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let host = self.url.host();
        let name = host.to_string();
        self.client
            .resolver
            .resolve(host, self.url.port())
            .await
            .map_err(|source| ConnectError::Resolve { host: name, source })
    }

    /// TCP.
    async fn dial(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
        dial(addresses)
            .await
            .map_err(|attempts| ConnectError::Dial {
                host: self.url.host_header(),
                attempts,
            })
    }

    /// Bounds a step before TCP is connected by what is `left` of its time limit.
    async fn in_time<T>(
        &self,
        left: Duration,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        timeout(left, step).await.unwrap_or_else(|_| {
            Err(ConnectError::ConnectTimeout {
                host: self.url.host_header(),
                after: self.client.timeouts.connect,
            })
        })
    }

    /// TLS, if the URL says so.
    async fn secure(&self, tcp: TcpStream) -> Result<MaybeTls, ConnectError> {
        if !self.url.is_secure() {
            return Ok(MaybeTls::Plain(tcp));
        }
        let tls = match &self.client.tls {
            Some(tls) => tls.clone(),
            None => TlsConfig::new()?,
        };
        let failed = |source| ConnectError::Tls {
            host: self.url.host_header(),
            source,
        };
        let stream = TlsConnector::from(tls.rustls())
            .connect(self.server_name().map_err(failed)?, tcp)
            .await
            .map_err(failed)?;
        Ok(MaybeTls::Tls(Box::new(TlsStream::Client(stream))))
    }

    /// The name that the certificate must be for.
    fn server_name(&self) -> io::Result<ServerName<'static>> {
        match self.url.host() {
            url::Host::Domain(name) => ServerName::try_from(name.to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error)),
            url::Host::Ipv4(address) => {
                Ok(ServerName::IpAddress(std::net::IpAddr::V4(address).into()))
            }
            url::Host::Ipv6(address) => {
                Ok(ServerName::IpAddress(std::net::IpAddr::V6(address).into()))
            }
        }
    }
}

/// Sends the request and reads the answer.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    handshake: ClientHandshake,
) -> io::Result<Result<Accepted, HandshakeError>> {
    stream.write_all(&handshake.request()).await?;
    stream.flush().await?;
    let mut reader = handshake.into_reader();
    let mut buffer = vec![0; 4096];
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Err(reader.receive_eof()));
        }
        match reader.receive(bytes) {
            Ok(None) => {}
            Ok(Some(accepted)) => return Ok(Ok(accepted)),
            Err(error) => return Ok(Err(error)),
        }
    }
}
