//! The blocks in which an outbox gathers small frames. Small ones belong to their connection; larger ones are lent by a pool
//! of the thread, so that a busy connection does not ask the allocator in each turn and an idle one holds none.

use std::cell::RefCell;
use std::mem;

use crate::protocol::frame::FrameHeader;

/// A block that has as many bytes as this is full, so that a long queue gives back memory while it is written.
pub(super) const BLOCK: usize = 64 << 10;

/// What a connection keeps of its own: enough for the next small message, little enough for many idle connections.
const OWN: usize = 512;

/// The sizes of larger blocks. The next is eight times as large as the one before, so a block takes no more than about eight
/// times what waits in it. The last has room for the small frame that takes it past [`BLOCK`].
const SIZES: [usize; 3] = [
    4 << 10,
    32 << 10,
    BLOCK + super::write::MAX_COPIED + FrameHeader::MAX_LEN,
];

/// How many blocks of each size a thread keeps.
const KEPT: usize = 4;

thread_local! {
    static POOL: RefCell<[Vec<Vec<u8>>; SIZES.len()]> = const { RefCell::new([const { Vec::new() }; SIZES.len()]) };
}

/// Makes room for so many bytes in all.
pub(super) fn grow(block: &mut Vec<u8>, needed: usize) {
    if needed <= block.capacity() {
        return;
    }
    if needed <= OWN {
        let target = needed.max(2 * block.capacity()).min(OWN);
        return block.reserve_exact(target - block.len());
    }
    let Some(size) = SIZES.iter().position(|&size| needed <= size) else {
        return block.reserve_exact(needed - block.len());
    };
    // The pool is gone only while the thread ends.
    let pooled = POOL.try_with(|pool| pool.borrow_mut().get_mut(size)?.pop());
    let mut larger = match pooled {
        Ok(Some(pooled)) => pooled,
        _ => Vec::with_capacity(SIZES.get(size).copied().unwrap_or(needed)),
    };
    larger.extend_from_slice(block);
    give_back(mem::replace(block, larger));
}

/// Empties a block that its connection may go on with.
pub(super) fn empty(block: &mut Vec<u8>) {
    block.clear();
    if block.capacity() > OWN {
        give_back(mem::take(block));
    }
}

/// Takes back a block that nobody needs any more.
pub(super) fn give_back(mut block: Vec<u8>) {
    let capacity = block.capacity();
    if let Some(size) = SIZES.iter().position(|&size| capacity == size) {
        block.clear();
        let _ = POOL.try_with(|pool| {
            if let Some(kept) = pool.borrow_mut().get_mut(size)
                && kept.len() < KEPT
            {
                kept.push(block);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_takes_no_more_than_eight_times_what_is_in_it() {
        let mut block = Vec::new();
        for len in 1..=BLOCK + 4096 {
            grow(&mut block, len);
            block.push(0);
            let capacity = block.capacity();
            assert!(capacity <= 8 * len.max(OWN / 8), "{capacity} for {len}");
        }
        empty(&mut block);
        assert_eq!(block.capacity(), 0);
    }

    #[test]
    fn a_larger_block_is_used_again_and_a_small_one_stays() {
        let mut block = Vec::new();
        grow(&mut block, 5000);
        let first = block.as_ptr();
        empty(&mut block);
        grow(&mut block, 100);
        block.extend_from_slice(b"kept");
        grow(&mut block, 5000);
        assert_eq!((block.as_ptr(), block.as_slice()), (first, &b"kept"[..]));

        let mut small = Vec::new();
        grow(&mut small, 100);
        empty(&mut small);
        assert_eq!(small.capacity(), 100);
    }

    #[test]
    fn a_thread_keeps_few_blocks() {
        let blocks = [(); 10].map(|()| {
            let mut block = Vec::new();
            grow(&mut block, 5000);
            block
        });
        blocks.into_iter().for_each(give_back);
        let kept: usize = POOL.with(|pool| pool.borrow().iter().map(Vec::len).sum());
        assert!(kept <= KEPT, "{kept}");
    }
}
