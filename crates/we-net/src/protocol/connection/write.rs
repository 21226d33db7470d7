//! The write half: messages and control frames to frames in the outbox
//! ([RFC 6455 sections 5.1, 5.4 and 6.1]), with masking by role and the Pongs that may be owed.
//!
//! [RFC 6455 sections 5.1, 5.4 and 6.1]: https://www.rfc-editor.org/rfc/rfc6455#section-6.1

use std::collections::VecDeque;
use std::io::IoSlice;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::Role;
use super::outbox::{LargeBody, Outbox};
use crate::protocol::close::CloseFrame;
use crate::protocol::error::Refusal;
use crate::protocol::extension::{Encoded, Extension};
use crate::protocol::frame::{EncodedHeader, FrameHeader, MAX_CONTROL_PAYLOAD, OpCode, Rsv};
use crate::protocol::mask::{MaskKey, MaskSource, RandomMasks};
use crate::protocol::message::{Message, MessageKind, MessageRef};
use crate::protocol::payload::{OwnedBytes, Payload};

/// Payloads up to this length are copied into the outbox beside their header; above it a slice of
/// its own costs less than the copy.
const MAX_COPIED: usize = 4096;

/// How many bytes of Pings may wait. A caller that pings a peer which does not read is refused.
const MAX_WAITING_PINGS: usize = 1024;

/// How many Pings may wait for their Pongs. When one more comes it is a flood, of which only the
/// newest is answered.
const MAX_OWED_PONGS: usize = 16;

type ExtensionRef<'a> = Option<&'a mut (dyn Extension + 'static)>;

/// What became of a message that was to be queued.
enum Queued {
    Done,
    /// It needs a payload of its own.
    TooLarge,
}

/// What the transport has taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// Some of a message (or of the Close frame).
    pub(super) message: bool,
    /// Some of a Ping of keep-alive, or of what goes before it.
    pub(super) keep_alive: bool,
}

/// The write half of a connection.
pub(super) struct Writer {
    masking: Masking,
    fragment_size: Option<NonZeroUsize>,
    outbox: Outbox,
    /// The payloads of Pings that have not been answered.
    owed_pongs: VecDeque<Payload>,
    /// Whether more Pings came than are answered one by one: then the newest one is owed.
    flooded: bool,
    close_queued: bool,
}

/// Whether and how this role masks: a client masks every frame, a server none
/// ([section 5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1)).
enum Masking {
    Server,
    Client,
    ClientWith(Box<dyn MaskSource>),
}

impl Masking {
    /// A fresh key for one frame.
    fn next_key(&mut self) -> Option<MaskKey> {
        match self {
            Self::Server => None,
            Self::Client => Some(RandomMasks.next_key()),
            Self::ClientWith(source) => Some(source.next_key()),
        }
    }
}

impl Writer {
    pub(super) fn new(role: Role, fragment_size: Option<NonZeroUsize>) -> Self {
        Self {
            masking: match role {
                Role::Client => Masking::Client,
                Role::Server => Masking::Server,
            },
            fragment_size,
            outbox: Outbox::default(),
            owed_pongs: VecDeque::new(),
            flooded: false,
            close_queued: false,
        }
    }

    pub(super) fn set_mask_source(&mut self, source: Box<dyn MaskSource>) {
        if self.is_masking() {
            self.masking = Masking::ClientWith(source);
        }
    }

    /// Payload bytes of messages that have not been written.
    pub(super) fn buffered_amount(&self) -> u64 {
        self.outbox.credit()
    }

    fn is_masking(&self) -> bool {
        !matches!(self.masking, Masking::Server)
    }

    /// Whether a message of `len` bytes fits beside what waits, with the headers of its frames.
    pub(super) fn has_room_for(&self, len: usize, limit: usize) -> bool {
        let masked = self.is_masking();
        let added = match self.fragment_size {
            None => len.saturating_add(FrameHeader::len_for(len, masked)),
            Some(size) => {
                let (whole, rest) = (len / size, len % size);
                // The last frame is a whole one or what is left; an empty message has one too.
                let last = usize::from(rest > 0 || len == 0) * FrameHeader::len_for(rest, masked);
                let headers = whole.saturating_mul(FrameHeader::len_for(size.get(), masked));
                len.saturating_add(headers).saturating_add(last)
            }
        };
        let waiting = self.outbox.unwritten();
        waiting == 0 || waiting.saturating_add(added) <= limit
    }

    /// Whether there is something to write.
    pub(super) fn wants_write(&self) -> bool {
        self.outbox.unwritten() > 0
            || self.outbox.urgent_unwritten() > 0
            || !self.owed_pongs.is_empty()
    }

    /// Whether nothing is left to write when `n` bytes are written.
    pub(super) fn is_all_output(&self, n: usize) -> bool {
        self.owed_pongs.is_empty() && self.outbox.unwritten() + self.outbox.urgent_unwritten() <= n
    }

    /// Whether a Close frame has been queued.
    pub(super) fn is_close_queued(&self) -> bool {
        self.close_queued
    }

    /// Whether a Close frame has been queued and everything is written.
    pub(super) fn is_close_written(&self) -> bool {
        self.close_queued && self.outbox.unwritten() == 0
    }

    /// Queues a message, taking over its payload if it is large.
    pub(super) fn queue(&mut self, message: Message, extension: ExtensionRef<'_>) {
        match self.queue_encoded_or_small(MessageRef::from(&message), extension) {
            Queued::Done => {}
            Queued::TooLarge => self.queue_plain(message.kind(), message),
        }
    }

    /// Queues a message by copying its payload.
    pub(super) fn queue_copy(&mut self, message: MessageRef<'_>, extension: ExtensionRef<'_>) {
        match self.queue_encoded_or_small(message, extension) {
            Queued::Done => {}
            Queued::TooLarge => {
                let payload = Payload::from(message.as_bytes());
                self.queue_plain(message.kind(), payload);
            }
        }
    }

    fn queue_encoded_or_small(
        &mut self,
        message: MessageRef<'_>,
        extension: ExtensionRef<'_>,
    ) -> Queued {
        let (kind, bytes) = (message.kind(), message.as_bytes());
        let encoded = extension.and_then(|extension| extension.encode(kind, bytes));
        if let Some(Encoded { rsv, payload }) = encoded {
            self.queue_payload(kind.opcode(), rsv, payload.into(), bytes.len());
        } else if self.fits_a_small_frame(bytes.len()) {
            self.queue_small(kind, bytes);
        } else {
            return Queued::TooLarge;
        }
        Queued::Done
    }

    fn queue_plain(&mut self, kind: MessageKind, payload: impl Into<OwnedBytes>) {
        let payload = payload.into();
        let credit = payload.len();
        self.queue_payload(kind.opcode(), Rsv::NONE, payload, credit);
    }

    fn fits_a_small_frame(&self, len: usize) -> bool {
        len <= MAX_COPIED && self.fragment_size.is_none_or(|size| len <= size.get())
    }

    fn queue_small(&mut self, kind: MessageKind, payload: &[u8]) {
        let (header, key) = self.header(true, Rsv::NONE, kind.opcode(), payload.len());
        self.outbox.push_small(&header, payload, key, payload.len());
    }

    /// Queues a message in one frame or, above the fragment size, in several.
    fn queue_payload(&mut self, opcode: OpCode, rsv: Rsv, mut payload: OwnedBytes, credit: usize) {
        let len = payload.len();
        let size = self.fragment_size.map_or(usize::MAX, NonZeroUsize::get);
        if len <= size {
            let (header, key) = self.header(true, rsv, opcode, len);
            if len <= MAX_COPIED {
                self.outbox.push_small(&header, &payload, key, credit);
            } else {
                // Without a key nothing is changed, so what is shared may stay shared.
                if let Some(key) = key {
                    let _ = key.apply(payload.make_mut());
                }
                self.outbox
                    .push_large(&header, LargeBody::Whole(payload), credit);
            }
            return;
        }

        // Section 5.4: the first fragment has the opcode (and, RFC 7692 section 6, the extension's
        // bits), the others are continuations, the last one has FIN.
        let count = len.div_ceil(size);
        let headers: Vec<(EncodedHeader, Option<MaskKey>)> = payload
            .chunks(size)
            .enumerate()
            .map(|(at, fragment)| {
                let (rsv, opcode) = match at {
                    0 => (rsv, opcode),
                    _ => (Rsv::NONE, OpCode::Continuation),
                };
                self.header(at + 1 == count, rsv, opcode, fragment.len())
            })
            .collect();
        if self.is_masking() {
            let fragments = payload.make_mut().chunks_mut(size);
            for (fragment, (_, key)) in fragments.zip(&headers) {
                if let Some(key) = key {
                    let _ = key.apply(fragment);
                }
            }
        }
        let payload = Arc::new(payload);
        // What an extension has saved or added is accounted for in the last fragment.
        let mut credit = credit;
        for (at, (header, _)) in headers.iter().enumerate() {
            let range = at * size..len.min((at + 1) * size);
            let share = if at + 1 == count {
                credit
            } else {
                range.len().min(credit)
            };
            credit -= share;
            if range.len() <= MAX_COPIED {
                self.outbox.push_small(header, &payload[range], None, share);
            } else {
                let body = LargeBody::Part(Arc::clone(&payload), range);
                self.outbox.push_large(header, body, share);
            }
        }
    }

    /// Queues the Close frame, after every message. Nothing follows it.
    pub(super) fn queue_close(&mut self, frame: Option<&CloseFrame>) {
        debug_assert!(!self.close_queued);
        let payload = frame.map(CloseFrame::to_payload).unwrap_or_default();
        let (header, key) = self.header(true, Rsv::NONE, OpCode::Close, payload.len());
        self.outbox.push_small(&header, &payload, key, 0);
        self.close_queued = true;
    }

    /// Queues a Ping ahead of the messages.
    pub(super) fn queue_ping(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(Refusal::ControlTooLong);
        }
        if self.outbox.urgent_unwritten() + payload.len() > MAX_WAITING_PINGS {
            return Err(Refusal::Full);
        }
        self.push_urgent(OpCode::Ping, payload);
        Ok(())
    }

    /// Queues a Ping of keep-alive, unless one waits: that asks the peer as well. Whatever else waits,
    /// there is room for it.
    pub(super) fn queue_keep_alive(&mut self, payload: &[u8]) {
        if !self.outbox.is_marked_waiting() {
            self.push_urgent(OpCode::Ping, payload);
            self.outbox.mark_urgent();
        }
    }

    /// A Ping has arrived. A few are answered one by one, of a flood only the newest
    /// ([section 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)).
    pub(super) fn owe_pong(&mut self, ping: Payload) {
        // The peer drops whatever would follow our Close frame.
        if self.is_close_begun() {
            return;
        }
        self.flooded |= self.owed_pongs.len() >= MAX_OWED_PONGS;
        if self.flooded {
            self.owed_pongs.clear();
        }
        self.owed_pongs.push_back(ping);
    }

    fn take_owed_pongs(&mut self) -> VecDeque<Payload> {
        self.flooded = false;
        std::mem::take(&mut self.owed_pongs)
    }

    fn push_urgent(&mut self, opcode: OpCode, payload: &[u8]) {
        let (header, key) = self.header(true, Rsv::NONE, opcode, payload.len());
        self.outbox.push_urgent(&header, payload, key);
    }

    /// The only place where headers are made: the role decides about the mask, and each frame gets
    /// a key of its own.
    fn header(
        &mut self,
        fin: bool,
        rsv: Rsv,
        opcode: OpCode,
        len: usize,
    ) -> (EncodedHeader, Option<MaskKey>) {
        let mask = self.masking.next_key();
        let header = FrameHeader {
            fin,
            rsv,
            opcode,
            mask,
            payload_len: len as u64,
        };
        (header.encode(), mask)
    }

    fn is_close_begun(&self) -> bool {
        self.close_queued && self.outbox.is_last_frame_begun()
    }

    /// Fills `slices` with the bytes to write next; returns how many slices it filled.
    pub(super) fn output<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        // Pongs are put on the wire as late as possible, so that they answer the newest Pings; and
        // only when those before have been written, so that a peer which pings and never reads
        // costs a few Pongs.
        if !self.owed_pongs.is_empty() && self.outbox.urgent_unwritten() == 0 {
            for payload in self.take_owed_pongs() {
                self.push_urgent(OpCode::Pong, &payload);
            }
        }
        self.outbox.show(slices)
    }

    /// The transport has taken the next `n` bytes.
    pub(super) fn written(&mut self, n: usize) -> Written {
        let unwritten = self.outbox.unwritten();
        let keep_alive = self.outbox.is_marked_waiting();
        self.outbox.advance(n);
        let message = self.outbox.unwritten() < unwritten;
        if self.is_close_begun() {
            self.outbox.discard_urgent();
            self.take_owed_pongs();
        }
        Written {
            message,
            keep_alive,
        }
    }

    /// Drops all output. The buffered amount stays what it was.
    pub(super) fn abandon(&mut self) {
        self.outbox.abandon();
        self.take_owed_pongs();
    }
}
