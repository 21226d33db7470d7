//! Blocks of memory that a transport's bytes are read into, and of which long payloads become messages where they lie.
//!
//! # Why this module may use `unsafe`
//! A block is filled with zeros once, when it is made, and then read into over and over: to fill it again each time would
//! cost as much as the reading. [`ReadBuffer::read_with`] takes what is not in use of a block for initialized. It is:
//! - A block is made with all of its capacity initialized.
//! - Nothing takes that back. What is handed out of a block is initialized and its own range, and the rest goes on to be
//!   what it was.
//! - The view of a block that a `ReadBuffer` has never leaves it: of the functions of `BytesMut` that are called, none makes
//!   another allocation (`try_reclaim` is the one that says so). So the bytes up to the view's capacity are the block's.
#![allow(unsafe_code)]

use std::fmt;

use bytes::{Buf, BytesMut};

/// A payload is handed out where it lies if it is at least this part of the block, and a block is kept for what has arrived
/// of one if that is: nothing that is kept takes more than so many times its own length.
const SHARED_PART: usize = 8;

/// Shorter payloads are copied: it takes no longer than counting who shares a block.
pub(super) const SHARED_FROM: usize = 4096;

/// How much is read at a time, in bytes: what the first-level cache holds while it is unmasked and checked. Sockets give it
/// for the least computing too; with longer reads they wait for each other.
pub(super) const READ: usize = 24 << 10;

/// A block of memory that is read into, and what has been read into it and not been consumed.
///
/// [`Connection::next_event`](super::Connection::next_event) consumes it. A long payload (an eighth of the block or more,
/// and 4 KiB or more) is handed out where it lies, others are copied. A block in which all is consumed is read into from its
/// beginning again, or, while such a message is kept, after it; if there is no room left the next read
/// makes a new one.
pub struct ReadBuffer {
    /// From `start` on, what has not been consumed.
    bytes: BytesMut,
    start: usize,
    /// The length of the block, in bytes.
    size: usize,
}

impl ReadBuffer {
    /// With a block of `size` bytes, and nothing in it.
    #[must_use]
    pub fn with_capacity(size: usize) -> Self {
        let mut bytes = BytesMut::zeroed(size);
        // All that is there, should it be more.
        let size = bytes.capacity();
        bytes.resize(size, 0);
        bytes.clear();
        let start = 0;
        Self { bytes, start, size }
    }

    /// The length of the block, in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.size
    }

    /// Has `read` fill the beginning of the slice that it is given, and say how many bytes that is: they follow what has not
    /// been consumed. The slice is at most `limit` bytes and at most 24 KiB long. It is not empty, unless one of `limit` and
    /// the capacity is 0, or [`next_event`](super::Connection::next_event) has not been called until it returned `None`.
    pub fn read_with(&mut self, limit: usize, read: impl FnOnce(&mut [u8]) -> usize) {
        if self.is_empty() && !self.reclaim() && self.bytes.capacity() < READ.min(self.size) {
            *self = Self::with_capacity(self.size);
        }
        let spare = self.bytes.spare_capacity_mut();
        let len = spare.len().min(READ).min(limit);
        // SAFETY: what the view of a block spans is initialized up to its capacity, see the top of the module.
        let room = unsafe { &mut *(&raw mut spare[..len] as *mut [u8]) };
        let filled = read(room).min(len);
        // SAFETY: as above; there is room for `len` bytes after what is there.
        unsafe { self.bytes.set_len(self.bytes.len() + filled) };
    }

    /// Whether the next read goes into the whole block, since nothing in it is in use any more. What has not been
    /// consumed is lost.
    pub(crate) fn reclaim(&mut self) -> bool {
        self.start = 0;
        self.bytes.clear();
        self.bytes.capacity() == self.size || self.bytes.try_reclaim(self.size)
    }

    /// What has not been consumed.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Whether everything has been consumed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    /// Whether the block is out of proportion to what has not been consumed.
    pub(crate) fn is_too_large(&self) -> bool {
        self.unread().len() < self.size / SHARED_PART
    }

    fn is_shared_from(&self, len: usize) -> bool {
        len >= (self.size / SHARED_PART).max(SHARED_FROM)
    }
}

/// A block of their own length, with these bytes to be consumed.
impl From<&[u8]> for ReadBuffer {
    fn from(bytes: &[u8]) -> Self {
        let len = bytes.len();
        let mut bytes = BytesMut::from(bytes);
        let size = bytes.capacity();
        bytes.resize(size, 0);
        bytes.truncate(len);
        let start = 0;
        Self { bytes, start, size }
    }
}

impl fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBuffer")
            .field("unread", &self.unread().len())
            .field("capacity", &self.size)
            .finish()
    }
}

/// Where a connection finds what has arrived.
pub(super) trait Source {
    /// What has not been consumed.
    fn unread(&self) -> &[u8];

    /// Consumes the first `len` bytes.
    fn skip(&mut self, len: usize);

    /// Consumes what lies before `at`, and takes the `len` bytes from there on out, if they are not better copied.
    fn share(&mut self, at: usize, len: usize) -> Option<BytesMut>;

    /// Whether the rest of a frame of `len` bytes, of which the beginning is there, is better waited for, since the whole
    /// of it can then be taken out.
    fn waits_for(&self, len: usize) -> bool;
}

/// Borrowed: nothing can be taken out.
impl Source for &[u8] {
    #[inline]
    fn unread(&self) -> &[u8] {
        self
    }

    #[inline]
    fn skip(&mut self, len: usize) {
        *self = self.get(len..).unwrap_or_default();
    }

    #[inline]
    fn share(&mut self, _at: usize, _len: usize) -> Option<BytesMut> {
        None
    }

    #[inline]
    fn waits_for(&self, _len: usize) -> bool {
        false
    }
}

impl Source for ReadBuffer {
    #[inline]
    fn unread(&self) -> &[u8] {
        self.unread()
    }

    #[inline]
    fn skip(&mut self, len: usize) {
        self.start += len;
    }

    #[inline]
    fn share(&mut self, at: usize, len: usize) -> Option<BytesMut> {
        if !self.is_shared_from(len) {
            return None;
        }
        let at = self.start + at;
        if self.bytes.len().checked_sub(at)? < len {
            return None;
        }
        self.bytes.advance(at);
        self.start = 0;
        Some(self.bytes.split_to(len))
    }

    #[inline]
    fn waits_for(&self, len: usize) -> bool {
        // The block is not kept for less than it is worth.
        !self.is_too_large()
            && self.is_shared_from(len)
            && len <= self.bytes.capacity() - self.start
    }
}
