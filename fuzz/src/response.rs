//! What a server answers to a client's opening handshake.

use std::sync::LazyLock;

use we_net::handshake::{
    Accepted, ClientHandshake, ExtensionHeader, HandshakeError, HeadLimits, WebSocketUrl,
};

/// The nonce of RFC 6455 section 1.3, so that seeds can hold the right answer to it.
const NONCE: [u8; 16] = *b"the sample nonce";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const LIMITS: HeadLimits = HeadLimits {
    max_bytes: 800,
    max_headers: 12,
};

/// By the first byte: what was asked for.
static HANDSHAKES: LazyLock<[ClientHandshake; 2]> = LazyLock::new(|| {
    let url = WebSocketUrl::parse("ws://example.com/chat", None).expect("a URL");
    let plain = ClientHandshake::new(&url)
        .with_nonce(NONCE)
        .with_limits(LIMITS);
    let offers =
        ["permessage-deflate", "x"].map(|name| ExtensionHeader::new(name).expect("a name"));
    let asking = offers.into_iter().fold(
        plain
            .clone()
            .with_subprotocols(["chat", "superchat"])
            .expect("tokens"),
        ClientHandshake::with_extension,
    );
    [plain, asking]
});

pub fn run(data: &[u8]) {
    let Some((options, data)) = super::choice(data) else {
        return;
    };
    let asking = options & 1 == 1;
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut reader = HANDSHAKES[usize::from(asking)].clone().into_reader();
        let mut read = 0;
        for piece in pieces {
            read += piece.len();
            match reader.receive(piece) {
                Ok(None) => {}
                Ok(Some(mut accepted)) => {
                    accepted.leftover.extend_from_slice(&data[read..]);
                    return Ok(Some(accepted));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    };
    let whole = read(&mut std::iter::once(data));
    let in_pieces = read(&mut super::pieces(data));
    assert_eq!(whole, in_pieces);
    check(&whole, data, asking);
}

fn check(outcome: &Result<Option<Accepted>, HandshakeError>, data: &[u8], asking: bool) {
    match outcome {
        Ok(Some(accepted)) => {
            assert!(data.windows(ACCEPT.len()).any(|window| window == ACCEPT));
            assert!(data.ends_with(&accepted.leftover));
            match &accepted.subprotocol {
                Some(name) => assert!(asking && matches!(name.as_str(), "chat" | "superchat")),
                None => assert!(!asking, "none was chosen"),
            }
            for extension in &accepted.extensions {
                assert!(asking && matches!(extension.name(), "permessage-deflate" | "x"));
            }
        }
        Ok(None) => {
            assert!(data.len() <= LIMITS.max_bytes, "waits for ever");
        }
        Err(error) => assert!(error.to_string().len() < 1000, "{error}"),
    }
}
