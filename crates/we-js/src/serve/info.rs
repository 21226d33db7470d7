//! [`ConnectionInfo`]: what an application learns of its connection, as a message of bytes.

/// What the server tells an application of its connection: the first message on their link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The URL that the client asked for, with `ws:` or `wss:`.
    pub url: String,
    /// The subprotocol in use, or an empty string.
    pub protocol: String,
    /// The extensions in use, as the server's answer lists them.
    pub extensions: String,
    /// Address and port of the client, or an empty string where it has none (a Unix socket).
    pub remote_address: String,
    /// The headers of the client's request.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl ConnectionInfo {
    /// The message: each part after its length, which takes four bytes, least significant first.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |part: &[u8]| {
            // No part is that long: a request's head is bounded.
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(part.get(..len as usize).unwrap_or_default());
        };
        for text in [
            &self.url,
            &self.protocol,
            &self.extensions,
            &self.remote_address,
        ] {
            put(text.as_bytes());
        }
        for (name, value) in &self.headers {
            put(name.as_bytes());
            put(value);
        }
        bytes
    }

    /// Takes the message apart; `None` if it is none.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
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
        let mut info = Self {
            url: text(&mut bytes)?,
            protocol: text(&mut bytes)?,
            extensions: text(&mut bytes)?,
            remote_address: text(&mut bytes)?,
            headers: Vec::new(),
        };
        while !bytes.is_empty() {
            let name = text(&mut bytes)?;
            info.headers.push((name, part(&mut bytes)?.to_vec()));
        }
        Some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionInfo;

    #[test]
    fn what_is_encoded_is_decoded() {
        let info = ConnectionInfo {
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
    }
}
