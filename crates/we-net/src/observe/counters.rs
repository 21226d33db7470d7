//! Counters that connections keep, and that anyone may read at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the connections of a client or a server have come to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are open now.
    pub open: u64,
    /// Connections that have been opened, those that are over included.
    pub opened: u64,
    /// Attempts that did not become a connection.
    pub failed: u64,
    /// Messages that have arrived.
    pub messages_in: u64,
    /// Messages that have been accepted for sending.
    pub messages_out: u64,
    /// Payload bytes of the messages that have arrived, after decompression.
    pub bytes_in: u64,
    /// Payload bytes of the messages that have been accepted for sending, before compression.
    pub bytes_out: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Connections that are over.
    over: AtomicU64,
    opened: AtomicU64,
    failed: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Counters {
    pub(crate) fn stats(&self) -> Stats {
        // In this order a connection may count as open a little too long, but never less than none.
        let over = self.over.load(Relaxed);
        let opened = self.opened.load(Relaxed);
        Stats {
            open: opened.saturating_sub(over),
            opened,
            failed: self.failed.load(Relaxed),
            messages_in: self.messages_in.load(Relaxed),
            messages_out: self.messages_out.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }

    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(crate) fn over(&self) {
        self.over.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(crate) fn received(&self, len: usize) {
        self.messages_in.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(len as u64, Relaxed);
    }

    pub(crate) fn sent(&self, len: usize) {
        self.messages_out.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(len as u64, Relaxed);
    }
}
