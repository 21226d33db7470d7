//! Masking of client frames ([RFC 6455 section 5.3]): keys, where they come from, and the loop that
//! applies them.
//!
//! A key must be fresh for every frame and must not be predictable, or a script could choose the
//! bytes that intermediaries see ([section 10.3]). Keys therefore come from a CSPRNG unless a test
//! asks for others through [`MaskSource`].
//!
//! [RFC 6455 section 5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3
//! [section 10.3]: https://www.rfc-editor.org/rfc/rfc6455#section-10.3

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
        const LANE: usize = size_of::<u64>();
        let turned = self.turned(data.len());
        let [a, b, c, d] = self.0;
        let lane_key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        // Whole lanes of a fixed length are what the compiler turns into vector instructions.
        let (lanes, rest) = data.as_chunks_mut::<LANE>();
        for lane in lanes {
            *lane = (u64::from_ne_bytes(*lane) ^ lane_key).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.0.into_iter().cycle()) {
            *byte ^= key;
        }
        turned
    }

    /// The key as it stands after `by` bytes.
    const fn turned(self, by: usize) -> Self {
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

/// Draws keys from the thread's CSPRNG (ChaCha seeded by the operating system).
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomMasks;

impl MaskSource for RandomMasks {
    fn next_key(&mut self) -> MaskKey {
        MaskKey::new(rand::random())
    }
}

/// How many bytes are copied before they are masked: small enough to be still in the first-level
/// cache, so that memory is walked once.
pub(super) const COPY_BLOCK: usize = 4096;

/// Appends `data` to `out`, masked.
pub(super) fn append_masked(out: &mut Vec<u8>, data: &[u8], mut key: MaskKey) {
    out.reserve(data.len());
    for block in data.chunks(COPY_BLOCK) {
        let start = out.len();
        out.extend_from_slice(block);
        key = key.apply(&mut out[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            for len in 0..300 {
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
        let source = vec![0xA5; 3 * COPY_BLOCK + 5];
        let mut out = vec![1, 2, 3];
        append_masked(&mut out, &source, MaskKey::new(KEY));
        assert_eq!(out[..3], [1, 2, 3]);
        assert_eq!(out[3..], mask_by_definition(&source, KEY));
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
