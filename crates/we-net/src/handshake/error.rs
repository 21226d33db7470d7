//! What can go wrong in an opening handshake, each said in one line for the person who has to act
//! on it.

use super::deflate::DeflateError;
use super::extension::ExtensionError;

/// A header that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token.
    #[error("`{}` is not a header name: only letters, digits and !#$%&'*+-.^_`|~ may be in it", .0.escape_default())]
    Name(String),
    /// The value has a control character.
    #[error(
        "the value of header `{0}` has a control character, such as a line break, which cannot be sent"
    )]
    Value(String),
    /// The protocol itself sets this header.
    #[error("header `{0}` is set by the protocol itself; remove it")]
    Reserved(String),
    /// `Proxy-Authorization`, which would go through the tunnel to the server.
    #[error(
        "header `Proxy-Authorization` would go to the server; write the user name and password into the proxy's URL, as in http://user:password@host:port"
    )]
    ForProxy,
}

/// A list of subprotocols that cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubprotocolError {
    /// Empty, or with a character that a token cannot have.
    #[error(
        "`{}` is not a subprotocol name: it must not be empty, and only letters, digits and !#$%&'*+-.^_`|~ may be in it",
        .0.escape_default()
    )]
    NotAToken(String),
    /// Listed twice (case makes no difference).
    #[error("subprotocol `{0}` is listed more than once")]
    Repeated(String),
}

/// The head of a message is not HTTP/1.1, or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// More bytes than [`HeadLimits::max_bytes`](super::HeadLimits::max_bytes).
    #[error("its head is longer than {limit} bytes")]
    TooLong {
        /// The limit in force.
        limit: usize,
    },
    /// More fields than [`HeadLimits::max_headers`](super::HeadLimits::max_headers).
    #[error("it has more than {limit} header fields")]
    TooManyHeaders {
        /// The limit in force.
        limit: usize,
    },
    /// The first bytes are not those of an HTTP message.
    #[error("it is not HTTP; is this the right port, and does the server expect TLS (wss:)?")]
    NotHttp,
    /// The version is not HTTP/1.1.
    #[error("its version is not HTTP/1.1")]
    Version,
    /// A NUL byte.
    #[error("it has a NUL byte")]
    Nul,
    /// A CR that no LF follows.
    #[error("it has a CR without LF")]
    BareCr,
    /// An LF without CR before it.
    #[error("it has an LF without CR")]
    BareLf,
    /// A header line that begins with white space (obsolete line folding).
    #[error("it folds a header over several lines, which is obsolete and unsafe")]
    Folded,
    /// Anything else that the grammar does not allow.
    #[error("{0}")]
    Syntax(&'static str),
}

impl HeadError {
    pub(super) fn from_httparse(error: httparse::Error) -> Self {
        match error {
            httparse::Error::Version => Self::Version,
            httparse::Error::HeaderName => {
                Self::Syntax("a header name has a character that it cannot have")
            }
            httparse::Error::HeaderValue => Self::Syntax("a header value has a control character"),
            httparse::Error::NewLine => Self::BareCr,
            httparse::Error::Status => Self::Syntax("its status line is malformed"),
            httparse::Error::Token => Self::Syntax("its first line is malformed"),
            httparse::Error::TooManyHeaders => Self::Syntax("it has too many header fields"),
        }
    }
}

/// Why a server's answer does not open the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The answer is not a usable HTTP response.
    #[error("the server's answer cannot be used: {0}")]
    Head(#[from] HeadError),
    /// The connection ended before the answer was complete.
    #[error("the server closed the connection {}; its log may say why", if *.started { "in the middle of its answer" } else { "without an answer" })]
    Ended {
        /// Whether part of the answer had arrived.
        started: bool,
    },
    /// A status other than 101 (or 2xx over HTTP/2).
    #[error("{}", status_advice(*.status, *.wanted, .reason, .location.as_deref()))]
    Status {
        /// The status code.
        status: u16,
        /// The one that would have opened the WebSocket.
        wanted: u16,
        /// The reason phrase that came with it.
        reason: String,
        /// Where a redirect points. It is not followed.
        location: Option<String>,
    },
    /// `Upgrade` is not exactly `websocket`.
    #[error(
        "the server answered 101 without `Upgrade: websocket`; something between here and it does not know WebSocket"
    )]
    Upgrade,
    /// `Connection` does not list `Upgrade`.
    #[error(
        "the server answered 101 without `Connection: Upgrade`; something between here and it does not know WebSocket"
    )]
    Connection,
    /// `Sec-WebSocket-Accept` is missing.
    #[error("the server answered 101 without Sec-WebSocket-Accept; it does not speak WebSocket")]
    AcceptMissing,
    /// `Sec-WebSocket-Accept` occurs more than once.
    #[error("the server sent Sec-WebSocket-Accept more than once")]
    AcceptRepeated,
    /// `Sec-WebSocket-Accept` is not the answer to our key.
    #[error(
        "the server's Sec-WebSocket-Accept does not answer our key; a cache may have answered in its place"
    )]
    AcceptWrong,
    /// `Sec-WebSocket-Protocol` occurs more than once.
    #[error("the server sent Sec-WebSocket-Protocol more than once")]
    SubprotocolRepeated,
    /// The server chose a subprotocol that was not asked for.
    #[error("the server chose subprotocol `{}`, which was not asked for", .0.escape_default())]
    SubprotocolNotRequested(String),
    /// Subprotocols were asked for and the server chose none.
    #[error(
        "the server speaks none of the subprotocols that were asked for; ask for one that it speaks, or for none"
    )]
    SubprotocolMissing,
    /// `Sec-WebSocket-Extensions` does not follow its grammar.
    #[error("the server's Sec-WebSocket-Extensions header cannot be read: {0}")]
    Extensions(#[from] ExtensionError),
    /// The server uses an extension that was not offered.
    #[error("the server uses extension `{0}`, which was not offered")]
    ExtensionNotOffered(String),
    /// The server lists an extension twice.
    #[error("the server uses extension `{0}` twice")]
    ExtensionRepeated(String),
    /// The server's answer to the offer of compression is out of order.
    #[error("the server's answer to the offer of compression is wrong: {0}")]
    Deflate(#[from] DeflateError),
}

/// One line about a status that opens nothing.
fn status_advice(status: u16, wanted: u16, reason: &str, location: Option<&str>) -> String {
    let reason: String = reason
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect();
    let space = if reason.is_empty() { "" } else { " " };
    let advice = match (status, location) {
        (300..=399, Some(location)) => {
            let location: String = location
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            return format!(
                "the server redirects ({status}{space}{reason}), which WebSocket does not follow; connect to {location} directly"
            );
        }
        (300..=399, None) => "a redirect, which WebSocket does not follow",
        (401, _) => "it wants a user name and password",
        (403, _) => "it does not allow this; perhaps not from this origin",
        (404, _) => "there is nothing at this path",
        (407, _) => "a proxy wants a user name and password",
        (426, _) => "it wants another protocol or another version of WebSocket",
        (429 | 503, _) => "it is overloaded; try again later",
        (500..=599, _) => "it failed; its log may say why",
        _ => "this address does not serve WebSocket",
    };
    format!("the server answered {status}{space}{reason} instead of {wanted}: {advice}")
}
