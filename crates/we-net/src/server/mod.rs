//! The server: upgrades of streams ([`Acceptor`]), and a listener that hands connections to a
//! handler ([`Server`]).
//!
//! Follows [RFC 6455 section 4.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2). What it does
//! not follow blindly is its clients: the request is bounded in size and time, the `Origin` is
//! checked, and a client that does not read or does not close is dropped after a while (see
//! [`Config::server`]).

mod bound;
mod handler;
mod http;
mod life;
mod listen;
mod multiplexed;

pub use handler::{Connection, Handler, handlers};
pub use http::{HttpRequest, HttpResponse, RequestBodyError, ResponseBody};
pub use listen::{Server, ServerBuilder, ServerHandle, echo};

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::handshake::deflate;
use crate::handshake::{
    AcceptError, AcceptResponse, ExtensionHeader, HeadLimits, OriginPolicy, Rejection,
    RejectionReason, RequestReader, ServerRequest, http2,
};
use crate::http2::Incoming;
use crate::observe::{ConnectionInfo, Counters, FrameLog, FrameLogs, Monitor, Stats};
use crate::protocol::deflate::DeflateParams;
use crate::protocol::{self, Config, DeflateConfig, PerMessageDeflate, Role};
use crate::socket::{Established, Negotiated, WebSocket};
use crate::transport::{Driver, Stream};

/// How much of a rejected client's input is read and dropped, so that it gets the answer before a
/// reset.
const MAX_DISCARDED: usize = 64 * 1024;

/// Why a stream did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The request was answered with another status than 101.
    #[error("the request was {0}")]
    Rejected(#[from] Rejection),
    /// The request did not arrive in time.
    #[error("the client did not finish its request within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The client went away.
    #[error("the client closed the connection {}", if *.started { "in the middle of its request" } else { "without a request" })]
    Ended {
        /// Whether part of a request had arrived.
        started: bool,
    },
    /// The connection broke.
    #[error("the connection broke during the handshake: {0}")]
    Io(#[from] io::Error),
}

/// A request that has been answered with 101, or 200 over HTTP/2.
struct Accepted {
    request: ServerRequest,
    decision: Decision,
}

/// What a server agrees to.
struct Decision {
    subprotocol: Option<String>,
    compression: Option<(ExtensionHeader, DeflateParams)>,
}

impl Decision {
    /// The answer to `request`, about which this was decided.
    fn answer<'a>(&self, request: &'a ServerRequest) -> Result<AcceptResponse<'a>, Rejection> {
        let failed = |error: AcceptError| Rejection::new(500, error.to_string());
        let mut answer = request.accept();
        if let Some(name) = &self.subprotocol {
            answer = answer.with_subprotocol(name).map_err(failed)?;
        }
        if let Some((extension, _)) = &self.compression {
            answer = answer.with_extension(extension.clone()).map_err(failed)?;
        }
        Ok(answer)
    }
}

/// What a request must pass besides the rules of the protocol.
type Check = dyn Fn(&ServerRequest) -> Result<(), Rejection> + Send + Sync;

/// Turns streams into WebSockets: the settings for the server's half of the opening handshake.
/// Cheap to clone.
///
/// ```
/// use we_net::handshake::{OriginPolicy, Rejection};
/// use we_net::server::Acceptor;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let acceptor = Acceptor::builder()
///     .subprotocols(["chat.v2", "chat.v1"])
///     .origins(OriginPolicy::AllowList(vec!["https://chat.example".into()]))
///     .check(|request| match request.resource.as_str() {
///         "/chat" => Ok(()),
///         _ => Err(Rejection::new(404, "there is nothing here but /chat")),
///     })
///     .build();
/// # let (near, far) = tokio::io::duplex(4096);
/// # let client = we_net::Client::default().request("ws://h/chat")?.subprotocols(["chat.v1"])?.on_stream(near);
/// # let stream = far;
/// let accept = acceptor.accept(stream);
/// # let (socket, established) = tokio::join!(accept, client);
/// # established?;
/// let socket = socket?;
/// assert_eq!(socket.subprotocol(), Some("chat.v1"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<Config>,
    compression: Option<DeflateConfig>,
    head_limits: HeadLimits,
    handshake_timeout: Duration,
    subprotocols: Arc<[String]>,
    origins: OriginPolicy,
    check: Option<Arc<Check>>,
    frame_log: FrameLogs,
    counters: Arc<Counters>,
}

/// Puts an [`Acceptor`] together.
#[derive(Clone, Debug, Default)]
pub struct AcceptorBuilder(Acceptor);

impl Default for Acceptor {
    /// Any path, no subprotocol, web pages only of the same host, the limits of [`Config::server`],
    /// and 10 s for the request.
    fn default() -> Self {
        Self {
            config: Arc::new(Config::server()),
            compression: None,
            head_limits: HeadLimits::default(),
            handshake_timeout: Duration::from_secs(10),
            subprotocols: Arc::new([]),
            origins: OriginPolicy::default(),
            check: None,
            frame_log: FrameLogs::default(),
            counters: Arc::default(),
        }
    }
}

impl Acceptor {
    /// Starts from the default settings.
    pub fn builder() -> AcceptorBuilder {
        AcceptorBuilder::default()
    }

    /// What its connections, and those of its clones, have come to so far.
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }

    /// Reads the request from `stream` and answers it. A request that is not accepted is answered
    /// with the status that says why, and the stream is closed.
    ///
    /// Not cancel-safe: dropping the future drops the stream.
    pub async fn accept<S>(&self, stream: S) -> Result<WebSocket<S>, UpgradeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Ok(self.establish(stream).await?.into())
    }

    /// As [`accept`](Self::accept), but returns the [`Driver`] instead of a [`WebSocket`].
    pub async fn establish<S>(&self, stream: S) -> Result<Established<S>, UpgradeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.establish_from(stream, Vec::new(), None).await
    }

    /// As [`establish`](Self::establish), with the bytes that have been read already, and the
    /// client's address.
    async fn establish_from<S>(
        &self,
        stream: S,
        first: Vec<u8>,
        peer_addr: Option<SocketAddr>,
    ) -> Result<Established<S>, UpgradeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let result = self.establish_uncounted(stream, &first, peer_addr).await;
        self.note(&result, peer_addr);
        result
    }

    /// Tells whoever listens of a request that has come to nothing.
    fn note<T>(&self, result: &Result<T, UpgradeError>, peer: Option<SocketAddr>) {
        if let Err(error) = result {
            tracing::debug!(target: "we::net", ?peer, %error, "no WebSocket");
            self.counters.failed();
        }
    }

    async fn establish_uncounted<S>(
        &self,
        mut stream: S,
        first: &[u8],
        peer_addr: Option<SocketAddr>,
    ) -> Result<Established<S>, UpgradeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limit = self.handshake_timeout;
        match timeout(limit, self.upgrade(&mut stream, first)).await {
            Ok(Ok(accepted)) => Ok(self.open(stream, accepted, peer_addr)),
            Ok(Err(UpgradeError::Rejected(rejection))) => {
                // The client may never read it: that is its loss, but not our time.
                let _ = timeout(limit, reject(&mut stream, &rejection)).await;
                Err(rejection.into())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(UpgradeError::Timeout(limit)),
        }
    }

    /// Request in, response out.
    async fn upgrade<S>(&self, stream: &mut S, first: &[u8]) -> Result<Accepted, UpgradeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request = read_request(stream, first, self.head_limits).await?;
        let decision = self.decide(&request)?;
        let response = decision.answer(&request)?.to_bytes();
        stream.write_all(&response).await?;
        stream.flush().await?;
        Ok(Accepted { request, decision })
    }

    /// As [`establish`](Self::establish), for a request over HTTP/2. There is nothing to wait for.
    fn establish_shared(
        &self,
        incoming: Incoming,
        peer_addr: Option<SocketAddr>,
    ) -> Result<Established<Stream>, UpgradeError> {
        let decided = http2::check_request(&incoming.head, self.head_limits)
            .map_err(Rejection::from)
            .and_then(|request| {
                let decision = self.decide(&request)?;
                Ok(Accepted { request, decision })
            });
        let result = match decided {
            Ok(accepted) => accepted
                .decision
                .answer(&accepted.request)
                .map_err(UpgradeError::from)
                .and_then(|answer| Ok(incoming.accept(&answer)?))
                .map(|stream| self.open(stream.into(), accepted, peer_addr)),
            Err(rejection) => {
                incoming.reject(&rejection);
                Err(rejection.into())
            }
        };
        self.note(&result, peer_addr);
        result
    }

    /// What this server thinks of a proper request.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2> step 4: origin, resource, subprotocol.
    fn decide(&self, request: &ServerRequest) -> Result<Decision, Rejection> {
        if !self
            .origins
            .allows(request.origin.as_deref(), &request.host)
        {
            return Err(Rejection::from(RejectionReason::Origin));
        }
        if let Some(check) = &self.check {
            check(request)?;
        }
        let subprotocol = request.choose_subprotocol(&self.subprotocols);
        // RFC 7692 section 5.1: no offer in order, no compression.
        let compression = self
            .compression
            .and_then(|config| deflate::answer(&config, &request.extensions));
        Ok(Decision {
            subprotocol: subprotocol.map(str::to_owned),
            compression,
        })
    }

    fn open<S>(
        &self,
        stream: S,
        accepted: Accepted,
        peer_addr: Option<SocketAddr>,
    ) -> Established<S> {
        let Accepted { request, decision } = accepted;
        let Decision {
            subprotocol,
            compression,
        } = decision;
        let mut connection = protocol::Connection::new(Role::Server, Arc::clone(&self.config));
        let mut extensions = Vec::new();
        if let (Some(config), Some((answer, params))) = (&self.compression, compression) {
            let deflate = PerMessageDeflate::new(Role::Server, config, &params);
            connection = connection.with_extension(Box::new(deflate));
            extensions.push(answer);
        }
        let extensions = ExtensionHeader::format_list(&extensions);
        let info = ConnectionInfo {
            id: Monitor::next_id(),
            role: Role::Server,
            target: &request.resource,
            peer_addr,
            subprotocol: subprotocol.as_deref(),
            extensions: &extensions,
        };
        let monitor = Monitor::opened(&info, &self.counters, &self.frame_log);
        Established {
            driver: Driver::new(stream, connection)
                .with_monitor(monitor)
                .with_leftover(&request.leftover),
            negotiated: Negotiated {
                resource: request.resource,
                host: request.host,
                subprotocol,
                extensions,
                headers: request.headers,
                peer_addr,
            },
        }
    }
}

impl AcceptorBuilder {
    /// Sets limits and timeouts of open connections. Start from [`Config::server`].
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.0.config = config.into();
        self
    }

    /// Agrees to compress messages (`permessage-deflate`) with clients that offer it. What to weigh,
    /// for many connections in particular: [`protocol::deflate`](crate::protocol::deflate).
    ///
    /// Default: `None`.
    pub fn compression(mut self, config: impl Into<Option<DeflateConfig>>) -> Self {
        self.0.compression = config.into();
        self
    }

    /// Sets how large the head of a request may be.
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.0.head_limits = limits;
        self
    }

    /// Sets how long a client may take for its request. Default 10 s.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.0.handshake_timeout = limit;
        self
    }

    /// Sets the subprotocols that the server speaks. Of those, the client's favourite is chosen; if
    /// the client asks for others only, none is, and a client that keeps to the web's rules gives
    /// up.
    pub fn subprotocols<T: Into<String>>(
        mut self,
        subprotocols: impl IntoIterator<Item = T>,
    ) -> Self {
        self.0.subprotocols = subprotocols.into_iter().map(Into::into).collect();
        self
    }

    /// Sets which web pages may connect. Default: those of the same host.
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.0.origins = policy;
        self
    }

    /// Sets what else a request must pass: its path, its cookies. What is returned as an error is
    /// the answer.
    pub fn check(
        mut self,
        check: impl Fn(&ServerRequest) -> Result<(), Rejection> + Send + Sync + 'static,
    ) -> Self {
        self.0.check = Some(Arc::new(check));
        self
    }

    /// Has `log` take down the frames of all connections.
    pub fn frame_log(mut self, log: impl FrameLog) -> Self {
        self.0.frame_log = FrameLogs(Some(Arc::new(log)));
        self
    }

    /// The acceptor.
    pub fn build(self) -> Acceptor {
        self.0
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("subprotocols", &self.subprotocols)
            .field("origins", &self.origins)
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

/// Reads a request of which the `first` bytes are there already.
async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    first: &[u8],
    limits: HeadLimits,
) -> Result<ServerRequest, UpgradeError> {
    let mut reader = RequestReader::new(limits);
    if let Some(request) = reader.receive(first)? {
        return Ok(request);
    }
    let mut buffer = vec![0; 4096];
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error.into()),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Err(UpgradeError::Ended {
                started: !reader.is_empty(),
            });
        }
        if let Some(request) = reader.receive(bytes)? {
            return Ok(request);
        }
    }
}

/// Writes the rejection and waits for the client to close: with unread input a close would be a
/// reset, and the reset could overtake the answer.
async fn reject<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    rejection: &Rejection,
) -> io::Result<()> {
    stream.write_all(&rejection.to_bytes()).await?;
    stream.shutdown().await?;
    let mut buffer = vec![0; 4096];
    let mut discarded = 0;
    while discarded < MAX_DISCARDED {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => discarded += count,
        }
    }
    Ok(())
}
