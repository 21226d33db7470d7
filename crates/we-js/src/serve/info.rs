//! What the server and an application tell each other beside messages and bodies: [`ConnectionInfo`], [`ResponseHead`].

/// What the server tells an application of its connection: the first message on their link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Which of the application's routes it is for, as the application has written it.
    pub route: String,
    /// The room that it is to be, and its name: then there are no connections of its own, but [`RoomEvent`](super::RoomEvent)s. Otherwise
    /// empty.
    pub room: String,
    /// The method of a request; empty for a WebSocket.
    pub method: String,
    /// The URL that the client asked for, with `ws:` or `wss:`, `http:` or `https:`.
    pub url: String,
    /// The subprotocol in use, or an empty string.
    pub protocol: String,
    /// The extensions in use, as the server's answer lists them.
    pub extensions: String,
    /// Address and port of the client, or an empty string where it has none (a Unix socket).
    pub remote_address: String,
    /// The body of a request.
    pub body: Vec<u8>,
    /// The headers of the client's request.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The head of an application's answer to a request: the first message of bytes from it. The messages that follow are the body;
/// it is complete if the link is closed with 1000 behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// From 200 to 599.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Each part after its length, which takes four bytes, least significant first.
fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    // No part is that long: requests are bounded.
    let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(part.get(..len as usize).unwrap_or_default());
}

fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (part, rest) = rest.split_at_checked(len)?;
    *bytes = rest;
    Some(part)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(part(bytes)?.to_vec()).ok()
}

fn put_headers(bytes: &mut Vec<u8>, headers: &[(String, Vec<u8>)]) {
    for (name, value) in headers {
        put(bytes, name.as_bytes());
        put(bytes, value);
    }
}

/// All that is left.
fn headers(mut bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = text(&mut bytes)?;
        headers.push((name, part(&mut bytes)?.to_vec()));
    }
    Some(headers)
}

impl ConnectionInfo {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in [
            &self.route,
            &self.room,
            &self.method,
            &self.url,
            &self.protocol,
            &self.extensions,
            &self.remote_address,
        ] {
            put(&mut bytes, text.as_bytes());
        }
        put(&mut bytes, &self.body);
        put_headers(&mut bytes, &self.headers);
        bytes
    }

    /// Takes the message apart; `None` if it is none.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        Some(Self {
            route: text(&mut bytes)?,
            room: text(&mut bytes)?,
            method: text(&mut bytes)?,
            url: text(&mut bytes)?,
            protocol: text(&mut bytes)?,
            extensions: text(&mut bytes)?,
            remote_address: text(&mut bytes)?,
            body: part(&mut bytes)?.to_vec(),
            headers: headers(bytes)?,
        })
    }
}

impl ResponseHead {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.status.to_le_bytes().to_vec();
        put_headers(&mut bytes, &self.headers);
        bytes
    }

    /// Takes the message apart; `None` if it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (status, rest) = bytes.split_first_chunk::<2>()?;
        Some(Self {
            status: u16::from_le_bytes(*status),
            headers: headers(rest)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionInfo, ResponseHead};

    #[test]
    fn what_is_encoded_is_decoded() {
        let info = ConnectionInfo {
            route: "/p/*".into(),
            room: "r".into(),
            method: "POST".into(),
            body: vec![0, 1, 2],
            url: "ws://h/p?q".into(),
            protocol: String::new(),
            extensions: "permessage-deflate".into(),
            remote_address: "[::1]:80".into(),
            headers: vec![
                ("Host".into(), b"h".to_vec()),
                ("X".into(), vec![0xE4, b'\0']),
            ],
        };
        let bytes = info.encode();
        assert_eq!(ConnectionInfo::decode(&bytes), Some(info));
        for len in 0..bytes.len() {
            let cut = bytes.get(..len).unwrap_or_default();
            // Between two headers a message may end.
            let shorter = ConnectionInfo::decode(cut);
            assert!(shorter.is_none_or(|info| info.headers.len() < 2), "{len}");
        }

        let head = ResponseHead {
            status: 404,
            headers: vec![("X".into(), b"y".to_vec())],
        };
        let bytes = head.encode();
        assert_eq!(ResponseHead::decode(&bytes), Some(head));
        for len in 3..bytes.len() {
            let cut = bytes.get(..len).unwrap_or_default();
            assert_eq!(ResponseHead::decode(cut), None, "{len}");
        }
    }
}
