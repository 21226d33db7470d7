//! A tunnel about to be opened, whatever the kind of the proxy.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::connect::Connect;
use super::socks5::{Socks5, Target};
use super::{Kind, Proxy, ProxyError, Step};
use crate::handshake::HeadLimits;

/// Bytes read from a proxy at once.
const PIECE: usize = 1024;

/// The negotiation with a proxy: bytes in, bytes out.
#[derive(Debug)]
pub(crate) enum Tunnel {
    Connect(Connect),
    Socks5(Socks5),
}

impl Tunnel {
    /// A tunnel through `proxy` to `target`, whose `host` is what its URL says.
    pub(crate) fn new(
        proxy: &Proxy,
        host: &str,
        target: &Target,
        port: u16,
        limits: HeadLimits,
    ) -> Result<Self, ProxyError> {
        let login = proxy.login();
        Ok(match proxy.kind() {
            Kind::Http { .. } => Self::Connect(Connect::new(host, port, login, limits)),
            Kind::Socks5 { .. } => Self::Socks5(Socks5::new(target, port, login)?),
        })
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<Step, ProxyError> {
        match self {
            Self::Connect(connect) => connect.receive(bytes),
            Self::Socks5(socks) => socks.receive(bytes),
        }
    }

    fn receive_eof(&self) -> ProxyError {
        match self {
            Self::Connect(connect) => connect.receive_eof(),
            Self::Socks5(socks) => socks.receive_eof(),
        }
    }

    /// Opens it on a connection to the proxy, without time limit.
    pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        stream: &mut S,
    ) -> Result<(), ProxyError> {
        let mut buffer = [0; PIECE];
        let mut step = self.receive(&[])?;
        loop {
            match step {
                Step::Open => return Ok(()),
                Step::Wait => {}
                Step::Send(bytes) => {
                    stream.write_all(&bytes).await.map_err(ProxyError::Broken)?;
                    stream.flush().await.map_err(ProxyError::Broken)?;
                }
            }
            let count = match stream.read(&mut buffer).await {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(ProxyError::Broken(error)),
            };
            if count == 0 {
                return Err(self.receive_eof());
            }
            step = self.receive(buffer.get(..count).unwrap_or_default())?;
        }
    }
}
