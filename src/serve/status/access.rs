//! [`Access`]: who may see the status page.
//!
//! It shows names that clients have chosen, and numbers that are nobody else's business. So unless the operator says otherwise it is for
//! who is on this machine. A web page that is open there counts as a stranger: it may have its own name resolve to 127.0.0.1
//! (DNS rebinding), which the `Host` header gives away.

use std::net::{IpAddr, SocketAddr};

use we_net::handshake::Headers;

use crate::cli::{Listening, StatusPage};

/// What a proxy tells of whom it asks for. One on this machine is no reason to take its clients for somebody on this machine.
const OF_PROXIES: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

/// Who may see the page.
#[derive(Debug)]
pub(super) enum Access {
    Nobody,
    Everyone,
    /// Who is on this machine and asks for one of its names.
    Local(Place),
}

/// A loopback address, at which the server listens.
#[derive(Debug)]
pub(super) struct Place(IpAddr);

/// What becomes of a request for the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// As if there were no page.
    Hidden,
    /// Under this name there is none.
    OtherHost,
}

impl Access {
    pub(super) fn new(policy: StatusPage, listening: &Listening) -> Self {
        match policy {
            StatusPage::Off => Self::Nobody,
            StatusPage::On => Self::Everyone,
            // No browser asks there, and proxies do.
            StatusPage::Local if listening.unix_socket.is_some() => Self::Nobody,
            StatusPage::Local => match listening.listen.ip().to_canonical() {
                ip if ip.is_loopback() => Self::Local(Place(ip)),
                _ => Self::Nobody,
            },
        }
    }

    pub(super) fn judge(&self, peer: Option<SocketAddr>, headers: &Headers) -> Verdict {
        let place = match self {
            Self::Nobody => return Verdict::Hidden,
            Self::Everyone => return Verdict::Allowed,
            Self::Local(place) => place,
        };
        let is_near = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        let is_forwarded = || {
            OF_PROXIES
                .iter()
                .any(|name| headers.values(name).next().is_some())
        };
        if !is_near || is_forwarded() {
            return Verdict::Hidden;
        }
        let host = headers.single("host").and_then(name_of);
        match host {
            Some(host) if place.is_called(host) => Verdict::Allowed,
            _ => Verdict::OtherHost,
        }
    }
}

impl Place {
    fn is_called(&self, host: &str) -> bool {
        if host.eq_ignore_ascii_case("localhost") {
            return true;
        }
        // Not any loopback address: what else listens on this machine may have names that lead to others.
        let Ok(ip) = host.parse::<IpAddr>() else {
            return false;
        };
        let ip = ip.to_canonical();
        let is_usual = ["127.0.0.1", "::1"]
            .iter()
            .any(|usual| usual.parse() == Ok(ip));
        is_usual || self.0 == ip
    }
}

/// The name in a `Host` header, without brackets and port. Ports do not matter: they may be forwarded, and no name hides in one.
fn name_of(host: &[u8]) -> Option<&str> {
    let host = std::str::from_utf8(host).ok()?;
    let (name, rest) = match host.strip_prefix('[') {
        Some(host) => host.split_once(']')?,
        None => match host.find(':') {
            Some(colon) => host.split_at(colon),
            None => (host, ""),
        },
    };
    let is_port = match rest.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()),
        None => rest.is_empty(),
    };
    is_port.then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(*name, *value).unwrap();
        }
        headers
    }

    #[test]
    fn local_is_this_machine_by_its_own_names() {
        let place = |own: &str| Access::Local(Place(own.parse().unwrap()));
        for (own, peer, host, expected) in [
            (
                "127.0.0.1",
                "127.0.0.1:5",
                "localhost:9001",
                Verdict::Allowed,
            ),
            ("127.0.0.1", "127.0.0.1:5", "LOCALHOST", Verdict::Allowed),
            (
                "127.0.0.1",
                "127.0.0.1:5",
                "127.0.0.1:9001",
                Verdict::Allowed,
            ),
            ("::1", "[::1]:5", "[::1]:9001", Verdict::Allowed),
            ("::1", "[::1]:5", "[::1]", Verdict::Allowed),
            ("127.0.0.7", "127.0.0.7:5", "127.0.0.7:1", Verdict::Allowed),
            (
                "127.0.0.1",
                "[::ffff:127.0.0.1]:5",
                "localhost",
                Verdict::Allowed,
            ),
            ("127.0.0.1", "127.0.0.1:5", "127.0.0.7", Verdict::OtherHost),
            (
                "127.0.0.1",
                "127.0.0.1:5",
                "evil.example",
                Verdict::OtherHost,
            ),
            (
                "127.0.0.1",
                "127.0.0.1:5",
                "localhost.evil.example",
                Verdict::OtherHost,
            ),
            (
                "127.0.0.1",
                "127.0.0.1:5",
                "evil.example:localhost",
                Verdict::OtherHost,
            ),
            (
                "127.0.0.1",
                "127.0.0.1:5",
                "localhost:1:2",
                Verdict::OtherHost,
            ),
            (
                "127.0.0.1",
                "127.0.0.1:5",
                "[::1]evil.example",
                Verdict::OtherHost,
            ),
            ("127.0.0.1", "127.0.0.1:5", "[::1", Verdict::OtherHost),
            ("127.0.0.1", "127.0.0.1:5", "", Verdict::OtherHost),
            ("127.0.0.1", "192.0.2.1:5", "localhost", Verdict::Hidden),
        ] {
            let verdict =
                place(own).judge(Some(peer.parse().unwrap()), &headers(&[("Host", host)]));
            assert_eq!(verdict, expected, "{own} {peer} {host}");
        }
        let (access, peer) = (place("127.0.0.1"), "127.0.0.1:5".parse().ok());
        assert_eq!(access.judge(peer, &headers(&[])), Verdict::OtherHost);
        let twice = headers(&[("Host", "localhost"), ("Host", "localhost")]);
        assert_eq!(access.judge(peer, &twice), Verdict::OtherHost);
        let unknown = headers(&[("Host", "localhost")]);
        assert_eq!(access.judge(None, &unknown), Verdict::Hidden);
        for name in OF_PROXIES {
            let forwarded = headers(&[("Host", "localhost"), (name, "x")]);
            assert_eq!(access.judge(peer, &forwarded), Verdict::Hidden, "{name}");
        }
        let other = headers(&[("Host", "evil.example")]);
        assert_eq!(Access::Everyone.judge(None, &other), Verdict::Allowed);
        assert_eq!(Access::Nobody.judge(peer, &unknown), Verdict::Hidden);
    }
}
