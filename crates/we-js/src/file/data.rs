//! The bytes of blobs: immutable, shared, and in pieces.
//!
//! A slice shares its blob's bytes. A blob that is made of blobs shares the large pieces of theirs and copies
//! the small ones together, so that the number of pieces stays proportional to the bytes that they hold.

use std::{borrow::Cow, ops::Range, sync::Arc};

use aligned_vec::{AVec, ConstAlign};

/// The storage that the engine's ArrayBuffers adopt without a copy, and that messages arrive in.
pub(crate) type AlignedBytes = AVec<u8, ConstAlign<64>>;

/// Pieces at least this long are shared with the blob that they come from, shorter ones are copied.
const SHARED_FROM: usize = 64 * 1024;

/// More pieces than this would take more memory for the list than is reasonable: at [`SHARED_FROM`] bytes
/// each they stand for 64 GiB.
const MAX_SEGMENTS: usize = 1 << 20;

/// The bytes of a blob.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlobData {
    segments: Arc<[Segment]>,
    len: u64,
}

/// A range of a block, never empty.
#[derive(Clone, Debug)]
struct Segment {
    block: Arc<AlignedBytes>,
    range: Range<usize>,
}

impl Segment {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn bytes(&self) -> &[u8] {
        self.block.get(self.range.clone()).unwrap_or_default()
    }
}

/// There is not enough memory for so many bytes, or for so many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Blob is too large")]
pub(crate) struct TooLarge;

impl BlobData {
    /// The number of bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes of `range`, which is cut to the bytes that there are.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        let mut segments = Vec::new();
        let mut offset = 0;
        for segment in self.segments.iter() {
            let after = offset + segment.len() as u64;
            // Both differences are at most the segment's length.
            let from = start.clamp(offset, after) - offset;
            let to = end.clamp(offset, after) - offset;
            if from < to {
                let begin = segment.range.start;
                let range = begin + from as usize..begin + to as usize;
                segments.push(Segment {
                    block: segment.block.clone(),
                    range,
                });
            }
            offset = after;
        }
        Self {
            segments: segments.into(),
            len: end - start,
        }
    }

    /// All bytes in one piece, without a copy where they are one already.
    pub(crate) fn contiguous(&self, limit: u64) -> Result<Cow<'_, [u8]>, TooLarge> {
        match &*self.segments {
            [] => Ok(Cow::Borrowed(&[])),
            [segment] => Ok(Cow::Borrowed(segment.bytes())),
            _ => Ok(Cow::Owned(self.to_vec(limit)?)),
        }
    }

    /// A copy of the bytes. Fails if they are more than `limit`.
    pub(crate) fn to_vec(&self, limit: u64) -> Result<Vec<u8>, TooLarge> {
        if self.len > limit {
            return Err(TooLarge);
        }
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(usize::try_from(self.len).map_err(|_| TooLarge)?)
            .map_err(|_| TooLarge)?;
        for segment in self.segments.iter() {
            bytes.extend_from_slice(segment.bytes());
        }
        Ok(bytes)
    }

    /// A copy of the bytes for an ArrayBuffer or a message. Fails if they are more than `limit`.
    pub(crate) fn to_aligned(&self, limit: u64) -> Result<AlignedBytes, TooLarge> {
        if self.len > limit {
            return Err(TooLarge);
        }
        let mut bytes = AVec::new(0);
        bytes
            .try_reserve_exact(usize::try_from(self.len).map_err(|_| TooLarge)?)
            .map_err(|_| TooLarge)?;
        for segment in self.segments.iter() {
            bytes.extend_from_slice(segment.bytes());
        }
        Ok(bytes)
    }
}

/// Takes the block over, without a copy.
impl From<AlignedBytes> for BlobData {
    fn from(bytes: AlignedBytes) -> Self {
        let len = bytes.len();
        if len == 0 {
            return Self::default();
        }
        let segment = Segment {
            block: Arc::new(bytes),
            range: 0..len,
        };
        Self {
            segments: Arc::new([segment]),
            len: len as u64,
        }
    }
}

/// Puts the bytes of a new blob together.
pub(crate) struct BlobBuilder {
    segments: Vec<Segment>,
    /// The bytes after the last segment.
    open: AlignedBytes,
    /// How many bytes have been copied, and may be.
    copied: u64,
    limit: u64,
}

impl BlobBuilder {
    /// A builder that copies at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            segments: Vec::new(),
            open: AVec::new(0),
            copied: 0,
            limit,
        }
    }

    /// Appends a copy of `bytes`.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        self.copied += bytes.len() as u64;
        if self.copied > self.limit {
            return Err(TooLarge);
        }
        self.open.try_reserve(bytes.len()).map_err(|_| TooLarge)?;
        self.open.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends the bytes of another blob.
    pub(crate) fn push_data(&mut self, data: &BlobData) -> Result<(), TooLarge> {
        for segment in data.segments.iter() {
            if segment.len() < SHARED_FROM {
                self.push(segment.bytes())?;
            } else {
                self.close_block()?;
                self.push_segment(segment.clone())?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<BlobData, TooLarge> {
        self.close_block()?;
        let len = self
            .segments
            .iter()
            .map(|segment| segment.len() as u64)
            .sum();
        Ok(BlobData {
            segments: self.segments.into(),
            len,
        })
    }

    /// Makes a segment of the bytes that were copied since the last one.
    fn close_block(&mut self) -> Result<(), TooLarge> {
        let mut block = std::mem::replace(&mut self.open, AVec::new(0));
        if block.is_empty() {
            return Ok(());
        }
        block.shrink_to_fit();
        let range = 0..block.len();
        self.push_segment(Segment {
            block: Arc::new(block),
            range,
        })
    }

    fn push_segment(&mut self, segment: Segment) -> Result<(), TooLarge> {
        if self.segments.len() >= MAX_SEGMENTS {
            return Err(TooLarge);
        }
        self.segments.push(segment);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const NO_LIMIT: u64 = u64::MAX;

    fn data(bytes: &[u8]) -> BlobData {
        BlobData::from(AVec::from_slice(0, bytes))
    }

    fn bytes(data: &BlobData) -> Vec<u8> {
        data.to_aligned(NO_LIMIT).unwrap().to_vec()
    }

    #[test]
    fn a_slice_shares_its_block() {
        let whole = data(&[7; 1000]);
        let part = whole.slice(10..20).slice(2..100);
        assert_eq!(part.len(), 8);
        assert!(Arc::ptr_eq(
            &whole.segments[0].block,
            &part.segments[0].block
        ));
    }

    #[test]
    fn a_slice_can_cross_pieces() {
        let mut builder = BlobBuilder::new(NO_LIMIT);
        builder.push(b"ab").unwrap();
        builder.push_data(&data(&[b'x'; SHARED_FROM])).unwrap();
        builder.push(b"cd").unwrap();
        let joined = builder.finish().unwrap();
        assert_eq!(joined.segments.len(), 3);
        let end = joined.len();
        assert_eq!(bytes(&joined.slice(1..4)), b"bxx");
        assert_eq!(bytes(&joined.slice(end - 3..end - 1)), b"xc");
        assert_eq!(joined.slice(5..5).len(), 0);
        assert_eq!(&*joined.slice(0..3).contiguous(NO_LIMIT).unwrap(), b"abx");
    }

    #[test]
    fn small_pieces_are_copied_together() {
        let mut builder = BlobBuilder::new(NO_LIMIT);
        for _ in 0..100 {
            builder.push_data(&data(b"0123456789")).unwrap();
        }
        assert_eq!(builder.finish().unwrap().segments.len(), 1);
    }

    #[test]
    fn doubling_ends_with_an_error_and_not_with_the_memory() {
        let mut blob = data(&[0; SHARED_FROM]);
        let error = loop {
            let mut builder = BlobBuilder::new(1 << 20);
            let result = builder
                .push_data(&blob)
                .and_then(|()| builder.push_data(&blob));
            match result.and_then(|()| builder.finish()) {
                Ok(twice) => blob = twice,
                Err(error) => break error,
            }
        };
        assert_eq!(error, TooLarge);
        assert_eq!(blob.len(), (MAX_SEGMENTS * SHARED_FROM) as u64);
        assert_eq!(blob.to_aligned(1 << 30), Err(TooLarge));
    }
}
