//! What can be seen of connections from outside: counters, `tracing` events, and a log of frames.
//!
//! **Counters.** [`Client::stats`](crate::Client::stats), [`Acceptor::stats`](crate::Acceptor::stats)
//! and [`ServerHandle::stats`](crate::server::ServerHandle::stats) tell how many connections there are
//! and were, and what went over them.
//!
//! **Events.** All of `tracing`'s events have the target `we::net`. A connection is `opened` and
//! `closed` (level DEBUG, the latter with its cause), and each `frame` is told at level TRACE: its
//! direction, opcode and size, nothing of its payload. `connection` numbers the connections of the
//! process.
//!
//! **Frames.** A [`FrameLog`] gets each frame with the beginning of its payload. Without one, and with
//! TRACE off when the connection is opened, nothing looks at the frames again.

mod counters;
mod monitor;

pub use counters::Stats;

pub(crate) use counters::Counters;
pub(crate) use monitor::{FrameLogs, Monitor};

use std::net::SocketAddr;

use crate::protocol::{Closure, OpCode, Role, Rsv};

/// How many bytes of a payload a [`FrameLog`] gets.
pub const SHOWN_PAYLOAD: usize = 128;

/// Takes down what passes on connections. Called on the way of each frame, from whatever thread drives
/// the connection: it should not block for long.
pub trait FrameLog: Send + Sync + 'static {
    /// A connection has been opened.
    fn opened(&self, connection: &ConnectionInfo<'_>) {
        let _ = connection;
    }

    /// A frame has arrived, or been written to the stream, as a whole.
    fn frame(&self, connection: u64, frame: &FrameRecord<'_>);

    /// A connection is over; `None` if its owner has dropped it before.
    fn closed(&self, connection: u64, closure: Option<&Closure>) {
        let _ = (connection, closure);
    }
}

/// A connection that has just been opened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo<'a> {
    /// Its number, not used again in this process.
    pub id: u64,
    /// Which end is ours.
    pub role: Role,
    /// Of a client the URL without user name and password, of a server what the client has asked for.
    pub target: &'a str,
    /// The address of the peer, where it is known by then.
    pub peer_addr: Option<SocketAddr>,
    /// The subprotocol in use.
    pub subprotocol: Option<&'a str>,
    /// The extensions in use, or an empty string.
    pub extensions: &'a str,
}

/// A frame that has passed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FrameRecord<'a> {
    /// Which way.
    pub direction: Direction,
    /// Whether it is the last of its message.
    pub fin: bool,
    /// The reserved bits; RSV1 on the first frame of a compressed message.
    pub rsv: Rsv,
    /// What it is.
    pub opcode: OpCode,
    /// How long its payload is, as it is on the wire.
    pub payload_len: u64,
    /// The first [`SHOWN_PAYLOAD`] bytes of it, unmasked, and compressed if the message is.
    pub payload: &'a [u8],
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}
