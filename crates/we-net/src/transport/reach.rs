//! The way from a URL to a stream to its host, in the steps that WebSocket and HTTP share: name
//! look-up, dialling (of the host, of a proxy in front of it, or of a Unix socket in its place), TLS.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsConnector, TlsStream, client};
use url::{Host, Url};

use super::gate::Door;
use super::tls::ALPN_HTTP_2;
use super::{ConnectError, MaybeTls, Resolver, Socket, TlsConfig, dial};
use crate::client::ConnectTimeouts;
use crate::handshake::{HeadLimits, authority};
use crate::proxy::{Kind, Lookup, Proxies, Proxy, ProxyError, Target, Tunnel};

/// How a client reaches servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    pub(crate) timeouts: ConnectTimeouts,
    pub(crate) resolver: Resolver,
    /// `None`: the authorities of the web, looked up when TLS is first needed.
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) proxies: Proxies,
    /// Stands for every host.
    pub(crate) unix_socket: Option<Arc<Path>>,
}

/// Whether a server may see our certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Shown,
    Hidden,
}

/// A host that can be dialled.
#[derive(Clone)]
pub(crate) struct Found {
    way: Way,
    /// What connections to it queue at.
    pub(crate) door: Door,
    /// What the look-up has left of the time limit for connecting.
    left: Duration,
}

#[derive(Clone)]
enum Way {
    Direct(Vec<SocketAddr>),
    Proxy {
        proxy: Proxy,
        /// Of the proxy.
        addresses: Vec<SocketAddr>,
        target: Target,
    },
    Unix(Arc<Path>),
}

impl Reach {
    /// Looks up what has to be dialled for `url`.
    pub(crate) async fn look_up(&self, url: &Url) -> Result<Found, ConnectError> {
        let limit = self.timeouts.connect;
        let started = Instant::now();
        let (way, door) = if let Some(path) = &self.unix_socket {
            (Way::Unix(Arc::clone(path)), Door::Path(Arc::clone(path)))
        } else if let Some(proxy) = self.proxies.choose(url) {
            let found = self.look_up_through(url, proxy);
            self.in_time(limit, url, found).await?
        } else {
            let addresses = resolve(&self.resolver, host(url), port(url));
            let addresses = self.in_time(limit, url, addresses).await?;
            let door = Door::of(&addresses, url);
            (Way::Direct(addresses), door)
        };
        let left = limit.saturating_sub(started.elapsed());
        Ok(Found { way, door, left })
    }

    /// The addresses of a proxy, and the target to name to it.
    async fn look_up_through(&self, url: &Url, proxy: &Proxy) -> Result<(Way, Door), ConnectError> {
        let resolver = self.resolver.for_proxies();
        let addresses = resolve(&resolver, proxy.host(), proxy.port());
        let addresses = addresses.await.map_err(|error| unreachable(proxy, error))?;
        let (target, door) = match (proxy.kind(), host(url)) {
            (_, Host::Ipv4(address)) => (Target::Address(address.into()), Door::of(&[], url)),
            (_, Host::Ipv6(address)) => (Target::Address(address.into()), Door::of(&[], url)),
            (
                Kind::Socks5 {
                    lookup: Lookup::Here,
                },
                name,
            ) => {
                let addresses = resolve(&self.resolver, name, port(url)).await?;
                let first = addresses.first().map(SocketAddr::ip);
                let first = first.unwrap_or(IpAddr::from([0, 0, 0, 0]));
                (Target::Address(first), Door::of(&addresses, url))
            }
            (_, Host::Domain(name)) => (Target::Name(name.to_owned()), Door::of(&[], url)),
        };
        let proxy = proxy.clone();
        let way = Way::Proxy {
            proxy,
            addresses,
            target,
        };
        Ok((way, door))
    }

    /// TCP, and the tunnel where there is a proxy; or the Unix socket.
    pub(crate) async fn dial(
        &self,
        url: &Url,
        found: Found,
        limits: HeadLimits,
    ) -> Result<Socket, ConnectError> {
        let dialled = async {
            match found.way {
                Way::Direct(addresses) => {
                    let dialled = tcp(addresses, authority(url)).await;
                    dialled.map(|(stream, peer)| Socket::Tcp(stream, peer))
                }
                Way::Proxy {
                    proxy,
                    addresses,
                    target,
                } => Box::pin(self.tunnel(url, &proxy, addresses, &target, limits))
                    .await
                    .map_err(|source| ConnectError::Proxy {
                        proxy: proxy.to_string(),
                        source: Box::new(source),
                    }),
                Way::Unix(path) => unix(&path).await,
            }
        };
        self.in_time(found.left, url, dialled).await
    }

    /// A connection to the proxy, and on it a tunnel to the host of `url`.
    async fn tunnel(
        &self,
        url: &Url,
        proxy: &Proxy,
        addresses: Vec<SocketAddr>,
        target: &Target,
        limits: HeadLimits,
    ) -> Result<Socket, ProxyError> {
        tracing::debug!(target: "we::net", %proxy, host = %authority(url), "asking a proxy for a tunnel");
        let host = url.host_str().unwrap_or_default();
        let tunnel = Tunnel::new(proxy, host, target, port(url), limits)?;
        let its_name = format!("{}:{}", proxy.host(), proxy.port());
        let refused = |error| ProxyError::Unreachable(Box::new(error));
        let dialled = tcp(addresses, its_name.clone()).await;
        let (mut tcp, peer) = dialled.map_err(refused)?;
        if proxy.kind() != (Kind::Http { tls: true }) {
            tunnel.open(&mut tcp).await?;
            return Ok(Socket::Tcp(tcp, peer));
        }
        let tls = self.tls().map_err(refused)?.rustls_for_proxies();
        let stream = tls_to(tls, proxy.host(), its_name, tcp).await;
        let mut stream = TlsStream::Client(stream.map_err(refused)?);
        tunnel.open(&mut stream).await?;
        Ok(Socket::Tunnel(Box::new(stream)))
    }

    /// TLS, if the scheme of `url` says so. Without time limit of its own.
    pub(crate) async fn secure(
        &self,
        url: &Url,
        socket: Socket,
        identity: Identity,
    ) -> Result<MaybeTls, ConnectError> {
        if !matches!(url.scheme(), "wss" | "https") {
            return Ok(MaybeTls::Plain(socket));
        }
        let tls = match identity {
            Identity::Shown => self.tls()?.rustls(),
            Identity::Hidden => self.tls()?.rustls_anonymous(),
        };
        let stream = tls_to(tls, host(url), authority(url), socket).await?;
        Ok(MaybeTls::Tls(Box::new(TlsStream::Client(stream))))
    }

    /// TLS, where the server may choose HTTP/2. Whether it did. Without time limit of its own.
    pub(crate) async fn secure_for_http2(
        &self,
        url: &Url,
        socket: Socket,
    ) -> Result<(MaybeTls, bool), ConnectError> {
        let tls = self.tls()?.rustls_http2();
        let stream = tls_to(tls, host(url), authority(url), socket).await?;
        let chosen = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2);
        let stream = MaybeTls::Tls(Box::new(TlsStream::Client(stream)));
        Ok((stream, chosen))
    }

    fn tls(&self) -> Result<TlsConfig, ConnectError> {
        match &self.tls {
            Some(tls) => Ok(tls.clone()),
            None => Ok(TlsConfig::new()?),
        }
    }

    /// Bounds a step before TCP is connected by what is `left` of its time limit.
    async fn in_time<T>(
        &self,
        left: Duration,
        url: &Url,
        step: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        timeout(left, step).await.unwrap_or_else(|_| {
            let proxy = match self.unix_socket {
                Some(_) => None,
                None => self.proxies.choose(url),
            };
            let through = proxy.map(|proxy| format!(" through the proxy {proxy}"));
            Err(ConnectError::ConnectTimeout {
                host: authority(url) + &through.unwrap_or_default(),
                after: self.timeouts.connect,
            })
        })
    }
}

/// TLS to `host`, which `shown` is for people.
async fn tls_to<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    tls: Arc<ClientConfig>,
    host: Host<&str>,
    shown: String,
    stream: S,
) -> Result<client::TlsStream<S>, ConnectError> {
    let connected = match server_name(host) {
        Ok(name) => TlsConnector::from(tls).connect(name, stream).await,
        Err(error) => Err(error),
    };
    connected.map_err(|source| ConnectError::Tls {
        host: shown,
        source,
    })
}

/// At least one address.
async fn resolve(
    resolver: &Resolver,
    host: Host<&str>,
    port: u16,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = host.to_string();
    match resolver.resolve(host, port).await {
        Ok(addresses) if addresses.is_empty() => Err(ConnectError::NoAddress { host: name }),
        Ok(addresses) => Ok(addresses),
        Err(source) => Err(ConnectError::Resolve { host: name, source }),
    }
}

/// TCP to the first of `addresses` that answers, which belong to `host`.
async fn tcp(
    addresses: Vec<SocketAddr>,
    host: String,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    dial(addresses)
        .await
        .map_err(|attempts| ConnectError::Dial { host, attempts })
}

#[cfg(unix)]
async fn unix(path: &Path) -> Result<Socket, ConnectError> {
    match tokio::net::UnixStream::connect(path).await {
        Ok(stream) => Ok(Socket::Unix(stream)),
        Err(source) => Err(ConnectError::UnixSocket {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(not(unix))]
async fn unix(path: &Path) -> Result<Socket, ConnectError> {
    Err(ConnectError::UnixSocket {
        path: path.to_owned(),
        source: io::ErrorKind::Unsupported.into(),
    })
}

/// A proxy whose name leads nowhere.
fn unreachable(proxy: &Proxy, error: ConnectError) -> ConnectError {
    ConnectError::Proxy {
        proxy: proxy.to_string(),
        source: Box::new(ProxyError::Unreachable(Box::new(error))),
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
fn server_name(host: Host<&str>) -> io::Result<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(name.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error)),
        Host::Ipv4(address) => Ok(ServerName::IpAddress(IpAddr::V4(address).into())),
        Host::Ipv6(address) => Ok(ServerName::IpAddress(IpAddr::V6(address).into())),
    }
}
