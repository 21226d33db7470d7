//! One request and the head of its answer on a stream, by hyper.
//!
//! hyper's connection is polled by whoever waits for the head, and then by whoever reads the body:
//! there is no task in the background, and when the body is dropped the socket is closed.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;

use super::HttpError;
use super::error::{detail, io_kind, tls_error};
use super::io::{Meter, Metered};
use super::upload::RequestBody;
use crate::handshake::{HeadLimits, Headers};
use crate::transport::{ConnectError, MaybeTls};

/// hyper buffers no more of a body than this, so a chunk is not longer.
const MAX_BUFFER: usize = 64 * 1024;

/// The answer of a server, its body still to come.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) reason: Vec<u8>,
    pub(super) headers: Headers,
    pub(super) rest: Rest,
}

/// What remains of the connection: the body.
pub(super) struct Rest {
    incoming: Incoming,
    connection: Connection,
}

/// hyper's connection, until it ends.
struct Connection {
    running: Option<http1::Connection<Metered<MaybeTls>, RequestBody>>,
    /// Why it ended, if it should not have.
    failure: Option<hyper::Error>,
}

/// Sends `request` and waits for the head of the answer, without time limit.
pub(super) async fn exchange(
    stream: MaybeTls,
    request: hyper::Request<RequestBody>,
    limits: HeadLimits,
    host: &str,
) -> Result<Answer, HttpError> {
    let meter = Meter::new(limits);
    let fail = |error| head_failure(&error, &meter, host);
    let (mut sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .max_headers(limits.max_headers)
        // The meter's limit is to be met first.
        .max_buf_size(limits.max_bytes.saturating_add(1).max(MAX_BUFFER))
        .handshake(Metered::new(stream, meter.clone()))
        .await
        .map_err(fail)?;
    let mut connection = Connection {
        running: Some(connection),
        failure: None,
    };
    let mut answer = pin!(sender.send_request(request));
    let answer = poll_fn(|cx| {
        connection.poll(cx);
        answer.as_mut().poll(cx)
    });
    let answer = match answer.await {
        Ok(answer) => answer,
        Err(error) => return Err(fail(connection.failure.unwrap_or(error))),
    };
    meter.stop();
    let (head, incoming) = answer.into_parts();
    if head.status == hyper::StatusCode::SWITCHING_PROTOCOLS {
        return Err(HttpError::NotHttp {
            host: host.to_owned(),
            detail: "it switches to another protocol unasked".to_owned(),
        });
    }
    // hyper keeps the phrase only if it is not the usual one.
    let reason = match head.extensions.get::<ReasonPhrase>() {
        Some(reason) => reason.as_bytes(),
        None => head.status.canonical_reason().unwrap_or("").as_bytes(),
    };
    let reason = reason.to_vec();
    let mut headers = Headers::new();
    for (name, value) in &head.headers {
        headers
            .append(name.as_str(), value)
            .map_err(|error| HttpError::NotHttp {
                host: host.to_owned(),
                detail: error.to_string(),
            })?;
    }
    Ok(Answer {
        status: head.status.as_u16(),
        reason,
        headers,
        rest: Rest {
            incoming,
            connection,
        },
    })
}

impl Rest {
    /// The next piece of the body, or its trailers.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<hyper::body::Bytes>, hyper::Error>>> {
        self.connection.poll(cx);
        let frame = Pin::new(&mut self.incoming).poll_frame(cx);
        match (frame, self.connection.failure.take()) {
            // A connection that fails must not look like the end of the body.
            (Poll::Ready(None), Some(failure)) => Poll::Ready(Some(Err(failure))),
            (frame, failure) => {
                self.connection.failure = failure;
                frame
            }
        }
    }

    /// Whether nothing more will come.
    pub(super) fn is_complete(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// How long the rest of the body is, if the server has said so.
    pub(super) fn declared_length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }
}

impl Connection {
    /// Moves bytes.
    fn poll(&mut self, cx: &mut Context<'_>) {
        let Some(running) = &mut self.running else {
            return;
        };
        if let Poll::Ready(result) = Pin::new(running).poll(cx) {
            self.running = None;
            self.failure = result.err();
        }
    }
}

/// Why no head came.
fn head_failure(error: &hyper::Error, meter: &Meter, host: &str) -> HttpError {
    let host = host.to_owned();
    let unfinished = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    if unfinished || io_kind(error) == Some(std::io::ErrorKind::UnexpectedEof) {
        let started = meter.has_started();
        return HttpError::Ended { host, started };
    }
    if let Some(source) = meter.exceeded() {
        return HttpError::Head { host, source };
    }
    if let Some(source) = tls_error(error) {
        return ConnectError::Tls { host, source }.into();
    }
    match io_kind(error) {
        Some(_) => HttpError::Broken {
            host,
            source: detail(error).into(),
        },
        None => HttpError::NotHttp {
            host,
            detail: detail(error),
        },
    }
}

/// Why the body did not go on.
pub(super) fn body_failure(error: &hyper::Error, host: &str) -> HttpError {
    let host = host.to_owned();
    let ended = io_kind(error) == Some(std::io::ErrorKind::UnexpectedEof);
    if ended || error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return HttpError::BodyEnded { host };
    }
    HttpError::Broken {
        host,
        source: detail(error).into(),
    }
}
