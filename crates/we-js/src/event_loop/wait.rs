//! The loop's one wait.

use std::io;
use std::time::Instant;

use tokio::runtime::{Builder, EnterGuard, Runtime};

use super::mailbox::Mailbox;

/// The runtime that the loop's thread drives while it waits.
pub(super) struct Waiter {
    runtime: Runtime,
}

impl Waiter {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime })
    }

    /// Waits for mail or for the deadline, whichever comes first.
    pub(super) fn wait(&self, mailbox: &Mailbox, deadline: Option<Instant>) {
        self.runtime.block_on(async {
            match deadline {
                None => mailbox.arrival().await,
                Some(deadline) => {
                    // Which of the two it was, the caller sees for itself.
                    let _ = tokio::time::timeout_at(deadline.into(), mailbox.arrival()).await;
                }
            }
        });
    }

    /// Lets the current thread use the runtime's sockets and timers.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }
}
