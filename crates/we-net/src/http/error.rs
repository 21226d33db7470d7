//! Why there is no answer, or not all of it: one line each, for the person who has to act on it.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::handshake::{HeadError, HeaderError};
use crate::transport::ConnectError;
use crate::transport::error::seconds;

/// Why a request has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The URL parser failed, for instance on a relative URL.
    #[error(
        "`{input}` is not a valid URL ({source}); write it as http://host/path or https://host/path"
    )]
    Url {
        /// What was given, with `…` in place of what may be a secret.
        input: String,
        /// What the URL parser says.
        source: url::ParseError,
    },
    /// The scheme is neither `http` nor `https`.
    #[error("`{0}:` cannot be loaded over HTTP; use http: or https:")]
    Scheme(String),
    /// The method is not a token.
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    /// The URL cannot be written into a request line.
    #[error("the URL on {host} cannot be asked for ({source}); is it longer than 64 KiB?")]
    Unsendable {
        /// `host:port` as the `Host` header has it.
        host: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A header cannot be sent.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The head of the answer (or TLS) took too long.
    #[error("{host} accepted the connection but did not answer within {}; is it an HTTP server, and not overloaded?", seconds(*.after))]
    HeadTimeout {
        /// `host:port`
        host: String,
        /// The limit.
        after: Duration,
    },
    /// The server closed the connection before the head of its answer was complete.
    #[error("{host} closed the connection {}; its log may say why", if *.started { "in the middle of its answer" } else { "without an answer" })]
    Ended {
        /// `host:port`
        host: String,
        /// Whether part of the answer had arrived.
        started: bool,
    },
    /// The head of the answer is too large.
    #[error("the answer of {host} cannot be used: {source}")]
    Head {
        /// `host:port`
        host: String,
        /// The limit that it has run into.
        source: HeadError,
    },
    /// The answer is not what HTTP/1.1 allows here.
    #[error(
        "{host} did not answer in HTTP/1.1 ({detail}); is this the right port, and does the server expect TLS (https:)?"
    )]
    NotHttp {
        /// `host:port`
        host: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The connection broke.
    #[error("the connection to {host} broke: {source}; try again")]
    Broken {
        /// `host:port`
        host: String,
        /// What the socket, TLS or the reader of the body says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A redirect that is not followed.
    #[error("{host} redirects, but {source}")]
    Redirect {
        /// `host:port` of the server that redirects.
        host: String,
        /// Why it is not followed.
        source: RedirectError,
    },
    /// The connection ended before the body did.
    #[error(
        "{host} closed the connection before its answer was complete; try again, its log may say why"
    )]
    BodyEnded {
        /// `host:port`
        host: String,
    },
    /// Nothing of the body came for too long.
    #[error("{host} stopped sending: nothing came for {}; try again, or allow more time", seconds(*.after))]
    BodyTimeout {
        /// `host:port`
        host: String,
        /// The limit.
        after: Duration,
    },
    /// The body is larger than the caller of [`Body::collect`](super::Body::collect) wants.
    #[error("the answer of {host} is longer than {limit} bytes, the most that is taken here")]
    BodyTooLong {
        /// `host:port`
        host: String,
        /// The limit.
        limit: usize,
    },
}

/// Why a redirect is not followed.
///
/// <https://fetch.spec.whatwg.org/#http-redirect-fetch>
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There have been [`MAX_REDIRECTS`](super::MAX_REDIRECTS) already.
    #[error(
        "there were {} redirects before; does it redirect in a circle?",
        super::MAX_REDIRECTS
    )]
    TooMany,
    /// There is more than one `Location`.
    #[error("says more than once where to; it must send one Location header")]
    Repeated,
    /// `Location` is not a URL.
    #[error("`{0}` is not a URL; it must send a valid Location header")]
    Location(String),
    /// To something else than HTTP.
    #[error("`{0}:` cannot be loaded over HTTP; it must redirect to http: or https:")]
    Scheme(String),
    /// Across origins, with a user name or password in the URL.
    #[error(
        "to a URL of another origin with a user name or password in it, which is not allowed; it must leave them out"
    )]
    Credentials,
}

/// The kind of the `io::Error` at the root of what hyper says, if there is one.
pub(super) fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    io_error(error).map(io::Error::kind)
}

/// What TLS says at the root of what hyper says, if it does. With TLS 1.3 a server refuses the client's certificate as
/// late as that.
pub(super) fn tls_error(error: &hyper::Error) -> Option<io::Error> {
    let error = io_error(error)?;
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(io::Error::new(error.kind(), tls.clone()))
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        source = error.source();
    }
    None
}

/// What hyper says, with what it says it of.
pub(super) fn detail(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
