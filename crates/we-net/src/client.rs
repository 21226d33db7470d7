//! The client: from a URL to an open connection.
//!
//! Follows <https://websockets.spec.whatwg.org/#concept-websocket-establish> and [RFC 6455 section
//! 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1): blocked ports are never dialled,
//! redirects are not followed, TLS is always verified, and every step has a time limit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::handshake::deflate::{self, DeflateError};
use crate::handshake::{
    Accepted, ClientHandshake, ExtensionHeader, HandshakeError, HeadLimits, WebSocketUrl,
};
use crate::protocol::{Config, Connection, DeflateConfig, PerMessageDeflate, Role};
use crate::socket::{Established, Negotiated, WebSocket};
use crate::transport::gate::Gate;
use crate::transport::reach::Reach;
use crate::transport::{ConnectError, Driver, MaybeTls, Resolver, TlsConfig};

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
    /// From then on until the WebSocket is open: TLS and the opening handshake. Of an HTTP request,
    /// until the head of the answer is there. Default 20 s, as in Firefox (which starts to count
    /// earlier).
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
/// It opens one WebSocket to an address at a time and lets further ones wait until that one is open
/// or has failed, as [RFC 6455 section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)
/// demands of clients; clones share that queue. The number of open connections is not limited, and
/// HTTP requests do not queue.
#[derive(Clone, Debug, Default)]
pub struct Client {
    config: Arc<Config>,
    compression: Arc<[DeflateConfig]>,
    pub(crate) head_limits: HeadLimits,
    pub(crate) reach: Reach,
    gate: Gate,
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
        let mut handshake = ClientHandshake::new(&url).with_limits(self.head_limits);
        for offer in deflate::offers(&self.compression) {
            handshake = handshake.with_extension(offer);
        }
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

    /// Offers `permessage-deflate` in these ways, the preferred one first; the server accepts one of
    /// them, or the connection goes without. What to weigh: [`protocol::deflate`].
    ///
    /// Default: none. Browsers offer `[DeflateConfig::default()]`.
    ///
    /// [`protocol::deflate`]: crate::protocol::deflate
    pub fn compression(mut self, offers: impl IntoIterator<Item = DeflateConfig>) -> Self {
        self.0.compression = offers.into_iter().collect();
        self
    }

    /// Sets how large the head of a server's answer may be.
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.0.head_limits = limits;
        self
    }

    /// Sets how long to wait for a connection.
    pub fn timeouts(mut self, timeouts: ConnectTimeouts) -> Self {
        self.0.reach.timeouts = timeouts;
        self
    }

    /// Sets where names are looked up.
    pub fn resolver(mut self, resolver: Resolver) -> Self {
        self.0.reach.resolver = resolver;
        self
    }

    /// Sets whom to trust for `wss:` and `https:`.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.0.reach.tls = Some(tls);
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
        let reach = &self.client.reach;
        let limit = reach.timeouts.handshake;
        let host = self.url.host_header();
        tracing::debug!(url = %self.url, "connecting");
        // https://fetch.spec.whatwg.org/#block-bad-port
        if self.url.is_bad_port() {
            return Err(ConnectError::BadPort(self.url.port()));
        }
        let found = reach.look_up(self.url.as_url()).await?;
        // RFC 6455 section 4.1: while another connection to this address is being opened, wait.
        // That one has its time limits, so this ends.
        let _turn = self.client.gate.enter(found.first).await;
        let tcp = reach.dial(self.url.as_url(), found).await?;
        let peer_addr = tcp.peer_addr().ok();
        let open = async {
            let stream = self.client.reach.secure(self.url.as_url(), tcp).await?;
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
        let deflate = match agreed_compression(&self.client.compression, &accepted.extensions) {
            Ok(deflate) => deflate,
            Err(error) => {
                let source = error.into();
                return Err(ConnectError::Handshake { host, source });
            }
        };
        let mut connection = Connection::new(Role::Client, self.client.config);
        if let Some(deflate) = deflate {
            connection = connection.with_extension(Box::new(deflate));
        }
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
}

/// The compression that the server has agreed to.
fn agreed_compression(
    offered: &[DeflateConfig],
    accepted: &[ExtensionHeader],
) -> Result<Option<PerMessageDeflate>, DeflateError> {
    let Some(answer) = accepted
        .iter()
        .find(|extension| extension.name() == deflate::NAME)
    else {
        return Ok(None);
    };
    let (config, params) = deflate::check_answer(offered, answer)?;
    Ok(Some(PerMessageDeflate::new(Role::Client, &config, &params)))
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
