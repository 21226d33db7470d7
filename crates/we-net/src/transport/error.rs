//! Why no connection came to be: one line each, for the person who has to act on it.
//!
//! A script sees none of this: to it all failures look the same, as the
//! [WHATWG standard](https://websockets.spec.whatwg.org/#feedback-from-the-protocol) demands.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::tls::TlsConfigError;
use crate::handshake::{HandshakeError, HeaderError, SubprotocolError, UrlError};
use crate::proxy::ProxyError;

/// Why a client did not get its connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Not a WebSocket URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A port that fetch never dials.
    #[error(
        "port {0} belongs to another protocol and is blocked on the web (https://fetch.spec.whatwg.org/#port-blocking); serve on another port"
    )]
    BadPort(u16),
    /// A header, or the origin, cannot be sent.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A subprotocol cannot be asked for.
    #[error(transparent)]
    Subprotocol(#[from] SubprotocolError),
    /// The name look-up failed.
    #[error("cannot find the address of {host}: {source}; check the spelling and the network")]
    Resolve {
        /// The name.
        host: String,
        /// What the look-up says.
        source: io::Error,
    },
    /// The name has no address.
    #[error("{host} has no address; check the spelling")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// No address could be connected to.
    #[error("{}", dial_advice(.host, .attempts))]
    Dial {
        /// `host:port` as the `Host` header has it.
        host: String,
        /// Every address that was tried, with its error.
        attempts: Vec<(SocketAddr, io::Error)>,
    },
    /// The Unix socket cannot be connected to.
    #[error("cannot connect to the socket {}: {source}; is the server running, and may this user write to it?", .path.display())]
    UnixSocket {
        /// Where it is.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The proxy did not lead to the server.
    #[error("no way through the proxy {proxy}: {source}")]
    Proxy {
        /// The proxy, without user name and password.
        proxy: String,
        /// What went wrong there.
        source: Box<ProxyError>,
    },
    /// Look-up and TCP connection (and the tunnel, where there is a proxy) took too long.
    #[error("no connection to {host} within {}; is the server up, and does a firewall let this through?", seconds(*.after))]
    ConnectTimeout {
        /// `host:port`
        host: String,
        /// The limit.
        after: Duration,
    },
    /// TLS and the HTTP upgrade took too long.
    #[error("{host} accepted the connection but did not finish the handshake within {}; is it a WebSocket server, and not overloaded?", seconds(*.after))]
    HandshakeTimeout {
        /// `host:port`
        host: String,
        /// The limit.
        after: Duration,
    },
    /// TLS cannot be set up on this side.
    #[error(transparent)]
    TlsConfig(#[from] TlsConfigError),
    /// The TLS handshake failed.
    #[error("{}", tls_advice(.host, .source))]
    Tls {
        /// `host:port`
        host: String,
        /// What rustls or the socket says.
        source: io::Error,
    },
    /// The connection broke during the handshake.
    #[error("the connection to {host} broke during the handshake: {source}; try again")]
    Broken {
        /// `host:port`
        host: String,
        /// What the socket says.
        source: io::Error,
    },
    /// The server's answer does not open a WebSocket.
    #[error("{host}: {source}")]
    Handshake {
        /// `host:port`
        host: String,
        /// What is wrong with it.
        source: HandshakeError,
    },
}

impl ConnectError {
    /// A connection that broke while the WebSocket was being opened. With TLS 1.3 a server refuses
    /// the client's certificate as late as that.
    pub(crate) fn broken(host: String, source: io::Error) -> Self {
        let by_tls = source
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>());
        if by_tls {
            Self::Tls { host, source }
        } else {
            Self::Broken { host, source }
        }
    }
}

impl From<Infallible> for ConnectError {
    /// For URLs that have been parsed already.
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Seconds as a person writes them.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn dial_advice(host: &str, attempts: &[(SocketAddr, io::Error)]) -> String {
    let Some((address, error)) = attempts.first() else {
        return format!("cannot connect to {host}");
    };
    let more = match attempts.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let advice = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there; is the server running, and is the port right?"
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "is this machine on the network?"
        }
        io::ErrorKind::PermissionDenied => "a firewall of this machine forbids it",
        _ => "is the server running?",
    };
    format!("cannot connect to {host} at {address}{more}: {error}; {advice}")
}

fn tls_advice(host: &str, error: &io::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error};
    let advice = match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    {
        Some(Error::InvalidCertificate(error)) => match error {
            CertificateError::UnknownIssuer => {
                "its certificate is from an authority that is not trusted; add that authority's certificate"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name; use that name in the URL"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired; it must be renewed (or the clock of this machine is wrong)"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet; is the clock of this machine right?"
            }
            _ => "its certificate cannot be accepted",
        },
        Some(Error::InvalidMessage(_)) => {
            "it does not speak TLS; is this port for ws: or http: without the s?"
        }
        Some(Error::AlertReceived(AlertDescription::CertificateRequired)) => {
            "it wants a client certificate, and none was given"
        }
        Some(Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        )) => "it does not accept our client certificate",
        Some(Error::AlertReceived(_)) => {
            "it refused our TLS handshake; does it want a client certificate?"
        }
        Some(_) => "the TLS handshake failed",
        None => "the connection broke during the TLS handshake",
    };
    format!("no secure connection to {host}: {advice} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_says_what_to_check() {
        let error = ConnectError::Dial {
            host: "h:1".into(),
            attempts: vec![
                (
                    ([127, 0, 0, 1], 1).into(),
                    io::ErrorKind::ConnectionRefused.into(),
                ),
                (
                    ([127, 0, 0, 2], 1).into(),
                    io::ErrorKind::ConnectionRefused.into(),
                ),
            ],
        };
        let text = error.to_string();
        assert!(
            text.contains("h:1 at 127.0.0.1:1 (and 1 more)")
                && text.contains("is the server running"),
            "{text}"
        );
    }

    #[test]
    fn time_limits_are_told_in_seconds() {
        let error = ConnectError::ConnectTimeout {
            host: "h".into(),
            after: Duration::from_millis(1500),
        };
        assert!(error.to_string().contains("within 1.5 s"), "{error}");
    }
}
