//! A tokio stream as hyper wants streams, with a meter on what is read before the head of the answer
//! is complete.
//!
//! hyper's own limit on heads is one on buffers, says nothing in its error that a program could rely
//! on, and has a minimum. So the count is kept here, where the bytes come in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::handshake::{HeadError, HeadLimits};

/// Bytes read at once.
const BUFFER: usize = 8 * 1024;

/// A stream for hyper.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
    /// What is read comes through here: to have it read into hyper's buffer would take `unsafe`.
    buffer: Box<[u8]>,
}

/// Counts what is read until the head of the answer is complete. Only one task ever touches it; the
/// atomics are there because it must be `Sync`.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: HeadLimits,
    /// Whether the head is complete; nothing is counted from then on.
    complete: AtomicBool,
    bytes: AtomicUsize,
    lines: AtomicUsize,
    /// More bytes were wanted than there may be.
    exceeded: AtomicBool,
}

impl Meter {
    pub(crate) fn new(limits: HeadLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            complete: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            lines: AtomicUsize::new(0),
            exceeded: AtomicBool::new(false),
        })
    }

    /// The head is complete: the body may be of any length.
    pub(crate) fn stop(&self) {
        self.complete.store(true, Relaxed);
    }

    /// Whether anything has been read.
    pub(crate) fn has_started(&self) -> bool {
        self.bytes.load(Relaxed) > 0
    }

    /// The limit that a head which hyper could not read has run into, if that is why.
    pub(crate) fn exceeded(&self) -> Option<HeadError> {
        let HeadLimits {
            max_bytes,
            max_headers,
        } = self.limits;
        if self.exceeded.load(Relaxed) {
            return Some(HeadError::TooLong { limit: max_bytes });
        }
        // The first line does not count; the empty one may not have come.
        (self.lines.load(Relaxed) > max_headers.saturating_add(1))
            .then_some(HeadError::TooManyHeaders { limit: max_headers })
    }

    /// How many of `wanted` bytes may be read.
    fn allow(&self, wanted: usize) -> usize {
        if self.complete.load(Relaxed) {
            return wanted;
        }
        let left = self
            .limits
            .max_bytes
            .saturating_sub(self.bytes.load(Relaxed));
        wanted.min(left)
    }

    fn count(&self, bytes: &[u8]) {
        if self.complete.load(Relaxed) {
            return;
        }
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.bytes.fetch_add(bytes.len(), Relaxed);
        self.lines.fetch_add(lines, Relaxed);
    }
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, meter: Arc<Meter>) -> Self {
        Self {
            stream,
            meter,
            buffer: vec![0; BUFFER].into(),
        }
    }
}

impl<S: AsyncRead + Unpin> Read for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            stream,
            meter,
            buffer,
        } = self.get_mut();
        let wanted = cursor.remaining().min(buffer.len());
        let allowed = meter.allow(wanted);
        if allowed < wanted && allowed == 0 {
            meter.exceeded.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::other("the head is too long")));
        }
        let mut read = ReadBuf::new(buffer.get_mut(..allowed).unwrap_or_default());
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        meter.count(read.filled());
        cursor.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }
}
