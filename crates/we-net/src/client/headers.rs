//! Headers that the operator of a client sends with each request.

use url::Url;

use crate::handshake::{Header, HeaderError, Headers, WebSocketUrl, is_reserved};

/// Headers, each for every server or for one.
#[derive(Clone, Debug, Default)]
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
