//! Masking of client frames ([RFC 6455 section 5.3]): keys, where they come from, and the loop that
//! applies them.
//!
//! A key must be fresh for every frame and must not be predictable, or a script could choose the
//! bytes that intermediaries see ([section 10.3]). Keys therefore come from a CSPRNG unless a test
//! asks for others through [`MaskSource`].
//!
//! [RFC 6455 section 5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//! [section 10.3]: https://www.rfc-editor.org/rfc/rfc6455#section-10.3

use std::cell::RefCell;

mod copy;

pub(super) use copy::Append;

/// A 32-bit masking key, in the order of its bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaskKey([u8; 4]);

impl MaskKey {
    /// The key with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The key's bytes in the order of the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }

    /// Masks or unmasks `data` in place (the two are one operation) and returns the key turned so
    /// that its first byte meets the byte after `data`: a payload may be handled in pieces of any
    /// length.
    #[must_use = "the key for the bytes that follow"]
    pub fn apply(self, data: &mut [u8]) -> Self {
        let turned = self.turned(data.len());
        copy::xor_in_place(data, self);
        turned
    }

    /// The key as it stands after `by` bytes.
    pub(super) const fn turned(self, by: usize) -> Self {
        let bits = (by % 4) as u32 * 8;
        // In big-endian order the first byte is the most significant, whatever the machine.
        Self(u32::from_be_bytes(self.0).rotate_left(bits).to_be_bytes())
    }
}

/// Where masking keys come from.
///
/// Connections draw from the thread's CSPRNG by default. Implement this only to make a test
/// repeatable: a source that can be guessed opens the attack that masking is there to stop
/// ([section 10.3](https://www.rfc-editor.org/rfc/rfc6455#section-10.3)).
pub trait MaskSource: Send {
    /// The key for the next frame.
    fn next_key(&mut self) -> MaskKey;
}

impl<F: FnMut() -> [u8; 4] + Send> MaskSource for F {
    fn next_key(&mut self) -> MaskKey {
        MaskKey::new(self())
    }
}

/// Draws keys from the thread's CSPRNG (ChaCha seeded by the operating system), many at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomMasks;

impl MaskSource for RandomMasks {
    fn next_key(&mut self) -> MaskKey {
        // A thread that ends has no keys in store any more.
        let drawn = DRAWN.try_with(|drawn| drawn.borrow_mut().next());
        drawn.unwrap_or_else(|_| MaskKey::new(rand::random()))
    }
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { keys: [[0; 4]; DRAW], left: 0 }) };
}

/// How many keys are drawn at once.
const DRAW: usize = 64;

/// Keys of which each is used once.
struct Drawn {
    keys: [[u8; 4]; DRAW],
    left: usize,
}

impl Drawn {
    fn next(&mut self) -> MaskKey {
        if self.left == 0 {
            rand::fill(self.keys.as_flattened_mut());
            self.left = DRAW;
        }
        self.left -= 1;
        // None is left behind to be read out of memory.
        MaskKey::new(std::mem::take(&mut self.keys[self.left]))
    }
}

/// Of a payload that is unmasked only to be decoded, how many bytes are at a time: few enough to be still in the
/// first-level cache when they are.
pub(super) const COPY_BLOCK: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::payload::AlignedBytes;

    /// The definition in section 5.3, octet by octet.
    fn mask_by_definition(data: &[u8], key: [u8; 4]) -> Vec<u8> {
        data.iter()
            .enumerate()
            .map(|(i, octet)| octet ^ key[i % 4])
            .collect()
    }

    const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

    #[test]
    fn masks_as_the_definition_says_at_every_length_and_alignment() {
        let source: Vec<u8> = (0..400u32).map(|i| (i * 7) as u8).collect();
        for start in 0..16 {
            for len in 0..384 {
                let mut data = source.clone();
                let window = &mut data[start..start + len];
                let _ = MaskKey::new(KEY).apply(window);
                assert_eq!(window, mask_by_definition(&source[start..start + len], KEY));
                assert_eq!(data[start + len..], source[start + len..]);
            }
        }
    }

    #[test]
    fn key_is_carried_across_pieces_of_any_length() {
        let source: Vec<u8> = (0..64).collect();
        let expected = mask_by_definition(&source, KEY);
        for first in 0..source.len() {
            for second in first..source.len() {
                let mut data = source.clone();
                let key = MaskKey::new(KEY).apply(&mut data[..first]);
                let key = key.apply(&mut data[first..second]);
                let _ = key.apply(&mut data[second..]);
                assert_eq!(data, expected);
            }
        }
    }

    #[test]
    fn appending_masks_only_what_is_appended() {
        let source: Vec<u8> = (0..700u32).map(|i| (i * 7) as u8).collect();
        for start in [0, 1, 5] {
            for end in start..source.len() {
                let expected = mask_by_definition(&source[start..end], KEY);
                let mut plain = vec![1, 2, 3];
                plain.append_masked(&source[start..end], MaskKey::new(KEY));
                assert_eq!(
                    (&plain[..3], &plain[3..]),
                    ([1, 2, 3].as_slice(), expected.as_slice())
                );
                let mut aligned = AlignedBytes::new(0);
                aligned.extend_from_slice(&[1, 2, 3]);
                aligned.append_masked(&source[start..end], MaskKey::new(KEY));
                assert_eq!(aligned.as_slice(), plain);
            }
        }
    }

    #[test]
    fn example_of_the_rfc() {
        // Section 5.7: a single-frame masked text message with "Hello".
        let mut hello = *b"Hello";
        let _ = MaskKey::new(KEY).apply(&mut hello);
        assert_eq!(hello, [0x7F, 0x9F, 0x4D, 0x51, 0x58]);
    }

    #[test]
    fn random_keys_do_not_repeat_beyond_chance() {
        let mut source = RandomMasks;
        let keys: std::collections::HashSet<_> =
            (0..100_000).map(|_| source.next_key().to_bytes()).collect();
        // 100,000 draws from 2^32 collide about once; a counter, a constant or a short cycle would
        // not.
        assert!(keys.len() > 99_980, "{} distinct keys", keys.len());
        for byte in 0..4 {
            let distinct: std::collections::HashSet<_> = keys.iter().map(|key| key[byte]).collect();
            assert_eq!(distinct.len(), 256);
        }
    }
}
