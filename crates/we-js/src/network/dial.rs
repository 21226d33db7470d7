//! How a connection is established: the seam between a socket's task and `we_net`'s client.

use std::error::Error;

use tokio::io::{AsyncRead, AsyncWrite};
use we_net::client::Request;
use we_net::transport::{ConnectError, Driver, MaybeTls};

/// A way to get a connection. A test brings its own.
pub(crate) trait Dial: Send + 'static {
    /// What the connection's bytes travel on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Why there is no connection.
    type Error: Error + Send + Sync + 'static;

    /// What is dialled, for the operator to read.
    fn target(&self) -> String {
        String::from("connection")
    }

    /// Dials and performs the opening handshake. Dropping the future gives up.
    fn dial(self) -> impl Future<Output = Result<Opened<Self::Stream>, Self::Error>> + Send;
}

/// An established connection.
pub(crate) struct Opened<S> {
    pub(crate) driver: Driver<S>,
    /// The subprotocol in use, or an empty string.
    pub(crate) protocol: String,
    /// The extensions in use, as the server wrote them.
    pub(crate) extensions: String,
}

/// Name look-up, TCP, TLS and the opening handshake.
impl Dial for Request {
    type Stream = MaybeTls;
    type Error = ConnectError;

    fn target(&self) -> String {
        self.url().as_str().to_owned()
    }

    async fn dial(self) -> Result<Opened<MaybeTls>, ConnectError> {
        let established = self.establish().await?;
        Ok(Opened {
            driver: established.driver,
            protocol: established.negotiated.subprotocol.unwrap_or_default(),
            extensions: established.negotiated.extensions,
        })
    }
}
