//! Headers that the operator of a client sends with each request.

use std::fmt;

use url::Url;

use crate::handshake::{Header, HeaderError, Headers, WebSocketUrl, is_reserved};

/// Headers, each for every server or for one.
#[derive(Clone, Default)]
pub(crate) struct OperatorHeaders {
    lists: Vec<(Option<Server>, Headers)>,
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    secure: bool,
    host: Option<String>,
    port: Option<u16>,
}

impl Server {
    fn of(url: &Url) -> Self {
        Self {
            secure: matches!(url.scheme(), "wss" | "https"),
            host: url.host_str().map(str::to_owned),
            port: url.port_or_known_default(),
        }
    }
}

impl OperatorHeaders {
    /// Adds a header for the server of `url`, or for all.
    pub(super) fn add(
        &mut self,
        url: Option<&WebSocketUrl>,
        name: &str,
        value: &[u8],
    ) -> Result<(), HeaderError> {
        if name.eq_ignore_ascii_case("proxy-authorization") {
            return Err(HeaderError::ForProxy);
        }
        if is_reserved(name) {
            return Err(HeaderError::Reserved(name.to_owned()));
        }
        let server = url.map(|url| Server::of(url.as_url()));
        let mut list = Headers::new();
        list.append(name, value)?;
        self.lists.push((server, list));
        Ok(())
    }

    /// What to add to a request to `url` that `has` headers of some names itself. Those for its server alone come first, and
    /// take the place of those for all servers.
    pub(crate) fn missing(&self, url: &Url, has: impl Fn(&str) -> bool) -> Vec<&Header> {
        let asked = Some(Server::of(url));
        let of = |wanted: Option<Server>| {
            let lists = self.lists.iter();
            let lists = lists.filter(move |(server, _)| *server == wanted);
            lists.flat_map(|(_, headers)| headers.iter())
        };
        let mut missing: Vec<&Header> = of(asked).filter(|header| !has(header.name())).collect();
        let own = missing.len();
        for header in of(None) {
            let same_name = |other: &&Header| other.name().eq_ignore_ascii_case(header.name());
            if !has(header.name()) && !missing.iter().take(own).any(same_name) {
                missing.push(header);
            }
        }
        missing
    }
}

impl fmt::Debug for OperatorHeaders {
    /// Shows only the names: who knows what an operator calls a header with a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.lists.iter().map(|(_, headers)| headers.names());
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_go_to_their_server_only() {
        let mut headers = OperatorHeaders::default();
        let url = WebSocketUrl::parse("wss://h/path", None).unwrap();
        headers.add(None, "a", b"1").unwrap();
        headers.add(Some(&url), "b", b"2").unwrap();
        for (url, expected) in [
            ("wss://h/", "ba"),
            ("https://h:443/other", "ba"),
            ("ws://h/", "a"),
            ("ws://h:443/", "a"),
            ("wss://h:444/", "a"),
            ("wss://x.h/", "a"),
        ] {
            let missing = headers.missing(&Url::parse(url).unwrap(), |_| false);
            let names: String = missing.into_iter().map(Header::name).collect();
            assert_eq!(names, expected, "{url}");
        }
    }

    #[test]
    fn a_name_may_come_more_than_once_and_the_nearer_list_counts() {
        let mut headers = OperatorHeaders::default();
        let url = WebSocketUrl::parse("ws://h/", None).unwrap();
        for (server, name, value) in [
            (None, "a", "1"),
            (None, "b", "2"),
            (Some(&url), "B", "3"),
            (None, "A", "4"),
            (Some(&url), "b", "5"),
            (None, "c", "6"),
        ] {
            headers.add(server, name, value.as_bytes()).unwrap();
        }
        let values = |url: &str, has: &str| -> String {
            let missing = headers.missing(&Url::parse(url).unwrap(), |name| {
                name.eq_ignore_ascii_case(has)
            });
            missing.into_iter().map(Header::value_text).collect()
        };
        assert_eq!(values("ws://h/", ""), "35146");
        assert_eq!(values("ws://other/", ""), "1246");
        assert_eq!(values("ws://h/", "B"), "146");
        assert_eq!(values("ws://h/", "a"), "356");
    }

    #[test]
    fn what_is_shown_are_names() {
        let mut headers = OperatorHeaders::default();
        headers.add(None, "X-Api-Key", b"secret").unwrap();
        let shown = format!("{headers:?}");
        assert!(
            shown.contains("X-Api-Key") && !shown.contains("secret"),
            "{shown}"
        );
        let url = "ws://u:secret@h/?secret";
        let client = crate::Client::builder()
            .header("X-Api-Key", "secret")
            .unwrap()
            .build();
        let request = client
            .request(url)
            .unwrap()
            .header("X-Mine", "secret")
            .unwrap();
        let url = WebSocketUrl::parse(url, None).unwrap();
        let handshake = crate::handshake::ClientHandshake::new(&url)
            .with_header("X-Mine", "secret")
            .unwrap()
            .with_subprotocols(["secret"])
            .unwrap();
        let handshake_shown = format!("{handshake:?}");
        let mut reader = handshake.into_reader();
        let _ = reader.receive(b"HTTP/1.1 101 secret\r\nSet-Cookie: a=secret\r\n");
        let shown = format!("{client:?} {request:?} {handshake_shown} {reader:?}");
        assert!(
            shown.contains("X-Mine") && !shown.contains("secret"),
            "{shown}"
        );
        // What goes out as credentials is shown in no other form.
        assert!(
            !shown.contains("Basic") && !shown.contains("dTpzZWNyZXQ"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_for_the_proxy_points_to_its_url() {
        let mut headers = OperatorHeaders::default();
        let refused = headers.add(None, "proxy-Authorization", b"Basic x");
        assert_eq!(refused, Err(HeaderError::ForProxy));
        assert!(HeaderError::ForProxy.to_string().contains("proxy's URL"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_at_once() {
        let mut headers = OperatorHeaders::default();
        for (name, value) in [
            ("Host", "h"),
            ("a b", "c"),
            ("a", "b\r\nc: d"),
            ("sec-websocket-key", "x"),
        ] {
            assert!(
                headers.add(None, name, value.as_bytes()).is_err(),
                "{name}: {value:?}"
            );
        }
    }
}
