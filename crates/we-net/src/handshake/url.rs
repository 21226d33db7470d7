//! WebSocket URLs as the WHATWG constructor reads them, and what the handshake needs from one.
//!
//! Follows <https://websockets.spec.whatwg.org/#dom-websocket-websocket> (`http:` and `https:` are
//! taken as `ws:` and `wss:`, a fragment is refused) on top of the URL standard's parser, and
//! fetch's list of ports that are never dialled.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use url::{Host, Position, Url};

use super::BASE64;

/// A `ws:` or `wss:` URL without a fragment: something that can be connected to.
///
/// ```
/// use we_net::handshake::WebSocketUrl;
///
/// let url = WebSocketUrl::parse("https://example.com/chat?room=1", None)?;
/// assert_eq!(url.as_str(), "wss://example.com/chat?room=1");
/// assert_eq!(url.resource_name(), "/chat?room=1");
/// assert!(url.is_secure());
/// # Ok::<(), we_net::handshake::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebSocketUrl {
    /// Scheme `ws` or `wss`, with a host, without a fragment.
    url: Url,
}

/// Why a string is not a WebSocket URL. For a script each of them is a `SyntaxError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL parser failed, for instance on a relative URL without a base.
    #[error(
        "`{input}` is not a valid URL ({source}); write it as ws://host/path or wss://host/path"
    )]
    Invalid {
        /// What was given, with `…` in place of what may be a secret.
        input: String,
        /// What the URL parser says.
        source: url::ParseError,
    },
    /// The scheme is none of `ws`, `wss`, `http`, `https`.
    #[error("`{0}:` is not a scheme a WebSocket can use; use ws: or wss:")]
    Scheme(String),
    /// There is a `#`, even if nothing follows it.
    #[error(
        "a WebSocket URL cannot have a fragment; remove the `#` and what follows, or write it as %23"
    )]
    Fragment,
}

impl WebSocketUrl {
    /// Parses `input`, relative to `base` if there is one.
    ///
    /// <https://websockets.spec.whatwg.org/#dom-websocket-websocket>, steps 2 to 7
    pub fn parse(input: &str, base: Option<&Url>) -> Result<Self, UrlError> {
        // Steps 2 and 3: the URL parser.
        let url = Url::options()
            .base_url(base)
            .parse(input)
            .map_err(|source| UrlError::Invalid {
                input: shown_input(input),
                source,
            })?;
        Self::try_from(url)
    }

    /// Whether TLS is spoken: `wss`.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// The host: a domain (in ASCII form) or an IP address.
    pub fn host(&self) -> Host<&str> {
        // The URL parser gives every URL of a special scheme a host; the other arm only spares a
        // panic.
        self.url.host().unwrap_or(Host::Domain(""))
    }

    /// The port, 80 or 443 where the URL does not say.
    pub fn port(&self) -> u16 {
        self.url.port().unwrap_or(self.default_port())
    }

    /// Path and query: what the request line asks for.
    ///
    /// <https://websockets.spec.whatwg.org/#concept-websocket-connection-obtain>, steps 3 and 4
    pub fn resource_name(&self) -> String {
        match self.url.query() {
            None | Some("") => self.url.path().to_owned(),
            Some(query) => format!("{}?{query}", self.url.path()),
        }
    }

    /// The value of the `Host` header: the port only where it is not the default.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> (client requirements, 4)
    pub fn host_header(&self) -> String {
        authority(&self.url)
    }

    /// The URL's own origin, such as `wss://example.com:8443`; not the origin of the script that
    /// connects.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The user name, percent-decoded; `None` if the URL has neither user name nor password.
    pub fn username(&self) -> Option<Vec<u8>> {
        has_credentials(&self.url).then(|| percent_decode(self.url.username()))
    }

    /// The password, percent-decoded.
    pub fn password(&self) -> Option<Vec<u8>> {
        self.url.password().map(percent_decode)
    }

    /// Whether the port is one of those that fetch never dials, see [`is_bad_port`].
    pub fn is_bad_port(&self) -> bool {
        is_bad_port(self.port())
    }

    /// The URL in the serialised form that a script reads from `WebSocket.url`.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The URL as the `url` crate holds it.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    fn default_port(&self) -> u16 {
        if self.is_secure() { 443 } else { 80 }
    }
}

impl TryFrom<Url> for WebSocketUrl {
    type Error = UrlError;

    /// <https://websockets.spec.whatwg.org/#dom-websocket-websocket>, steps 4 to 7
    fn try_from(mut url: Url) -> Result<Self, UrlError> {
        // Steps 4 and 5: http → ws, https → wss. Step 6: no other scheme.
        let target = match url.scheme() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        if url.scheme() != target && url.set_scheme(target).is_err() {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        // Step 7: the fragment must be null; an empty one is not.
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        Ok(Self { url })
    }
}

impl FromStr for WebSocketUrl {
    type Err = UrlError;

    fn from_str(input: &str) -> Result<Self, UrlError> {
        Self::parse(input, None)
    }
}

impl TryFrom<&str> for WebSocketUrl {
    type Error = UrlError;

    fn try_from(input: &str) -> Result<Self, UrlError> {
        Self::parse(input, None)
    }
}

impl TryFrom<String> for WebSocketUrl {
    type Error = UrlError;

    fn try_from(input: String) -> Result<Self, UrlError> {
        Self::parse(&input, None)
    }
}

impl TryFrom<&String> for WebSocketUrl {
    type Error = UrlError;

    fn try_from(input: &String) -> Result<Self, UrlError> {
        Self::parse(input, None)
    }
}

impl fmt::Display for WebSocketUrl {
    /// Writes the URL without its password, as this ends up in logs and on terminals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.url))
    }
}

impl fmt::Debug for WebSocketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebSocketUrl")
            .field(&for_log(&self.url))
            .finish()
    }
}

/// Host and port as the `Host` header has them: the port only where it is not the default.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        None => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    }
}

/// The URL for logs and terminals, where a password must not be seen.
pub(crate) fn without_credentials(url: &Url) -> Cow<'_, str> {
    if !has_credentials(url) {
        return Cow::Borrowed(url.as_str());
    }
    let resource = &url[Position::BeforePath..Position::AfterQuery];
    Cow::Owned(format!("{}://…@{}{resource}", url.scheme(), authority(url)))
}

/// The URL for traces, which also must not show the query: tokens like to travel in it.
pub(crate) fn for_log(url: &Url) -> String {
    without_query(&without_credentials(url)).into_owned()
}

/// The same for what is a string already: a URL that has lost its credentials, or the target of a request.
pub(crate) fn without_query(shown: &str) -> Cow<'_, str> {
    match shown.find(['?', '#']) {
        Some(end) => Cow::Owned(format!("{}…", shown.get(..=end).unwrap_or_default())),
        None => Cow::Borrowed(shown),
    }
}

/// A string that is no URL for error messages: without what might have been credentials or a query.
pub(crate) fn shown_input(input: &str) -> String {
    let (start, rest) = match input.split_once("//") {
        Some((scheme, rest)) => (format!("{scheme}//"), rest),
        None => (String::new(), input),
    };
    // An `@` further on is none before a host, but who knows what was meant. It may well be that all
    // before the `//` is a part of a password, too.
    let (start, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) if is_scheme(&start) => (format!("{start}…@"), rest),
        Some((_, rest)) => ("…@".to_owned(), rest),
        None if start.contains('@') => ("…".to_owned(), rest),
        None => (start, rest),
    };
    let shown = start + &without_query(rest);
    shown.chars().take(200).collect()
}

/// Whether this is a scheme with what stands between it and a host, or nothing.
fn is_scheme(text: &str) -> bool {
    let name = text.strip_suffix("//").unwrap_or(text);
    let name = name.strip_suffix(':').unwrap_or(name);
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// <https://url.spec.whatwg.org/#include-credentials>
pub(crate) fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// What `Authorization` says for the user name and password of a URL, if it has them.
///
/// <https://www.rfc-editor.org/rfc/rfc7617#section-2>
pub(crate) fn basic_authorization(url: &Url) -> Option<String> {
    if !has_credentials(url) {
        return None;
    }
    let mut credentials = percent_decode(url.username());
    credentials.push(b':');
    credentials.extend(url.password().map(percent_decode).unwrap_or_default());
    Some(format!("Basic {}", BASE64.encode(credentials)))
}

/// Whether fetch refuses to dial `port`, because a protocol lives there that could mistake a
/// request for its own.
///
/// <https://fetch.spec.whatwg.org/#port-blocking>
pub fn is_bad_port(port: u16) -> bool {
    BAD_PORTS.binary_search(&port).is_ok()
}

/// The first column of fetch's table, in its order (ascending).
#[rustfmt::skip]
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// <https://url.spec.whatwg.org/#percent-decode>
pub(crate) fn percent_decode(input: &str) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (*byte, tail)
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            output.push(high << 4 | low);
            rest = after;
        } else {
            output.push(*byte);
        }
    }
    output
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(input: &str) -> Result<WebSocketUrl, UrlError> {
        WebSocketUrl::parse(input, None)
    }

    #[test]
    fn http_and_https_are_taken_as_ws_and_wss() {
        for (input, serialised) in [
            ("ws://h/", "ws://h/"),
            ("wss://h/", "wss://h/"),
            ("http://h", "ws://h/"),
            ("https://h/p", "wss://h/p"),
            ("HTTP://H:80/", "ws://h/"),
            ("https://h:443/", "wss://h/"),
            ("http://h:443/", "ws://h:443/"),
            ("  ws://h/a b\t", "ws://h/a%20b"),
        ] {
            assert_eq!(parse(input).unwrap().as_str(), serialised, "{input}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for input in [
            "ftp://h/",
            "file:///x",
            "about:blank",
            "wsss://h/",
            "data:text/plain,x",
            "mailto:a@b",
        ] {
            assert!(matches!(parse(input), Err(UrlError::Scheme(_))), "{input}");
        }
    }

    #[test]
    fn fragments_are_refused_even_empty_ones() {
        for input in ["ws://h/#x", "ws://h/#", "http://h#"] {
            assert_eq!(parse(input), Err(UrlError::Fragment), "{input}");
        }
        assert!(parse("ws://h/%23").is_ok());
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for input in [
            "",
            "/relative",
            "ws://",
            "ws://h:99999/",
            "ws://a b/",
            "ws://[::1/",
            "//h/",
        ] {
            assert!(
                matches!(parse(input), Err(UrlError::Invalid { .. })),
                "{input}"
            );
        }
    }

    #[test]
    fn a_relative_url_is_resolved_against_the_base() {
        let base = Url::parse("https://example.com:8443/app/page?x#frag").unwrap();
        for (input, serialised) in [
            ("/ws", "wss://example.com:8443/ws"),
            ("ws", "wss://example.com:8443/app/ws"),
            ("?q", "wss://example.com:8443/app/page?q"),
            ("//other/x", "wss://other/x"),
            ("", "wss://example.com:8443/app/page?x"),
            ("ws://h/", "ws://h/"),
        ] {
            assert_eq!(
                WebSocketUrl::parse(input, Some(&base)).unwrap().as_str(),
                serialised,
                "{input}"
            );
        }
        let opaque = Url::parse("about:blank").unwrap();
        assert!(matches!(
            WebSocketUrl::parse("/ws", Some(&opaque)),
            Err(UrlError::Invalid { .. })
        ));
    }

    #[test]
    fn parts_for_the_handshake() {
        // URL, resource name, Host header, port, secure
        for (input, resource, host_header, port, secure) in [
            ("ws://example.com", "/", "example.com", 80, false),
            ("wss://example.com/a/../b?", "/b", "example.com", 443, true),
            (
                "ws://example.com:8080/a?b=c&d",
                "/a?b=c&d",
                "example.com:8080",
                8080,
                false,
            ),
            ("wss://[::1]:9/x", "/x", "[::1]:9", 9, true),
            ("ws://127.1/", "/", "127.0.0.1", 80, false),
            ("ws://ex%41mple.com./", "/", "example.com.", 80, false),
            (
                "ws://bücher.example/ü",
                "/%C3%BC",
                "xn--bcher-kva.example",
                80,
                false,
            ),
        ] {
            let url = parse(input).unwrap();
            assert_eq!(url.resource_name(), resource, "{input}");
            assert_eq!(url.host_header(), host_header, "{input}");
            assert_eq!(url.port(), port, "{input}");
            assert_eq!(url.is_secure(), secure, "{input}");
        }
        assert_eq!(parse("wss://h:1/p").unwrap().origin(), "wss://h:1");
    }

    #[test]
    fn credentials_are_decoded_and_not_displayed() {
        let url = parse("ws://us%65r:p%40ss%@h/x").unwrap();
        assert_eq!(url.username().unwrap(), b"user");
        assert_eq!(url.password().unwrap(), b"p@ss%");
        assert_eq!(url.host_header(), "h");
        assert_eq!(url.to_string(), "ws://…@h/x");
        assert_eq!(parse("ws://h/").unwrap().username(), None);
        assert_eq!(parse("ws://:p@h/").unwrap().username().unwrap(), b"");
    }

    #[test]
    fn what_is_shown_has_no_secrets() {
        for (input, shown) in [
            ("ws://u:secret@h:99999/a@b", "ws://…@b"),
            ("ws://u:secret@h:99999/", "ws://…@h:99999/"),
            ("ws://u:se/cret//x@h:99999/", "ws://…@h:99999/"),
            ("u:secret@h", "…@h"),
            ("u:secret//secret@h", "…@h"),
            ("u@secret//h", "…h"),
            ("ws://h:99999/a?token=secret#secret", "ws://h:99999/a?…"),
            ("ws://[::1/", "ws://[::1/"),
            ("/relative", "/relative"),
            ("", ""),
        ] {
            assert_eq!(shown_input(input), shown, "{input}");
        }
        let error = parse("ws://u:secret@h:99999/?secret").unwrap_err();
        let url = parse("ws://u:secret@h:1/a?secret").unwrap();
        let all = format!("{error} {error:?} {url:?}");
        assert!(!all.contains("secret"), "{all}");
        assert_eq!(for_log(url.as_url()), "ws://…@h:1/a?…");
        assert_eq!(for_log(parse("ws://h").unwrap().as_url()), "ws://h/");
    }

    #[test]
    fn line_breaks_in_a_url_never_reach_the_resource_name() {
        for input in [
            "ws://h/a\r\nX-Evil: 1",
            "ws://h/a\0b",
            "ws://h/?a\r\nb",
            "ws://h/?\0",
        ] {
            let resource = parse(input).unwrap().resource_name();
            assert!(
                resource.bytes().all(|b| b.is_ascii_graphic()),
                "{resource:?}"
            );
        }
    }

    #[test]
    fn bad_ports_are_known() {
        assert!(BAD_PORTS.is_sorted());
        for port in [0, 1, 22, 25, 6000, 6667, 10080] {
            assert!(is_bad_port(port), "{port}");
        }
        for port in [80, 443, 8080, 3000, 1024, 65535] {
            assert!(!is_bad_port(port), "{port}");
        }
        assert!(parse("ws://h:25/").unwrap().is_bad_port());
        assert!(!parse("ws://h/").unwrap().is_bad_port());
    }
}
