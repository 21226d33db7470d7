//! Which servers no proxy is asked for.
//!
//! There is no standard for `NO_PROXY`. The rules here are those of curl, with the port of Go's
//! `net/http` and the `*.` that many write: whatever a list was written for, it means the same.

use std::net::IpAddr;

use url::Host;

/// A list of servers that are reached without a proxy.
///
/// Entries are separated by commas or white space:
///
/// | entry | matches |
/// |---|---|
/// | `*`, alone | everything |
/// | `example.com`, `.example.com`, `*.example.com` | that domain and everything below it |
/// | `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` | that address, written so in the URL |
/// | `10.0.0.0/8`, `fd00::/8` | every address of the network, written so in the URL |
/// | any of the first with `:8080` behind it | the same, at that port only |
///
/// Case and a dot at the end do not matter, and `bücher.example` is `xn--bcher-kva.example`. Names are not looked up for this, so an address does not
/// match a name. What is none of these matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    pattern: Pattern,
    /// `None`: at every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Everything,
    /// As URLs have it after parsing (ASCII, lower case), without dots at its ends.
    Domain(String),
    Network {
        address: IpAddr,
        prefix: u8,
    },
}

impl NoProxy {
    /// Takes a list apart.
    pub fn parse(list: &str) -> Self {
        let entries = list
            .split(|separator: char| separator == ',' || separator.is_ascii_whitespace())
            .filter_map(Entry::parse)
            .collect();
        Self { entries }
    }

    /// Whether `host` at `port` is reached without a proxy.
    pub fn matches(&self, host: Host<&str>, port: u16) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.port.is_none_or(|only| only == port) && entry.pattern.matches(&host))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some(pattern) = Pattern::of_network(text) {
            let port = None;
            return Some(Self { pattern, port });
        }
        let (text, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let pattern = Pattern::of_network(text).or_else(|| Pattern::of_name(text))?;
        Some(Self { pattern, port })
    }
}

impl Pattern {
    /// An address or a network.
    fn of_network(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let bare = address
            .strip_prefix('[')
            .and_then(|address| address.strip_suffix(']'))
            .unwrap_or(address);
        let address: IpAddr = bare.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits)?,
            None => bits,
        };
        Some(Self::Network { address, prefix })
    }

    fn of_name(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everything);
        }
        let name = text.strip_prefix('*').unwrap_or(text);
        let name = name.strip_prefix('.').unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name);
        // What the URL parser takes for an address in one of its odd spellings is none here.
        match Host::parse(name) {
            Ok(Host::Domain(name)) if !name.is_empty() => Some(Self::Domain(name)),
            _ => None,
        }
    }

    fn matches(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Domain(domain), Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network { address, prefix }, Host::Ipv4(host)) => {
                is_within(IpAddr::V4(*host), *address, *prefix)
            }
            (Self::Network { address, prefix }, Host::Ipv6(host)) => {
                is_within(IpAddr::V6(*host), *address, *prefix)
            }
            (Self::Domain(_), Host::Ipv4(_) | Host::Ipv6(_))
            | (Self::Network { .. }, Host::Domain(_)) => false,
        }
    }
}

/// Whether the first `prefix` bits of both are the same. `::ffff:192.0.2.1` counts as `192.0.2.1`.
fn is_within(host: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (host.to_canonical(), network) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            let differs = host.to_bits() ^ network.to_bits();
            differs.leading_zeros() >= u32::from(prefix)
        }
        (_, IpAddr::V6(network)) => {
            let IpAddr::V6(host) = host else {
                return false;
            };
            let differs = host.to_bits() ^ network.to_bits();
            differs.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use url::Url;

    use super::*;

    fn matches(list: &str, url: &str) -> bool {
        let url = Url::parse(url).unwrap();
        let port = url.port_or_known_default().unwrap();
        NoProxy::parse(list).matches(url.host().unwrap(), port)
    }

    #[test]
    fn entries_match_what_the_table_says() {
        for (list, matched, unmatched) in [
            ("", "", "ws://example.com ws://127.0.0.1"),
            ("*", "ws://example.com ws://[::1] ws://1.2.3.4", ""),
            (
                "example.com",
                "ws://example.com ws://a.b.example.com ws://EXAMPLE.com. wss://example.com:9",
                "ws://notexample.com ws://example.com.evil ws://com",
            ),
            (
                ".example.com",
                "ws://example.com ws://a.example.com",
                "ws://notexample.com",
            ),
            (
                "*.Example.com.",
                "ws://example.com ws://a.example.com",
                "ws://notexample.com",
            ),
            (
                "a.example, b.example\tc.example",
                "ws://a.example ws://b.example ws://c.example",
                "ws://d.example",
            ),
            (
                "192.0.2.1",
                "ws://192.0.2.1 ws://[::ffff:192.0.2.1]",
                "ws://192.0.2.2 ws://x192.0.2.1.example",
            ),
            (
                "Bücher.example",
                "ws://bücher.example ws://a.xn--bcher-kva.example",
                "ws://bucher.example",
            ),
            ("10.0.0.0/8", "ws://10.9.8.7", "ws://11.0.0.1 ws://[::1]"),
            ("0.0.0.0/0", "ws://10.9.8.7", "ws://[::1] ws://example.com"),
            (
                "fd00::/8 [::1]",
                "ws://[fdab::1] ws://[::1]",
                "ws://[fe80::1] ws://1.2.3.4",
            ),
            ("h:81", "ws://h:81 ws://a.h:81", "ws://h ws://h:82"),
            (
                "[::1]:81,1.2.3.4:443",
                "ws://[::1]:81 wss://1.2.3.4",
                "ws://[::1] ws://1.2.3.4",
            ),
            ("*:81", "ws://h:81", "ws://h"),
            // None of these is an entry.
            (". , * .a*b 10.0.0.0/33 h:99999 h:x / ::/129", "ws://h", ""),
            (
                ".,10.0.0.0/33,h:99999,h:x,a*b,/",
                "",
                "ws://h ws://10.0.0.0 ws://b",
            ),
        ] {
            for url in matched.split_whitespace() {
                assert!(matches(list, url), "{list:?} should match {url}");
            }
            for url in unmatched.split_whitespace() {
                assert!(!matches(list, url), "{list:?} should not match {url}");
            }
        }
    }
}
