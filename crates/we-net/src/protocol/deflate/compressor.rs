//! From a message to DEFLATE ([RFC 7692 section 7.2.1]).
//!
//! [RFC 7692 section 7.2.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1

use zlib_rs::{Deflate, DeflateFlush};

use super::TAIL;
use super::config::{CompressionLevel, WindowBits};
use super::pool::with_scratch;
use crate::protocol::payload::{AlignedBytes, Payload, empty};

/// What two compressors must have in common to stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) level: CompressionLevel,
    pub(super) window: WindowBits,
}

/// A compressor with its window.
pub(super) struct Compressor {
    deflate: Deflate,
    settings: Settings,
}

impl Compressor {
    /// Takes its memory.
    pub(super) fn new(settings: Settings) -> Self {
        // With 8 the library would use a window of 9, and say so only in a header that is not sent
        // here.
        let window = i32::from(settings.window.get().max(9));
        // Who wants a small window wants little memory, and gets smaller buffers beside it (zlib's
        // default is 8).
        let mem_level = if window <= 12 { 5 } else { 8 };
        let config = zlib_rs::DeflateConfig {
            level: settings.level.get().into(),
            // Negative: without header and checksum.
            window_bits: -window,
            mem_level,
            ..zlib_rs::DeflateConfig::default()
        };
        Self {
            deflate: Deflate::new_with_config(config),
            settings,
        }
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    /// Forgets the window.
    pub(super) fn reset(&mut self) {
        self.deflate.reset();
    }

    /// Compresses a message. `None` if that makes it no shorter; then the window is forgotten,
    /// since the peer will not see what went into it.
    pub(super) fn compress(&mut self, message: &[u8]) -> Option<Payload> {
        let compressed = self.try_compress(message);
        if compressed.is_none() {
            self.discard_output();
            self.reset();
        }
        compressed
    }

    /// Takes out what is left of a message that was given up: reset with output inside, the library (zlib-rs 0.6.8) forgets
    /// the output but not where in its buffer it was, and panics when the rest of the buffer is too small.
    fn discard_output(&mut self) {
        with_scratch(|scratch| {
            loop {
                let before = self.deflate.total_out();
                let result = self.deflate.compress(&[], scratch, DeflateFlush::SyncFlush);
                let written = (self.deflate.total_out() - before) as usize;
                if result.is_err() || written < scratch.len() {
                    return;
                }
            }
        });
    }

    fn try_compress(&mut self, message: &[u8]) -> Option<Payload> {
        let limit = message.len().checked_sub(1)? + TAIL.len();
        let mut out = empty();
        if self.settings.window == WindowBits::MIN {
            // A full flush makes the compressor forget what came before it, so within pieces of 256
            // bytes it cannot look back further than that.
            for piece in message.chunks(1 << WindowBits::MIN.get()) {
                self.append(piece, DeflateFlush::FullFlush, &mut out, limit)?;
            }
        } else {
            self.append(message, DeflateFlush::SyncFlush, &mut out, limit)?;
        }
        let len = out.strip_suffix(&TAIL)?.len();
        out.truncate(len);
        Some(Payload::from_inner(out))
    }

    /// Compresses and flushes `input`; gives up when `out` would have more than `limit` bytes.
    fn append(
        &mut self,
        mut input: &[u8],
        flush: DeflateFlush,
        out: &mut AlignedBytes,
        limit: usize,
    ) -> Option<()> {
        with_scratch(|scratch| {
            loop {
                let (read, written) = (self.deflate.total_in(), self.deflate.total_out());
                self.deflate.compress(input, scratch, flush).ok()?;
                let read = (self.deflate.total_in() - read) as usize;
                let written = (self.deflate.total_out() - written) as usize;
                input = input.get(read..)?;
                if out.len() + written > limit {
                    return None;
                }
                out.extend_from_slice(scratch.get(..written)?);
                // With room left in the output, the flush is complete.
                if written < scratch.len() {
                    return input.is_empty().then_some(());
                }
            }
        })
    }
}
