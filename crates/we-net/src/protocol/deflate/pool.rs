//! What the connections of a thread share: a buffer, and the compressors and decompressors that keep
//! nothing from one message to the next.

use std::cell::RefCell;

use super::compressor::{Compressor, Settings};
use super::decompressor::Decompressor;

/// The buffer that compressed or decompressed bytes go through.
const SCRATCH: usize = 16 * 1024;

/// How many compressors a thread keeps: one is in use at a time, but connections may differ in
/// their settings.
const KEPT_COMPRESSORS: usize = 4;

/// How many decompressors a thread keeps. More are in use while more messages have arrived in part.
const KEPT_DECOMPRESSORS: usize = 4;

#[derive(Default)]
struct Pool {
    compressors: Vec<Compressor>,
    decompressors: Vec<Decompressor>,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
    static SCRATCH_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the thread's buffer out.
pub(super) fn with_scratch<R>(work: impl FnOnce(&mut [u8]) -> R) -> R {
    // A thread that ends has no buffer any more; it gets one for the occasion.
    let mut buffer = SCRATCH_BUFFER
        .try_with(|buffer| std::mem::take(&mut *buffer.borrow_mut()))
        .unwrap_or_default();
    buffer.resize(SCRATCH, 0);
    let result = work(&mut buffer);
    let _ = SCRATCH_BUFFER.try_with(|place| *place.borrow_mut() = buffer);
    result
}

/// Lends a compressor with an empty window out.
pub(super) fn with_compressor<R>(settings: Settings, work: impl FnOnce(&mut Compressor) -> R) -> R {
    let kept = with_pool(|pool| {
        let at = pool
            .compressors
            .iter()
            .position(|kept| kept.settings() == settings)?;
        Some(pool.compressors.swap_remove(at))
    });
    let mut compressor = kept.flatten().unwrap_or_else(|| Compressor::new(settings));
    let result = work(&mut compressor);
    compressor.reset();
    let _ = with_pool(|pool| {
        if pool.compressors.len() == KEPT_COMPRESSORS {
            pool.compressors.remove(0);
        }
        pool.compressors.push(compressor);
    });
    result
}

/// A decompressor with an empty window. Give it back by [`put_decompressor`].
pub(super) fn take_decompressor() -> Decompressor {
    with_pool(|pool| pool.decompressors.pop())
        .flatten()
        .unwrap_or_else(Decompressor::new)
}

/// Gives a decompressor to the thread.
pub(super) fn put_decompressor(mut decompressor: Decompressor) {
    decompressor.reset();
    let _ = with_pool(|pool| {
        if pool.decompressors.len() < KEPT_DECOMPRESSORS {
            pool.decompressors.push(decompressor);
        }
    });
}

/// `None` on a thread that ends.
fn with_pool<R>(work: impl FnOnce(&mut Pool) -> R) -> Option<R> {
    POOL.try_with(|pool| work(&mut pool.borrow_mut())).ok()
}
