//! One connection about to be made.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Duration, sleep, timeout};

use super::Client;
use crate::cookies::CookieContext;
use crate::handshake::deflate::{self, DeflateError};
use crate::handshake::{
    Accepted, ClientHandshake, ExtensionHeader, HandshakeError, Headers, ResponseReader,
    WebSocketUrl, for_log,
};
use crate::observe::{ConnectionInfo, Monitor};
use crate::protocol::{Connection, DeflateConfig, PerMessageDeflate, Role};
use crate::socket::{Established, Negotiated, WebSocket};
use crate::transport::gate::{Door, Turn};
use crate::transport::reach::{Found, Identity};
use crate::transport::throttle::{Failures, Place};
use crate::transport::{ConnectError, Driver, MaybeTls, Stream};

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
#[derive(Clone)]
pub struct Request {
    pub(super) client: Client,
    pub(super) url: WebSocketUrl,
    /// In a box: a connection that waits for its turn moves it through several futures.
    handshake: Box<ClientHandshake>,
}

/// Where to tell of failures.
pub(super) type Remembered = Option<(Failures, Place)>;

impl Request {
    pub(super) fn new(client: Client, url: WebSocketUrl, handshake: ClientHandshake) -> Self {
        Self {
            client,
            url,
            handshake: Box::new(handshake),
        }
    }

    /// Where the connection will lead.
    pub fn url(&self) -> &WebSocketUrl {
        &self.url
    }

    /// Sets `Origin`, as a script's request has it.
    pub fn origin(mut self, origin: impl Into<String>) -> Result<Self, ConnectError> {
        *self.handshake = self.handshake.with_origin(origin)?;
        Ok(self)
    }

    /// Asks for subprotocols, the preferred one first; the connection fails unless the server
    /// chooses one of them.
    pub fn subprotocols<T: Into<String>>(
        mut self,
        subprotocols: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConnectError> {
        *self.handshake = self.handshake.with_subprotocols(subprotocols)?;
        Ok(self)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, ConnectError> {
        *self.handshake = self.handshake.with_header(name, value)?;
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
    pub async fn establish(self) -> Result<Established<Stream>, ConnectError> {
        let counters = Arc::clone(&self.client.settings.counters);
        let url = self.url.clone();
        tracing::debug!(target: "we::net", url = %for_log(url.as_url()), "connecting");
        let result = self.establish_uncounted().await;
        if let Err(error) = &result {
            tracing::debug!(target: "we::net", url = %for_log(url.as_url()), %error, "not connected");
            counters.failed();
        }
        result
    }

    async fn establish_uncounted(self) -> Result<Established<Stream>, ConnectError> {
        // https://fetch.spec.whatwg.org/#block-bad-port
        if self.url.is_bad_port() {
            return Err(ConnectError::BadPort(self.url.port()));
        }
        let url = self.url.as_url();
        // Who gets a seat on a connection that is there needs no address.
        let shared = self
            .client
            .settings
            .http2
            .as_ref()
            .and_then(|http2| http2.door(url));
        let (found, door) = match shared {
            Some(door) => (None, door),
            None => {
                let found = self.client.settings.reach.look_up(url).await?;
                let door = found.door.clone();
                (Some(found), door)
            }
        };
        let failures = self.client.settings.failures.clone();
        let remembered = failures.map(|failures| {
            let place = failures.place(url);
            (failures, place)
        });
        let turn = self.turn(&door, remembered.as_ref()).await;
        // In boxes: what opens a connection is large, and thousands may wait for their turn.
        let opened = match &self.client.settings.http2 {
            Some(http2) => {
                let http2 = http2.clone();
                Box::pin(self.open_shared(&http2, found, remembered.clone())).await
            }
            None => Box::pin(self.look_up_and_open(found, remembered.clone())).await,
        };
        match (&opened, remembered) {
            (Ok(_), Some((failures, place))) => failures.succeeded(place),
            (Err(_), Some((failures, place))) => failures.failed(place),
            (_, None) => {}
        }
        drop(turn);
        opened
    }

    /// Waits until this connection may be opened.
    ///
    /// RFC 6455 section 4.1: not while another one to this address is being opened, which ends because
    /// that one has its time limits; and section 7.2.3: not too soon after one that has failed.
    async fn turn(&self, door: &Door, remembered: Option<&(Failures, Place)>) -> Turn {
        loop {
            let turn = self.client.settings.gate.enter(door.clone()).await;
            // Looked at by one at a time: of those that have waited for the same delay only the first
            // goes ahead, and the others see what has become of it.
            let left = remembered.and_then(|(failures, place)| failures.left(*place));
            let Some(delay) = left else { return turn };
            // Other paths on that server need not wait.
            drop(turn);
            tracing::debug!(target: "we::net", ?delay, "a connection has just failed; waiting before the next");
            sleep(delay).await;
        }
    }

    /// Opens the WebSocket on a connection of its own, by HTTP/1.1.
    pub(super) async fn look_up_and_open(
        self,
        found: Option<Found>,
        failures: Remembered,
    ) -> Result<Established<Stream>, ConnectError> {
        let url = self.url.as_url().clone();
        let settings = Arc::clone(&self.client.settings);
        let reach = &settings.reach;
        let found = match found {
            Some(found) => found,
            None => reach.look_up(&url).await?,
        };
        let socket = reach.dial(&url, found, settings.head_limits).await?;
        let peer_addr = socket.peer_addr();
        let host = self.url.host_header();
        let open = async {
            let stream = reach.secure(&url, socket, Identity::Shown).await?;
            self.open_own(stream, peer_addr, failures).await
        };
        within(reach.timeouts.handshake, host, open).await
    }

    /// The handshake of HTTP/1.1.
    pub(super) async fn open_own(
        self,
        stream: MaybeTls,
        peer_addr: Option<SocketAddr>,
        failures: Remembered,
    ) -> Result<Established<Stream>, ConnectError> {
        self.open_on(stream.into(), peer_addr, failures).await
    }

    /// Opens the WebSocket on a stream that is there already (a tunnel, a pipe), without time
    /// limit.
    ///
    /// TLS is the stream's affair: what the URL's scheme says makes no difference here.
    pub async fn on_stream<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: S,
    ) -> Result<Established<S>, ConnectError> {
        let counters = Arc::clone(&self.client.settings.counters);
        let result = self.open_on(stream, None, None).await;
        if result.is_err() {
            counters.failed();
        }
        result
    }

    async fn open_on<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut stream: S,
        peer_addr: Option<SocketAddr>,
        failures: Remembered,
    ) -> Result<Established<S>, ConnectError> {
        let host = self.url.host_header();
        let handshake = self.prepare()?;
        let sent = async {
            stream.write_all(&handshake.request()).await?;
            stream.flush().await
        };
        if let Err(source) = sent.await {
            return Err(ConnectError::broken(host, source));
        }
        let mut reader = handshake.into_reader();
        let answer = read_answer(&mut stream, &mut reader).await;
        // Also the cookies of an answer that opens nothing count.
        if let Some(headers) = reader.headers() {
            self.keep_cookies(headers);
        }
        match answer {
            Ok(Ok(accepted)) => self.opened(stream, accepted, peer_addr, failures),
            Ok(Err(source)) => Err(ConnectError::Handshake { host, source }),
            Err(source) => Err(ConnectError::broken(host, source)),
        }
    }

    /// The server has agreed.
    pub(super) fn opened<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: S,
        accepted: Accepted,
        peer_addr: Option<SocketAddr>,
        failures: Remembered,
    ) -> Result<Established<S>, ConnectError> {
        let host = self.url.host_header();
        let deflate =
            match agreed_compression(&self.client.settings.compression, &accepted.extensions) {
                Ok(deflate) => deflate,
                Err(error) => {
                    let source = error.into();
                    return Err(ConnectError::Handshake { host, source });
                }
            };
        let mut connection =
            Connection::new(Role::Client, Arc::clone(&self.client.settings.config));
        if let Some(deflate) = deflate {
            connection = connection.with_extension(Box::new(deflate));
        }
        let extensions = ExtensionHeader::format_list(&accepted.extensions);
        let info = ConnectionInfo {
            id: Monitor::next_id(),
            role: Role::Client,
            target: &self.url.to_string(),
            peer_addr,
            subprotocol: accepted.subprotocol.as_deref(),
            extensions: &extensions,
        };
        let monitor = Monitor::opened(
            &info,
            &self.client.settings.counters,
            &self.client.settings.frame_log,
        )
        .with_failures(failures);
        Ok(Established {
            driver: Driver::new(stream, connection)
                .with_monitor(monitor)
                .with_leftover(&accepted.leftover),
            negotiated: Negotiated {
                resource: self.url.resource_name(),
                host: String::new(),
                subprotocol: accepted.subprotocol,
                extensions,
                headers: accepted.headers,
                peer_addr,
            },
        })
    }
}

impl Request {
    /// The request, with what the operator and the jar have to add to it.
    pub(super) fn prepare(&self) -> Result<ClientHandshake, ConnectError> {
        let mut handshake = ClientHandshake::clone(&self.handshake);
        let has = |name: &str| self.handshake.has_header(name);
        for header in self.client.settings.headers.missing(self.url.as_url(), has) {
            handshake = handshake.with_header(header.name(), header.value())?;
        }
        if let Some(jar) = &self.client.settings.cookies {
            let context = CookieContext {
                url: self.url.as_url(),
                origin: handshake.origin(),
            };
            if let Some(cookies) = jar.0.cookies(&context) {
                // What no header can carry is not worth the connection.
                match handshake.clone().with_default_header("Cookie", &cookies) {
                    Ok(with_cookies) => handshake = with_cookies,
                    Err(error) => {
                        tracing::warn!(target: "we::net", %error, "cookies are not sent");
                    }
                }
            }
        }
        Ok(handshake)
    }

    /// Puts the cookies of an answer into the jar.
    pub(super) fn keep_cookies(&self, headers: &Headers) {
        if let Some(jar) = &self.client.settings.cookies {
            let context = CookieContext {
                url: self.url.as_url(),
                origin: self.handshake.origin(),
            };
            let mut values = headers.values("Set-Cookie").peekable();
            if values.peek().is_some() {
                jar.0.set_cookies(&context, &mut values);
            }
        }
    }
}

/// Bounds TLS and the opening handshake.
pub(super) async fn within<T>(
    limit: Duration,
    host: String,
    open: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match timeout(limit, open).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::HandshakeTimeout { host, after: limit }),
    }
}

impl fmt::Debug for Request {
    /// Shows neither credentials nor the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("url", &self.url)
            .field("handshake", &self.handshake)
            .finish_non_exhaustive()
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

/// Reads the answer to the request.
async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    reader: &mut ResponseReader,
) -> io::Result<Result<Accepted, HandshakeError>> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        buffer.clear();
        match stream.read_buf(&mut buffer).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        if buffer.is_empty() {
            return Ok(Err(reader.receive_eof()));
        }
        match reader.receive(&buffer) {
            Ok(None) => {}
            Ok(Some(accepted)) => return Ok(Ok(accepted)),
            Err(error) => return Ok(Err(error)),
        }
    }
}
