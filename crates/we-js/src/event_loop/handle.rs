//! [`LoopHandle`]: reaching an event loop from another thread.

use std::sync::Arc;

use boa_engine::Context;

use super::interrupt::Interrupt;
use super::mailbox::Mailbox;
use super::tasks::TaskSource;
use crate::network;

/// A way to reach an [`EventLoop`](super::EventLoop) from any thread.
///
/// A handle does not keep the loop running; a task that it has queued does, until the task has run.
#[derive(Clone)]
pub struct LoopHandle {
    mailbox: Arc<Mailbox>,
    interrupt: Arc<Interrupt>,
    network: Arc<network::Shared>,
}

impl LoopHandle {
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        interrupt: Arc<Interrupt>,
        network: Arc<network::Shared>,
    ) -> Self {
        Self {
            mailbox,
            interrupt,
            network,
        }
    }

    /// [Queues a task](https://html.spec.whatwg.org/#queue-a-task): the loop runs `steps` on its own thread, after
    /// the tasks that are already queued, and wakes up for it if it waits.
    ///
    /// Tasks of a loop that has gone are dropped without being run.
    pub fn queue_task(
        &self,
        source: TaskSource,
        steps: impl FnOnce(&mut Context) + Send + 'static,
    ) {
        self.mailbox
            .post(|contents| contents.tasks.push((source, Box::new(steps))));
    }

    /// Asks the loop to end, as Ctrl-C does: no further task runs, every open connection is closed with 1001 (going
    /// away), and [`EventLoop::run`](super::EventLoop::run) returns once they are closed, or after two seconds.
    ///
    /// A script that is running is not interrupted, but the connections are closed all the same.
    pub fn request_shutdown(&self) {
        self.network.go_away();
        self.mailbox.post(|contents| contents.shutdown = true);
    }

    /// Stops the agent for good, even in the middle of a script that never ends: no script runs any further, not even its
    /// `finally` blocks. Open connections are closed with 1001 (going away), and
    /// [`EventLoop::run`](super::EventLoop::run) returns [`Finished::Terminated`](super::Finished::Terminated) once they
    /// are closed, or after two seconds.
    ///
    /// Script is stopped at its next call or turn of a loop. A function of the engine that is busy without calling any
    /// script, such as the search for a regular expression, ends first.
    pub fn terminate(&self) {
        self.interrupt.terminate();
        self.network.go_away();
        self.mailbox.post(|contents| contents.shutdown = true);
    }
}
