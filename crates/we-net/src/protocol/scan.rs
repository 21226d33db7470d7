//! Frames on their way, seen by somebody who stands beside the connection: a log, not the endpoint.
//!
//! The bytes of one direction go in as they pass, and each frame comes out once it is complete. The
//! scanner judges nothing: what breaks the rules of a connection is shown as it is, and only bytes
//! that cannot be frames end it.

use super::frame::{FrameHeader, PartialHeader};
use super::mask::MaskKey;

/// Takes one direction of a connection apart into frames.
///
/// ```
/// use we_net::protocol::FrameScanner;
///
/// let mut scanner = FrameScanner::new(4);
/// let mut seen = Vec::new();
/// scanner.scan(b"\x81\x05he", |header, start| seen.push((header.opcode, header.payload_len, start.to_vec())));
/// scanner.scan(b"llo", |header, start| seen.push((header.opcode, header.payload_len, start.to_vec())));
/// assert_eq!(seen, [(we_net::protocol::OpCode::Text, 5, b"hell".to_vec())]);
/// ```
#[derive(Debug)]
pub struct FrameScanner {
    header: PartialHeader,
    frame: Option<PassingFrame>,
    /// How much of a payload is shown.
    shown: usize,
    /// Whether bytes came that no header can begin with.
    lost: bool,
}

#[derive(Debug)]
struct PassingFrame {
    header: FrameHeader,
    remaining: u64,
    /// The beginning of the payload, unmasked.
    start: Vec<u8>,
    mask: Option<MaskKey>,
}

impl FrameScanner {
    /// Shows the first `shown` bytes of each payload.
    #[must_use]
    pub fn new(shown: usize) -> Self {
        Self {
            header: PartialHeader::default(),
            frame: None,
            shown,
            lost: false,
        }
    }

    /// Takes in the bytes that pass next, and calls `each` with the header and the beginning of the
    /// payload (unmasked; compressed, if it is) of each frame that they complete.
    pub fn scan(&mut self, bytes: &[u8], mut each: impl FnMut(&FrameHeader, &[u8])) {
        let mut rest = bytes;
        while !self.lost {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None if rest.is_empty() => return,
                None => match self.header.read(&mut rest) {
                    Ok(Some(header)) => PassingFrame {
                        remaining: header.payload_len,
                        start: Vec::new(),
                        mask: header.mask,
                        header,
                    },
                    Ok(None) => return,
                    Err(_) => {
                        self.lost = true;
                        return;
                    }
                },
            };
            let len =
                usize::try_from(frame.remaining).map_or(rest.len(), |len| len.min(rest.len()));
            let (chunk, after) = rest.split_at(len);
            rest = after;
            frame.remaining -= len as u64;
            frame.see(chunk, self.shown);
            if frame.remaining > 0 {
                self.frame = Some(frame);
                return;
            }
            each(&frame.header, &frame.start);
        }
    }
}

impl PassingFrame {
    fn see(&mut self, chunk: &[u8], shown: usize) {
        let wanted = shown.saturating_sub(self.start.len()).min(chunk.len());
        let from = self.start.len();
        self.start.extend(chunk.iter().take(wanted));
        if let (Some(key), Some(new)) = (self.mask, self.start.get_mut(from..)) {
            self.mask = Some(key.apply(new));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::{OpCode, Rsv};
    use super::*;

    /// All frames of `bytes`, cut into pieces of `size`.
    fn frames(bytes: &[u8], size: usize) -> Vec<(OpCode, u64, Vec<u8>)> {
        let mut scanner = FrameScanner::new(8);
        let mut frames = Vec::new();
        for piece in bytes.chunks(size) {
            scanner.scan(piece, |header, start| {
                frames.push((header.opcode, header.payload_len, start.to_vec()));
            });
        }
        frames
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        for (opcode, len) in [(OpCode::Text, 0), (OpCode::Binary, 300), (OpCode::Ping, 3)] {
            let key = MaskKey::new([1, 2, 3, 4]);
            let header = FrameHeader {
                fin: true,
                rsv: Rsv::NONE,
                opcode,
                mask: Some(key),
                payload_len: len,
            };
            bytes.extend_from_slice(&header.encode());
            let mut payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let _ = key.apply(&mut payload);
            bytes.extend(payload);
        }
        let expected = [
            (OpCode::Text, 0, vec![]),
            (OpCode::Binary, 300, vec![0, 1, 2, 3, 4, 5, 6, 7]),
            (OpCode::Ping, 3, vec![0, 1, 2]),
        ];
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(frames(&bytes, size), expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_cannot_be_a_frame_ends_it() {
        // A length of 2^63, and then a proper frame.
        let bytes = b"\x82\x7f\x80\0\0\0\0\0\0\0\x81\x01x";
        assert_eq!(frames(bytes, 100), []);
    }
}
