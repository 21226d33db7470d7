//! Errors: what the peer (or the transport) did, in words for people, and the close code that tells
//! the peer ([RFC 6455 section 7.1.7]); and why a message was not accepted for sending.
//!
//! [RFC 6455 section 7.1.7]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7

use std::io;

use thiserror::Error;

use super::close::{CloseCode, CloseFrame};
use super::extension::ExtensionError;
use super::frame::{OpCode, Rsv};
use super::message::Message;
use super::text::InvalidUtf8;

/// A breach of the framing or closing rules. Each fails the connection with 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// Opcodes 3 to 7 and 11 to 15
    /// ([5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
    #[error("the peer sent a frame with the reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A reserved bit that no extension owns, or owns but not on such a frame
    /// ([5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
    #[error("the peer set {rsv} on a {opcode} frame without an extension that allows it")]
    ReservedBits {
        /// The offending bits.
        rsv: Rsv,
        /// The frame's opcode.
        opcode: OpCode,
    },
    /// A control frame without FIN ([5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
    #[error("the peer fragmented a {0} frame")]
    FragmentedControlFrame(OpCode),
    /// A control frame above 125 bytes ([5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
    #[error("the peer sent a {0} frame of more than 125 bytes")]
    ControlFrameTooLong(OpCode),
    /// A length that a shorter form could have said
    /// ([5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
    #[error("the peer wrote the payload length {0} in more bytes than it needs")]
    NonMinimalLength(u64),
    /// A 64-bit length from 2^63 on ([5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
    #[error("the peer declared a payload length of 2^63 bytes or more")]
    LengthTopBitSet,
    /// A server must not mask ([5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1)).
    #[error("the server masked a frame")]
    MaskedServerFrame,
    /// A client must mask ([5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1)).
    #[error("the client sent a frame without a mask")]
    UnmaskedClientFrame,
    /// A continuation frame while no message is open
    /// ([5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
    #[error("the peer continued a message that it had not begun")]
    UnexpectedContinuation,
    /// A new message inside a fragmented one
    /// ([5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
    #[error("the peer began a {0} message inside another message")]
    InterleavedMessage(OpCode),
    /// A Close body of one byte ([5.5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1)).
    #[error("the peer sent a Close frame with half a close code")]
    CloseBodyTooShort,
    /// A close code that must not be sent
    /// ([7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)).
    #[error("the peer sent the close code {0}, which must not be sent")]
    InvalidCloseCode(u16),
}

/// Why a connection failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// The peer broke the protocol: 1002.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A text message is not UTF-8: 1007
    /// ([8.1](https://www.rfc-editor.org/rfc/rfc6455#section-8.1)).
    #[error("the peer sent a text message with {0}")]
    InvalidText(#[from] InvalidUtf8),
    /// A close reason is not UTF-8: 1007
    /// ([8.1](https://www.rfc-editor.org/rfc/rfc6455#section-8.1)).
    #[error("the peer sent a close reason that is not UTF-8")]
    InvalidCloseReason,
    /// A message above [`Limits::max_message_size`](super::Limits::max_message_size): 1009.
    #[error("the peer sent a message of more than {limit} bytes")]
    MessageTooBig {
        /// The limit in bytes.
        limit: usize,
    },
    /// A message in more small fragments than
    /// [`Limits::max_small_fragments`](super::Limits::max_small_fragments): 1008.
    #[error("the peer cut a message into more than {limit} small fragments")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
    /// The negotiated extension refused what the peer sent; the code is the extension's choice.
    #[error("the peer broke the negotiated extension: {0}")]
    Extension(ExtensionError),
    /// The caller failed the connection and told the peer so.
    #[error("the connection was failed locally with {0}")]
    Local(CloseFrame),
    /// The caller dropped the connection without a word to the peer.
    #[error("the connection was aborted locally")]
    Aborted,
    /// The transport ended without a Close frame
    /// ([7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
    #[error("the peer ended the transport without a Close frame")]
    UnexpectedEof,
    /// The transport broke.
    #[error("the transport failed: {0}")]
    Transport(#[from] TransportError),
    /// The closing handshake was not over in
    /// [`Timeouts::closing`](super::Timeouts::closing).
    #[error("the peer did not finish the closing handshake in time")]
    ClosingTimeout,
    /// Output waited for [`Timeouts::stalled_write`](super::Timeouts::stalled_write) without
    /// progress.
    #[error("the peer stopped reading")]
    PeerNotReading,
    /// Nothing came for [`KeepAlive::timeout`](super::KeepAlive::timeout) after a Ping.
    #[error("the peer did not answer a ping in time")]
    PeerSilent,
    /// More waited to be written than [`BackPressure::high_water`](super::BackPressure::high_water),
    /// and the [policy](super::SlowPeer::Drop) is to drop such a peer.
    #[error("the peer reads too slowly: {waiting} bytes wait to be written to it")]
    PeerTooSlow {
        /// Payload bytes.
        waiting: u64,
    },
}

impl ConnectionError {
    /// The code that tells the peer, or `None` where nobody is left to be told.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        Some(match self {
            Self::Protocol(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidText(_) | Self::InvalidCloseReason => CloseCode::INVALID_DATA,
            Self::MessageTooBig { .. } => CloseCode::TOO_BIG,
            Self::TooManyFragments { .. } => CloseCode::POLICY,
            Self::Extension(error) => error.close_code(),
            Self::Local(frame) => frame.code,
            Self::Aborted
            | Self::UnexpectedEof
            | Self::Transport(_)
            | Self::ClosingTimeout
            | Self::PeerNotReading
            | Self::PeerSilent
            | Self::PeerTooSlow { .. } => {
                return None;
            }
        })
    }
}

/// An error of the transport, as told by the operating system or the TLS library.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct TransportError {
    /// The kind of the I/O error.
    pub kind: io::ErrorKind,
    /// What the error says of itself.
    pub message: Box<str>,
}

impl From<io::Error> for TransportError {
    fn from(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string().into(),
        }
    }
}

impl From<io::ErrorKind> for TransportError {
    fn from(kind: io::ErrorKind) -> Self {
        io::Error::from(kind).into()
    }
}

/// Why a frame was not accepted for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The closing handshake has begun (or the connection is failing): no message follows a Close
    /// frame ([5.5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1)).
    #[error("the connection is closing")]
    Closing,
    /// The connection is over.
    #[error("the connection is closed")]
    Closed,
    /// As much output waits as [`Limits::max_pending_output`](super::Limits::max_pending_output)
    /// allows: try again when some has been written.
    #[error("too much output is waiting to be written")]
    Full,
    /// The payload of a Ping is above 125 bytes.
    #[error("a control frame holds at most 125 bytes")]
    ControlTooLong,
}

/// A message that was not accepted for sending, given back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{refusal}")]
pub struct SendError {
    /// Why.
    #[source]
    pub refusal: Refusal,
    /// The message.
    pub message: Message,
}
