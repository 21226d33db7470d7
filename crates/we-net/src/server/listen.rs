//! A listener: accepts connections by TCP or at a Unix socket, speaks TLS if told to, upgrades, and hands each WebSocket
//! to a handler.
//!
//! It keeps its head above water: the number of connections is bounded (more wait in the operating
//! system's queue), running out of file descriptors pauses it instead of making it spin, and
//! [`ServerHandle::shutdown`] ends everything in order: no new connections, Close 1001 to the open
//! ones, and a time after which those that linger are dropped.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::net::ToSocketAddrs;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Acceptor;
use super::bound::{Detached, Listener};
use super::http::{HttpHandler, HttpRequest, HttpResponse};
use super::life::Life;
use crate::http2::Http2Config;
use crate::observe::Stats;
use crate::protocol::{CloseCode, CloseFrame};
use crate::socket::{Shared, WebSocket};
use crate::transport::{Stream, TlsServerConfig};

/// How long to wait after an error of `accept` that does not go away by itself.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that listens.
///
/// ```
/// use we_net::server::{Server, echo};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder().bind("127.0.0.1:0").await?;
/// let (url, handle) = (server.url(), server.handle());
/// let serving = tokio::spawn(server.serve(echo));
///
/// let mut socket = we_net::connect(&url).await?;
/// handle.shutdown(std::time::Duration::from_secs(5));
/// assert_eq!(socket.next().await?, None);
/// assert_eq!(socket.closure().map(|closure| closure.code), Some(1001));
/// serving.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    settings: ServerBuilder,
    shutdown: watch::Sender<Phase>,
}

/// Puts a [`Server`] together.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    pub(super) acceptor: Acceptor,
    pub(super) tls: Option<TlsServerConfig>,
    pub(super) http2: Option<Http2Config>,
    pub(super) http: Option<HttpHandler>,
    max_connections: usize,
}

/// Ends a [`Server`] from another task.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    shutdown: watch::Sender<Phase>,
    acceptor: Acceptor,
}

/// How far a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// No new connections; the open ones have this long.
    Draining(Duration),
}

/// Connections to be closed on shutdown. Weak: a handler that drops its socket drops the
/// connection.
type OpenSockets = Mutex<HashMap<u64, Weak<Shared<Stream>>>>;

impl Default for ServerBuilder {
    /// Without TLS and HTTP/2, 10,000 connections at most, and the default [`Acceptor`].
    fn default() -> Self {
        Self {
            acceptor: Acceptor::default(),
            tls: None,
            http2: None,
            http: None,
            max_connections: 10_000,
        }
    }
}

impl ServerBuilder {
    /// Sets how requests are accepted.
    pub fn acceptor(mut self, acceptor: Acceptor) -> Self {
        self.acceptor = acceptor;
        self
    }

    /// Serves `wss:` instead of `ws:`.
    pub fn tls(mut self, tls: TlsServerConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Speaks HTTP/2 too, with WebSockets by [RFC 8441](https://www.rfc-editor.org/rfc/rfc8441), of which many share a
    /// connection; see [`http2`](crate::http2). With TLS, the client has the choice; without it, a client that [knows
    /// before](Http2Config::prior_knowledge) is told by its first bytes. Start from [`Http2Config::server`]. Default: HTTP/1.1
    /// only.
    pub fn http2(mut self, http2: impl Into<Option<Http2Config>>) -> Self {
        self.http2 = http2.into().map(Http2Config::checked);
        self
    }

    /// Has requests that do not ask for a WebSocket answered by `handler`; those over HTTP/2 are not. Without it, they are rejected.
    ///
    /// The handler's future is dropped when the client goes, and so is the [body](HttpResponse::body) of its answer.
    ///
    /// ```
    /// use we_net::server::{HttpResponse, Server, echo};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder()
    ///     .http(|request| async move {
    ///         match request.target.as_str() {
    ///             "/status" => HttpResponse::text(200, "ok"),
    ///             _ => HttpResponse::text(404, "there is nothing here"),
    ///         }
    ///     })
    ///     .bind("127.0.0.1:0")
    ///     .await?;
    /// let url = server.url().replace("ws://", "http://") + "status";
    /// tokio::spawn(server.serve(echo));
    ///
    /// let answer = we_net::Client::default().get(&url)?.send().await?;
    /// assert_eq!(answer.body.collect(100).await?, b"ok");
    /// # Ok(())
    /// # }
    /// ```
    pub fn http<F>(mut self, handler: impl Fn(HttpRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = HttpResponse> + Send + 'static,
    {
        self.http = Some(HttpHandler::new(handler));
        self
    }

    /// Sets how many connections there may be at a time, those in their handshake included; at
    /// least one and at most 2^28. Further ones wait until one ends. Of those that are shared by HTTP/2 each socket
    /// but the first counts as another; there, one too many is refused.
    pub fn max_connections(mut self, limit: usize) -> Self {
        self.max_connections = limit.clamp(1, 1 << 28);
        self
    }

    /// Starts to listen. Port 0 lets the operating system choose one.
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<Server> {
        Ok(self.on(Listener::tcp(address).await?))
    }

    /// Starts to listen at a Unix socket. Whoever may write to `path` may connect: its directory's
    /// permissions say who that is. The file is removed when the server ends.
    ///
    /// # Errors
    /// Also if there is a file at `path` already; it is left alone, as another server may be
    /// listening there.
    #[cfg(unix)]
    pub async fn bind_unix(self, path: impl Into<PathBuf>) -> io::Result<Server> {
        Ok(self.on(Listener::unix(path.into())?))
    }

    fn on(self, listener: Listener) -> Server {
        Server {
            listener,
            settings: self,
            shutdown: watch::Sender::new(Phase::Serving),
        }
    }
}

impl ServerHandle {
    /// What the server's connections have come to so far.
    pub fn stats(&self) -> Stats {
        self.acceptor.stats()
    }

    /// Tells the server to end: it stops accepting, closes all connections with 1001 and returns
    /// from [`Server::serve`] when their handlers have returned, or after `drain` at the latest.
    /// Handlers that run then are dropped with their connections. Further calls change nothing.
    pub fn shutdown(&self, drain: Duration) {
        self.shutdown.send_if_modified(|phase| {
            let first = *phase == Phase::Serving;
            if first {
                *phase = Phase::Draining(drain);
            }
            first
        });
    }
}

impl Server {
    /// Starts from the default settings.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The address that the server listens at; `None` at a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr()
    }

    /// A URL for connecting from this machine. At a Unix socket its host is `localhost`, and the
    /// client has to be [told](crate::client::ClientBuilder::unix_socket) where the socket is.
    pub fn url(&self) -> String {
        let scheme = if self.settings.tls.is_some() {
            "wss"
        } else {
            "ws"
        };
        let host = match self.local_addr() {
            Some(address) if !address.ip().is_unspecified() => address.to_string(),
            Some(address) => format!("localhost:{}", address.port()),
            None => "localhost".to_owned(),
        };
        format!("{scheme}://{host}/")
    }

    /// A handle for ending the server while it serves.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            shutdown: self.shutdown.clone(),
            acceptor: self.settings.acceptor.clone(),
        }
    }

    /// Serves until the [`handle`](Self::handle) says otherwise. Each connection runs `handler` in
    /// a task of its own and is over when that returns; a handler that panics takes only its own
    /// connection with it.
    ///
    /// Dropping the future drops all connections at once.
    pub async fn serve<H, F>(self, handler: H)
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (listener, serving, shutdown) = self.start(handler);
        accept_all(listener, serving, shutdown.subscribe()).await;
    }

    /// As [`serve`](Self::serve), on `threads` threads that this call starts, each with a current-thread runtime of its
    /// own. A connection stays on the thread that has accepted it, and an idle thread accepts sooner than a busy one. For
    /// handlers that mostly wait for the network this takes less of the processor than one runtime whose threads
    /// hand tasks to each other; [`available_parallelism`](std::thread::available_parallelism) is as many threads as
    /// make sense. Settings, the limit of connections, counters and the [`handle`](Self::handle) are those of one server.
    ///
    /// Dropping the future drops all connections soon after.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use we_net::server::{Server, echo};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder().bind("127.0.0.1:0").await?;
    /// # server.handle().shutdown(std::time::Duration::ZERO);
    /// server.serve_on_threads(std::thread::available_parallelism()?, echo).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If a thread or its runtime cannot be started; then nothing is served.
    pub async fn serve_on_threads<H, F>(self, threads: NonZeroUsize, handler: H) -> io::Result<()>
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (listener, serving, shutdown) = self.start(handler);
        let listener = listener.detach()?;
        // Dropped with this future, and the threads see it.
        let alive = watch::Sender::new(());
        let (end, mut ended) = mpsc::unbounded_channel();
        for number in 0..threads.get() {
            let listener = listener.try_clone()?;
            let serving = Serving {
                // The timers of a connection are those of the runtime that it is closed on.
                open: Arc::default(),
                ..serving.clone()
            };
            let (phase, abandoned) = (shutdown.subscribe(), alive.subscribe());
            let end = end.clone();
            std::thread::Builder::new()
                .name(format!("we-net server {number}"))
                .spawn(move || {
                    let _ = end.send(serve_thread(listener, serving, phase, abandoned));
                })?;
        }
        // From here on they are the threads': when none of those accepts any more, nobody listens.
        drop((listener, serving, end));
        for _ in 0..threads.get() {
            match ended.recv().await {
                Some(result) => result?,
                None => return Err(io::Error::other("a thread of the server panicked")),
            }
        }
        Ok(())
    }

    /// Takes the server apart: what listens, what all connections share, and what ends it.
    fn start<H>(self, handler: H) -> (Listener, Serving<H>, watch::Sender<Phase>) {
        let mut settings = self.settings;
        if settings.http2.is_some() {
            settings.tls = settings.tls.map(TlsServerConfig::with_http2);
        }
        let serving = Serving {
            permits: Arc::new(Semaphore::new(settings.max_connections)),
            settings: Arc::new(settings),
            handler: Arc::new(handler),
            open: Arc::default(),
            next_id: Arc::default(),
        };
        (self.listener, serving, self.shutdown)
    }
}

/// What a thread does: [`accept_all`], unless nobody waits for it any more.
fn serve_thread<H, F>(
    listener: Detached,
    serving: Serving<H>,
    phase: watch::Receiver<Phase>,
    mut abandoned: watch::Receiver<()>,
) -> io::Result<()>
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = listener.attach()?;
        tokio::select! {
            () = accept_all(listener, serving, phase) => {}
            _ = abandoned.changed() => {}
        }
        Ok(())
    })
}

/// Accepts connections and runs them until `phase` says otherwise, and then what is left of them for as long as it says.
async fn accept_all<H, F>(
    listener: Listener,
    serving: Serving<H>,
    mut phase: watch::Receiver<Phase>,
) where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::clone(&serving.permits);
    let mut tasks = JoinSet::new();
    while *phase.borrow() == Phase::Serving {
        let room = permits.available_permits() > 0;
        tokio::select! {
            // The sender is the server's, which outlives this.
            _ = phase.changed() => {}
            Some(ended) = tasks.join_next() => report(ended),
            // Only to learn that there is room again: sockets of HTTP/2 may want it too, and other threads.
            _ = permits.acquire(), if !room => {}
            accepted = listener.accept(), if room => match accepted {
                Ok(socket) => {
                    let permit = Arc::clone(&permits).try_acquire_owned().ok();
                    tasks.spawn(Life::new(socket, serving.clone(), permit, phase.clone()));
                }
                Err(error) => pause_after(&error).await,
            },
        }
    }
    drop(listener);
    let reached = *phase.borrow();
    if let Phase::Draining(drain) = reached {
        close_all(&serving.open);
        // What is left after that goes down with `tasks`.
        let _ = tokio::time::timeout(drain, async {
            while let Some(ended) = tasks.join_next().await {
                report(ended)
            }
        })
        .await;
    }
}

/// What a handler does with a socket.
pub(super) type Handler = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the connections of a server share.
pub(super) struct Serving<H> {
    pub(super) settings: Arc<ServerBuilder>,
    handler: Arc<H>,
    open: Arc<OpenSockets>,
    next_id: Arc<AtomicU64>,
    /// As many as there may be connections.
    pub(super) permits: Arc<Semaphore>,
}

impl<H> Clone for Serving<H> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            handler: Arc::clone(&self.handler),
            open: Arc::clone(&self.open),
            next_id: Arc::clone(&self.next_id),
            permits: Arc::clone(&self.permits),
        }
    }
}

impl<H, F> Serving<H>
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// Starts the handler; what is returned beside it is to be kept as long as it runs.
    ///
    /// Not an `async fn`, whose future would have room for the socket beside that for the handler that takes it.
    pub(super) fn handle(
        &self,
        socket: WebSocket,
        phase: &watch::Receiver<Phase>,
    ) -> (Handler, Registered) {
        let id = self.next_id.fetch_add(1, Relaxed);
        lock(&self.open).insert(id, Arc::downgrade(socket.shared()));
        if *phase.borrow() != Phase::Serving {
            // Opened in the very moment of the shutdown.
            socket.shared().close(going_away());
        }
        // Removes the entry also if the handler panics or is dropped.
        let registered = Registered {
            open: Arc::clone(&self.open),
            id,
        };
        (Box::pin((self.handler)(socket)), registered)
    }
}

/// Sends every message back: the handler of an echo server.
pub async fn echo(socket: WebSocket) {
    // Taken apart to let go of the request's headers, which are of no use here.
    let (mut sender, mut receiver) = socket.split();
    // How a connection ends is no matter here.
    while let Ok(Some(message)) = receiver.next().await {
        // Queued only: `next` writes the answers to all that has arrived at once.
        if sender.feed(message).await.is_err() {
            continue;
        }
    }
}

fn close_all(open: &OpenSockets) {
    let sockets: Vec<_> = lock(open).values().filter_map(Weak::upgrade).collect();
    for socket in sockets {
        socket.close(going_away());
    }
}

fn going_away() -> CloseFrame {
    CloseFrame::from(CloseCode::GOING_AWAY)
}

/// Keeps a connection listed while its handler runs.
pub(super) struct Registered {
    open: Arc<OpenSockets>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}

fn lock(open: &OpenSockets) -> std::sync::MutexGuard<'_, HashMap<u64, Weak<Shared<Stream>>>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(target: "we::net", %error, "a connection's handler panicked");
    }
}

/// A connection that went away before it was accepted is no reason to wait; being out of file
/// descriptors or memory is: the error would come again at once, and again.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    ) {
        return;
    }
    tracing::warn!(target: "we::net", %error, "cannot accept a connection; trying again in a moment");
    sleep(ACCEPT_PAUSE).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn accept_pauses_only_for_errors_that_stay() {
        for (error, pause) in [
            (io::ErrorKind::ConnectionAborted.into(), Duration::ZERO),
            // EMFILE: no file descriptor is left.
            (io::Error::from_raw_os_error(24), ACCEPT_PAUSE),
            (io::ErrorKind::OutOfMemory.into(), ACCEPT_PAUSE),
        ] {
            let before = Instant::now();
            pause_after(&error).await;
            assert_eq!(before.elapsed(), pause, "{error}");
        }
    }
}
