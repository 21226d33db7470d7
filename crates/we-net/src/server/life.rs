//! The life of a connection: TLS and the opening handshake, and then its handler.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::http::{self, Asked, HttpHandler};
use super::listen::{Handler, Phase, Registered, ServerBuilder, Serving};
use super::{UpgradeError, multiplexed};
use crate::http2::{Http2Config, Preface, read_preface};
use crate::socket::WebSocket;
use crate::transport::tls::ALPN_HTTP_2;
use crate::transport::{MaybeTls, Socket, Stream};

/// The whole life of a connection, as a task.
///
/// Each phase is in a box of its own, since a task is as large as the largest of its phases for as long as it lives, and what
/// the handshakes of TLS and WebSocket need is gone when they are over.
pub(super) struct Life {
    phase: Now,
    /// Given back when the handler is done.
    kept: Option<(Registered, OwnedSemaphorePermit)>,
}

enum Now {
    Opening(Opening),
    Handling(Handler),
}

/// There is nothing to handle if nothing has come of it.
type Opening = Pin<Box<dyn Future<Output = Option<Handled>> + Send>>;

/// What is to be done on the connection, and what is kept meanwhile.
type Handled = (Handler, Option<(Registered, OwnedSemaphorePermit)>);

impl Life {
    pub(super) fn new<H, F>(
        socket: Socket,
        serving: Serving<H>,
        permit: Option<OwnedSemaphorePermit>,
        phase: watch::Receiver<Phase>,
    ) -> Self
    where
        H: Fn(WebSocket) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            phase: Now::Opening(Box::pin(begin(socket, serving, permit, phase))),
            kept: None,
        }
    }
}

impl Future for Life {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.phase {
                Now::Handling(handler) => return handler.as_mut().poll(cx),
                Now::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Some((handler, kept)) => {
                        self.phase = Now::Handling(handler);
                        self.kept = kept;
                    }
                    None => return Poll::Ready(()),
                },
            }
        }
    }
}

async fn begin<H, F>(
    socket: Socket,
    serving: Serving<H>,
    permit: Option<OwnedSemaphorePermit>,
    mut phase: watch::Receiver<Phase>,
) -> Option<Handled>
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let peer = socket.peer_addr();
    let opening = async {
        let permit = match permit {
            Some(permit) => permit,
            // It was there a moment ago. Nobody closes the semaphore.
            None => Arc::clone(&serving.permits).acquire_owned().await.ok()?,
        };
        Some((open(socket, peer, &serving.settings).await, permit))
    };
    let (opened, permit) = tokio::select! {
        opened = opening => opened?,
        // Draining: nobody has been promised anything yet.
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => return None,
    };
    match opened {
        Ok(Opened::Socket(socket)) => {
            let (handler, registered) = serving.handle(*socket, &phase);
            Some((handler, Some((registered, permit))))
        }
        Ok(Opened::Http(stream, first, handler)) => {
            let limits = serving.settings.acceptor.head_limits;
            let serve = async move {
                // As long as the connection lasts.
                let _permit = permit;
                http::serve(*stream, first, peer, handler, limits, phase).await;
            };
            Some((Box::pin(serve), None))
        }
        Ok(Opened::Http2(stream, first, config)) => {
            let serve = multiplexed::serve(*stream, first, peer, serving, config, permit, phase);
            Some((Box::pin(serve), None))
        }
        // Why there is none has been told to whoever listens.
        Err(_) => None,
    }
}

/// What a connection turns out to be.
enum Opened {
    Socket(Box<WebSocket>),
    /// With the first bytes.
    Http(Box<MaybeTls>, Vec<u8>, HttpHandler),
    /// With the first bytes.
    Http2(Box<MaybeTls>, Vec<u8>, Http2Config),
}

/// TLS, and the opening handshake unless it is one of HTTP/2.
async fn open(
    socket: Socket,
    peer: Option<SocketAddr>,
    settings: &ServerBuilder,
) -> Result<Opened, UpgradeError> {
    let acceptor = &settings.acceptor;
    let limit = acceptor.handshake_timeout;
    let deadline = Instant::now() + limit;
    let mut first = Vec::new();
    let mut stream = match (&settings.tls, settings.http2) {
        (None, Some(config)) if config.prior_knowledge => {
            let mut stream = MaybeTls::Plain(socket);
            match timeout_at(deadline, read_preface(&mut stream)).await {
                Ok(Ok(Preface::Http1(seen))) => first = seen,
                Ok(Ok(Preface::Http2(seen))) => {
                    return Ok(Opened::Http2(Box::new(stream), seen, config));
                }
                failed => {
                    acceptor.counters.failed();
                    return match failed {
                        Ok(Err(error)) => Err(error.into()),
                        _ => Err(UpgradeError::Timeout(limit)),
                    };
                }
            }
            stream
        }
        (None, _) => MaybeTls::Plain(socket),
        (Some(tls), http2) => {
            let accept = TlsAcceptor::from(tls.rustls()).accept(socket);
            let stream = match timeout_at(deadline, accept).await {
                Ok(Ok(stream)) => stream,
                failed => {
                    tracing::debug!(target: "we::net", ?peer, "no TLS");
                    acceptor.counters.failed();
                    return match failed {
                        Ok(Err(error)) => Err(error.into()),
                        _ => Err(UpgradeError::Timeout(limit)),
                    };
                }
            };
            let chosen = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2);
            let stream = MaybeTls::Tls(Box::new(TlsStream::Server(stream)));
            match http2 {
                Some(config) if chosen => {
                    return Ok(Opened::Http2(Box::new(stream), Vec::new(), config));
                }
                _ => stream,
            }
        }
    };
    if let Some(handler) = &settings.http {
        let asked = http::read_head(&mut stream, first, acceptor.head_limits);
        match timeout_at(deadline, asked).await {
            Ok(Ok(Asked::WebSocket(bytes))) => first = bytes,
            Ok(Ok(Asked::Http(bytes))) => {
                return Ok(Opened::Http(Box::new(stream), bytes, handler.clone()));
            }
            failed => {
                acceptor.counters.failed();
                return match failed {
                    Ok(Err(error)) => Err(error.into()),
                    _ => Err(UpgradeError::Timeout(limit)),
                };
            }
        }
    }
    let established = acceptor
        .establish_from(Stream::Own(stream), first, peer)
        .await?;
    Ok(Opened::Socket(Box::new(established.into())))
}
