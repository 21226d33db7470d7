//! Masking while copying, in one pass over the bytes; and the loop itself, in as wide vectors as the processor has.
//!
//! # Why this module may use `unsafe`
//! - What is appended to a vector is written to memory that nothing has been written to before, once: `append_masked` makes the
//!   vector longer by `data.len()` bytes after `xor_into` has written every byte of a slice of that length. Zeroing it first, or
//!   copying it and then masking it in place, walks memory twice.
//! - A function compiled for AVX2 must run only where the processor has it: `xor_into` and `xor_in_place` ask before each call.
//!
//! The loops are safe code in which the compiler finds the vector instructions. The function for AVX2 is the other one compiled
//! again.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use super::MaskKey;
use crate::protocol::payload::AlignedBytes;

/// What the compiler makes vectors of.
const WORD: usize = size_of::<u64>();

/// From this length on it pays to ask for AVX2.
#[cfg(target_arch = "x86_64")]
const LONG: usize = 256;

/// A vector of bytes that can be appended to.
pub(in crate::protocol) trait Append {
    /// Appends `data`, masked.
    fn append_masked(&mut self, data: &[u8], key: MaskKey);
}

impl Append for Vec<u8> {
    fn append_masked(&mut self, data: &[u8], key: MaskKey) {
        self.reserve(data.len());
        xor_into(&mut self.spare_capacity_mut()[..data.len()], data, key);
        // SAFETY: there is room for `data.len()` bytes more, and all of them have just been written.
        unsafe { self.set_len(self.len() + data.len()) };
    }
}

impl Append for AlignedBytes {
    fn append_masked(&mut self, data: &[u8], key: MaskKey) {
        self.reserve(data.len());
        let len = self.len();
        // SAFETY: the `capacity()` bytes from the pointer on are one allocation of this vector's, which is borrowed
        // mutably; `reserve` has made the capacity at least `len + data.len()`; `MaybeUninit` may be anything.
        let room = unsafe {
            let start = self.as_mut_ptr().add(len).cast::<MaybeUninit<u8>>();
            std::slice::from_raw_parts_mut(start, data.len())
        };
        xor_into(room, data, key);
        // SAFETY: as above, and all of them have just been written.
        unsafe { self.set_len(len + data.len()) };
    }
}

/// Writes every byte of `out`, which is as long as `data`.
fn xor_into(out: &mut [MaybeUninit<u8>], data: &[u8], key: MaskKey) {
    #[cfg(target_arch = "x86_64")]
    if data.len() >= LONG && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { xor_into_avx2(out, data, key) };
    }
    xor_into_words(out, data, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn xor_into_avx2(out: &mut [MaybeUninit<u8>], data: &[u8], key: MaskKey) {
    let head = to_line(out.as_ptr().cast(), data.len());
    let (out_head, out) = out.split_at_mut(head);
    let (data_head, data) = data.split_at(head);
    xor_into_words(out_head, data_head, key);
    xor_into_words(out, data, key.turned(head));
}

/// How many of `len` bytes lie before the next line of the cache. Vectors that reach over the end of one are written at
/// half the speed.
#[cfg(target_arch = "x86_64")]
fn to_line(start: *const u8, len: usize) -> usize {
    start.align_offset(64).min(len)
}

#[inline(always)]
fn xor_into_words(out: &mut [MaybeUninit<u8>], data: &[u8], key: MaskKey) {
    assert_eq!(out.len(), data.len());
    let (out_words, _) = out.as_chunks_mut::<WORD>();
    let (words, rest) = data.as_chunks::<WORD>();
    let word_key = repeated(key);
    for (out, word) in out_words.iter_mut().zip(words) {
        *out = xor(*word, word_key).map(MaybeUninit::new);
    }
    if rest.is_empty() {
        return;
    }
    // The last word, some of which is there already, costs less than its bytes one by one.
    if let (Some(out), Some(word)) = (out.last_chunk_mut::<WORD>(), data.last_chunk::<WORD>()) {
        *out = xor(*word, repeated(key.turned(data.len() - WORD))).map(MaybeUninit::new);
        return;
    }
    let keys = key.to_bytes().into_iter().cycle();
    for ((out, byte), key) in out.iter_mut().zip(data).zip(keys) {
        out.write(byte ^ key);
    }
}

#[inline(always)]
fn xor(word: [u8; WORD], key: u64) -> [u8; WORD] {
    (u64::from_ne_bytes(word) ^ key).to_ne_bytes()
}

#[inline(always)]
fn repeated(key: MaskKey) -> u64 {
    let [a, b, c, d] = key.to_bytes();
    u64::from_ne_bytes([a, b, c, d, a, b, c, d])
}

/// Masks `data` where it lies.
pub(super) fn xor_in_place(data: &mut [u8], key: MaskKey) {
    #[cfg(target_arch = "x86_64")]
    if data.len() >= LONG && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { xor_in_place_avx2(data, key) };
    }
    xor_words_in_place(data, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn xor_in_place_avx2(data: &mut [u8], key: MaskKey) {
    let (head, data) = data.split_at_mut(to_line(data.as_ptr(), data.len()));
    xor_words_in_place(head, key);
    xor_words_in_place(data, key.turned(head.len()));
}

#[inline(always)]
fn xor_words_in_place(data: &mut [u8], key: MaskKey) {
    let len = data.len();
    // Taken before the words that overlap it are changed.
    let last = data.last_chunk::<WORD>().copied();
    let (words, rest) = data.as_chunks_mut::<WORD>();
    let word_key = repeated(key);
    for word in words {
        *word = xor(*word, word_key);
    }
    if rest.is_empty() {
        return;
    }
    if let (Some(last), Some(word)) = (last, data.last_chunk_mut::<WORD>()) {
        *word = xor(last, repeated(key.turned(len - WORD)));
        return;
    }
    for (byte, key) in data.iter_mut().zip(key.to_bytes().into_iter().cycle()) {
        *byte ^= key;
    }
}
