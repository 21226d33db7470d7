//! A stream of a shared connection, as a reader and writer of bytes.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use h2::{FlowControl, RecvStream};
use hyper::body::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::reset;
use super::inbox::{Inbox, carry};
use super::pace::Pace;
use super::{SEND_BUFFER, Seat, Sender};

/// One stream of an HTTP/2 connection that carries a WebSocket.
///
/// - Reading opens the stream's window by what was read, and no more: a slow reader stops its peer.
/// - Writing takes what the peer's windows allow. Flushing has nothing to do: whoever drives the connection
///   writes.
/// - Shutting down sends END_STREAM, the FIN of TCP; so does dropping it when the peer has done so and all has been
///   read. Dropping it before sends RST_STREAM with CANCEL, the RST of TCP, behind what was written.
///   <https://www.rfc-editor.org/rfc/rfc8441#section-5>
/// - A reset by the peer, its GOAWAY, and the end of the connection are errors that say which.
pub struct Stream {
    output: Sender,
    inbox: Arc<Inbox>,
    window: FlowControl,
    /// What has been taken from the inbox and not been read.
    piece: Bytes,
    output_ended: bool,
    /// Its place on a client's connection.
    _seat: Option<Seat>,
}

impl Stream {
    /// Must be called within the runtime that drives the connection.
    pub(super) fn new(
        output: Sender,
        mut input: RecvStream,
        pace: &Pace,
        seat: Option<Seat>,
    ) -> Self {
        let inbox = Arc::<Inbox>::default();
        let window = input.flow_control().clone();
        tokio::spawn(pace.count(carry(input, Arc::clone(&inbox))));
        Self {
            output,
            inbox,
            window,
            piece: Bytes::new(),
            output_ended: false,
            _seat: seat,
        }
    }

    /// Why nothing more can be written.
    fn broken(&mut self, cx: &mut Context<'_>) -> io::Error {
        if let Some(error) = self.inbox.error() {
            return error;
        }
        match self.output.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => reset(reason),
            Poll::Ready(Err(error)) => super::to_io(&error),
            Poll::Pending => ErrorKind::BrokenPipe.into(),
        }
    }

    /// How many of `wanted` bytes may be written now.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let wanted = wanted.min(SEND_BUFFER);
        self.output.reserve_capacity(wanted);
        loop {
            let room = self.output.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room.min(wanted)));
            }
            match ready!(self.output.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(self.broken(cx))),
            }
        }
    }

    /// Hands over bytes that there is room for.
    fn write(&mut self, cx: &mut Context<'_>, bytes: Vec<u8>) -> io::Result<usize> {
        let count = bytes.len();
        match self.output.send_data(bytes.into(), false) {
            Ok(()) => Ok(count),
            Err(_) => Err(self.broken(cx)),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.piece.is_empty() {
            this.piece = ready!(this.inbox.poll_take(cx))?;
        }
        // As much as fits, of as many pieces as there are.
        loop {
            let count = this.piece.len().min(buf.remaining());
            buf.put_slice(this.piece.get(..count).unwrap_or_default());
            this.piece.advance(count);
            // Fails only on a stream that is over, whose window is of no account.
            let _ = this.window.release_capacity(count);
            if count == 0 || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            match this.inbox.poll_take(cx) {
                Poll::Ready(Ok(piece)) => this.piece = piece,
                // They come again when they are next asked for.
                Poll::Ready(Err(_)) | Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let total = slices
            .iter()
            .fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(this.poll_room(cx, total))?;
        let mut bytes = Vec::with_capacity(room);
        for slice in slices {
            let count = slice.len().min(room - bytes.len());
            bytes.extend_from_slice(slice.get(..count).unwrap_or_default());
        }
        Poll::Ready(this.write(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.output_ended {
            this.output_ended = true;
            if this.output.send_data(Bytes::new(), true).is_err() {
                return Poll::Ready(Err(this.broken(cx)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // As a close of TCP with nothing left to read is a FIN and no RST.
        if !self.output_ended && self.piece.is_empty() && self.inbox.is_over() {
            // It may have been reset meanwhile.
            let _ = self.output.send_data(Bytes::new(), true);
        }
        self.inbox.abandon();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("http2::Stream")
            .field("id", &self.output.stream_id())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use h2::Reason;
    use hyper::http::{Request, Response};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_write_tells_of_a_reset_that_the_porter_has_not_seen() {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let client = h2::client::Builder::new().handshake::<_, Bytes>(near);
        let (client, server) = tokio::join!(client, h2::server::handshake(far));
        let (mut requests, connection) = client.unwrap();
        tokio::spawn(connection);
        let (reset, wanted) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut server: h2::server::Connection<_, Bytes> = server.unwrap();
            let (_request, mut answer) = server.accept().await.unwrap().unwrap();
            let mut output = answer.send_response(Response::new(()), false).unwrap();
            tokio::select! {
                _ = server.accept() => {}
                _ = wanted => output.send_reset(Reason::CANCEL),
            }
            while server.accept().await.is_some() {}
        });
        let request = Request::post("http://h/").body(()).unwrap();
        let (answer, output) = requests.send_request(request, false).unwrap();
        let mut input = answer.await.unwrap().into_body();
        // Without a porter.
        let mut stream = Stream {
            output,
            inbox: Arc::default(),
            window: input.flow_control().clone(),
            piece: Bytes::new(),
            output_ended: false,
            _seat: None,
        };
        reset.send(()).unwrap();
        let error = loop {
            if let Err(error) = stream.write_all(&[0; 1000]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(error.to_string().contains("CANCEL"), "{error}");
    }
}
