//! A connection that many WebSockets share, by HTTP/2: each stream that opens one runs the handler in a
//! task of its own.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use hyper::body::Bytes;
use hyper::http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::UpgradeError;
use super::listen::{Phase, Serving, report};
use crate::http2::{self, FAREWELL, Http2Config, Incoming, Pace};
use crate::socket::WebSocket;

/// The right to have so many sockets.
///
/// One belongs to the connection itself, so that idle ones are bounded too, and serves for its first socket. Each
/// further socket needs another, of those that all connections of the server share: a client gets no more
/// sockets by HTTP/2 than by HTTP/1.1.
struct Permits {
    shared: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
}

impl Permits {
    /// Whether there may be another socket beside `sockets`.
    fn grow(&mut self, sockets: usize) -> bool {
        if sockets < self.held.len() {
            return true;
        }
        match Arc::clone(&self.shared).try_acquire_owned() {
            Ok(permit) => {
                self.held.push(permit);
                true
            }
            Err(_) => false,
        }
    }

    /// There are only so many sockets any more.
    fn shrink(&mut self, sockets: usize) {
        self.held.truncate(sockets.max(1));
    }
}

/// What there is to do next.
enum Next {
    Request(Box<Incoming>),
    /// The connection is over; its sockets find out by themselves.
    Ended,
    SocketClosed,
    /// A request has come to nothing. It is no reason to wait any longer for one that opens a socket.
    Rejected,
    Shutdown,
    Unused,
}

/// Serves a connection until it and all its handlers have ended.
pub(super) async fn serve<S, H, F>(
    stream: S,
    first: Vec<u8>,
    peer: Option<SocketAddr>,
    serving: Serving<H>,
    config: Http2Config,
    permit: OwnedSemaphorePermit,
    mut phase: watch::Receiver<Phase>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = &serving.settings.acceptor;
    let limit = acceptor.handshake_timeout;
    let pace = Pace::default();
    let listening = http2::listen(stream, first, pace.clone(), config, acceptor.head_limits);
    // `None` when it is over, though handlers may still run.
    let mut connection = match timeout(limit, listening).await {
        Ok(Ok(connection)) => Some(connection),
        failed => {
            let error = match failed {
                Ok(Err(error)) => error.into(),
                _ => UpgradeError::Timeout(limit),
            };
            tracing::debug!(target: "we::net", ?peer, %error, "no HTTP/2");
            acceptor.counters.failed();
            return;
        }
    };
    tracing::debug!(target: "we::net", ?peer, "HTTP/2 connection opened");
    let mut permits = Permits {
        shared: Arc::clone(&serving.permits),
        held: vec![permit],
    };
    let mut sockets = JoinSet::new();
    let mut state = State::Open;
    // The first request has the time that one by HTTP/1.1 has.
    let mut unused = pin!(sleep_until(Instant::now() + limit));
    while connection.is_some() || !sockets.is_empty() {
        let next = tokio::select! {
            incoming = accept(&mut connection), if connection.is_some() => match incoming {
                Some(Ok(incoming)) => Next::Request(Box::new(Incoming::new(incoming, pace.clone()))),
                Some(Err(error)) => {
                    let error = http2::to_io(&error);
                    tracing::debug!(target: "we::net", ?peer, %error, "HTTP/2 connection lost");
                    Next::Ended
                }
                None => Next::Ended,
            },
            Some(ended) = sockets.join_next() => {
                let rejected = matches!(ended, Ok(Outcome::Rejected));
                report(ended.map(|_| ()));
                if rejected { Next::Rejected } else { Next::SocketClosed }
            }
            _ = phase.wait_for(|phase| *phase != Phase::Serving), if state == State::Open => Next::Shutdown,
            () = &mut unused, if sockets.is_empty() => Next::Unused,
        };
        match next {
            Next::Request(request) => {
                // Also those whose streams have been reset count until their handlers have returned.
                let room = sockets.len() < config.max_sockets as usize;
                if state == State::Open && room && permits.grow(sockets.len()) {
                    let serving = serving.clone();
                    sockets.spawn(run(*request, peer, serving, phase.clone()));
                } else {
                    request.refuse();
                }
            }
            Next::Ended => connection = None,
            Next::Rejected => permits.shrink(sockets.len()),
            Next::SocketClosed => {
                permits.shrink(sockets.len());
                let left = match state {
                    State::Open => config.idle,
                    State::Leaving => FAREWELL,
                };
                unused.as_mut().reset(Instant::now() + left);
            }
            Next::Unused if state == State::Leaving => connection = None,
            Next::Shutdown | Next::Unused => {
                state = State::Leaving;
                if let Some(connection) = &mut connection {
                    connection.graceful_shutdown();
                }
                unused.as_mut().reset(Instant::now() + FAREWELL);
            }
        }
    }
    tracing::debug!(target: "we::net", ?peer, "HTTP/2 connection closed");
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// GOAWAY has been said.
    Leaving,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Rejected,
    /// There was a socket.
    Served,
}

/// The next request; never, without a connection.
async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Option<Connection<S, Bytes>>,
) -> Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>> {
    match connection {
        Some(connection) => connection.accept().await,
        None => std::future::pending().await,
    }
}

/// One WebSocket.
async fn run<H, F>(
    request: Incoming,
    peer: Option<SocketAddr>,
    serving: Serving<H>,
    phase: watch::Receiver<Phase>,
) -> Outcome
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    // Why there is none has been told to whoever listens.
    let Ok(established) = serving.settings.acceptor.establish_shared(request, peer) else {
        return Outcome::Rejected;
    };
    let (handler, _registered) = serving.handle(established.into(), &phase);
    handler.await;
    Outcome::Served
}
