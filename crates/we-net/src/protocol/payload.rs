//! Storage of message payloads: bytes aligned to 64, as a JavaScript engine's array buffers are, so
//! that a payload becomes an `ArrayBuffer` by pointer; and the append-only sink through which a
//! message is assembled within its limit.

use std::fmt;
use std::ops::Deref;

use aligned_vec::{AVec, ConstAlign};
use bytes::{Bytes, BytesMut};
use tokio::io::ReadBuf;

use super::fill::Fill;
use super::mask::{Append, MaskKey};

/// The vector that a [`Payload`] wraps: aligned to 64 bytes, the type that Boa's `ArrayBuffer`
/// adopts without a copy.
pub type AlignedBytes = AVec<u8, ConstAlign<64>>;

/// Payloads that arrive whole lie aligned from this length on. glibc takes several times as long to find an aligned block:
/// longer than to copy a short payload once more, if it ever has to be aligned.
const ALIGNED_FROM: usize = 4096;

/// The bytes of a message or control frame. Dereferences to `[u8]`; an empty one holds no memory.
#[derive(Clone)]
pub struct Payload(Storage);

#[derive(Clone)]
enum Storage {
    Aligned(AlignedBytes),
    Plain(Vec<u8>),
    /// A part of what was read, which other messages have parts of too.
    Shared(Bytes),
}

impl Payload {
    /// No bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self(Storage::Plain(Vec::new()))
    }

    /// The payload of these aligned bytes, by pointer.
    #[must_use]
    pub fn from_inner(bytes: AlignedBytes) -> Self {
        Self(Storage::Aligned(bytes))
    }

    /// The bytes, aligned: by pointer if they are, else copied.
    ///
    /// Not aligned are messages below 4 KiB, and those that are parts of what was read, as
    /// [`ReadBuffer`](super::ReadBuffer) says.
    #[must_use]
    pub fn into_inner(self) -> AlignedBytes {
        match self.0 {
            Storage::Aligned(bytes) => bytes,
            Storage::Plain(bytes) => aligned(&bytes),
            Storage::Shared(bytes) => aligned(&bytes),
        }
    }

    /// The same payload, of which clones are made by pointer. Costs no copy, and one small allocation.
    #[must_use]
    pub fn into_shared(self) -> Self {
        Self(Storage::Shared(self.into()))
    }

    /// The payload of a part of what was read: `bytes` unmasked.
    pub(super) fn shared(mut bytes: BytesMut, mask: Option<MaskKey>) -> Self {
        if let Some(key) = mask {
            let _ = key.apply(&mut bytes);
        }
        Self(Storage::Shared(bytes.freeze()))
    }

    /// The payload of a frame that has arrived whole: `data` unmasked.
    pub(super) fn received(data: &[u8], mask: Option<MaskKey>) -> Self {
        if data.len() < ALIGNED_FROM {
            return Self(Storage::Plain(unmasked(data, mask)));
        }
        Self(Storage::Aligned(match mask {
            None => aligned(data),
            Some(key) => {
                let mut bytes = AVec::with_capacity(0, data.len());
                bytes.append_masked(data, key);
                bytes
            }
        }))
    }

    /// The bytes, to be changed: copied before, if they are shared.
    fn make_mut(&mut self) -> &mut [u8] {
        if let Storage::Shared(bytes) = &self.0 {
            self.0 = Storage::Plain(bytes.to_vec());
        }
        match &mut self.0 {
            Storage::Aligned(bytes) => bytes,
            Storage::Plain(bytes) => bytes,
            Storage::Shared(_) => &mut [],
        }
    }
}

/// A copy of `data`, unmasked.
pub(super) fn unmasked(data: &[u8], mask: Option<MaskKey>) -> Vec<u8> {
    let Some(key) = mask else {
        return data.to_vec();
    };
    let mut bytes = Vec::with_capacity(data.len());
    bytes.append_masked(data, key);
    bytes
}

fn aligned(data: &[u8]) -> AlignedBytes {
    let mut bytes = AVec::with_capacity(0, data.len());
    bytes.extend_from_slice(data);
    bytes
}

/// A vector without memory. (Zero asks for the alignment that the type has anyway.)
pub(super) fn empty() -> AlignedBytes {
    AVec::new(0)
}

impl Default for Payload {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Storage::Aligned(bytes) => bytes,
            Storage::Plain(bytes) => bytes,
            Storage::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::received(bytes, None)
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

/// By pointer.
impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Storage::Plain(bytes))
    }
}

/// By pointer.
impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Storage::Shared(bytes))
    }
}

/// By pointer.
impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        match payload.0 {
            Storage::Aligned(bytes) => Self::from_owner(bytes),
            Storage::Plain(bytes) => bytes.into(),
            Storage::Shared(bytes) => bytes,
        }
    }
}

impl From<AlignedBytes> for Payload {
    fn from(bytes: AlignedBytes) -> Self {
        Self::from_inner(bytes)
    }
}

impl From<Payload> for AlignedBytes {
    fn from(payload: Payload) -> Self {
        payload.into_inner()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Payload {}

impl PartialEq<[u8]> for Payload {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Payload {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<&[u8; N]> for Payload {
    fn eq(&self, other: &&[u8; N]) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        let head = &self[..self.len().min(SHOWN)];
        write!(
            f,
            "Payload({} bytes: b\"{}",
            self.len(),
            head.escape_ascii()
        )?;
        f.write_str(if self.len() > SHOWN { "…\")" } else { "\")" })
    }
}

/// However little of a message has arrived, its rest is read as if so many bytes had.
const FIRST_FILL: usize = 1024;

/// Bytes were offered beyond the limit of a [`PayloadSink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is longer than its limit")]
pub struct LimitExceeded;

/// A vector that a message is assembled in: aligned for binary messages, plain for text (an aligned
/// block costs the allocator several times as much, and text has no use for it).
pub(super) trait Buffer: Append + Fill + fmt::Debug {
    fn len(&self) -> usize;
    fn capacity(&self) -> usize;
    fn reserve_exact(&mut self, additional: usize);
    fn append(&mut self, data: &[u8]);
    /// Cuts off, or fills up with zeros.
    fn resize(&mut self, len: usize);
    /// The bytes from `start` on.
    fn tail_mut(&mut self, start: usize) -> &mut [u8];
}

macro_rules! impl_buffer {
    ($($vector:ty),*) => {$(
        impl Buffer for $vector {
            fn len(&self) -> usize {
                self.len()
            }

            fn capacity(&self) -> usize {
                self.capacity()
            }

            fn reserve_exact(&mut self, additional: usize) {
                self.reserve_exact(additional);
            }

            fn append(&mut self, data: &[u8]) {
                self.extend_from_slice(data);
            }

            fn resize(&mut self, len: usize) {
                self.resize(len, 0);
            }

            fn tail_mut(&mut self, start: usize) -> &mut [u8] {
                &mut self[start..]
            }
        }
    )*};
}

impl_buffer!(AlignedBytes, Vec<u8>);

/// Where a message is assembled: bytes can be appended up to a limit, and never changed or taken
/// back.
///
/// Memory grows with what has been appended, by a constant factor, and never by what a peer has
/// declared.
#[derive(Debug)]
pub struct PayloadSink<'a> {
    bytes: &'a mut dyn Buffer,
    limit: usize,
    expected: Expected,
}

/// What is known of a message's length while its bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Exactly {
        /// The message ends at this length, if the peer keeps its word.
        total: usize,
        /// The peer has sent a whole message of this length before. Memory for another one is no more than it could
        /// have us hold anyway.
        proven: usize,
    },
    /// More fragments follow.
    Unknown,
}

impl<'a> PayloadSink<'a> {
    pub(super) fn new(bytes: &'a mut dyn Buffer, limit: usize, expected: Expected) -> Self {
        Self {
            bytes,
            limit,
            expected,
        }
    }

    /// How many bytes may still be appended.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Appends `data`.
    ///
    /// # Errors
    /// [`LimitExceeded`] if it does not fit; then nothing is appended.
    pub fn extend_from_slice(&mut self, data: &[u8]) -> Result<(), LimitExceeded> {
        self.reserve(data.len())?;
        self.bytes.append(data);
        Ok(())
    }

    /// Appends up to `room` bytes that `fill` writes into the slice it is given (zeroed, at most
    /// `room` and at most [`remaining`](Self::remaining) bytes long) and of which it returns the
    /// number. For decoders that write into a buffer.
    ///
    /// # Errors
    /// Those of `fill`; then nothing is appended.
    pub fn extend_with<E>(
        &mut self,
        room: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let room = room.min(self.remaining());
        let start = self.bytes.len();
        self.grow(start + room);
        self.bytes.resize(start + room);
        let filled = fill(self.bytes.tail_mut(start));
        let added = filled.as_ref().map_or(0, |&added| added.min(room));
        self.bytes.resize(start + added);
        filled.map(|_| added)
    }

    /// Appends `data` unmasked by `key`; returns the key for the bytes after it.
    pub(super) fn extend_unmasked(
        &mut self,
        data: &[u8],
        key: MaskKey,
    ) -> Result<MaskKey, LimitExceeded> {
        self.reserve(data.len())?;
        Ok(append_unmasked(self.bytes, data, key))
    }

    fn reserve(&mut self, additional: usize) -> Result<(), LimitExceeded> {
        if additional > self.remaining() {
            return Err(LimitExceeded);
        }
        self.grow(self.bytes.len() + additional);
        Ok(())
    }

    /// Has `read` fill up to `room` bytes; returns the key for the bytes after them. Without room up to the limit
    /// nothing happens.
    pub(super) fn fill_unmasked(
        &mut self,
        room: usize,
        mask: Option<MaskKey>,
        read: &mut dyn FnMut(&mut ReadBuf<'_>),
    ) -> Option<MaskKey> {
        let start = self.bytes.len();
        let room = room.min(self.remaining());
        // What has arrived says how much memory there is, and reading goes as far as that.
        let arrived = start.max(FIRST_FILL);
        if self.bytes.capacity() - start < room.min(arrived) {
            self.extend_to(self.target(arrived));
        }
        let spare = self.bytes.capacity() - start;
        self.bytes.fill_with(room.min(spare), read);
        mask.map(|key| key.apply(self.bytes.tail_mut(start)))
    }

    /// Makes room for `needed` bytes in all. Growing moves the bytes, so each step takes a multiple
    /// of what has arrived: four times where the end is declared (and no more than declared), else
    /// twice.
    fn grow(&mut self, needed: usize) {
        if needed > self.bytes.capacity() {
            self.extend_to(self.target(needed).max(needed));
        }
    }

    /// How much memory is right when `arrived` bytes have arrived.
    fn target(&self, arrived: usize) -> usize {
        match self.expected {
            Expected::Exactly { total, proven } => total.min(arrived.saturating_mul(4).max(proven)),
            Expected::Unknown => self.limit.min(arrived.saturating_mul(2)),
        }
    }

    fn extend_to(&mut self, capacity: usize) {
        let additional = capacity.saturating_sub(self.bytes.len());
        self.bytes.reserve_exact(additional);
    }
}

/// Appends `data` unmasked by `key`; returns the key for the bytes after it. Growing is the
/// caller's matter.
pub(super) fn append_unmasked(bytes: &mut dyn Buffer, data: &[u8], key: MaskKey) -> MaskKey {
    bytes.append_masked(data, key);
    key.turned(data.len())
}

/// The payload of an outgoing message, in the vector that it came in.
#[derive(Debug)]
pub(super) enum OwnedBytes {
    Binary(Payload),
    Text(Vec<u8>),
}

impl OwnedBytes {
    pub(super) fn make_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Binary(payload) => payload.make_mut(),
            Self::Text(bytes) => bytes,
        }
    }
}

impl Deref for OwnedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Binary(payload) => payload,
            Self::Text(bytes) => bytes,
        }
    }
}

impl From<Payload> for OwnedBytes {
    fn from(payload: Payload) -> Self {
        Self::Binary(payload)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_aligned_and_passes_through_by_pointer() {
        for key in [None, Some(MaskKey::new([1, 2, 3, 4]))] {
            let payload = Payload::received(&[7; ALIGNED_FROM], key);
            let pointer = payload.as_ptr();
            assert_eq!(pointer.align_offset(64), 0);
            assert_eq!(payload.into_inner().as_ptr(), pointer);
        }
    }

    #[test]
    fn short_payload_is_aligned_when_it_has_to_be() {
        let payload = Payload::received(b"short", None);
        let bytes = payload.clone().into_inner();
        assert_eq!(bytes.as_ptr().align_offset(64), 0);
        assert_eq!(payload, *bytes);
    }

    #[test]
    fn sink_takes_exactly_its_limit() {
        let mut bytes = empty();
        let mut sink = PayloadSink::new(&mut bytes, 4, Expected::Unknown);
        sink.extend_from_slice(b"abc").unwrap();
        assert_eq!(sink.remaining(), 1);
        assert_eq!(sink.extend_from_slice(b"de"), Err(LimitExceeded));
        sink.extend_from_slice(b"d").unwrap();
        assert_eq!(sink.extend_from_slice(b"e"), Err(LimitExceeded));
        assert_eq!(sink.extend_from_slice(b""), Ok(()));
        assert_eq!(bytes.as_slice(), b"abcd");
    }

    #[test]
    fn memory_follows_what_arrived_and_not_what_was_declared() {
        let mut bytes = empty();
        let declared = 1 << 40;
        let mut sink = PayloadSink::new(
            &mut bytes,
            usize::MAX,
            Expected::Exactly {
                total: declared,
                proven: 0,
            },
        );
        assert_eq!(sink.bytes.capacity(), 0);
        for _ in 0..1000 {
            sink.extend_from_slice(&[0; 100]).unwrap();
            assert!(sink.bytes.capacity() <= 4 * sink.bytes.len());
        }
    }

    #[test]
    fn reading_gets_memory_by_what_arrived_and_not_by_what_was_declared() {
        for proven in [0, 50_000] {
            let mut bytes = empty();
            let expected = Expected::Exactly {
                total: 1 << 40,
                proven,
            };
            let mut sink = PayloadSink::new(&mut bytes, usize::MAX, expected);
            for _ in 0..1000 {
                let _ = sink.fill_unmasked(usize::MAX, None, &mut |room| {
                    assert!(room.remaining() > 0);
                    room.put_slice(&[7; 100][..room.remaining().min(100)]);
                });
                let arrived = sink.bytes.len().max(FIRST_FILL);
                assert!(sink.bytes.capacity() <= (4 * arrived).max(proven));
            }
        }
    }

    #[test]
    fn whole_message_gets_a_block_of_its_size() {
        let mut bytes = empty();
        let mut sink = PayloadSink::new(
            &mut bytes,
            usize::MAX,
            Expected::Exactly {
                total: 300,
                proven: 0,
            },
        );
        sink.extend_from_slice(&[0; 100]).unwrap();
        sink.extend_from_slice(&[0; 200]).unwrap();
        assert_eq!(bytes.capacity(), 300);
    }

    #[test]
    fn filling_is_bounded_by_room_and_limit() {
        let mut bytes = empty();
        let mut sink = PayloadSink::new(&mut bytes, 5, Expected::Unknown);
        let fill = |slice: &mut [u8]| {
            slice.fill(9);
            Ok::<_, ()>(slice.len())
        };
        assert_eq!(sink.extend_with(3, fill), Ok(3));
        assert_eq!(sink.extend_with(3, fill), Ok(2));
        assert_eq!(sink.extend_with(3, fill), Ok(0));
        assert_eq!(sink.extend_with(3, |_| Err(())), Err(()));
        assert_eq!(bytes.as_slice(), [9; 5]);
    }
}
