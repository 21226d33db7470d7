//! What a server does with requests that do not ask for a WebSocket: [`ServerBuilder::http`](super::ServerBuilder::http).
//!
//! HTTP/1.1 with kept connections, by hyper. The body of an answer goes out as it comes and as fast as the client takes it; when the
//! client goes, the future that makes the answer is dropped, and so is the body.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::listen::Phase;
use crate::handshake::{HeadKind, HeadLimits, HeadReader, Headers, RequestHead};
use crate::http::{Meter, Metered, RequestBody};
use crate::transport::MaybeTls;

/// The body of an answer: none, bytes, or pieces [as they come](RequestBody::channel).
pub type ResponseBody = RequestBody;

/// How much of a body that is too long is read and dropped.
const MAX_DROPPED: usize = 1 << 20;

/// How long a peer may take nothing of an answer; as long as [`Timeouts::stalled_write`](crate::protocol::Timeouts::stalled_write) of servers.
const STALLED: Duration = Duration::from_secs(30);

/// How long a kept connection waits for its next request.
const IDLE: Duration = Duration::from_secs(30);

/// A request that does not ask for a WebSocket.
pub struct HttpRequest {
    /// `GET`, say.
    pub method: String,
    /// Path and query, as they stand in the request; begins with `/` or is `*` or a whole URL.
    pub target: String,
    /// The headers.
    pub headers: Headers,
    /// The client's address, where the stream has one.
    pub peer_addr: Option<SocketAddr>,
    body: Incoming,
}

/// Why the body of a request is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestBodyError {
    /// It is longer than it may be.
    #[error("the body of the request is longer than {limit} bytes")]
    TooLong {
        /// How long it may be.
        limit: usize,
    },
    /// The connection broke, or the body is malformed.
    #[error("the body of the request did not arrive: {0}")]
    Broken(String),
}

impl HttpRequest {
    /// Waits for all of the body, if that is no more than `limit` bytes. Of one that is longer some more is read and dropped, so that
    /// its client, which is still sending, gets the answer before a reset.
    ///
    /// # Errors
    /// If it is longer, or does not arrive. There is no time limit.
    pub async fn collect(&mut self, limit: usize) -> Result<Vec<u8>, RequestBodyError> {
        let mut collected = Vec::new();
        let mut dropped = 0;
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
            let data = match frame {
                None if dropped > 0 => return Err(RequestBodyError::TooLong { limit }),
                None => return Ok(collected),
                Some(Err(error)) => return Err(RequestBodyError::Broken(error.to_string())),
                // Trailers have no data.
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            if dropped > 0 || data.len() > limit - collected.len() {
                collected = Vec::new();
                dropped += data.len();
                if dropped > MAX_DROPPED {
                    return Err(RequestBodyError::TooLong { limit });
                }
                continue;
            }
            collected.extend_from_slice(&data);
        }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may be a secret.
        let path = self.target.split('?').next().unwrap_or_default();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("path", &path)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// An answer. `Content-Length`, `Transfer-Encoding` and `Date` are added where they belong.
#[derive(Debug)]
pub struct HttpResponse {
    /// From 200 to 599.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body; left out where a response has none.
    pub body: ResponseBody,
}

impl HttpResponse {
    /// An answer without headers and body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Headers::new(),
            body: ResponseBody::none(),
        }
    }

    /// An answer for people to read.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        let mut headers = Headers::new();
        // A token and a value without control characters.
        let _ = headers.append("Content-Type", "text/plain; charset=utf-8");
        Self {
            status,
            headers,
            body: Bytes::from(text.into()).into(),
        }
    }

    fn into_hyper(self) -> hyper::Response<ResponseBody> {
        let mut response = hyper::Response::new(self.body);
        let status = hyper::StatusCode::from_u16(self.status).ok();
        // A final one: hyper would take 101 for the end of HTTP.
        let status = status.filter(|status| !status.is_informational());
        *response.status_mut() = status.unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
        for field in self.headers.iter() {
            let name = HeaderName::from_bytes(field.name().as_bytes());
            let value = HeaderValue::from_bytes(field.value());
            if let (Ok(name), Ok(value)) = (name, value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// What answers requests.
#[derive(Clone)]
pub(super) struct HttpHandler(Arc<dyn Fn(HttpRequest) -> Answering + Send + Sync>);

type Answering = Pin<Box<dyn Future<Output = HttpResponse> + Send>>;

impl HttpHandler {
    pub(super) fn new<F>(handler: impl Fn(HttpRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = HttpResponse> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(handler(request))))
    }
}

impl fmt::Debug for HttpHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpHandler")
    }
}

/// What the head of a request turns out to ask for; with the bytes that were read.
pub(super) enum Asked {
    /// A WebSocket, or it is no proper request: the opening handshake tells.
    WebSocket(Vec<u8>),
    Http(Vec<u8>),
}

/// Reads the head of a request, of which `bytes` are there already. Without time limit.
pub(super) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    mut bytes: Vec<u8>,
    limits: HeadLimits,
) -> std::io::Result<Asked> {
    let mut reader = HeadReader::new(HeadKind::Request, limits);
    let mut seen = 0;
    loop {
        match reader.receive(bytes.get(seen..).unwrap_or_default()) {
            Err(_) => return Ok(Asked::WebSocket(bytes)),
            Ok(Some(_)) => break,
            Ok(None) => seen = bytes.len(),
        }
        bytes.reserve(4096);
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(Asked::WebSocket(bytes));
        }
    }
    let is_websocket = match RequestHead::parse(reader.head(), limits) {
        Err(_) => true,
        Ok(head) => head.headers.values("upgrade").any(|value| {
            let mut protocols = value.split(|byte| *byte == b',');
            protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"websocket"))
        }),
    };
    Ok(if is_websocket {
        Asked::WebSocket(bytes)
    } else {
        Asked::Http(bytes)
    })
}

/// Answers the requests on a connection, of which the bytes in `first` have been read already.
pub(super) async fn serve(
    stream: MaybeTls,
    first: Vec<u8>,
    peer_addr: Option<SocketAddr>,
    handler: HttpHandler,
    limits: HeadLimits,
    mut phase: watch::Receiver<Phase>,
) {
    let meter = Meter::new(limits);
    // The limits of a head are hyper's here, since heads come one after the other.
    meter.stop();
    let stream = Metered::new(Behind::new(first.into(), stream), meter);
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let answering = take(request, peer_addr).map(&*handler.0);
        async move {
            Ok::<_, Infallible>(match answering {
                Some(answering) => answering.await.into_hyper(),
                None => HttpResponse::text(400, "a header is malformed\n").into_hyper(),
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer)
        .header_read_timeout(IDLE)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_bytes.max(8 * 1024))
        .serve_connection(stream, answer);
    let mut connection = pin!(connection);
    let draining = async {
        let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = draining => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "we::net", peer = ?peer_addr, %error, "an HTTP connection ended badly");
    }
}

/// The request in our terms; `None` if a header is none.
fn take(request: hyper::Request<Incoming>, peer_addr: Option<SocketAddr>) -> Option<HttpRequest> {
    let (head, body) = request.into_parts();
    let mut headers = Headers::new();
    for (name, value) in &head.headers {
        headers.append(name.as_str(), value.as_bytes()).ok()?;
    }
    Some(HttpRequest {
        method: head.method.as_str().to_owned(),
        target: head.uri.to_string(),
        headers,
        peer_addr,
        body,
    })
}

/// A stream behind bytes that have been read from it already. A peer that takes nothing of an answer for a while is given up.
struct Behind<S> {
    first: Bytes,
    stream: S,
    /// While a write waits.
    patience: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<S> Behind<S> {
    fn new(first: Bytes, stream: S) -> Self {
        Self {
            first,
            stream,
            patience: None,
        }
    }

    /// What has become of a write, or of none for too long.
    fn in_time<T>(
        &mut self,
        polled: Poll<std::io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<T>> {
        if polled.is_ready() {
            self.patience = None;
            return polled;
        }
        let patience = self
            .patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(STALLED)));
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Behind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Behind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(polled, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// tokio's clock for hyper.
#[derive(Clone, Debug)]
struct TokioTimer;

struct TokioSleep(Pin<Box<tokio::time::Sleep>>);

impl Future for TokioSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.0.as_mut().poll(cx));
        Poll::Ready(())
    }
}

impl Sleep for TokioSleep {}

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(TokioSleep(Box::pin(tokio::time::sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let sleep = tokio::time::sleep_until(deadline.into());
        Box::pin(TokioSleep(Box::pin(sleep)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let (near, mut far) = duplex(1000);
        let mut near = Behind::new(Bytes::new(), near);
        let slow = tokio::spawn(async move {
            let mut bytes = [0; 1000];
            for _ in 0..5 {
                sleep(STALLED - Duration::from_secs(1)).await;
                far.read_exact(&mut bytes).await.unwrap();
            }
            far
        });
        near.write_all(&[0; 6000]).await.unwrap();
        let _far = slow.await.unwrap();
        let began = Instant::now();
        let error = near.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= STALLED && began.elapsed() < STALLED * 2);
    }
}
