//! The outbox: frames that wait to be written, shown to the transport as slices without another
//! copy.
//!
//! It has two lanes. Messages and the Close frame leave in the order in which they were queued.
//! Urgent frames (Ping, Pong) pass them, but only between frames: a frame that has been begun is
//! finished first.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use crate::protocol::frame::{EncodedHeader, FrameHeader};
use crate::protocol::mask::{Append, MaskKey};
use crate::protocol::payload::OwnedBytes;

/// Small frames are gathered in blocks of about this many bytes, so that a long queue gives back
/// memory while it is written.
const BLOCK: usize = 64 << 10;

/// What an empty outbox keeps, in bytes for each lane and in entries for each queue: enough for the
/// next small message, little enough for many idle connections.
const KEPT_BYTES: usize = 512;
const KEPT_ENTRIES: usize = 8;

/// A block that has outgrown half of `BLOCK` gets this much: it is full with the small frame that takes it past `BLOCK`.
const FULL: usize = BLOCK + 4096 + FrameHeader::MAX_LEN;

/// A piece of the message lane before its tail.
enum Segment {
    /// Small frames.
    Block(Vec<u8>),
    /// The header of a large frame.
    Header(EncodedHeader),
    /// The payload of a large frame.
    Payload(OwnedBytes),
    /// The payload of a large fragment.
    Fragment(Arc<OwnedBytes>, Range<usize>),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Block(bytes) => bytes,
            Self::Header(header) => header,
            Self::Payload(payload) => payload,
            Self::Fragment(payload, range) => payload.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// The payload of a large frame, masked already if it must be.
pub(super) enum LargeBody {
    /// The payload of the frame alone.
    Whole(OwnedBytes),
    /// A part of a payload that several frames share.
    Part(Arc<OwnedBytes>, Range<usize>),
}

/// A frame of the message lane.
struct QueuedFrame {
    /// Its bytes, header included, that have not been written.
    unwritten: usize,
    /// The part of the buffered amount that it stands for: never more than `unwritten` once it is
    /// begun.
    credit: usize,
}

/// Frames that wait to be written.
#[derive(Default)]
pub(super) struct Outbox {
    segments: VecDeque<Segment>,
    /// The block after all segments, which still grows.
    tail: Vec<u8>,
    /// How much of the first segment (of the tail, if there is none) has been written.
    written: usize,
    frames: VecDeque<QueuedFrame>,
    /// Whether the first frame has been begun.
    mid_frame: bool,
    /// The bytes of the message lane that have not been written.
    unwritten: usize,
    /// The sum of the frames' credits.
    credit: u64,
    urgent: Vec<u8>,
    urgent_written: usize,
    /// How much of the urgent lane the transport was shown. What it has written is counted by what
    /// it saw.
    urgent_shown: usize,
    /// Where in the urgent lane the frame ends that was marked; 0 if it has been written.
    mark: usize,
}

impl Outbox {
    /// Bytes of the message lane that have not been written.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Payload bytes that have not been written.
    pub(super) fn credit(&self) -> u64 {
        self.credit
    }

    /// Bytes of the urgent lane that have not been written.
    pub(super) fn urgent_unwritten(&self) -> usize {
        self.urgent.len() - self.urgent_written
    }

    /// Whether no frame remains in the message lane that an urgent frame could still pass.
    pub(super) fn is_last_frame_begun(&self) -> bool {
        self.frames.len() <= usize::from(self.mid_frame)
    }

    /// Queues a frame by copying its payload, masked if there is a key.
    pub(super) fn push_small(
        &mut self,
        header: &EncodedHeader,
        payload: &[u8],
        mask: Option<MaskKey>,
        credit: usize,
    ) {
        append_frame(&mut self.tail, header, payload, mask);
        if self.tail.len() >= BLOCK {
            self.seal_tail();
        }
        self.count_frame(header.len() + payload.len(), credit);
    }

    /// Queues a frame by taking over its payload.
    pub(super) fn push_large(&mut self, header: &EncodedHeader, body: LargeBody, credit: usize) {
        if !self.tail.is_empty() {
            self.seal_tail();
        }
        self.segments.push_back(Segment::Header(*header));
        let segment = match body {
            LargeBody::Whole(payload) => Segment::Payload(payload),
            LargeBody::Part(payload, range) => Segment::Fragment(payload, range),
        };
        self.count_frame(header.len() + segment.bytes().len(), credit);
        self.segments.push_back(segment);
    }

    /// Queues a control frame that passes the messages.
    pub(super) fn push_urgent(
        &mut self,
        header: &EncodedHeader,
        payload: &[u8],
        mask: Option<MaskKey>,
    ) {
        append_frame(&mut self.urgent, header, payload, mask);
    }

    /// Marks the urgent frame that was queued last.
    pub(super) fn mark_urgent(&mut self) {
        self.mark = self.urgent.len();
    }

    /// Whether the frame that was marked last waits to be written.
    pub(super) fn is_marked_waiting(&self) -> bool {
        self.urgent_written < self.mark
    }

    fn count_frame(&mut self, len: usize, credit: usize) {
        self.frames.push_back(QueuedFrame {
            unwritten: len,
            credit,
        });
        self.unwritten += len;
        self.credit += credit as u64;
    }

    fn seal_tail(&mut self) {
        self.segments
            .push_back(Segment::Block(std::mem::take(&mut self.tail)));
    }

    /// Fills `slices` with the bytes to write next, in order; returns how many slices it filled.
    pub(super) fn show<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.urgent_shown = self.urgent.len();
        let this = &*self;
        let mut filled = slices.iter_mut();
        let room = filled.len();
        let mut show = |bytes: &'a [u8]| {
            if !bytes.is_empty()
                && let Some(slice) = filled.next()
            {
                *slice = IoSlice::new(bytes);
            }
            filled.len() > 0
        };

        // The urgent lane goes in after as many bytes as finish a frame that has been begun.
        let mut urgent = &this.urgent[this.urgent_written..];
        let mut before_urgent = this.rest_of_begun_frame();
        let mut skip = this.written;
        let pieces = this.segments.iter().map(Segment::bytes);
        let mut more = true;
        for piece in pieces.chain([this.tail.as_slice()]) {
            let piece = &piece[std::mem::take(&mut skip)..];
            let cut = before_urgent.min(piece.len());
            before_urgent -= cut;
            let (head, rest) = piece.split_at(cut);
            more = more && show(head);
            if before_urgent == 0 {
                more = more && show(std::mem::take(&mut urgent));
            }
            more = more && show(rest);
            if !more {
                break;
            }
        }
        room - filled.len()
    }

    /// The transport has taken the next `n` bytes of those shown.
    pub(super) fn advance(&mut self, n: usize) {
        // In the order of `show`: the frame that was begun, the urgent lane, the rest.
        let begun = n.min(self.rest_of_begun_frame());
        self.advance_messages(begun);
        let mut left = n - begun;
        if !self.mid_frame {
            let urgent = left.min(self.urgent_shown - self.urgent_written);
            self.urgent_written += urgent;
            left -= urgent;
            if self.urgent_written == self.urgent.len() {
                self.discard_urgent();
            }
        }
        self.advance_messages(left);
    }

    fn rest_of_begun_frame(&self) -> usize {
        match self.frames.front() {
            Some(frame) if self.mid_frame => frame.unwritten,
            _ => 0,
        }
    }

    fn advance_messages(&mut self, n: usize) {
        debug_assert!(n <= self.unwritten, "more written than was shown");
        let n = n.min(self.unwritten);
        if n == 0 {
            return;
        }
        if n == self.unwritten {
            return self.discard_messages();
        }
        self.unwritten -= n;
        self.advance_frames(n);
        self.advance_bytes(n);
    }

    fn advance_frames(&mut self, mut n: usize) {
        while n > 0
            && let Some(frame) = self.frames.front_mut()
        {
            let taken = n.min(frame.unwritten);
            n -= taken;
            frame.unwritten -= taken;
            // The header comes first, so what is left of a frame is payload as soon as it is
            // shorter than the payload. (Where an extension made a payload shorter, the difference
            // is released at once.)
            let credit = frame.credit.min(frame.unwritten);
            self.credit -= (frame.credit - credit) as u64;
            frame.credit = credit;
            self.mid_frame = frame.unwritten > 0;
            if !self.mid_frame {
                self.frames.pop_front();
            }
        }
    }

    /// Everything in the message lane has been written, the common end of a turn: no frame needs to be
    /// looked at, since none has credit left.
    fn discard_messages(&mut self) {
        empty_queue(&mut self.frames);
        empty_queue(&mut self.segments);
        empty_block(&mut self.tail);
        self.written = 0;
        self.unwritten = 0;
        self.credit = 0;
        self.mid_frame = false;
    }

    fn advance_bytes(&mut self, n: usize) {
        self.written += n;
        while let Some(segment) = self.segments.front() {
            let len = segment.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            self.segments.pop_front();
        }
        if self.segments.capacity() > KEPT_ENTRIES {
            self.segments = VecDeque::new();
        }
    }

    /// Drops the urgent frames, which have not been begun or have been written.
    pub(super) fn discard_urgent(&mut self) {
        empty_block(&mut self.urgent);
        self.urgent_written = 0;
        self.urgent_shown = 0;
        self.mark = 0;
    }

    /// Drops everything, and keeps only the count of payload bytes that were never written.
    pub(super) fn abandon(&mut self) {
        *self = Self {
            credit: self.credit,
            ..Self::default()
        };
    }
}

fn append_frame(out: &mut Vec<u8>, header: &EncodedHeader, payload: &[u8], mask: Option<MaskKey>) {
    grow(out, out.len() + header.len() + payload.len());
    out.extend_from_slice(header);
    match mask {
        Some(key) => out.append_masked(payload, key),
        None => out.extend_from_slice(payload),
    }
}

/// Makes room for so many bytes in all.
fn grow(block: &mut Vec<u8>, needed: usize) {
    if needed <= block.capacity() {
        return;
    }
    let doubled = 2 * block.capacity();
    let target = if doubled >= BLOCK { FULL } else { doubled };
    block.reserve_exact(target.max(needed) - block.len());
}

fn empty_queue<T>(queue: &mut VecDeque<T>) {
    queue.clear();
    if queue.capacity() > KEPT_ENTRIES {
        *queue = VecDeque::new();
    }
}

fn empty_block(block: &mut Vec<u8>) {
    block.clear();
    block.shrink_to(KEPT_BYTES);
}
