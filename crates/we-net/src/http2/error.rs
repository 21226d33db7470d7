//! What HTTP/2 says about the end of a stream, as an [`io::Error`] with a text for people.

use std::io::{self, ErrorKind};

use h2::Reason;

/// The error that the end of a stream, or of its connection, is to the socket on it. A script's socket gets
/// `error`, and `close` with 1006, as after a reset of TCP.
/// <https://www.rfc-editor.org/rfc/rfc8441#section-5>
pub(crate) fn to_io(error: &h2::Error) -> io::Error {
    let (kind, text) = describe(error);
    io::Error::new(kind, text)
}

/// Kind and text.
pub(super) fn describe(error: &h2::Error) -> (ErrorKind, String) {
    let reason = error.reason().unwrap_or(Reason::NO_ERROR);
    match (error.is_reset(), error.is_go_away(), error.is_remote()) {
        (true, _, true) => (
            ErrorKind::ConnectionReset,
            format!("the peer reset the stream ({reason:?}: {reason})"),
        ),
        (true, _, false) => (
            ErrorKind::ConnectionAborted,
            format!("the peer broke the rules of HTTP/2 on this stream ({reason:?}: {reason})"),
        ),
        (_, true, true) => (
            ErrorKind::ConnectionAborted,
            format!("the peer gave the HTTP/2 connection up ({reason:?}: {reason})"),
        ),
        (_, true, false) => (
            ErrorKind::ConnectionAborted,
            format!("the peer broke the rules of HTTP/2 ({reason:?}: {reason})"),
        ),
        _ => match error.get_io() {
            // The words of h2 for a connection that ended between two frames.
            Some(source) if is_plain_end(source) => (
                ErrorKind::ConnectionReset,
                "the HTTP/2 connection ended with this stream still open".to_owned(),
            ),
            Some(source) => (
                source.kind(),
                format!("the HTTP/2 connection broke: {source}"),
            ),
            None => (ErrorKind::Other, error.to_string()),
        },
    }
}

/// The error of a stream that nothing more can be written to.
pub(super) fn reset(reason: Reason) -> io::Error {
    io::Error::new(
        ErrorKind::ConnectionReset,
        format!("the stream was reset ({reason:?}: {reason})"),
    )
}

fn is_plain_end(source: &io::Error) -> bool {
    matches!(
        source.kind(),
        ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
    )
}
