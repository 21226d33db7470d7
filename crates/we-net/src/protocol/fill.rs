//! Reading right into a vector that a message is assembled in.
//!
//! # Why this module may use `unsafe`
//! Memory that is about to be read into need not be written with zeros before, which costs as much as the reading. What
//! has been read is appended without looking at it: the vector becomes longer by as many bytes as the [`ReadBuf`] that
//! spans its spare memory says are filled, and a `ReadBuf` has only initialized bytes for filled (that is the contract
//! of its own unsafe functions). That it is still the one that spans this memory, and not another that was put into its
//! place, is asked of where it begins.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use tokio::io::ReadBuf;

use super::payload::AlignedBytes;

/// A vector that can be read into.
pub(super) trait Fill {
    /// Has `read` fill as much as it likes of the next `room` bytes, and appends what it has filled.
    fn fill_with(&mut self, room: usize, read: &mut dyn FnMut(&mut ReadBuf<'_>));
}

impl Fill for Vec<u8> {
    fn fill_with(&mut self, room: usize, read: &mut dyn FnMut(&mut ReadBuf<'_>)) {
        self.reserve_exact(room);
        let added = filled(&mut self.spare_capacity_mut()[..room], read);
        // SAFETY: these bytes are within the capacity and initialized, see the top of the module.
        unsafe { self.set_len(self.len() + added) };
    }
}

impl Fill for AlignedBytes {
    fn fill_with(&mut self, room: usize, read: &mut dyn FnMut(&mut ReadBuf<'_>)) {
        self.reserve_exact(room);
        let len = self.len();
        // SAFETY: the `capacity()` bytes from the pointer on are one allocation of this vector's, which is borrowed
        // mutably; `reserve_exact` has made the capacity at least `len + room`; `MaybeUninit` may be anything.
        let spare = unsafe {
            let start = self.as_mut_ptr().add(len).cast::<MaybeUninit<u8>>();
            std::slice::from_raw_parts_mut(start, room)
        };
        let added = filled(spare, read);
        // SAFETY: these bytes are within the capacity and initialized, see the top of the module.
        unsafe { self.set_len(len + added) };
    }
}

/// How many bytes `read` has filled, from the first one on: all of them are initialized.
fn filled(spare: &mut [MaybeUninit<u8>], read: &mut dyn FnMut(&mut ReadBuf<'_>)) -> usize {
    let (start, room) = (spare.as_ptr().cast::<u8>(), spare.len());
    if room == 0 {
        // Something else may begin where nothing is.
        return 0;
    }
    let mut buffer = ReadBuf::uninit(spare);
    read(&mut buffer);
    let filled = buffer.filled();
    if std::ptr::eq(filled.as_ptr(), start) {
        filled.len().min(room)
    } else {
        0
    }
}
