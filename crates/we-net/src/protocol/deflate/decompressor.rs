//! From DEFLATE to a message ([RFC 7692 section 7.2.2]).
//!
//! [RFC 7692 section 7.2.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2

use zlib_rs::{Inflate, InflateFlush, Status};

use super::TAIL;
use super::config::WindowBits;
use super::pool::with_scratch;
use crate::protocol::extension::ExtensionError;
use crate::protocol::payload::PayloadSink;

/// A decompressor with its window.
pub(super) struct Decompressor {
    inflate: Inflate,
    /// Whether the message has ended a DEFLATE stream at the very byte that was read last, or no
    /// byte has been read of it: then there is nothing that its tail would complete.
    at_rest: bool,
}

impl Decompressor {
    /// Takes its memory. The library's window is one of 32 KiB whatever is asked for, so it may as
    /// well be used.
    pub(super) fn new() -> Self {
        Self {
            inflate: Inflate::new(false, WindowBits::MAX.get()),
            at_rest: true,
        }
    }

    /// Forgets the window, and whatever is left of a message.
    pub(super) fn reset(&mut self) {
        self.inflate.reset(false);
        self.at_rest = true;
    }

    /// Decompresses the next bytes of a message, as far as `out` takes it.
    pub(super) fn decompress(
        &mut self,
        mut input: &[u8],
        out: &mut PayloadSink<'_>,
    ) -> Result<(), ExtensionError> {
        with_scratch(|scratch| {
            let mut more_output = false;
            while more_output || !input.is_empty() {
                // One byte more than the message may have shows that it is too long.
                let room = scratch.len().min(out.remaining().saturating_add(1));
                let output = scratch.get_mut(..room).unwrap_or_default();
                let step = self.step(input, output)?;
                out.extend_from_slice(output.get(..step.written).unwrap_or_default())?;
                if step.read + step.written == 0 {
                    // Neither input nor output is wanting: `more_output` was a mistake, or the data
                    // makes no sense.
                    return if more_output { Ok(()) } else { Err(corrupt()) };
                }
                input = input.get(step.read..).unwrap_or_default();
                more_output = step.written == room;
                self.at_rest = false;
                if step.ended {
                    // Section 7.2.3.4: a block may have BFINAL set. What follows, if anything, is a
                    // stream of its own.
                    self.reset();
                    more_output = false;
                }
            }
            Ok(())
        })
    }

    /// The message has ended: reads the bytes that the sender has left out. They are an empty block
    /// (its first bits were sent) and so give nothing; if they do, the message was cut off.
    pub(super) fn finish(&mut self) -> Result<(), ExtensionError> {
        if self.at_rest {
            return Ok(());
        }
        self.at_rest = true;
        let step = with_scratch(|scratch| self.step(&TAIL, scratch))?;
        if step.written > 0 || step.read < TAIL.len() || step.ended {
            return Err(ExtensionError::InvalidData(
                "a compressed message ends in the middle of its data".into(),
            ));
        }
        Ok(())
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, ExtensionError> {
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, output, InflateFlush::SyncFlush)
            .map_err(|_| corrupt())?;
        Ok(Step {
            read: (self.inflate.total_in() - read) as usize,
            written: (self.inflate.total_out() - written) as usize,
            ended: status == Status::StreamEnd,
        })
    }
}

/// What one call of the library has done.
struct Step {
    read: usize,
    written: usize,
    /// Whether a block with BFINAL has ended.
    ended: bool,
}

fn corrupt() -> ExtensionError {
    ExtensionError::InvalidData("the data of a compressed message is not DEFLATE".into())
}
