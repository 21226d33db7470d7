//! What the bytes of a connection travel on below its own TLS, as one type: TCP, a Unix socket, or a
//! tunnel through a proxy that is itself spoken to by TLS.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::TlsStream;

/// A connected socket, or a tunnel that is as good as one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Socket {
    /// TCP, to the peer or to a proxy that has opened a tunnel to it, with the address of that.
    Tcp(TcpStream, SocketAddr),
    /// A Unix socket on this machine.
    #[cfg(unix)]
    Unix(UnixStream),
    /// A tunnel through a proxy that is spoken to by TLS.
    Tunnel(Box<TlsStream<TcpStream>>),
}

impl Socket {
    /// The address of what TCP is connected to: the peer, or the proxy in front of it. `None` on a
    /// Unix socket, and in a tunnel when the connection has gone.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, address) => Some(*address),
            #[cfg(unix)]
            Self::Unix(_) => None,
            Self::Tunnel(stream) => stream.get_ref().0.peer_addr().ok(),
        }
    }
}

/// Does the same with whichever stream there is.
macro_rules! each {
    ($socket:expr, $stream:ident => $action:expr) => {
        match $socket {
            Socket::Tcp($stream, _) => $action,
            #[cfg(unix)]
            Socket::Unix($stream) => $action,
            Socket::Tunnel($stream) => $action,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
