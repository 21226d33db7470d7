//! The one door by which other threads and the network reach an event loop: what they leave here wakes the loop's wait.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use boa_engine::Context;

use super::async_jobs::JobId;
use super::tasks::TaskSource;
use crate::messaging::Notice;
use crate::network::Arrival;

/// Steps of a task that another thread queues.
pub(crate) type RemoteSteps = Box<dyn FnOnce(&mut Context) + Send>;

/// What has arrived since the loop last looked.
#[derive(Default)]
pub(crate) struct Contents {
    /// Tasks of other threads, oldest first.
    pub(crate) tasks: Vec<(TaskSource, RemoteSteps)>,
    /// Events of sockets, oldest first.
    pub(crate) arrivals: Vec<Arrival>,
    /// What ports have been sent, oldest first.
    pub(crate) notices: Vec<Notice>,
    /// Asynchronous jobs whose wakers were called.
    pub(crate) woken_jobs: Vec<JobId>,
    /// Whether somebody asked the loop to end.
    pub(crate) shutdown: bool,
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.arrivals.is_empty()
            && self.notices.is_empty()
            && self.woken_jobs.is_empty()
            && !self.shutdown
    }
}

/// The shared, locked box.
#[derive(Default)]
pub(crate) struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    contents: Contents,
    /// The loop's waker while it waits; a loop that is awake looks by itself, so posting costs it nothing.
    waiting: Option<Waker>,
}

impl Mailbox {
    /// Puts something in and wakes the loop if it waits.
    pub(crate) fn post(&self, put: impl FnOnce(&mut Contents)) {
        let waiting = {
            let mut inner = self.lock();
            put(&mut inner.contents);
            inner.waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// Takes all that has arrived.
    pub(crate) fn take(&self) -> Contents {
        mem::take(&mut self.lock().contents)
    }

    /// Whether nothing has arrived.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().contents.is_empty()
    }

    /// Ready as soon as something has arrived.
    pub(crate) async fn arrival(&self) {
        std::future::poll_fn(|cx| {
            let mut inner = self.lock();
            if inner.contents.is_empty() {
                inner.waiting = Some(cx.waker().clone());
                Poll::Pending
            } else {
                inner.waiting = None;
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Nobody panics while holding the lock with the contents half changed, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
