//! Name look-up: the host of a URL to the addresses to dial.
//!
//! Follows <https://fetch.spec.whatwg.org/#resolve-an-origin>: an address stands for itself,
//! `localhost` and the names under it are the loopback addresses whatever a name server says, and
//! everything else is the operating system's.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use url::Host;

/// A look-up in progress.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Turns names into addresses. Implement it to use a name service of your own.
pub trait Resolve: Send + Sync + 'static {
    /// Looks up `host`, a domain in ASCII form. Returns the addresses in the order of preference,
    /// each with `port`.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Lookup<'a>;
}

/// Where names are looked up.
#[derive(Clone, Default)]
pub struct Resolver(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Fixed(Arc<[SocketAddr]>),
    Custom(Arc<dyn Resolve>),
}

impl Resolver {
    /// The operating system's look-up (hosts file, name servers). The default.
    pub fn system() -> Self {
        Self::default()
    }

    /// Sends every name to these addresses, `localhost` too; the port of the URL is ignored. For
    /// tests, and for tunnels that end at a known place. The names of proxies are not meant: those are
    /// the operating system's to look up.
    pub fn fixed(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(Source::Fixed(addresses.into_iter().collect()))
    }

    /// A name service of the caller's. It is not asked about `localhost`.
    pub fn custom(resolve: impl Resolve) -> Self {
        Self(Source::Custom(Arc::new(resolve)))
    }

    /// Where the name of a proxy is looked up.
    pub(crate) fn for_proxies(&self) -> Self {
        match &self.0 {
            Source::Fixed(_) => Self::system(),
            Source::System | Source::Custom(_) => self.clone(),
        }
    }

    /// Looks up `host`.
    ///
    /// <https://fetch.spec.whatwg.org/#resolve-an-origin>
    pub async fn resolve(&self, host: Host<&str>, port: u16) -> io::Result<Vec<SocketAddr>> {
        let name = match host {
            // Step 1: an address is its own answer.
            Host::Ipv4(address) => return Ok(vec![(address, port).into()]),
            Host::Ipv6(address) => return Ok(vec![(address, port).into()]),
            Host::Domain(name) => name,
        };
        if let Source::Fixed(addresses) = &self.0 {
            return Ok(addresses.to_vec());
        }
        // Step 2: `localhost` is this machine, so that no name server can make it another one.
        if is_localhost(name) {
            let loopback = [
                IpAddr::V6(Ipv6Addr::LOCALHOST),
                IpAddr::V4(Ipv4Addr::LOCALHOST),
            ];
            return Ok(loopback.map(|address| (address, port).into()).to_vec());
        }
        // Step 3: ask.
        match &self.0 {
            Source::Custom(resolve) => resolve.resolve(name, port).await,
            Source::System | Source::Fixed(_) => {
                Ok(tokio::net::lookup_host((name, port)).await?.collect())
            }
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("System"),
            Source::Fixed(addresses) => f.debug_tuple("Fixed").field(addresses).finish(),
            Source::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// Whether the last label of `name` is `localhost`. The URL parser has made it lower case.
pub(crate) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit('.').next() == Some("localhost")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct Refusing;

    impl Resolve for Refusing {
        fn resolve<'a>(&'a self, host: &'a str, _port: u16) -> Lookup<'a> {
            Box::pin(async move { Err(io::Error::other(format!("asked for {host}"))) })
        }
    }

    #[tokio::test]
    async fn addresses_and_localhost_are_not_asked_for() {
        let resolver = Resolver::custom(Refusing);
        for (host, expected) in [
            (Host::Ipv4(Ipv4Addr::new(192, 0, 2, 1)), "192.0.2.1:7"),
            (Host::Ipv6(Ipv6Addr::LOCALHOST), "[::1]:7"),
            (Host::Domain("localhost"), "[::1]:7 127.0.0.1:7"),
            (Host::Domain("localhost."), "[::1]:7 127.0.0.1:7"),
            (Host::Domain("a.b.localhost"), "[::1]:7 127.0.0.1:7"),
        ] {
            let addresses = resolver.resolve(host, 7).await.unwrap();
            let text: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            assert_eq!(text.join(" "), expected);
        }
        for name in ["localhost.example", "xlocalhost", "example.com"] {
            let error = resolver.resolve(Host::Domain(name), 7).await.unwrap_err();
            assert_eq!(error.to_string(), format!("asked for {name}"));
        }
    }

    #[tokio::test]
    async fn fixed_addresses_stand_for_every_name() {
        let address: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let resolver = Resolver::fixed([address]);
        assert_eq!(
            resolver
                .resolve(Host::Domain("localhost"), 7)
                .await
                .unwrap(),
            [address]
        );
    }
}
