//! What the C library's allocator is told at the start of the program.
//!
//! glibc gives memory at the end of a heap back to the system as soon as it is free, some 128 KiB of it. A program that
//! receives messages of a mebibyte then has the kernel clear 256 pages for each of them: half of the time of `we echo`.
//!
//! # Soundness
//! `mallopt` takes two numbers and changes settings of the allocator, no memory; glibc takes its own lock. It is called
//! before there is another thread all the same.
#![allow(unsafe_code)]

/// Blocks of up to this size come from the heap, not from a mapping of their own that is cleared each time: the most that
/// glibc allows on 64-bit machines, and what it would arrive at by itself.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: libc::c_int = 32 << 20;

/// So much free memory at the end of a heap is kept.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD: libc::c_int = 64 << 20;

/// How much a heap is made to begin with, in bytes of address space: memory is used when it is written to.
const FIRST: usize = 16 << 20;

/// For a thread that will need much: makes its heap so large that it need not grow for long. glibc lets the heap of a thread
/// other than the first grow by a page or so at a time, with a system call for each.
pub(crate) fn stretch_heap() {
    // Not optimized away, since the allocator might be asked for it in some other way.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(FIRST)));
}

/// Tells the allocator to keep what it will need again, unless the operator has told it something else.
pub(crate) fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let tunables = std::env::var_os("GLIBC_TUNABLES").unwrap_or_default();
        if !tunables.to_string_lossy().contains("glibc.malloc.") {
            // SAFETY: see above.
            unsafe {
                libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
                libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
            }
        }
    }
}
