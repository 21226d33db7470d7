//! `bufferedAmount`: <https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount>
//!
//! The bytes of payload that `send()` took and that had not reached the network when the event loop last began
//! a task, and those taken since. So the value is stable within a task but for the script's own sends. It does
//! not fall to zero when the connection closes.

use std::cell::Cell;

/// Counts what was sent against what was flushed.
#[derive(Debug, Default)]
pub(crate) struct BufferedAmount {
    /// All bytes that `send()` ever took.
    sent: Cell<u64>,
    /// The bytes that had reached the network, as seen first in the task number `turn`.
    flushed: Cell<u64>,
    turn: Cell<u64>,
}

impl BufferedAmount {
    /// Takes note of `bytes` more. `flushed` is the connection's present count, `None` once it is gone.
    pub(crate) fn add(&self, turn: u64, flushed: Option<u64>, bytes: u64) {
        self.observe(turn, flushed);
        self.sent.set(self.sent.get().saturating_add(bytes));
    }

    /// The value of the attribute.
    pub(crate) fn get(&self, turn: u64, flushed: Option<u64>) -> u64 {
        self.observe(turn, flushed);
        self.sent.get().saturating_sub(self.flushed.get())
    }

    /// The last count of a connection that is going away.
    pub(crate) fn settle(&self, flushed: u64) {
        self.flushed.set(flushed);
    }

    /// Within one task the first look at the connection counts.
    fn observe(&self, turn: u64, flushed: Option<u64>) {
        if self.turn.get() != turn
            && let Some(flushed) = flushed
        {
            self.turn.set(turn);
            self.flushed.set(flushed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BufferedAmount;

    #[test]
    fn it_grows_with_each_send_and_falls_in_a_later_task() {
        let amount = BufferedAmount::default();
        amount.add(1, Some(0), 5);
        amount.add(1, Some(5), 7);
        assert_eq!(amount.get(1, Some(12)), 12, "stable within the task");
        assert_eq!(amount.get(2, Some(12)), 0);
    }

    #[test]
    fn it_does_not_fall_when_the_connection_goes() {
        let amount = BufferedAmount::default();
        amount.add(1, Some(0), 5);
        amount.settle(2);
        amount.add(2, None, 4);
        assert_eq!(amount.get(3, None), 7);
    }
}
