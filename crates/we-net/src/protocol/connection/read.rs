//! The read half: bytes to frames to messages ([RFC 6455 sections 5 and 6.2]).
//!
//! Bytes are consumed as they come, but for the beginning of a long binary message that can become a
//! part of the buffer which it is in. Of a header that is cut off, the at most 13 bytes are kept
//! inline. Payload is unmasked while it is copied into the block that becomes the message, or where it
//! lies, if it stays there.
//!
//! [RFC 6455 sections 5 and 6.2]: https://www.rfc-editor.org/rfc/rfc6455#section-6.2

use tokio::io::ReadBuf;

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
use crate::protocol::read_buffer::{SHARED_FROM, Source};
use crate::protocol::text::{InvalidUtf8, Text};

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

/// What is next in the input.
pub(super) enum Whole {
    Message(Message),
    /// The beginning of a long message. It stays in the input until the rest is there too.
    Waits,
    /// Something else.
    Other,
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
    /// The length of the last message that came, in bytes.
    last: u32,
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

/// What the header at the start of `bytes` says, if it is that of an unfragmented message without reserved bits, as the
/// peer of `role` has to send it: kind, key, length of the header, length of the payload.
#[inline]
fn simple_header(bytes: &[u8], role: Role) -> Option<(MessageKind, Option<MaskKey>, usize, usize)> {
    const TEXT: u8 = 0x81;
    const BINARY: u8 = 0x82;
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    let kind = match *first {
        TEXT => MessageKind::Text,
        BINARY => MessageKind::Binary,
        _ => return None,
    };
    if (*second & 0x80 != 0) != (role == Role::Server) {
        return None;
    }
    let (len, len_len, rest) = match *second & 0x7F {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            let len = usize::from(u16::from_be_bytes(*len));
            (Some(len).filter(|len| *len >= 126)?, 2, rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            let len = usize::try_from(u64::from_be_bytes(*len)).ok()?;
            (Some(len).filter(|len| *len > 0xFFFF)?, 8, rest)
        }
        len => (usize::from(len), 0, rest),
    };
    match role {
        Role::Client => Some((kind, None, 2 + len_len, len)),
        Role::Server => {
            let key = MaskKey::new(*rest.first_chunk()?);
            Some((kind, Some(key), 2 + len_len + 4, len))
        }
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
            last: 0,
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
    /// [`Whole::Other`] if it is anything else, be it wrong: all that is left to [`next`](Self::next).
    #[inline]
    pub(super) fn next_whole(
        &mut self,
        input: &mut impl Source,
        role: Role,
        limits: &Limits,
    ) -> Result<Whole, InvalidUtf8> {
        let between = self.frame.is_none() && self.message.is_none() && self.header.is_empty();
        if !between {
            return Ok(Whole::Other);
        }
        let bytes = input.unread();
        let Some((kind, mask, header_len, len)) = simple_header(bytes, role) else {
            return Ok(Whole::Other);
        };
        if len > limits.max_message_size {
            return Ok(Whole::Other);
        }
        if bytes.len() - header_len < len {
            // Text does not wait: the first impossible byte is found when it arrives.
            let waits =
                kind == MessageKind::Binary && input.waits_for(len.saturating_add(header_len));
            self.progress |= waits;
            return Ok(if waits { Whole::Waits } else { Whole::Other });
        }
        let shared = if len >= SHARED_FROM {
            input.share(header_len, len)
        } else {
            None
        };
        let message = match (shared, kind) {
            (None, _) => {
                let end = header_len + len;
                let Some(payload) = input.unread().get(header_len..end) else {
                    return Ok(Whole::Other);
                };
                let message = match kind {
                    MessageKind::Text => Message::Text(Text::received(payload, mask)?),
                    MessageKind::Binary => Message::Binary(Payload::received(payload, mask)),
                };
                input.skip(end);
                message
            }
            (Some(bytes), MessageKind::Text) => Message::Text(Text::shared(bytes, mask)?),
            (Some(bytes), MessageKind::Binary) => Message::Binary(Payload::shared(bytes, mask)),
        };
        self.note_length(len);
        self.progress = true;
        Ok(Whole::Message(message))
    }

    /// Whether a message has come, or a piece of one, since this was last asked.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// The length of the last message that came, in bytes.
    pub(super) fn last_len(&self) -> usize {
        self.last as usize
    }

    fn note_length(&mut self, len: usize) {
        self.last = u32::try_from(len).unwrap_or(u32::MAX);
    }

    /// The memory of a binary message.
    #[cfg(test)]
    pub(super) fn held_by_message(&self) -> usize {
        self.message.as_ref().map_or(0, Assembly::held_by_message)
    }

    /// Whether some of a message has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.message
            .as_ref()
            .is_some_and(|message| message.len() > 0)
    }

    /// How many bytes are to come of a payload that can be read to where it belongs.
    pub(super) fn room(&self) -> usize {
        let (Some(frame), Some(message)) = (&self.frame, &self.message) else {
            return 0;
        };
        if frame.opcode.is_control() || !message.is_plain() {
            return 0;
        }
        usize::try_from(frame.remaining).unwrap_or(usize::MAX)
    }

    /// Has `read` fill up to `room` bytes of the payload that is arriving; see [`room`](Self::room).
    pub(super) fn fill(
        &mut self,
        room: usize,
        rules: &Rules<'_>,
        read: &mut dyn FnMut(&mut ReadBuf<'_>),
    ) -> Result<Option<Message>, ConnectionError> {
        let room = room.min(self.room());
        let last = self.last_len();
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else {
            return Ok(None);
        };
        let to_come = usize::try_from(frame.remaining).ok().filter(|_| frame.fin);
        let before = message.len();
        frame.mask = message.fill(room, frame.mask, to_come, last, rules.limits, read)?;
        let added = message.len() - before;
        self.progress |= added > 0;
        frame.remaining -= added as u64;
        if frame.remaining > 0 {
            return Ok(None);
        }
        let is_last = self.frame.take().is_some_and(|frame| frame.fin);
        if !is_last {
            return Ok(None);
        }
        self.take_message(rules.limits, None)
    }

    /// The message under assembly is whole.
    fn take_message(
        &mut self,
        limits: &Limits,
        extension: Option<&mut (dyn Extension + 'static)>,
    ) -> Result<Option<Message>, ConnectionError> {
        let Some(message) = self.message.take() else {
            return Ok(None);
        };
        let is_plain = message.is_plain();
        let message = message.finish(limits, extension)?;
        if is_plain {
            self.note_length(message.len());
        }
        Ok(Some(message))
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
        let last = self.last as usize;
        self.progress |= !chunk.is_empty();
        frame.mask = message.append(chunk, frame.mask, expected, last, rules.limits, extension)?;
        if frame.remaining > 0 || !frame.fin {
            return Ok(None);
        }
        let extension = rules.extension.as_deref_mut();
        let message = self.take_message(rules.limits, extension)?;
        Ok(message.map(Incoming::Message))
    }
}
