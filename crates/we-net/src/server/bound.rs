//! What a server listens at: TCP, or a Unix socket.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Arc;

#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::net::{TcpListener, ToSocketAddrs};

use crate::transport::Socket;

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp {
        listener: TcpListener,
        address: SocketAddr,
    },
    #[cfg(unix)]
    Unix {
        /// Goes first: as long as the socket is open, no other file can have its inode.
        _file: Arc<SocketFile>,
        listener: UnixListener,
    },
}

/// A listening socket that belongs to no runtime: each thread that shares it attaches a clone to its own.
#[derive(Debug)]
pub(super) enum Detached {
    Tcp {
        listener: std::net::TcpListener,
        address: SocketAddr,
    },
    #[cfg(unix)]
    Unix {
        /// Goes first, and with the last clone, as above.
        file: Arc<SocketFile>,
        listener: std::os::unix::net::UnixListener,
    },
}

impl Detached {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp { listener, address } => Self::Tcp {
                listener: listener.try_clone()?,
                address: *address,
            },
            #[cfg(unix)]
            Self::Unix { file, listener } => Self::Unix {
                file: Arc::clone(file),
                listener: listener.try_clone()?,
            },
        })
    }

    /// Has the current runtime watch it.
    pub(super) fn attach(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp { listener, address } => Listener::Tcp {
                listener: TcpListener::from_std(listener)?,
                address,
            },
            #[cfg(unix)]
            Self::Unix { file, listener } => Listener::Unix {
                _file: file,
                listener: UnixListener::from_std(listener)?,
            },
        })
    }
}

/// The file of a Unix socket, which goes when its server does.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode of what was bound. Another server may have put its own in that place since.
    bound: Option<(u64, u64)>,
}

#[cfg(unix)]
impl SocketFile {
    fn new(path: PathBuf) -> Self {
        let bound = identity(&path);
        Self { path, bound }
    }
}

/// Device and inode of a file.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl Listener {
    pub(super) async fn tcp(address: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self::Tcp { listener, address })
    }

    #[cfg(unix)]
    pub(super) fn unix(path: PathBuf) -> io::Result<Self> {
        let listener = UnixListener::bind(&path)?;
        let _file = Arc::new(SocketFile::new(path));
        Ok(Self::Unix { _file, listener })
    }

    /// Takes it from its runtime.
    pub(super) fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Tcp { listener, address } => Detached::Tcp {
                listener: listener.into_std()?,
                address,
            },
            #[cfg(unix)]
            Self::Unix { _file, listener } => Detached::Unix {
                file: _file,
                listener: listener.into_std()?,
            },
        })
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { address, .. } => Some(*address),
            #[cfg(unix)]
            Self::Unix { .. } => None,
        }
    }

    /// The next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp { listener, .. } => {
                let (stream, peer) = listener.accept().await?;
                // It fails on a connection that has gone already, which shows soon enough.
                let _ = stream.set_nodelay(true);
                Ok(Socket::Tcp(stream, peer))
            }
            #[cfg(unix)]
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok(Socket::Unix(stream))
            }
        }
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.bound.is_some() && identity(&self.path) == self.bound {
            // If it has gone already, so much the better.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
