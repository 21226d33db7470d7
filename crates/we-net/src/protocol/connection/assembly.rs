//! A message under assembly from its fragments ([RFC 6455 section 5.4]): limits, decoding by an
//! extension, and for text the check of its UTF-8 as it arrives.
//!
//! [RFC 6455 section 5.4]: https://www.rfc-editor.org/rfc/rfc6455#section-5.4

use tokio::io::ReadBuf;

use crate::protocol::config::Limits;
use crate::protocol::error::ConnectionError;
use crate::protocol::extension::{Decoding, Extension, ExtensionError};
use crate::protocol::frame::FrameHeader;
use crate::protocol::mask::{COPY_BLOCK, MaskKey};
use crate::protocol::message::{Message, MessageKind};
use crate::protocol::payload::{
    AlignedBytes, Expected, LimitExceeded, Payload, PayloadSink, empty,
};
use crate::protocol::text::TextAssembler;

/// A message whose frames are arriving.
pub(super) struct Assembly {
    body: Body,
    decoding: Decoding,
    small_fragments: u32,
}

enum Body {
    Text(TextAssembler),
    Binary(AlignedBytes),
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    fn sink(&mut self, limit: usize, expected: Expected) -> PayloadSink<'_> {
        match self {
            Self::Text(text) => text.sink(limit, expected),
            Self::Binary(bytes) => PayloadSink::new(bytes, limit, expected),
        }
    }

    fn validate(&mut self) -> Result<(), ConnectionError> {
        match self {
            Self::Text(text) => Ok(text.validate()?),
            Self::Binary(_) => Ok(()),
        }
    }
}

impl Assembly {
    pub(super) fn new(kind: MessageKind, decoding: Decoding) -> Self {
        Self {
            body: match kind {
                MessageKind::Text => Body::Text(TextAssembler::new()),
                MessageKind::Binary => Body::Binary(empty()),
            },
            decoding,
            small_fragments: 0,
        }
    }

    /// A frame of the message begins. What it declares is held against the limits before any of its
    /// payload is there, and allocates nothing.
    pub(super) fn begin_fragment(
        &mut self,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<(), ConnectionError> {
        if !header.fin && header.payload_len < Limits::SMALL_FRAGMENT {
            self.small_fragments += 1;
            if self.small_fragments > limits.max_small_fragments {
                let limit = limits.max_small_fragments;
                return Err(ConnectionError::TooManyFragments { limit });
            }
        }
        // The length of an encoded message says nothing about the message: its sink counts.
        let room = limits.max_message_size - self.body.len().min(limits.max_message_size);
        if self.decoding == Decoding::Identity && header.payload_len > room as u64 {
            return Err(too_big(limits));
        }
        Ok(())
    }

    /// How many bytes of the message have arrived (and been decoded).
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// The memory of a binary message.
    #[cfg(test)]
    pub(super) fn held_by_message(&self) -> usize {
        match &self.body {
            Body::Text(_) => 0,
            Body::Binary(bytes) => bytes.capacity(),
        }
    }

    /// Whether the message arrives as it is, without an extension.
    pub(super) fn is_plain(&self) -> bool {
        self.decoding == Decoding::Identity
    }

    /// Has `read` fill up to `room` bytes of a frame's payload; else as [`append`](Self::append).
    pub(super) fn fill(
        &mut self,
        room: usize,
        mask: Option<MaskKey>,
        to_come: Option<usize>,
        proven: usize,
        limits: &Limits,
        read: &mut dyn FnMut(&mut ReadBuf<'_>),
    ) -> Result<Option<MaskKey>, ConnectionError> {
        let expected = self.expected(to_come, proven);
        let mut sink = self.body.sink(limits.max_message_size, expected);
        let next = sink.fill_unmasked(room, mask, read);
        self.body.validate()?;
        Ok(next)
    }

    fn expected(&self, to_come: Option<usize>, proven: usize) -> Expected {
        match (to_come, self.decoding) {
            (Some(to_come), Decoding::Identity) => Expected::Exactly {
                total: self.body.len().saturating_add(to_come),
                proven,
            },
            _ => Expected::Unknown,
        }
    }

    /// Appends what has arrived of a frame's payload, unmasked by `mask`; returns the key for what
    /// follows. `to_come` is the number of bytes from here to the end of the message, if it is
    /// declared; `proven` that of bytes which this peer has sent in one message before.
    pub(super) fn append(
        &mut self,
        chunk: &[u8],
        mask: Option<MaskKey>,
        to_come: Option<usize>,
        proven: usize,
        limits: &Limits,
        extension: Option<&mut (dyn Extension + 'static)>,
    ) -> Result<Option<MaskKey>, ConnectionError> {
        let expected = self.expected(to_come, proven);
        let mut sink = self.body.sink(limits.max_message_size, expected);
        let next = match (self.decoding, extension) {
            (Decoding::Extension, Some(extension)) => {
                decode(extension, chunk, mask, &mut sink).map_err(|error| blame(error, limits))?
            }
            _ => append(chunk, mask, &mut sink).map_err(|_| too_big(limits))?,
        };
        self.body.validate()?;
        Ok(next)
    }

    /// The message is whole.
    pub(super) fn finish(
        mut self,
        limits: &Limits,
        extension: Option<&mut (dyn Extension + 'static)>,
    ) -> Result<Message, ConnectionError> {
        if let (Decoding::Extension, Some(extension)) = (self.decoding, extension) {
            let mut sink = self.body.sink(limits.max_message_size, Expected::Unknown);
            extension
                .finish(&mut sink)
                .map_err(|error| blame(error, limits))?;
        }
        Ok(match self.body {
            Body::Text(text) => Message::Text(text.finish()?),
            Body::Binary(bytes) => Message::Binary(Payload::from_inner(bytes)),
        })
    }
}

fn append(
    chunk: &[u8],
    mask: Option<MaskKey>,
    sink: &mut PayloadSink<'_>,
) -> Result<Option<MaskKey>, LimitExceeded> {
    match mask {
        Some(key) => sink.extend_unmasked(chunk, key).map(Some),
        None => sink.extend_from_slice(chunk).map(|()| None),
    }
}

fn decode(
    extension: &mut dyn Extension,
    chunk: &[u8],
    mask: Option<MaskKey>,
    sink: &mut PayloadSink<'_>,
) -> Result<Option<MaskKey>, ExtensionError> {
    let Some(mut key) = mask else {
        extension.decode(chunk, sink)?;
        return Ok(None);
    };
    let mut unmasked = [0; COPY_BLOCK];
    for block in chunk.chunks(COPY_BLOCK) {
        let unmasked = &mut unmasked[..block.len()];
        unmasked.copy_from_slice(block);
        key = key.apply(unmasked);
        extension.decode(unmasked, sink)?;
    }
    Ok(Some(key))
}

fn too_big(limits: &Limits) -> ConnectionError {
    ConnectionError::MessageTooBig {
        limit: limits.max_message_size,
    }
}

fn blame(error: ExtensionError, limits: &Limits) -> ConnectionError {
    match error {
        ExtensionError::TooBig(_) => too_big(limits),
        error => ConnectionError::Extension(error),
    }
}
