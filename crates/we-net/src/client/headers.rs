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

    /// Those for the server of `url`: first those for it alone, of which the latest comes first.
    pub(crate) fn of(&self, url: &Url) -> impl Iterator<Item = &Header> {
        let asked = Some(Server::of(url));
        let lists = move |wanted: Option<Server>| {
            self.lists
                .iter()
                .rev()
                .filter(move |(server, _)| *server == wanted)
                .flat_map(|(_, headers)| headers.iter())
        };
        lists(asked).chain(lists(None))
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
            let names: String = headers
                .of(&Url::parse(url).unwrap())
                .map(Header::name)
                .collect();
            assert_eq!(names, expected, "{url}");
        }
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
        let mut client = crate::Client::builder()
            .header("X-Api-Key", "secret")
            .unwrap()
            .build();
        let request = client
            .request(url)
            .unwrap()
            .header("X-Mine", "secret")
            .unwrap();
        client.headers = headers;
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
