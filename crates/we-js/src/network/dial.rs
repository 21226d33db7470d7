//! How a connection is established: the seam between a socket's task and `we_net`'s client.

use std::error::Error;

use tokio::io::{AsyncRead, AsyncWrite};
use we_net::client::Request;
use we_net::handshake::WebSocketUrl;
use we_net::transport::{ConnectError, Driver, Stream};

/// A way to get a connection. A test brings its own.
pub(crate) trait Dial: Send + 'static {
    /// What the connection's bytes travel on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Why there is no connection.
    type Error: Error + Send + Sync + 'static;

    /// Whether the operator is to hear when it comes to nothing, or ends badly: not if whoever dials says it better.
    const IS_TOLD_OF: bool = true;

    /// Whether no more is read while more than this many bytes of payload wait to be written. A client has no such limit: what a
    /// script sends is its own affair. A server that answers all that comes has.
    const MAX_UNWRITTEN: u64 = u64::MAX;

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
    type Stream = Stream;
    type Error = ConnectError;

    fn target(&self) -> String {
        shown_url(self.url())
    }

    async fn dial(self) -> Result<Opened<Stream>, ConnectError> {
        let established = self.establish().await?;
        Ok(Opened {
            driver: established.driver,
            protocol: established.negotiated.subprotocol.unwrap_or_default(),
            extensions: established.negotiated.extensions,
        })
    }
}

/// A URL for the operator's eyes: without what may be a secret (user, password, query), and of bounded length.
pub(super) fn shown_url(url: &WebSocketUrl) -> String {
    const MAX_LENGTH: usize = 200;
    let url = url.as_url();
    let has_secrets =
        !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    let shown = if has_secrets {
        let mut shown = url.clone();
        // Neither can fail for a URL that has a host.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        if shown.query().is_some() {
            shown.set_query(Some("..."));
        }
        String::from(shown)
    } else {
        url.as_str().to_owned()
    };
    match shown.get(..MAX_LENGTH) {
        // A URL is ASCII, so it can be cut anywhere.
        Some(start) if shown.len() > MAX_LENGTH => format!("{start}..."),
        _ => shown,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_long_urls_are_not_shown() {
        let shown = |url: &str| shown_url(&WebSocketUrl::parse(url, None).unwrap());
        assert_eq!(shown("ws://user:secret@h:9/a?token=abc"), "ws://h:9/a?...");
        assert_eq!(shown("wss://h/"), "wss://h/");
        assert_eq!(shown(&format!("ws://h/{}", "x".repeat(1 << 20))).len(), 203);
    }
}
