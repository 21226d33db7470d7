//! [`LoopHandle`]: reaching an event loop from another thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use boa_engine::Context;

use super::cluster::Cluster;
use super::interrupt::Interrupt;
use super::mailbox::Mailbox;
use super::tasks::TaskSource;
use crate::network;

/// A way to reach an [`EventLoop`](super::EventLoop) from any thread.
///
/// A handle does not keep the loop running; a task that it has queued does, until the task has run.
#[derive(Clone)]
pub struct LoopHandle {
    doors: Arc<Doors>,
}

/// The parts of a loop that other threads may touch. They exist before the loop does, and after it.
struct Doors {
    mailbox: Arc<Mailbox>,
    interrupt: Interrupt,
    network: Arc<network::Shared>,
    /// The workers that the loop's agent has started and that have not ended.
    workers: Mutex<Vec<LoopHandle>>,
}

impl LoopHandle {
    /// A handle for a loop that is yet to be made, of an agent of its own or in a parent's cluster.
    pub(crate) fn new(parent: Option<&Self>) -> Self {
        let cluster = match parent {
            Some(parent) => parent.doors.mailbox.cluster().clone(),
            None => Arc::<Cluster>::default(),
        };
        let mailbox = Mailbox::new(cluster);
        Self {
            doors: Arc::new(Doors {
                network: network::Shared::new(mailbox.clone()),
                mailbox,
                interrupt: Interrupt::default(),
                workers: Mutex::default(),
            }),
        }
    }

    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.doors.mailbox
    }

    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.doors.interrupt
    }

    pub(super) fn network(&self) -> &Arc<network::Shared> {
        &self.doors.network
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
        self.mailbox()
            .post(|contents| contents.tasks.push((source, Box::new(steps))));
    }

    /// Asks the loop to end, as Ctrl-C does: no further task runs, every open connection is closed with 1001 (going
    /// away), and [`EventLoop::run`](super::EventLoop::run) returns once they are closed, or after two seconds. Workers
    /// are [terminated](Self::terminate).
    ///
    /// A script that is running is not interrupted, but the connections are closed all the same.
    pub fn request_shutdown(&self) {
        // First of all: a loop whose last connection closes before it hears of this would take that for its end.
        self.mailbox().post(|contents| contents.shutdown = true);
        self.network().go_away();
        self.terminate_workers();
    }

    /// Stops the agent for good, even in the middle of a script that never ends: no script runs any further, not even its
    /// `finally` blocks. Open connections are closed with 1001 (going away), and
    /// [`EventLoop::run`](super::EventLoop::run) returns [`Finished::Terminated`](super::Finished::Terminated) once they
    /// are closed, or after two seconds. Workers that the agent has started are terminated too.
    ///
    /// Script is stopped at its next call or turn of a loop. A function of the engine that is busy without calling any
    /// script, such as the search for a regular expression, ends first. Script that the embedder runs otherwise than by
    /// [`EventLoop::run`](super::EventLoop::run) and [`EventLoop::evaluate`](super::EventLoop::evaluate), by
    /// `Context::eval` say, is not stopped.
    pub fn terminate(&self) {
        self.interrupt().terminate();
        self.mailbox().post(|contents| contents.shutdown = true);
        self.network().go_away();
        self.terminate_workers();
    }

    /// Whether [`terminate`](Self::terminate) was called.
    pub fn is_terminated(&self) -> bool {
        self.interrupt().is_terminated()
    }

    /// The agent has ended, or nobody waits for its end any more: it no longer keeps its program running.
    pub(crate) fn retire(&self) {
        self.mailbox().retire();
    }

    // Workers.

    /// Adds a worker that the agent starts.
    pub(crate) fn add_worker(&self, worker: LoopHandle) {
        self.workers().push(worker.clone());
        // It may have come too late for `terminate_workers`.
        if self.is_terminated() {
            worker.terminate();
            worker.retire();
        }
    }

    /// Removes a worker that has ended.
    pub(crate) fn remove_worker(&self, worker: &Self) {
        self.workers()
            .retain(|other| !Arc::ptr_eq(&other.doors, &worker.doors));
        if worker.is_terminated() {
            self.mailbox().post(|contents| contents.look_again = true);
        }
    }

    /// Whether a worker that was terminated has not ended yet.
    pub(super) fn has_ending_workers(&self) -> bool {
        self.workers().iter().any(Self::is_terminated)
    }

    /// Whether a worker of the agent has not ended.
    pub(super) fn has_workers(&self) -> bool {
        !self.workers().is_empty()
    }

    pub(super) fn terminate_workers(&self) {
        // Copied, since a worker that ends removes itself.
        let workers = self.workers().clone();
        for worker in workers {
            worker.terminate();
            worker.retire();
        }
    }

    /// Waits until the connections of all workers are closed, but not for their scripts: one that is stuck in the engine
    /// holds up nobody.
    pub(super) fn wait_for_workers(&self, deadline: Instant) {
        let workers = self.workers().clone();
        for worker in workers {
            worker.network().wait_until_closed(deadline);
            worker.wait_for_workers(deadline);
        }
    }

    /// Nothing panics while the lock is held, so a poisoned one is still good.
    fn workers(&self) -> MutexGuard<'_, Vec<Self>> {
        self.doors
            .workers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
