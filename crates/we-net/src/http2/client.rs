//! The connections that the sockets of a client share.
//!
//! A connection is for one server (scheme, host and port) and one runtime, whose task drives it: a client may be used by
//! several event loops, and none may depend on another one running. It lives while a socket has a [`Seat`] on
//! it, and for a while after. All settings that lead to a server (TLS, proxies, a Unix socket) are the client's, so
//! two sockets to the same server would have gone the same way.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, Reason};
use hyper::body::Bytes;
use hyper::http::{HeaderMap, Request, StatusCode};
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Duration, timeout};
use url::Url;

use super::pace::{Pace, Paced};
use super::{
    BROKEN_STREAMS, FAREWELL, Http2Config, RESET_MEMORY, RESETS_REMEMBERED, SEND_BUFFER, Stream,
    to_io,
};
use crate::handshake::{HeadError, HeadLimits};
use crate::transport::MaybeTls;
use crate::transport::gate::Door;

/// More servers that do without HTTP/2 are not remembered.
const MAX_PLAIN: usize = 256;

/// The shared connections of a client. Clones share them.
#[derive(Clone)]
pub(crate) struct Carriers {
    config: Http2Config,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    carriers: HashMap<Key, Vec<Arc<Carrier>>>,
    /// Servers that are spoken to by HTTP/1.1, the latest last.
    plain: VecDeque<Origin>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    secure: bool,
    host: String,
    port: Option<u16>,
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    origin: Origin,
    runtime: Id,
}

/// How a connection to a server may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/1.1 only.
    Http1,
    /// The server chooses while TLS is set up.
    Both,
    /// HTTP/2 from the first byte.
    Http2,
}

/// A connection.
struct Carrier {
    requests: SendRequest<Bytes>,
    seats: Arc<Seats>,
    /// Takes no more sockets.
    retired: AtomicBool,
    pace: Pace,
    door: Door,
    peer_addr: Option<SocketAddr>,
}

/// How many sockets a connection has.
#[derive(Default)]
struct Seats {
    taken: AtomicUsize,
    changed: Notify,
}

/// The place of a socket on a connection, which stays open for as long.
pub(crate) struct Seat(Arc<Carrier>);

/// Why there is no stream.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The server has not looked at the request: it may be made again elsewhere.
    Refused(h2::Error),
    /// The server wants HTTP/1.1 for this.
    Http1Required,
    /// The answer is out of bounds.
    Head(HeadError),
    /// The connection broke before there was an answer.
    Lost(h2::Error),
    /// Anything else.
    Failed(h2::Error),
}

impl Origin {
    fn of(url: &Url) -> Self {
        Self {
            secure: url.scheme() == "wss",
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port_or_known_default(),
        }
    }
}

impl Carriers {
    pub(crate) fn new(config: Http2Config) -> Self {
        Self {
            config: config.checked(),
            inner: Arc::default(),
        }
    }

    /// How to connect to the server of `url`.
    pub(crate) fn offer(&self, url: &Url) -> Offer {
        let origin = Origin::of(url);
        match origin.secure {
            _ if self.lock().plain.contains(&origin) => Offer::Http1,
            true => Offer::Both,
            false if self.config.prior_knowledge => Offer::Http2,
            false => Offer::Http1,
        }
    }

    /// The server of `url` does without HTTP/2, or without WebSockets over it.
    pub(crate) fn note_plain(&self, url: &Url) {
        let origin = Origin::of(url);
        let mut inner = self.lock();
        inner.plain.retain(|other| *other != origin);
        if inner.plain.len() >= MAX_PLAIN {
            inner.plain.pop_front();
        }
        inner.plain.push_back(origin);
    }

    /// What sockets queue at that could share a connection to the server of `url`; `None` if there is none.
    pub(crate) fn door(&self, url: &Url) -> Option<Door> {
        let carrier = self.find(url)?;
        Some(carrier.door.clone())
    }

    /// A seat on a connection to the server of `url`.
    pub(crate) fn seat(&self, url: &Url) -> Option<Seat> {
        let key = key(url)?;
        let inner = self.lock();
        let carrier = self.free(&inner, &key)?;
        // Under the lock, so that nobody closes it for being empty.
        carrier.seats.taken.fetch_add(1, SeqCst);
        Some(Seat(Arc::clone(carrier)))
    }

    fn find(&self, url: &Url) -> Option<Arc<Carrier>> {
        let inner = self.lock();
        self.free(&inner, &key(url)?).cloned()
    }

    /// A connection that takes another socket.
    fn free<'a>(&self, inner: &'a Inner, key: &Key) -> Option<&'a Arc<Carrier>> {
        let own = self.config.max_sockets as usize;
        inner.carriers.get(key)?.iter().find(|carrier| {
            let limit = own.min(carrier.requests.current_max_send_streams());
            !carrier.retired.load(SeqCst) && carrier.seats.taken.load(SeqCst) < limit
        })
    }

    /// Speaks HTTP/2 on `stream`, and waits until the server has said what it can do. `None` if that
    /// is not what a WebSocket needs.
    pub(crate) async fn establish(
        &self,
        url: &Url,
        stream: MaybeTls,
        door: Door,
        peer_addr: Option<SocketAddr>,
        limits: HeadLimits,
    ) -> io::Result<Option<Seat>> {
        let pace = Pace::default();
        let stream = Paced::new(stream, pace.clone());
        let handshake = self.builder(limits).handshake(stream).await;
        let (requests, mut connection) = handshake.map_err(|error| to_io(&error))?;
        if !is_extended(&requests, &mut connection).await? {
            return Ok(None);
        }
        let Some(key) = key(url) else {
            return Ok(None);
        };
        let seats = Arc::new(Seats::default());
        let carrier = Arc::new(Carrier {
            requests,
            seats: Arc::clone(&seats),
            retired: AtomicBool::new(false),
            pace,
            door,
            peer_addr,
        });
        carrier.seats.taken.store(1, SeqCst);
        let mut inner = self.lock();
        let entries = inner.carriers.entry(key.clone()).or_default();
        entries.push(Arc::clone(&carrier));
        drop(inner);
        let listing = Listing {
            inner: Arc::downgrade(&self.inner),
            key,
            carrier: Arc::downgrade(&carrier),
        };
        tracing::debug!(target: "we::net", host = url.host_str(), peer = ?peer_addr, "HTTP/2 connection opened");
        tokio::spawn(drive(connection, listing, seats, self.config.idle));
        Ok(Some(Seat(carrier)))
    }

    fn builder(&self, limits: HeadLimits) -> Builder {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .max_concurrent_streams(0)
            .initial_window_size(self.config.window)
            .initial_connection_window_size(self.config.connection_window())
            .max_header_list_size(u32::try_from(limits.max_bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(RESETS_REMEMBERED)
            .reset_stream_duration(RESET_MEMORY)
            .max_local_error_reset_streams(Some(BROKEN_STREAMS))
            .data_frame_budget(self.config.frame_overhead());
        builder
    }

    /// Nothing panics while the lock is held.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl fmt::Debug for Carriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Carriers").field(&self.config).finish()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` outside of any runtime.
fn key(url: &Url) -> Option<Key> {
    let runtime = Handle::try_current().ok()?.id();
    let origin = Origin::of(url);
    Some(Key { origin, runtime })
}

/// Whether the server knows extended CONNECT.
///
/// Its SETTINGS are the first it sends, so they have been seen when it answers a PING
/// (<https://www.rfc-editor.org/rfc/rfc9113#section-3.4>). Without that setting a request would break
/// the rules (<https://www.rfc-editor.org/rfc/rfc8441#section-3>).
async fn is_extended(
    requests: &SendRequest<Bytes>,
    connection: &mut Connection<Paced<MaybeTls>, Bytes>,
) -> io::Result<bool> {
    let mut pings = connection.ping_pong();
    if let Some(pings) = &mut pings {
        pings
            .send_ping(Ping::opaque())
            .map_err(|error| to_io(&error))?;
    }
    poll_fn(|cx| {
        let ended = Pin::new(&mut *connection).poll(cx);
        if requests.is_extended_connect_protocol_enabled() {
            return Poll::Ready(Ok(true));
        }
        if let Poll::Ready(end) = ended {
            return Poll::Ready(Err(match end {
                Ok(()) => io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the server closed the connection without its settings",
                ),
                Err(error) => to_io(&error),
            }));
        }
        let Some(pings) = &mut pings else {
            return Poll::Ready(Ok(false));
        };
        let pong = ready!(pings.poll_pong(cx));
        // The settings may have come in the same breath.
        Poll::Ready(match pong {
            Ok(_) => Ok(requests.is_extended_connect_protocol_enabled()),
            Err(error) => Err(to_io(&error)),
        })
    })
    .await
}

/// Drives a connection until it is over: because the peer or a fault has ended it, or because it has had no
/// socket for a while.
async fn drive(
    connection: Connection<Paced<MaybeTls>, Bytes>,
    listing: Listing,
    seats: Arc<Seats>,
    idle: Duration,
) {
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = unused(&seats, idle, &listing) => None,
    };
    // Without its last handle it says GOAWAY and ends.
    drop(listing);
    let ended = match ended {
        Some(ended) => ended,
        None => timeout(FAREWELL, connection).await.unwrap_or(Ok(())),
    };
    match ended {
        Ok(()) => tracing::debug!(target: "we::net", "HTTP/2 connection closed"),
        Err(error) => {
            let error = to_io(&error);
            tracing::debug!(target: "we::net", %error, "HTTP/2 connection lost");
        }
    }
}

/// Waits until the connection has had no socket for the time `idle`, and takes it from the list.
async fn unused(seats: &Seats, idle: Duration, listing: &Listing) {
    loop {
        let changed = seats.changed.notified();
        if seats.taken.load(SeqCst) > 0 {
            changed.await;
        } else if timeout(idle, changed).await.is_err() && listing.remove_unused(seats) {
            return;
        }
    }
}

/// The entry of a connection in its client's list, from which it goes with this: also when the runtime ends.
struct Listing {
    inner: Weak<Mutex<Inner>>,
    key: Key,
    carrier: Weak<Carrier>,
}

impl Listing {
    /// Whether the connection has no socket, and from now on will not get any.
    fn remove_unused(&self, seats: &Seats) -> bool {
        let Some(inner) = self.inner.upgrade() else {
            return seats.taken.load(SeqCst) == 0;
        };
        let mut inner = lock(&inner);
        if seats.taken.load(SeqCst) > 0 {
            return false;
        }
        let removed = self.remove_from(&mut inner);
        drop(inner);
        drop(removed);
        true
    }

    fn remove_from(&self, inner: &mut Inner) -> Option<Arc<Carrier>> {
        let entries = inner.carriers.get_mut(&self.key)?;
        let ours = |entry: &Arc<Carrier>| Weak::as_ptr(&self.carrier) == Arc::as_ptr(entry);
        let index = entries.iter().position(ours)?;
        let removed = entries.swap_remove(index);
        if entries.is_empty() {
            inner.carriers.remove(&self.key);
        }
        Some(removed)
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            let removed = self.remove_from(&mut lock(&inner));
            drop(removed);
        }
    }
}

/// A connection, for taking no more seats on it.
pub(crate) struct Retiree(Arc<Carrier>);

impl Retiree {
    /// No further socket gets a seat on this connection.
    pub(crate) fn retire(&self) {
        self.0.retired.store(true, SeqCst);
    }
}

impl Seat {
    pub(crate) fn carrier(&self) -> Retiree {
        Retiree(Arc::clone(&self.0))
    }

    /// The address of the server, or of what stands in front of it.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.peer_addr
    }

    /// Sends a request and waits for the head of its answer. `limits` are those of all interim answers too.
    pub(crate) async fn open(
        self,
        request: Request<()>,
        limits: HeadLimits,
    ) -> Result<(StatusCode, HeaderMap, Stream), OpenError> {
        let mut requests = match self.0.requests.clone().ready().await {
            Ok(requests) => requests,
            Err(error) => return Err(self.refused(error)),
        };
        let (mut response, output) = match requests.send_request(request, false) {
            Ok(sent) => sent,
            Err(error) if error.is_go_away() || error.is_io() => return Err(self.refused(error)),
            Err(error) => return Err(OpenError::Failed(error)),
        };
        // What is left holds no connection open that has no other socket.
        drop(requests);
        let mut interim = 0;
        let answer = poll_fn(|cx| poll_answer(&mut response, &mut interim, limits, cx)).await;
        let answer = match answer {
            Ok(answer) => answer?,
            Err(error) => return Err(self.failed(error)),
        };
        let (head, input) = answer.into_parts();
        let pace = self.0.pace.clone();
        let stream = Stream::new(output, input, &pace, Some(self));
        Ok((head.status, head.headers, stream))
    }

    /// The request has never left.
    fn refused(&self, error: h2::Error) -> OpenError {
        self.carrier().retire();
        OpenError::Refused(error)
    }

    fn failed(&self, error: h2::Error) -> OpenError {
        let reason = error.reason().filter(|_| error.is_remote());
        // https://www.rfc-editor.org/rfc/rfc9113#section-8.7
        match reason {
            Some(Reason::HTTP_1_1_REQUIRED) => OpenError::Http1Required,
            Some(Reason::REFUSED_STREAM) if error.is_reset() => OpenError::Refused(error),
            // Of the open streams h2 tells only those of GOAWAY that are above its last one.
            Some(_) if error.is_go_away() => self.refused(error),
            _ if error.is_reset() => OpenError::Failed(error),
            _ => {
                self.carrier().retire();
                OpenError::Lost(error)
            }
        }
    }
}

/// The answer, past all interim ones, which count against the limit together.
#[allow(clippy::type_complexity)]
fn poll_answer(
    response: &mut ResponseFuture,
    interim: &mut usize,
    limits: HeadLimits,
    cx: &mut Context<'_>,
) -> Poll<Result<Result<hyper::http::Response<h2::RecvStream>, OpenError>, h2::Error>> {
    while let Poll::Ready(Some(Ok(head))) = response.poll_informational(cx) {
        let fields = head.headers().iter();
        // As https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2 counts, and the status.
        *interim += fields.fold(64, |sum, (name, value)| {
            sum + name.as_str().len() + value.len() + 32
        });
        if *interim > limits.max_bytes {
            let limit = limits.max_bytes;
            return Poll::Ready(Ok(Err(OpenError::Head(HeadError::TooLong { limit }))));
        }
    }
    Pin::new(response).poll(cx).map_ok(Ok)
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.taken.fetch_sub(1, SeqCst);
        self.0.seats.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
