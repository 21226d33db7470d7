//! The read half: bytes to frames to messages ([RFC 6455 sections 5 and 6.2]).
//!
//! Bytes are consumed as they come. Of a header that is cut off, the at most 13 bytes are kept
//! inline; payload is unmasked while it is copied, once, into the block that becomes the message.
//!
//! [RFC 6455 sections 5 and 6.2]: https://www.rfc-editor.org/rfc/rfc6455#section-6.2

use super::Role;
use super::assembly::Assembly;
use crate::protocol::close::CloseFrame;
use crate::protocol::config::Limits;
use crate::protocol::error::{ConnectionError, ProtocolError};
use crate::protocol::extension::{Decoding, Extension};
use crate::protocol::frame::{FrameHeader, OpCode, PartialHeader, Rsv};
use crate::protocol::mask::MaskKey;
use crate::protocol::message::{Message, MessageKind};
use crate::protocol::payload::{AlignedBytes, Payload, append_unmasked, empty};
use crate::protocol::text::Text;

/// What the reader needs to know of the connection.
pub(super) struct Rules<'a> {
    pub(super) role: Role,
    pub(super) limits: &'a Limits,
    pub(super) extension: Option<&'a mut (dyn Extension + 'static)>,
}

/// What has arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Message(Message),
    Ping(Payload),
    Pong(Payload),
    Close(Option<CloseFrame>),
}

/// The read half of a connection.
pub(super) struct Reader {
    header: PartialHeader,
    frame: Option<OpenFrame>,
    message: Option<Assembly>,
    /// The payload of the control frame that is arriving.
    control: AlignedBytes,
    /// See [`take_progress`](Self::take_progress).
    progress: bool,
}

/// A frame whose payload is arriving.
struct OpenFrame {
    opcode: OpCode,
    fin: bool,
    /// The key turned to the next byte.
    mask: Option<MaskKey>,
    remaining: u64,
}

impl OpenFrame {
    /// Takes what has arrived of the payload off `input`.
    fn take<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let len = usize::try_from(self.remaining).map_or(input.len(), |len| len.min(input.len()));
        let (chunk, rest) = input.split_at(len);
        *input = rest;
        self.remaining -= len as u64;
        chunk
    }
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            header: PartialHeader::default(),
            frame: None,
            message: None,
            control: empty(),
            progress: false,
        }
    }

    /// Reads on in `input` until something has arrived whole; `None` when all of `input` is
    /// consumed.
    pub(super) fn next(
        &mut self,
        input: &mut &[u8],
        rules: &mut Rules<'_>,
    ) -> Result<Option<Incoming>, ConnectionError> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None if input.is_empty() => return Ok(None),
                None => match self.header.read(input)? {
                    Some(header) => self.begin_frame(&header, rules)?,
                    None => return Ok(None),
                },
            };
            let chunk = frame.take(input);
            let complete = if frame.opcode.is_control() {
                self.read_control(&mut frame, chunk)?
            } else {
                self.read_data(&mut frame, chunk, rules)?
            };
            if frame.remaining > 0 {
                // The input ends within the frame.
                self.frame = Some(frame);
                return Ok(None);
            }
            if complete.is_some() {
                return Ok(complete);
            }
        }
    }

    /// The short way of what nearly every message is: one frame without an extension, whole in `input`.
    ///
    /// `None` if it is anything else, be it wrong: all that is left to [`next`](Self::next).
    pub(super) fn next_whole(&mut self, input: &mut &[u8], rules: &Rules<'_>) -> Option<Message> {
        let between = self.frame.is_none() && self.message.is_none() && self.header.is_empty();
        if !between || rules.extension.is_some() {
            return None;
        }
        let (header, header_len) = FrameHeader::parse(input).ok()??;
        let is_client = header.mask.is_some();
        let in_order =
            header.fin && header.rsv.is_none() && is_client == (rules.role == Role::Server);
        if !in_order || header.payload_len > rules.limits.max_message_size as u64 {
            return None;
        }
        let (payload, rest) = input
            .get(header_len..)?
            .split_at_checked(header.payload_len as usize)?;
        let message = match header.opcode {
            OpCode::Text => Message::Text(Text::received(payload, header.mask).ok()?),
            OpCode::Binary => Message::Binary(Payload::received(payload, header.mask)),
            _ => return None,
        };
        *input = rest;
        self.progress = true;
        Some(message)
    }

    /// Whether a message has come, or a piece of one, since this was last asked.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Drops what has arrived in part.
    pub(super) fn abandon(&mut self) {
        *self = Self::new();
    }

    /// Checks a header against the state of the connection
    /// ([sections 5.1, 5.2 and 5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5)).
    fn begin_frame(
        &mut self,
        header: &FrameHeader,
        rules: &mut Rules<'_>,
    ) -> Result<OpenFrame, ConnectionError> {
        let opcode = header.opcode;
        match (rules.role, header.mask) {
            (Role::Client, Some(_)) => return Err(ProtocolError::MaskedServerFrame.into()),
            (Role::Server, None) => return Err(ProtocolError::UnmaskedClientFrame.into()),
            (Role::Client, None) | (Role::Server, Some(_)) => {}
        }
        let owned = match (&rules.extension, opcode) {
            (Some(extension), OpCode::Text | OpCode::Binary) => extension.reserved_bits(),
            _ => Rsv::NONE,
        };
        let rsv = header.rsv.without(owned);
        if !rsv.is_none() {
            return Err(ProtocolError::ReservedBits { rsv, opcode }.into());
        }

        match opcode {
            OpCode::Text => self.begin_message(MessageKind::Text, header, rules)?,
            OpCode::Binary => self.begin_message(MessageKind::Binary, header, rules)?,
            OpCode::Continuation | OpCode::Close | OpCode::Ping | OpCode::Pong => {}
        }
        if !opcode.is_control() {
            self.message
                .as_mut()
                .ok_or(ProtocolError::UnexpectedContinuation)?
                .begin_fragment(header, rules.limits)?;
            self.progress = true;
        }
        Ok(OpenFrame {
            opcode,
            fin: header.fin,
            mask: header.mask,
            remaining: header.payload_len,
        })
    }

    fn begin_message(
        &mut self,
        kind: MessageKind,
        header: &FrameHeader,
        rules: &mut Rules<'_>,
    ) -> Result<(), ConnectionError> {
        if self.message.is_some() {
            return Err(ProtocolError::InterleavedMessage(header.opcode).into());
        }
        let decoding = match &mut rules.extension {
            Some(extension) => extension
                .begin(kind, header.rsv)
                .map_err(ConnectionError::Extension)?,
            None => Decoding::Identity,
        };
        self.message = Some(Assembly::new(kind, decoding));
        Ok(())
    }

    fn read_control(
        &mut self,
        frame: &mut OpenFrame,
        chunk: &[u8],
    ) -> Result<Option<Incoming>, ConnectionError> {
        if !chunk.is_empty() {
            // At most 125 bytes: the header was checked.
            self.control
                .reserve_exact(chunk.len() + frame.remaining as usize);
        }
        match frame.mask {
            Some(key) => frame.mask = Some(append_unmasked(&mut self.control, chunk, key)),
            None => self.control.extend_from_slice(chunk),
        }
        if frame.remaining > 0 {
            return Ok(None);
        }
        let payload = Payload::from_inner(std::mem::replace(&mut self.control, empty()));
        Ok(match frame.opcode {
            OpCode::Ping => Some(Incoming::Ping(payload)),
            OpCode::Pong => Some(Incoming::Pong(payload)),
            OpCode::Close => Some(Incoming::Close(CloseFrame::parse(&payload)?)),
            OpCode::Continuation | OpCode::Text | OpCode::Binary => None,
        })
    }

    fn read_data(
        &mut self,
        frame: &mut OpenFrame,
        chunk: &[u8],
        rules: &mut Rules<'_>,
    ) -> Result<Option<Incoming>, ConnectionError> {
        let Some(message) = &mut self.message else {
            return Ok(None);
        };
        let expected = match usize::try_from(frame.remaining) {
            Ok(remaining) if frame.fin => Some(chunk.len().saturating_add(remaining)),
            _ => None,
        };
        let extension = rules.extension.as_deref_mut();
        self.progress |= !chunk.is_empty();
        frame.mask = message.append(chunk, frame.mask, expected, rules.limits, extension)?;
        if frame.remaining > 0 || !frame.fin {
            return Ok(None);
        }
        let extension = rules.extension.as_deref_mut();
        match self.message.take() {
            Some(message) => Ok(Some(Incoming::Message(
                message.finish(rules.limits, extension)?,
            ))),
            None => Ok(None),
        }
    }
}
