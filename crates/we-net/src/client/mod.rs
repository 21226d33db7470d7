//! The client: from a URL to an open connection.
//!
//! Follows <https://websockets.spec.whatwg.org/#concept-websocket-establish> and [RFC 6455 section
//! 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1): blocked ports are never dialled,
//! redirects are not followed, TLS is always verified, and every step has a time limit.

mod headers;
mod request;
mod shared;

pub use request::Request;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::headers::OperatorHeaders;
use crate::cookies::CookieJar;
use crate::handshake::deflate;
use crate::handshake::{ClientHandshake, HeadLimits, HeaderError, WebSocketUrl};
use crate::http2::{Carriers, Http2Config};
use crate::observe::{Counters, FrameLog, FrameLogs, Stats};
use crate::protocol::{Config, DeflateConfig};
use crate::proxy::Proxies;
use crate::socket::WebSocket;
use crate::transport::gate::Gate;
use crate::transport::reach::Reach;
use crate::transport::throttle::Failures;
use crate::transport::{ConnectError, Resolver, Throttle, TlsConfig};

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
    /// For name look-up and all attempts to connect by TCP together, and for the tunnel where there is
    /// a proxy. Waiting until another connection to the same address has been opened does not count.
    /// Default 20 s.
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
    /// In one block, so that each of the thousands of connections that may wait for their turn costs a pointer.
    pub(crate) settings: Arc<Settings>,
}

/// What a [`Client`] is set to, and what it remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    config: Arc<Config>,
    compression: Arc<[DeflateConfig]>,
    pub(crate) head_limits: HeadLimits,
    pub(crate) reach: Reach,
    pub(crate) headers: OperatorHeaders,
    cookies: Option<Jar>,
    failures: Option<Failures>,
    http2: Option<Carriers>,
    frame_log: FrameLogs,
    counters: Arc<Counters>,
    gate: Gate,
}

/// Shared, and without a `Debug` of its own: there are secrets inside.
#[derive(Clone)]
struct Jar(Arc<dyn CookieJar>);

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jar")
    }
}

/// Puts a [`Client`] together.
#[derive(Clone, Debug, Default)]
pub struct ClientBuilder(Settings, Option<Http2Config>);

impl Client {
    /// Starts from the default settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// What its connections, and those of its clones, have come to so far. HTTP requests do not count.
    pub fn stats(&self) -> Stats {
        self.settings.counters.stats()
    }

    /// Prepares a connection to `url`.
    pub fn request<U>(&self, url: U) -> Result<Request, ConnectError>
    where
        U: TryInto<WebSocketUrl>,
        ConnectError: From<U::Error>,
    {
        let url = url.try_into()?;
        let mut handshake = ClientHandshake::new(&url).with_limits(self.settings.head_limits);
        for offer in deflate::offers(&self.settings.compression) {
            handshake = handshake.with_extension(offer);
        }
        Ok(Request::new(self.clone(), url, handshake))
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

    /// Sets which proxies lead to servers; HTTP requests go through them too. Default: none, whatever
    /// the environment says; [`Proxies::from_env`] asks it.
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.0.reach.proxies = proxies;
        self
    }

    /// Connects to the Unix socket at `path` whatever the host and port of a URL are, which the server
    /// still gets to see. No name is looked up, and no proxy is asked. TLS is spoken for `wss:` and
    /// `https:` all the same.
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.reach.unix_socket = Some(path.into().into());
        self
    }

    /// Sends a header with every WebSocket handshake and every HTTP request, to whatever server: no
    /// place for a secret, unless all URLs are known. Further calls with the same name add to it. A header
    /// of that name that a request has of its own takes the place of all of them.
    ///
    /// # Errors
    /// If the header belongs to the handshake itself, or has characters that no header can have.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        self.0.headers.add(None, name, value.as_ref())?;
        Ok(self)
    }

    /// As [`header`](Self::header), but sent only to the server of `url`: its scheme, host and port
    /// count (`wss:` is the same as `https:` here, and `ws:` as `http:`), its path does not. Takes the place
    /// of headers of that name for every server.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn header_for(
        mut self,
        url: &WebSocketUrl,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<Self, HeaderError> {
        self.0.headers.add(Some(url), name, value.as_ref())?;
        Ok(self)
    }

    /// Keeps cookies in `jar`: those for a URL go out with its handshake, those that the answer sets
    /// are put in. HTTP requests have no part in it. Default: no cookies.
    pub fn cookies(mut self, jar: impl CookieJar) -> Self {
        self.0.cookies = Some(Jar(Arc::new(jar)));
        self
    }

    /// Waits before it connects again to a URL to which a connection has failed or broken, as browsers
    /// do for scripts that reconnect in a loop. The time is not part of the time limits. Clones of the
    /// client share what they know. Default `None`: a program is held to know when it tries again.
    pub fn throttle(mut self, throttle: impl Into<Option<Throttle>>) -> Self {
        self.0.failures = throttle.into().map(Failures::new);
        self
    }

    /// Opens WebSockets over HTTP/2 ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)) where servers can
    /// do that, on connections that several of them share; see [`http2`](crate::http2). Default `None`: each has
    /// a connection of its own, by HTTP/1.1.
    ///
    /// While TLS is set up the server chooses HTTP/2 or HTTP/1.1, and the latter goes on as ever. If it
    /// chooses HTTP/2, but its settings do not allow WebSockets over it (or it asks for HTTP/1.1 later), another
    /// connection is made for HTTP/1.1, and this is remembered: of 256 servers, as long as the client lives. Each of
    /// both connections has the [time limits](Self::timeouts) for itself. A socket that the server refuses for want of room, or because it is
    /// about to close the connection, is opened once more on a new connection. HTTP requests stay with HTTP/1.1.
    ///
    /// Chromium opens a WebSocket over HTTP/2 only on a connection that it has for other requests to that server already and whose
    /// settings allow it, and otherwise by HTTP/1.1; Firefox does likewise. They do not offer HTTP/2 for the WebSocket's sake, as this client does, which has no
    /// other requests.
    ///
    /// A connection belongs to the tokio runtime in which the socket was opened that it was made for; sockets of other
    /// runtimes do not share it.
    pub fn http2(mut self, http2: impl Into<Option<Http2Config>>) -> Self {
        self.1 = http2.into();
        self
    }

    /// Has `log` take down the frames of all connections.
    pub fn frame_log(mut self, log: impl FrameLog) -> Self {
        self.0.frame_log = FrameLogs(Some(Arc::new(log)));
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        let Self(mut settings, http2) = self;
        // Connections are shared only by sockets for which all these settings are the same.
        settings.http2 = http2.map(Carriers::new);
        Client {
            settings: Arc::new(settings),
        }
    }
}
