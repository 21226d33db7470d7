//! What a connection allows its peer, and how long it waits: every limit and timeout in one place,
//! each with the reason for its default ([RFC 6455 section 10.4]).
//!
//! [RFC 6455 section 10.4]: https://www.rfc-editor.org/rfc/rfc6455#section-10.4

use std::num::NonZeroUsize;
use std::time::Duration;

/// How a connection behaves. [`Config::default`] suits a client that acts as browsers do,
/// [`Config::server`] an endpoint that faces strangers.
///
/// Connections share one by [`Arc`](std::sync::Arc), so a server with many pays for it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What the peer may cost.
    pub limits: Limits,
    /// How long to wait for the peer.
    pub timeouts: Timeouts,
    /// Whether to ask a silent peer if it is still there. Default `None`: browsers do not ask, and a
    /// peer that has gone without a word is noticed when something is sent to it.
    pub keep_alive: Option<KeepAlive>,
    /// What to do about a peer that reads more slowly than it is sent to.
    pub back_pressure: BackPressure,
    /// The largest payload of one outgoing frame in bytes: longer messages are cut into fragments
    /// of this size ([section 5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)). `None`
    /// (the default) sends each message as one frame, which costs least at both ends.
    pub fragment_size: Option<NonZeroUsize>,
}

impl Config {
    /// For a server: messages are no longer than 16 MiB, pending output is bounded, and a peer that
    /// stops reading is dropped.
    #[must_use]
    pub fn server() -> Self {
        Self {
            limits: Limits {
                max_message_size: 16 << 20,
                max_pending_output: 16 << 20,
                ..Limits::default()
            },
            timeouts: Timeouts {
                stalled_write: Some(Duration::from_secs(30)),
                ..Timeouts::default()
            },
            ..Self::default()
        }
    }
}

/// What a peer may cost in memory and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message to accept, in payload bytes after all decoding. A longer one fails the
    /// connection with 1009 as soon as a frame header shows it. Default 64 MiB, as in most
    /// libraries; 16 MiB in [`Config::server`], since a stranger's message of a few kilobytes may
    /// inflate to as much.
    pub max_message_size: usize,
    /// How many small fragments (fewer than [`SMALL_FRAGMENT`](Self::SMALL_FRAGMENT) payload bytes)
    /// one message may have. Past that the connection fails with 1008: only a peer that wants to
    /// keep us busy cuts a message so. Larger fragments are not counted, since the message size
    /// bounds them. Default 16,384.
    pub max_small_fragments: u32,
    /// How many bytes may wait in the outbox, frame headers included, before
    /// [`Connection::send`](super::Connection::send) refuses more. A single message is accepted at
    /// any length when nothing waits. Payloads count by their length; those that are parts of what was
    /// read ([`ReadBuffer`](super::ReadBuffer)) may keep up to eight times as much. Default unlimited, as
    /// the `send()` of browsers demands; 16 MiB in [`Config::server`].
    pub max_pending_output: usize,
}

impl Limits {
    /// A fragment with fewer payload bytes than this counts as small.
    pub const SMALL_FRAGMENT: u64 = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: 64 << 20,
            max_small_fragments: 16_384,
            max_pending_output: usize::MAX,
        }
    }
}

/// How long to wait for a peer. The standard leaves these times open ("a reasonable period").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From our Close frame to the peer's. Runs from the moment when our Close has been written;
    /// before that it starts anew whenever output makes progress. Also from reading the peer's
    /// Close frame to writing ours, with the time in which the caller takes and answers the
    /// messages before it. Default 30 s (Chromium 60 s, Firefox 20 s).
    pub closing: Duration,
    /// From the exchange of Close frames to the end of the TCP connection. Default 2 s, as in
    /// Chromium.
    pub tcp_close: Duration,
    /// From a failure to our Close frame's being written, and from there to the end of the
    /// connection, in which the frame can still reach the peer. Also from an offence of the peer's
    /// to the failure, for the caller to take and answer the messages before it. Default 2 s.
    pub failing: Duration,
    /// How long output may wait without any progress while the connection is open; then the peer is
    /// held to have stopped reading and the connection fails. `None` waits for ever. Default
    /// `None`, 30 s in [`Config::server`].
    pub stalled_write: Option<Duration>,
    /// How long an open connection may go without a message in either direction (Pings and Pongs do
    /// not count; pieces of a long message do); then it is closed with 1001. `None`, the default, is
    /// for ever.
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            closing: Duration::from_secs(30),
            tcp_close: Duration::from_secs(2),
            failing: Duration::from_secs(2),
            stalled_write: None,
            idle: None,
        }
    }
}

/// Pings that find out whether a silent peer is still there, and keep the middle-boxes between here
/// and there from forgetting the connection.
///
/// Everything that arrives is a sign of life: only a peer that has said nothing for `interval` is
/// pinged, and it need not be the Pong that comes, as that may have to wait behind a long message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long a peer may be silent before it is sent a Ping. Default 20 s.
    pub interval: Duration,
    /// How long it may be silent from then on; then the connection is over, with
    /// [`ConnectionError::PeerSilent`](super::ConnectionError::PeerSilent). Runs from the moment when
    /// the transport has taken all of the Ping, which may have to wait behind a part of a long
    /// message; before that it starts anew whenever output makes progress. Default 20 s.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    /// The values of the `websockets` library of Python, the best known that pings by default.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(20),
            timeout: Duration::from_secs(20),
        }
    }
}

/// When [`WebSocket::send`](crate::WebSocket::send) finds that the peer has not read what was sent
/// before.
///
/// This is for programs that send to one peer what others say, as a chat does: of
/// [`Limits::max_pending_output`] a program that waits never comes near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackPressure {
    /// The payload bytes that may wait to be written; with more, the next message waits or the peer is
    /// dropped. Default 64 KiB. What the operating system's buffers take does not count.
    pub high_water: u64,
    /// What happens then.
    pub policy: SlowPeer,
}

impl Default for BackPressure {
    fn default() -> Self {
        Self {
            high_water: 64 * 1024,
            policy: SlowPeer::Wait,
        }
    }
}

/// What to do about a slow peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowPeer {
    /// The sender waits until enough has been written; [`Timeouts::stalled_write`] ends that if nothing
    /// at all is.
    #[default]
    Wait,
    /// The connection is dropped at once, with
    /// [`ConnectionError::PeerTooSlow`](super::ConnectionError::PeerTooSlow), so that one slow peer does
    /// not hold up what is meant for many.
    Drop,
}
