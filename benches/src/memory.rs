//! A transport without a network: reading copies from a tape, as a socket would from the kernel; writing is a system call
//! that drops everything.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads its tape over and over.
pub struct Memory {
    tape: Arc<[u8]>,
    at: usize,
    /// `/dev/null`: the cheapest of what takes bytes. A library that calls it for each message pays for that, as it does
    /// (many times as much) with a socket.
    sink: File,
    written: u64,
}

impl Memory {
    pub fn new(tape: &Arc<[u8]>) -> Self {
        let sink = OpenOptions::new().write(true).open("/dev/null");
        Self {
            tape: Arc::clone(tape),
            at: 0,
            sink: sink.expect("/dev/null can be written to"),
            written: 0,
        }
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The next bytes of the tape, at most so many.
    pub fn next(&mut self, room: usize) -> &[u8] {
        let from = self.at;
        let to = self.tape.len().min(from.saturating_add(room));
        self.at = if to == self.tape.len() { 0 } else { to };
        &self.tape[from..to]
    }

    /// Copies the next bytes into `room`.
    pub fn fill(&mut self, room: &mut ReadBuf<'_>) {
        room.put_slice(self.next(room.remaining()));
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next(buffer.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.sink.write(bytes)?;
        self.written += len as u64;
        Ok(len)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let len = self.sink.write_vectored(slices)?;
        self.written += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.fill(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl wtx::stream::StreamReader for Memory {
    async fn read(&mut self, buffer: &mut [u8]) -> wtx::Result<usize> {
        Ok(Read::read(self, buffer).unwrap_or_default())
    }
}

impl wtx::stream::StreamWriter for Memory {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        assert!(Write::write_all(self, bytes).is_ok());
        Ok(())
    }

    async fn write_all_vectored(&mut self, slices: &[&[u8]]) -> wtx::Result<()> {
        // The sink takes all there is.
        let mut list = [IoSlice::new(&[]); 4];
        for (slice, bytes) in list.iter_mut().zip(slices) {
            *slice = IoSlice::new(bytes);
        }
        assert!(slices.len() <= list.len());
        assert!(self.write_vectored(&list[..slices.len()]).is_ok());
        Ok(())
    }
}
