//! WebSockets that share an HTTP/2 connection: each is a stream of it.
//!
//! Follows [RFC 8441](https://www.rfc-editor.org/rfc/rfc8441) on top of
//! [RFC 9113](https://www.rfc-editor.org/rfc/rfc9113), whose frames are the `h2` crate's affair. The
//! WebSocket protocol inside is the same to the last byte, masking included; only its first request
//! is another one, [extended CONNECT](crate::handshake), and TCP's signs have theirs in HTTP/2: the end
//! of input is END_STREAM, a reset is RST_STREAM.
//!
//! Off unless asked for: [`ClientBuilder::http2`](crate::client::ClientBuilder::http2) and
//! [`ServerBuilder::http2`](crate::server::ServerBuilder::http2).
//!
//! | module | what it holds |
//! |---|---|
//! | `stream` | one stream as a reader and writer of bytes |
//! | `inbox` | what has arrived on it and has not been read |
//! | `pace` | reading from a connection no faster than its streams take |
//! | `client` | the connections that the sockets of a client share |
//! | `server` | a client's connection, as its server sees it |
//! | `error` | what HTTP/2 says, as an [`io::Error`](std::io::Error) |
//!
//! # What it defends against
//!
//! A peer may make us hold, for one connection, its windows (`window` × `max_sockets`), once more as
//! much for the frames around them if they are tiny, and as much header data as
//! [`HeadLimits`](crate::handshake::HeadLimits) say. Streams that are opened and reset again and again (CVE-2023-44487) are counted
//! until their handler has returned. CONTINUATION, PING, SETTINGS and empty DATA frames without end make
//! nothing grow, and the last costs the connection. One socket that is not read holds up no other: the connection's
//! window has room for what all of them may have unread.

mod client;
mod error;
mod inbox;
mod pace;
mod server;
mod stream;

pub(crate) use client::{Carriers, Offer, OpenError, Retiree, Seat};
pub(crate) use error::to_io;
pub(crate) use pace::Pace;
pub(crate) use server::{Incoming, Preface, listen, read_preface};
pub use stream::Stream;

use std::time::Duration;

use hyper::body::Bytes;

/// Bytes of a socket that wait in its connection for TCP to take them, at most. What does not fit waits in the
/// socket itself, where it counts as not sent.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that were reset on this side are remembered for this long: what the peer has sent before it
/// knew is no error. Longer than that takes, and no longer: there are only so many that are remembered.
const RESET_MEMORY: Duration = Duration::from_secs(5);

/// More than so many of them are not remembered, and what still comes for those counts as [broken](BROKEN_STREAMS):
/// dropping sockets whose peers are talking must not cost the others their connection.
const RESETS_REMEMBERED: usize = 1024;

/// Streams that the peer may have reset before anybody looked at them.
const UNSEEN_RESETS: usize = 20;

/// Streams that a peer may break the rules on before the connection is given up.
const BROKEN_STREAMS: usize = 256;

/// How long a connection that is being closed may take to say so.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// The most that a window may be.
/// <https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1>
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// How HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Config {
    /// Bytes that a peer may send on one socket before they are read; at least 1 KiB. What one socket can receive is
    /// this much per round trip. Default 256 KiB, as much as TCP has to start with; on servers 64 KiB.
    pub window: u32,
    /// Sockets that share one connection at most; at least one. A client opens another connection beyond
    /// that, or when its server allows fewer; a server refuses further streams. Default 64; on servers 100, the least that
    /// [RFC 9113 section 5.1.2](https://www.rfc-editor.org/rfc/rfc9113#section-5.1.2) recommends.
    pub max_sockets: u32,
    /// A connection without sockets is closed after this time. Default 10 s; on servers 30 s.
    pub idle: Duration,
    /// For `ws:`, where there is no TLS to agree on a protocol by. A client takes it that every server speaks
    /// HTTP/2 ([RFC 9113 section 3.3](https://www.rfc-editor.org/rfc/rfc9113#section-3.3)), and fails where one does not. A
    /// server tells either protocol by the first bytes. Default: no; on servers yes.
    pub prior_knowledge: bool,
}

impl Default for Http2Config {
    /// For clients.
    fn default() -> Self {
        Self {
            window: 256 * 1024,
            max_sockets: 64,
            idle: Duration::from_secs(10),
            prior_knowledge: false,
        }
    }
}

impl Http2Config {
    /// For servers.
    pub fn server() -> Self {
        Self {
            window: 64 * 1024,
            max_sockets: 100,
            idle: Duration::from_secs(30),
            prior_knowledge: true,
        }
    }

    /// Within what HTTP/2 can say.
    pub(crate) fn checked(mut self) -> Self {
        self.window = self.window.clamp(1024, MAX_WINDOW);
        self.max_sockets = self.max_sockets.max(1);
        self
    }

    /// The window of the whole connection: room for all that its sockets may have unread, so that none
    /// can starve another.
    fn connection_window(&self) -> u32 {
        self.window.saturating_mul(self.max_sockets).min(MAX_WINDOW)
    }

    /// What the frames on a connection that wait to be taken may cost beside their payload, 256 bytes for one at most: twice
    /// what can wait of a [burst](pace::BURST), whose smallest frames have ten bytes.
    fn frame_overhead(&self) -> usize {
        let burst = 2 * 256 * pace::BURST / 10;
        burst.max(self.connection_window() as usize)
    }
}

/// What goes out.
type Sender = h2::SendStream<Bytes>;
