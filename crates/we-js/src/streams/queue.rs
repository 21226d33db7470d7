//! Queue-with-sizes: <https://streams.spec.whatwg.org/#queue-with-sizes>

use std::collections::VecDeque;

use boa_engine::{JsNativeError, JsResult};
use boa_gc::{Finalize, Trace};

/// Chunks that wait, and the sum of their sizes.
#[derive(Trace, Finalize)]
pub(super) struct Queue<T: Trace> {
    chunks: VecDeque<Weighed<T>>,
    total_size: f64,
}

#[derive(Trace, Finalize)]
#[boa_gc(unsafe_no_drop)]
struct Weighed<T: Trace> {
    value: T,
    size: f64,
}

impl<T: Trace> Default for Queue<T> {
    fn default() -> Self {
        Self {
            chunks: VecDeque::new(),
            total_size: 0.0,
        }
    }
}

impl<T: Trace> Queue<T> {
    /// `[[queueTotalSize]]`
    pub(super) fn total_size(&self) -> f64 {
        self.total_size
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// <https://streams.spec.whatwg.org/#enqueue-value-with-size>
    pub(super) fn enqueue(&mut self, value: T, size: f64) -> JsResult<()> {
        if size.is_nan() || size < 0.0 || size == f64::INFINITY {
            return Err(JsNativeError::range()
                .with_message("the size of a chunk is not a finite, non-negative number")
                .into());
        }
        self.chunks.push_back(Weighed { value, size });
        self.total_size += size;
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#dequeue-value>
    pub(super) fn dequeue(&mut self) -> Option<T> {
        let Weighed { value, size } = self.chunks.pop_front()?;
        // Below zero by rounding only.
        self.total_size = (self.total_size - size).max(0.0);
        Some(value)
    }

    /// <https://streams.spec.whatwg.org/#peek-queue-value>
    pub(super) fn peek(&self) -> Option<&T> {
        self.chunks.front().map(|chunk| &chunk.value)
    }

    /// <https://streams.spec.whatwg.org/#reset-queue>
    pub(super) fn reset(&mut self) {
        self.chunks.clear();
        self.total_size = 0.0;
    }
}
