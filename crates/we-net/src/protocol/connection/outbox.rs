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
/// next turn of small messages, little enough for many idle connections.
const KEPT_BYTES: usize = 2048;
const KEPT_URGENT: usize = 512;
const KEPT_ENTRIES: usize = 8;

/// A block that has outgrown half of `BLOCK` gets this much: it is full with the small frame that takes it past `BLOCK`.
const FULL: usize = BLOCK + 4096 + FrameHeader::MAX_LEN;

/// A piece of the message lane before its tail.
enum Segment {
    /// Small frames.
    Block(Vec<u8>),
    /// A large frame.
    Frame(EncodedHeader, LargeBody),
}

impl Segment {
    /// The bytes, in two pieces.
    fn pieces(&self) -> [&[u8]; 2] {
        match self {
            Self::Block(bytes) => [bytes, &[]],
            Self::Frame(header, LargeBody::Whole(payload)) => [header, payload],
            Self::Frame(header, LargeBody::Part(payload, range)) => {
                [header, payload.get(range.clone()).unwrap_or_default()]
            }
        }
    }

    fn len(&self) -> usize {
        self.pieces().map(<[u8]>::len).iter().sum()
    }
}

/// The payload of a large frame, masked already if it must be.
pub(super) enum LargeBody {
    /// The payload of the frame alone.
    Whole(OwnedBytes),
    /// A part of a payload that several frames share.
    Part(Arc<OwnedBytes>, Range<usize>),
}

/// Frames of the message lane that lie one after the other.
#[derive(Clone, Copy)]
enum Run {
    /// Whole frames in a block, each of which stands for a part of the buffered amount that is as long as its payload. Their
    /// headers say where one ends, for the rare case that not all of them are written at once.
    Plain {
        /// Their bytes that have not been written.
        unwritten: usize,
    },
    /// One frame.
    Single {
        /// Its bytes, header included.
        len: usize,
        /// The part of the buffered amount that it stands for.
        credit: usize,
    },
}

/// The frame that has been begun, if there is one.
#[derive(Clone, Copy, Default)]
struct Begun {
    /// Its bytes that have not been written; 0 if there is none.
    unwritten: usize,
    /// The part of the buffered amount that it stands for: never more than `unwritten`.
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
    /// The frames of which nothing has been written.
    runs: VecDeque<Run>,
    /// Whether the last run is plain and ends where the tail does.
    grows: bool,
    /// The frame before them, if some of it has been written.
    begun: Begun,
    /// The bytes of the message lane that have not been written.
    unwritten: usize,
    /// The sum of the frames' credits.
    credit: u64,
    /// A few kilobytes at most: Pings that wait are limited, so are Pongs.
    urgent: Vec<u8>,
    urgent_written: usize,
    /// How much of the urgent lane the transport was shown. What it has written is counted by what
    /// it saw.
    urgent_shown: u32,
    /// Where in the urgent lane the frame ends that was marked; 0 if it has been written.
    mark: u32,
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
        self.runs.is_empty()
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
        let len = header.len() + payload.len();
        let is_plain = credit == payload.len();
        match self.runs.back_mut() {
            Some(Run::Plain { unwritten }) if is_plain && self.grows => *unwritten += len,
            _ if is_plain => self.runs.push_back(Run::Plain { unwritten: len }),
            _ => self.runs.push_back(Run::Single { len, credit }),
        }
        self.grows = is_plain;
        self.unwritten += len;
        self.credit += credit as u64;
        if self.tail.len() >= BLOCK {
            self.seal_tail();
        }
    }

    /// Queues a frame by taking over its payload.
    pub(super) fn push_large(&mut self, header: &EncodedHeader, body: LargeBody, credit: usize) {
        if !self.tail.is_empty() {
            self.seal_tail();
        }
        let segment = Segment::Frame(*header, body);
        let len = segment.len();
        self.runs.push_back(Run::Single { len, credit });
        self.grows = false;
        self.unwritten += len;
        self.credit += credit as u64;
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
        self.mark = self.urgent.len() as u32;
    }

    /// Whether the frame that was marked last waits to be written.
    pub(super) fn is_marked_waiting(&self) -> bool {
        self.urgent_written < self.mark as usize
    }

    fn seal_tail(&mut self) {
        self.grows = false;
        self.segments
            .push_back(Segment::Block(std::mem::take(&mut self.tail)));
    }

    /// Fills `slices` with the bytes to write next, in order; returns how many slices it filled.
    pub(super) fn show<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.urgent_shown = self.urgent.len() as u32;
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
        let pieces = this.segments.iter().flat_map(Segment::pieces);
        let mut more = true;
        for piece in pieces.chain([this.tail.as_slice()]) {
            let skipped = skip.min(piece.len());
            skip -= skipped;
            let piece = &piece[skipped..];
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
        if self.begun.unwritten == 0 {
            let urgent = left.min(self.urgent_shown as usize - self.urgent_written);
            self.urgent_written += urgent;
            left -= urgent;
            if self.urgent_written == self.urgent.len() {
                self.discard_urgent();
            }
        }
        self.advance_messages(left);
    }

    fn rest_of_begun_frame(&self) -> usize {
        self.begun.unwritten
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
        let mut left = n;
        while left > 0 {
            let frame = match self.begun {
                Begun { unwritten: 0, .. } => match self.begin_frame() {
                    Some(frame) => frame,
                    None => return,
                },
                frame => frame,
            };
            let taken = left.min(frame.unwritten);
            left -= taken;
            let unwritten = frame.unwritten - taken;
            // The header comes first, so what is left of a frame is payload as soon as it is
            // shorter than the payload. (Where an extension made a payload shorter, the difference
            // is released at once.)
            let credit = frame.credit.min(unwritten);
            self.unwritten -= taken;
            self.credit -= (frame.credit - credit) as u64;
            self.begun = Begun { unwritten, credit };
            self.advance_bytes(taken);
        }
    }

    /// Takes the next frame off the runs.
    fn begin_frame(&mut self) -> Option<Begun> {
        let (unwritten, credit) = match self.runs.front_mut()? {
            Run::Single { len, credit } => (*len, *credit),
            Run::Plain { unwritten } => {
                let block = match self.segments.front() {
                    Some(Segment::Block(block)) => block,
                    Some(Segment::Frame(..)) => return None,
                    None => &self.tail,
                };
                // Our own headers, in front of whole frames.
                let header = FrameHeader::parse(block.get(self.written..)?);
                let (header, header_len) = header.ok()??;
                let payload = usize::try_from(header.payload_len).ok()?;
                let len = header_len + payload;
                *unwritten -= len.min(*unwritten);
                if *unwritten > 0 {
                    return Some(Begun {
                        unwritten: len,
                        credit: payload,
                    });
                }
                (len, payload)
            }
        };
        self.runs.pop_front();
        self.grows &= !self.runs.is_empty();
        Some(Begun { unwritten, credit })
    }

    /// Everything in the message lane has been written, the common end of a turn: no frame needs to be
    /// looked at, since none has credit left.
    fn discard_messages(&mut self) {
        empty_queue(&mut self.runs);
        empty_queue(&mut self.segments);
        empty_block(&mut self.tail, KEPT_BYTES);
        self.written = 0;
        self.unwritten = 0;
        self.credit = 0;
        self.grows = false;
        self.begun = Begun::default();
    }

    fn advance_bytes(&mut self, n: usize) {
        self.written += n;
        while let Some(segment) = self.segments.front() {
            let len = segment.len();
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
        empty_block(&mut self.urgent, KEPT_URGENT);
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

fn empty_block(block: &mut Vec<u8>, kept: usize) {
    block.clear();
    block.shrink_to(kept);
}
