//! What an endpoint wants of compression, and what two endpoints have agreed on.

use std::fmt;

/// How an endpoint compresses, and what it asks of its peer.
///
/// A client offers this ([`ClientBuilder::compression`](crate::client::ClientBuilder::compression)
/// takes several, the preferred one first); a server answers the first offer that is in order with
/// what both allow ([`AcceptorBuilder::compression`](crate::server::AcceptorBuilder::compression)).
/// The default asks for nothing: windows of 32 KiB that are kept from message to message, and on
/// the wire the offer that browsers make, `permessage-deflate; client_max_window_bits`.
///
/// For what it costs in memory, see [`deflate`](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    /// The server forgets its window after each message
    /// ([section 7.1.1.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1)). A client that
    /// sets this accepts no server that does not. Default `false`.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message
    /// ([section 7.1.1.2](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2)). A client that
    /// sets this does so whatever the server says. Default `false`.
    pub client_no_context_takeover: bool,
    /// How far back the server's compressor looks, at most
    /// ([section 7.1.2.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1)). A client that
    /// sets less than 15 accepts no server that does not keep to it. Default 15.
    pub server_max_window_bits: WindowBits,
    /// How far back the client's compressor looks, at most
    /// ([section 7.1.2.2](https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2)). A server can
    /// ask it only of clients whose offer has the parameter; others may use 15. Default 15.
    pub client_max_window_bits: WindowBits,
    /// How hard to try. Default [`CompressionLevel::FAST`].
    pub level: CompressionLevel,
    /// Messages with fewer bytes than this go out as they are. Default 256: below it, a
    /// message and what the network adds to it fit into one packet anyway, so that only time would
    /// be lost.
    pub threshold: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
            level: CompressionLevel::FAST,
            threshold: 256,
        }
    }
}

impl DeflateConfig {
    /// For a server with many connections: neither end keeps a window, so that compressors and
    /// decompressors are shared by the connections of a thread. Repetition within a message is
    /// still found, repetition from one message to the next is not.
    #[must_use]
    pub fn shared() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            ..Self::default()
        }
    }
}

/// The size of a compressor's window, as the base-2 logarithm of its bytes: 8 (256 bytes) to 15 (32
/// KiB).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 256 bytes. DEFLATE libraries, this one's too, have no compressor for it; see
    /// [`deflate`](super) for what is done instead.
    pub const MIN: Self = Self(8);
    /// 32 KiB, what DEFLATE allows at most.
    pub const MAX: Self = Self(15);

    /// `None` unless `bits` is one of 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            8..=15 => Some(Self(bits)),
            _ => None,
        }
    }

    /// 8 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How much time to spend on finding repetition: 1 (little) to 9 (much).
///
/// Measured with JSON, one core of a server, windows kept; time for a message and what is left of it:
///
/// | level | 256 B | 1 KiB | 64 KiB |
/// |---|---|---|---|
/// | 1 | 0.8 µs, 29 % | 2.4 µs, 26 % | 128 µs, 26 % |
/// | 2 | 4.2 µs, 28 % | 8.0 µs, 22 % | 225 µs, 19 % |
/// | 6 | 5.6 µs, 26 % | 15 µs, 20 % | 642 µs, 17 % |
/// | 9 | 6.9 µs, 25 % | 22 µs, 20 % | 1061 µs, 17 % |
///
/// So for messages as most applications have them, 1 gives nearly all of what there is to gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// 1, the default.
    pub const FAST: Self = Self(1);
    /// 9.
    pub const BEST: Self = Self(9);

    /// `None` unless `level` is one of 1 to 9.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            1..=9 => Some(Self(level)),
            _ => None,
        }
    }

    /// 1 to 9.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What the two ends of a connection have agreed on: the four parameters of
/// [RFC 7692 section 7.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParams {
    /// The server forgets its window after each message.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message.
    pub client_no_context_takeover: bool,
    /// How far back the server's compressor may look.
    pub server_max_window_bits: WindowBits,
    /// How far back the client's compressor may look.
    pub client_max_window_bits: WindowBits,
}

impl Default for DeflateParams {
    fn default() -> Self {
        let DeflateConfig {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            ..
        } = DeflateConfig::default();
        Self {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
        }
    }
}
