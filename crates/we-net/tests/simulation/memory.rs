//! What an endpoint's memory is: an allocator that counts, and accounts to charge.
//!
//! # Why this module may use `unsafe`
//! A global allocator cannot be written without. This one hands every call to the system's and
//! counts in a cell of the thread, which has no destructor and needs no memory.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Bytes that this thread has allocated and not freed.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    HELD.set(HELD.get() + bytes);
}

// SAFETY: each function does what the system's does with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(block, layout, size) }
    }
}

/// The memory of one endpoint: what was allocated and not freed within its calls.
#[derive(Default)]
pub struct Account {
    held: isize,
}

impl Account {
    /// Makes a call. All that it allocates counts, so nothing that it returns may own memory.
    pub fn charge<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let before = HELD.get();
        let result = call();
        self.held += HELD.get() - before;
        result
    }

    pub fn held(&self) -> usize {
        usize::try_from(self.held).expect("more was freed than allocated")
    }
}
