//! Proxies: which one leads to a server, and the negotiations that open a tunnel through it.
//!
//! Nothing here touches a socket. [`Proxies`] says which [`Proxy`] a URL goes through, by what the
//! program says or by the [usual environment variables](Proxies::from_env); the negotiations
//! (`CONNECT` of [RFC 9110 section 9.3.6] and SOCKS5 of [RFC 1928]) are values that take bytes in
//! and give bytes out. The client asks a proxy for a tunnel for `ws:` and `http:` as it does for
//! `wss:` and `https:`: WebSocket demands it ([RFC 6455 section 4.1]), and so no proxy ever sees the
//! inside of a request.
//!
//! ```
//! use we_net::proxy::{NoProxy, Proxies, Proxy};
//!
//! let proxy = Proxy::parse("http://user:secret@proxy.example:3128")?;
//! let proxies = Proxies::all(proxy).except(NoProxy::parse("intranet.example, 10.0.0.0/8"));
//! let client = we_net::Client::builder().proxies(proxies).build();
//! # Ok::<(), we_net::proxy::ProxyUrlError>(())
//! ```
//!
//! [RFC 9110 section 9.3.6]: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
//! [RFC 1928]: https://www.rfc-editor.org/rfc/rfc1928
//! [RFC 6455 section 4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1

mod choice;
mod connect;
mod no_proxy;
mod socks5;
mod tunnel;

pub use choice::{EnvironmentError, Proxies};
pub use no_proxy::NoProxy;
pub use socks5::SocksError;

pub(crate) use socks5::Target;
pub(crate) use tunnel::Tunnel;

use std::fmt;
use std::io;

use base64::Engine as _;
use url::{Host, Url};

use crate::handshake::{HeadError, percent_decode};
use crate::transport::ConnectError;

/// The port of a SOCKS proxy whose URL names none: the one that is registered for SOCKS.
const SOCKS_PORT: u16 = 1080;

/// One proxy: how to speak to it, where it is, who we are to it. Cheap enough to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    /// With a host; for its authority and for TLS to it.
    url: Url,
    port: u16,
    login: Option<Login>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `CONNECT`, on a bare connection or one by TLS.
    Http { tls: bool },
    /// SOCKS5, with the name looked up here or by the proxy.
    Socks5 { lookup: Lookup },
}

/// Who looks up the server's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Here,
    ByProxy,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

/// Why a string does not name a proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// The URL parser failed. (The URL is not shown: there may be a password in it.)
    #[error(
        "the proxy's URL is not valid ({0}); write it as http://host:port or socks5h://host:port"
    )]
    Invalid(url::ParseError),
    /// The scheme is none that is known.
    #[error("`{0}:` is not a kind of proxy; use http:, https:, socks5: or socks5h:")]
    Scheme(String),
    /// It is not text.
    #[error("it is not UTF-8; write other characters of a user name or password as %XX")]
    NotUtf8,
    /// There is no host.
    #[error("the proxy's URL names no host; write it as http://host:port or socks5h://host:port")]
    NoHost,
    /// A user name or password that SOCKS5 cannot carry.
    #[error("a SOCKS5 proxy takes a user name and a password of 1 to 255 bytes each")]
    LoginLength,
}

/// Why a proxy did not lead to the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy itself cannot be reached.
    #[error(transparent)]
    Unreachable(Box<ConnectError>),
    /// The connection to the proxy broke.
    #[error("the connection to it broke: {0}")]
    Broken(io::Error),
    /// The proxy closed the connection.
    #[error("it closed the connection {}; is it a proxy of this kind?", if *.started { "in the middle of its answer" } else { "without an answer" })]
    Ended {
        /// Whether part of an answer had arrived.
        started: bool,
    },
    /// The proxy's answer is not one of HTTP/1.1, or too large.
    #[error("its answer cannot be used: {0}; is it an HTTP proxy?")]
    Head(#[from] HeadError),
    /// The proxy wants a user name and a password, or refuses those that it got.
    #[error("{}", login_advice(*.sent))]
    Login {
        /// Whether a user name and password were sent.
        sent: bool,
    },
    /// The proxy refuses the tunnel.
    #[error("it refuses the tunnel with status {status}{reason}; does it allow this host and port?", reason = shown_reason(.reason))]
    Refused {
        /// The status of its answer.
        status: u16,
        /// The words beside it, maybe empty.
        reason: String,
    },
    /// The proxy has sent bytes through the tunnel before the server can have sent any.
    #[error(
        "it sent data into the tunnel before anything was asked of the server; is it a proxy of this kind?"
    )]
    EarlyData,
    /// The answer in SOCKS5 is a refusal or malformed.
    #[error(transparent)]
    Socks(#[from] SocksError),
}

/// How far a negotiation is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write this, then hand over what comes back.
    Send(Vec<u8>),
    /// The rest of the answer is missing.
    Wait,
    /// The tunnel is open.
    Open,
}

impl Proxy {
    /// A proxy by its URL: `http://host:port` and `https://host:port` for `CONNECT`, `socks5://host:port`
    /// for SOCKS5 with names looked up here, `socks5h://host:port` for SOCKS5 with names looked up by
    /// the proxy. (Of a name that is looked up here the proxy is told the first address, and no
    /// other one is tried.) `user:password@` before the host, percent-encoded, logs in. Without a scheme it is
    /// `http:`; without a port 80, 443 or 1080.
    pub fn parse(input: &str) -> Result<Self, ProxyUrlError> {
        let input = input.trim();
        let with_scheme;
        // What stands before a `://` further on may be a part of the password, and must not be shown.
        let text = match input.split_once("://") {
            Some((scheme, _)) if is_scheme(scheme) => input,
            _ => {
                with_scheme = format!("http://{input}");
                &with_scheme
            }
        };
        let scheme = text.split("://").next().unwrap_or_default();
        let scheme = scheme.to_ascii_lowercase();
        let kind = match scheme.as_str() {
            "http" => Kind::Http { tls: false },
            "https" => Kind::Http { tls: true },
            "socks5" => Kind::Socks5 {
                lookup: Lookup::Here,
            },
            "socks5h" => Kind::Socks5 {
                lookup: Lookup::ByProxy,
            },
            _ => return Err(ProxyUrlError::Scheme(scheme)),
        };
        // The parser knows hosts only for the schemes of the web, and it drops their default ports.
        let rest = text.get(scheme.len()..).unwrap_or_default();
        let stand_in = if kind == (Kind::Http { tls: true }) {
            "https"
        } else {
            "http"
        };
        let url = Url::parse(&format!("{stand_in}{rest}")).map_err(|error| match error {
            url::ParseError::EmptyHost => ProxyUrlError::NoHost,
            error => ProxyUrlError::Invalid(error),
        })?;
        let port = match (kind, url.port()) {
            (_, Some(port)) => port,
            (Kind::Http { tls: true }, None) => 443,
            (Kind::Http { tls: false }, None) => 80,
            // An explicit 80 has been dropped.
            (Kind::Socks5 { .. }, None) if names_port_80(text) => 80,
            (Kind::Socks5 { .. }, None) => SOCKS_PORT,
        };
        let login = Login::of(&url);
        if let (Kind::Socks5 { .. }, Some(login)) = (kind, &login) {
            let fits = |part: &[u8]| (1..=255).contains(&part.len());
            if !fits(&login.user) || !fits(&login.password) {
                return Err(ProxyUrlError::LoginLength);
            }
        }
        Ok(Self {
            kind,
            url,
            port,
            login,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// For the name look-up, and the name in its certificate.
    pub(crate) fn host(&self) -> Host<&str> {
        self.url.host().unwrap_or(Host::Domain(""))
    }
}

impl Login {
    fn of(url: &Url) -> Option<Self> {
        crate::handshake::has_credentials(url).then(|| Self {
            user: percent_decode(url.username()),
            password: url.password().map(percent_decode).unwrap_or_default(),
        })
    }

    /// <https://www.rfc-editor.org/rfc/rfc7617#section-2>
    fn basic(&self) -> String {
        let credentials = [self.user.as_slice(), b":", self.password.as_slice()].concat();
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(credentials)
        )
    }
}

/// <https://url.spec.whatwg.org/#url-scheme-string>, or nothing
fn is_scheme(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether the authority of a URL ends in `:80`.
fn names_port_80(url: &str) -> bool {
    let authority = url.split("://").nth(1).unwrap_or_default();
    let end = authority
        .find(['/', '?', '#', '\\'])
        .unwrap_or(authority.len());
    authority
        .get(..end)
        .is_some_and(|authority| authority.ends_with(":80"))
}

impl fmt::Display for Proxy {
    /// Writes it without user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http { tls: false } => "http",
            Kind::Http { tls: true } => "https",
            Kind::Socks5 {
                lookup: Lookup::Here,
            } => "socks5",
            Kind::Socks5 {
                lookup: Lookup::ByProxy,
            } => "socks5h",
        };
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{scheme}://{host}:{}", self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl fmt::Debug for Login {
    /// Shows nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

fn login_advice(sent: bool) -> &'static str {
    if sent {
        "it refuses the user name and password"
    } else {
        "it wants a user name and a password; give them as in http://user:password@host:port"
    }
}

fn shown_reason(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", reason.chars().take(80).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_proxy_is_named_by_a_url() {
        for (input, shown) in [
            ("proxy.example", "http://proxy.example:80"),
            ("proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example:3128/", "http://proxy.example:3128"),
            ("HTTPS://Proxy.Example", "https://proxy.example:443"),
            (" http://[::1]:8080 ", "http://[::1]:8080"),
            ("socks5://p", "socks5://p:1080"),
            ("socks5://p:80", "socks5://p:80"),
            ("socks5h://u:p@h:9", "socks5h://h:9"),
        ] {
            assert_eq!(Proxy::parse(input).unwrap().to_string(), shown, "{input}");
        }
    }

    #[test]
    fn what_names_no_proxy_says_so_without_showing_a_password() {
        for (input, problem) in [
            ("ftp://p", "not a kind of proxy"),
            ("socks4://p", "not a kind of proxy"),
            ("http://", "no host"),
            ("http://u:secret@", "no host"),
            ("http://u:secret@p:99999", "not valid"),
            ("u:secret://more@p:80", "not valid"),
            ("u:secret@p:99999/x://y", "not valid"),
            ("ftp://u:secret@p", "`ftp:` is not a kind of proxy"),
            ("socks5://user@p", "1 to 255 bytes"),
        ] {
            let error = Proxy::parse(input).unwrap_err().to_string();
            assert!(
                error.contains(problem) && !error.contains("secret"),
                "{input}: {error}"
            );
        }
        let shown = format!("{:?}", Proxy::parse("http://user:secret@p").unwrap());
        assert!(
            !shown.contains("secret") && !shown.contains("user"),
            "{shown}"
        );
    }

    #[test]
    fn logins_are_percent_decoded() {
        let proxy = Proxy::parse("http://us%40er:p%3Aw@h").unwrap();
        let login = proxy.login().unwrap();
        assert_eq!(
            (&*login.user, &*login.password),
            (&b"us@er"[..], &b"p:w"[..])
        );
        assert_eq!(login.basic(), "Basic dXNAZXI6cDp3");
    }
}
