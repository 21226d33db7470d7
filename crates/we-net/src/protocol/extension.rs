//! The hook for a negotiated extension ([RFC 6455 section 9]), shaped for `permessage-deflate`
//! ([RFC 7692]): it owns reserved bits, transforms whole messages on their way out and streams of
//! frame payload on their way in.
//!
//! [RFC 6455 section 9]: https://www.rfc-editor.org/rfc/rfc6455#section-9
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692

use std::borrow::Cow;

use thiserror::Error;

use super::close::CloseCode;
use super::frame::Rsv;
use super::message::MessageKind;
use super::payload::{LimitExceeded, Payload, PayloadSink};

/// An extension that was negotiated in the opening handshake, with its state for one connection.
///
/// For each incoming data message the connection calls [`begin`](Self::begin) with the reserved
/// bits of the first frame; if that asks for decoding, [`decode`](Self::decode) with each piece of
/// payload as it arrives (across frames, unmasked), and [`finish`](Self::finish) after the last.
/// Control frames never pass through.
///
/// The limit on a message's size is the sink's: it counts decoded bytes while they are decoded, so
/// an extension cannot be made to inflate more than is allowed.
pub trait Extension: Send {
    /// The reserved bits that the extension owns. It gets them on the first frame of a data
    /// message; on any other frame they still fail the connection, as bits owned by nobody do.
    fn reserved_bits(&self) -> Rsv;

    /// A data message begins, with these bits (all owned) on its first frame.
    ///
    /// # Errors
    /// If the bits break the extension's rules.
    fn begin(&mut self, kind: MessageKind, rsv: Rsv) -> Result<Decoding, ExtensionError>;

    /// Decodes the next piece of a message into `out`.
    ///
    /// # Errors
    /// If the data is corrupt or the message grows beyond its limit.
    fn decode(&mut self, data: &[u8], out: &mut PayloadSink<'_>) -> Result<(), ExtensionError>;

    /// The message has arrived whole: decodes what is left of it.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn finish(&mut self, out: &mut PayloadSink<'_>) -> Result<(), ExtensionError>;

    /// Encodes an outgoing message, or returns `None` to send it as it is.
    fn encode(&mut self, kind: MessageKind, payload: &[u8]) -> Option<Encoded>;
}

/// What becomes of an incoming message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoding {
    /// Its payload is the message.
    Identity,
    /// Its payload is decoded by the extension.
    Extension,
}

/// An outgoing message as the extension wants it on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The reserved bits of the first frame.
    pub rsv: Rsv,
    /// The payload, before masking and fragmentation.
    pub payload: Payload,
}

/// Why an extension refused incoming data.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExtensionError {
    /// The peer broke the extension's rules: 1002.
    #[error("{0}")]
    Protocol(Cow<'static, str>),
    /// The data cannot be decoded: 1007.
    #[error("{0}")]
    InvalidData(Cow<'static, str>),
    /// The decoded message is above its limit: 1009.
    #[error(transparent)]
    TooBig(#[from] LimitExceeded),
}

impl ExtensionError {
    /// The close code that tells the peer.
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::Protocol(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidData(_) => CloseCode::INVALID_DATA,
            Self::TooBig(_) => CloseCode::TOO_BIG,
        }
    }
}
