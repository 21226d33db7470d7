//! A client's connection, as its server sees it.

use std::io;

use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use hyper::body::Bytes;
use hyper::http::{Request, request};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::pace::{Pace, Paced};
use super::{
    BROKEN_STREAMS, Http2Config, RESET_MEMORY, RESETS_REMEMBERED, SEND_BUFFER, Stream,
    UNSEEN_RESETS, to_io,
};
use crate::handshake::{AcceptResponse, HeadLimits, Rejection, http2 as head};

/// What a client that speaks HTTP/2 sends first.
/// <https://www.rfc-editor.org/rfc/rfc9113#section-3.4>
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which protocol a client speaks, and what has been read to find out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    Http1(Vec<u8>),
    Http2(Vec<u8>),
}

/// Reads as far as it takes to tell the protocols apart: no request of HTTP/1.1 begins like HTTP/2, and the
/// first byte that differs decides. Without time limit.
pub(crate) async fn read_preface<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Preface> {
    let mut seen = Vec::new();
    let mut buffer = [0; PREFACE.len()];
    while seen.len() < PREFACE.len() {
        let room = buffer
            .get_mut(..PREFACE.len() - seen.len())
            .unwrap_or_default();
        let count = stream.read(room).await?;
        seen.extend_from_slice(room.get(..count).unwrap_or_default());
        if count == 0 || !PREFACE.starts_with(&seen) {
            return Ok(Preface::Http1(seen));
        }
    }
    Ok(Preface::Http2(seen))
}

/// Speaks HTTP/2 on `stream`, of which the bytes in `first` have been read already, at the given pace. Without time limit.
pub(crate) async fn listen<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    first: Vec<u8>,
    pace: Pace,
    config: Http2Config,
    limits: HeadLimits,
) -> io::Result<Connection<Paced<S>, Bytes>> {
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(config.max_sockets)
        .initial_window_size(config.window)
        .initial_connection_window_size(config.connection_window())
        .max_header_list_size(u32::try_from(limits.max_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESETS_REMEMBERED)
        .reset_stream_duration(RESET_MEMORY)
        .max_pending_accept_reset_streams(UNSEEN_RESETS)
        .max_local_error_reset_streams(Some(BROKEN_STREAMS))
        .data_frame_budget(config.frame_overhead());
    builder
        .handshake(Paced::new(stream, pace).behind(first))
        .await
        .map_err(|error| to_io(&error))
}

/// A request that waits for its answer.
pub(crate) struct Incoming {
    pub(crate) head: request::Parts,
    input: RecvStream,
    answer: SendResponse<Bytes>,
    pace: Pace,
}

impl Incoming {
    pub(crate) fn new(
        (request, answer): (Request<RecvStream>, SendResponse<Bytes>),
        pace: Pace,
    ) -> Self {
        let (head, input) = request.into_parts();
        Self {
            head,
            input,
            answer,
            pace,
        }
    }

    /// Leaves it to the client to ask again: nobody has looked at the request.
    pub(crate) fn refuse(mut self) {
        self.answer.send_reset(Reason::REFUSED_STREAM);
    }

    /// Opens the WebSocket.
    pub(crate) fn accept(mut self, accept: &AcceptResponse<'_>) -> io::Result<Stream> {
        let response = head::accept(accept).map_err(io::Error::other)?;
        let output = self
            .answer
            .send_response(response, false)
            .map_err(|error| to_io(&error))?;
        Ok(Stream::new(output, self.input, &self.pace, None))
    }

    /// Says why there is no WebSocket. A client that does not want to know loses that.
    pub(crate) fn reject(mut self, rejection: &Rejection) {
        let (response, body) = head::reject(rejection);
        if let Ok(mut output) = self.answer.send_response(response, false) {
            let _ = output.send_data(body, true);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    #[tokio::test]
    async fn the_first_byte_that_differs_tells_the_protocols_apart() {
        // What follows never comes: nothing may wait for it.
        for (sent, http2) in [
            (&b"G"[..], false),
            (b"POST / HTTP/1.1\r\n\r\n", false),
            (b"PRI * HTTP/1.1\r\n", false),
            (PREFACE, true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04", true),
        ] {
            for piece in [1, 5, sent.len()] {
                let mut builder = tokio_test_io(sent, piece);
                let preface = read_preface(&mut builder).await.unwrap();
                let (is_http2, seen) = match preface {
                    Preface::Http1(seen) => (false, seen),
                    Preface::Http2(seen) => (true, seen),
                };
                assert_eq!(is_http2, http2, "{sent:?}");
                assert!(sent.starts_with(&seen) && !seen.is_empty());
            }
        }
        // An end in the middle is for the reader of HTTP/1.1 to tell of.
        let (mut near, far) = tokio::io::duplex(64);
        drop(far);
        assert_eq!(
            read_preface(&mut near).await.unwrap(),
            Preface::Http1(Vec::new())
        );
    }

    /// A stream that brings `sent` in pieces and then waits for ever.
    fn tokio_test_io(sent: &[u8], piece: usize) -> impl AsyncRead + Unpin + use<> {
        struct Pieces(std::collections::VecDeque<Vec<u8>>);
        impl AsyncRead for Pieces {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let Some(piece) = self.0.pop_front() else {
                    return Poll::Pending;
                };
                let count = piece.len().min(buf.remaining());
                buf.put_slice(piece.get(..count).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
        }
        Pieces(sent.chunks(piece).map(<[u8]>::to_vec).collect())
    }
}
