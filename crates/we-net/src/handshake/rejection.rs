//! The answer to a request that is not accepted: a status that tells the client why, and a line of
//! text for whoever looks.
//!
//! Follows <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2> and, for other versions, section
//! 4.4; the statuses are those of [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-15).

use super::client::is_reserved;
use super::error::{HeadError, HeaderError};
use super::extension::ExtensionError;
use super::headers::Headers;

/// A request that is not accepted, and the answer that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("answered {status}: {reason}")]
pub struct Rejection {
    status: u16,
    reason: RejectionReason,
    headers: Headers,
}

/// Why a request is not accepted. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RejectionReason {
    /// The request is not usable HTTP (400, 431, 505).
    #[error("this request cannot be used: {0}")]
    Head(HeadError),
    /// The version is HTTP/1.0 (505).
    #[error("a WebSocket is opened with HTTP/1.1")]
    HttpVersion,
    /// The method is not GET (405).
    #[error("a WebSocket is opened with GET")]
    Method,
    /// The request target is neither a path nor an absolute http URL (400).
    #[error("the request target must be a path")]
    Target,
    /// `Host` is missing, repeated or malformed (400).
    #[error("there must be one Host header with a host and perhaps a port")]
    Host,
    /// `Upgrade` does not list `websocket`: the sender does not want a WebSocket (426).
    #[error("this is a WebSocket server; connect to it with a ws: or wss: URL")]
    Upgrade,
    /// `Connection` does not list `Upgrade` (400).
    #[error("the Connection header must list `Upgrade`")]
    Connection,
    /// `Sec-WebSocket-Key` is missing, repeated or not the base64 form of 16 bytes (400).
    #[error("there must be one Sec-WebSocket-Key header with 16 bytes in base64")]
    Key,
    /// `Sec-WebSocket-Version` is missing or not 13 (426).
    #[error("this server speaks version 13 of WebSocket")]
    Version,
    /// A request over HTTP/2 that is no extended CONNECT: the sender does not want a WebSocket (405).
    #[error(
        "this is a WebSocket server; connect to it with a ws: or wss: URL (over HTTP/2 by RFC 8441)"
    )]
    NoExtendedConnect,
    /// `CONNECT` without `:protocol`, which asks for a tunnel (501).
    #[error("this is no proxy")]
    Tunnel,
    /// `:protocol` is not `websocket` (501).
    #[error("`:protocol` must be websocket")]
    Protocol,
    /// `:scheme` is neither `http` nor `https` (400).
    #[error("`:scheme` must be http or https")]
    Scheme,
    /// The request has a body (400).
    #[error("a WebSocket handshake has no body")]
    Body,
    /// `Origin` is repeated or not text (400).
    #[error("there must not be more than one Origin header")]
    OriginHeader,
    /// `Sec-WebSocket-Protocol` lists something that is no token, or a name twice (400).
    #[error("Sec-WebSocket-Protocol must list different names")]
    Subprotocols,
    /// `Sec-WebSocket-Extensions` does not follow its grammar (400).
    #[error("the Sec-WebSocket-Extensions header cannot be read: {0}")]
    Extensions(ExtensionError),
    /// The origin may not connect (403).
    #[error("this origin may not connect")]
    Origin,
    /// What the caller of [`Rejection::new`] says.
    #[error("{0}")]
    Other(String),
}

impl RejectionReason {
    fn status(&self) -> u16 {
        match self {
            Self::Head(HeadError::TooLong { .. } | HeadError::TooManyHeaders { .. }) => 431,
            Self::Head(HeadError::Version) | Self::HttpVersion => 505,
            Self::Method | Self::NoExtendedConnect => 405,
            Self::Tunnel | Self::Protocol => 501,
            Self::Upgrade | Self::Version => 426,
            Self::Origin => 403,
            Self::Head(_)
            | Self::Target
            | Self::Host
            | Self::Connection
            | Self::Key
            | Self::Scheme
            | Self::Body
            | Self::OriginHeader
            | Self::Subprotocols
            | Self::Extensions(_)
            | Self::Other(_) => 400,
        }
    }
}

impl From<RejectionReason> for Rejection {
    fn from(reason: RejectionReason) -> Self {
        Self {
            status: reason.status(),
            reason,
            headers: Headers::new(),
        }
    }
}

impl Rejection {
    /// Rejects with a status of the caller's choice, such as 401, 404 or 503, and a line of text
    /// for the client.
    ///
    /// A status outside 300 to 599 would not reject anything and becomes 500.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        let status = if (300..=599).contains(&status) {
            status
        } else {
            500
        };
        Self {
            status,
            reason: RejectionReason::Other(text.into()),
            headers: Headers::new(),
        }
    }

    /// Adds a header, such as `WWW-Authenticate` or `Retry-After`. Those that the answer itself has
    /// are refused.
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        if is_reserved(name) || name.eq_ignore_ascii_case("content-type") {
            return Err(HeaderError::Reserved(name.to_owned()));
        }
        self.headers.append(name, value)?;
        Ok(self)
    }

    /// The status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers that were added.
    pub(super) fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Why the request is not accepted.
    pub fn reason(&self) -> &RejectionReason {
        &self.reason
    }

    /// The answer as it goes over the wire. The connection is closed after it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2> and, for 426, section 4.4
    pub fn to_bytes(&self) -> Vec<u8> {
        let body = format!("{}\n", self.reason);
        let extra = match self.status {
            405 => "Allow: GET\r\n",
            426 => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        };
        let connection = if self.status == 426 {
            "Upgrade, close"
        } else {
            "close"
        };
        let mut out = format!(
            "HTTP/1.1 {} {}\r\nConnection: {connection}\r\n{extra}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n",
            self.status,
            reason_phrase(self.status),
            body.len()
        )
        .into_bytes();
        self.headers.write_to(&mut out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body.as_bytes());
        out
    }
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Rejected",
    }
}
