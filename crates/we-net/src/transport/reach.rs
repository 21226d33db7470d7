//! The way from a URL to a stream to its host, in the steps that WebSocket and HTTP share: name
//! look-up, dialling, TLS.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsConnector, TlsStream};
use url::{Host, Url};

use super::{ConnectError, MaybeTls, Resolver, TlsConfig, dial};
use crate::client::ConnectTimeouts;
use crate::handshake::authority;

/// How a client reaches servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    pub(crate) timeouts: ConnectTimeouts,
    pub(crate) resolver: Resolver,
    /// `None`: the authorities of the web, looked up when TLS is first needed.
    pub(crate) tls: Option<TlsConfig>,
}

/// The addresses of a host.
pub(crate) struct Found {
    /// At least one.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The first of them, for queueing.
    pub(crate) first: SocketAddr,
    /// What the look-up has left of the time limit for connecting.
    left: Duration,
}

impl Reach {
    /// The addresses of the host of `url`.
    pub(crate) async fn look_up(&self, url: &Url) -> Result<Found, ConnectError> {
        let host = host(url);
        let started = Instant::now();
        let found = async {
            self.resolver
                .resolve(host.clone(), port(url))
                .await
                .map_err(|source| ConnectError::Resolve {
                    host: host.to_string(),
                    source,
                })
        };
        let limit = self.timeouts.connect;
        let addresses = self.in_time(limit, url, found).await?;
        match addresses.first().copied() {
            Some(first) => Ok(Found {
                addresses,
                first,
                left: limit.saturating_sub(started.elapsed()),
            }),
            None => Err(ConnectError::NoAddress {
                host: authority(url),
            }),
        }
    }

    /// TCP.
    pub(crate) async fn dial(&self, url: &Url, found: Found) -> Result<TcpStream, ConnectError> {
        let dialled = async {
            dial(found.addresses)
                .await
                .map_err(|attempts| ConnectError::Dial {
                    host: authority(url),
                    attempts,
                })
        };
        self.in_time(found.left, url, dialled).await
    }

    /// TLS, if the scheme of `url` says so. Without time limit of its own.
    pub(crate) async fn secure(&self, url: &Url, tcp: TcpStream) -> Result<MaybeTls, ConnectError> {
        if !matches!(url.scheme(), "wss" | "https") {
            return Ok(MaybeTls::Plain(tcp));
        }
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => TlsConfig::new()?,
        };
        let failed = |source| ConnectError::Tls {
            host: authority(url),
            source,
        };
        let stream = TlsConnector::from(tls.rustls())
            .connect(server_name(url).map_err(failed)?, tcp)
            .await
            .map_err(failed)?;
        Ok(MaybeTls::Tls(Box::new(TlsStream::Client(stream))))
    }

    /// Bounds a step before TCP is connected by what is `left` of its time limit.
    async fn in_time<T>(
        &self,
        left: Duration,
        url: &Url,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        timeout(left, step).await.unwrap_or_else(|_| {
            Err(ConnectError::ConnectTimeout {
                host: authority(url),
                after: self.timeouts.connect,
            })
        })
    }
}

/// The URL parser gives every URL of a special scheme a host; the other arm only spares a panic.
fn host(url: &Url) -> Host<&str> {
    url.host().unwrap_or(Host::Domain(""))
}

/// Likewise, each of these schemes has a default port.
pub(crate) fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(0)
}

/// The name that the certificate must be for.
fn server_name(url: &Url) -> io::Result<ServerName<'static>> {
    match host(url) {
        Host::Domain(name) => ServerName::try_from(name.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error)),
        Host::Ipv4(address) => Ok(ServerName::IpAddress(IpAddr::V4(address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress(IpAddr::V6(address).into())),
    }
}
