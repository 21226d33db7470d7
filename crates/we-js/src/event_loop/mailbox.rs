//! The one door by which other threads and the network reach an event loop: what they leave here wakes the loop's wait.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use boa_engine::Context;

use super::async_jobs::JobId;
use super::cluster::{Cluster, Last};
use super::tasks::TaskSource;
use crate::messaging::Notice;
use crate::network::Arrivals;

/// Steps of a task that another thread queues.
pub(crate) type RemoteSteps = Box<dyn FnOnce(&mut Context) + Send>;

/// What has arrived since the loop last looked.
#[derive(Default)]
pub(crate) struct Contents {
    /// Tasks of other threads, oldest first.
    pub(crate) tasks: Vec<(TaskSource, RemoteSteps)>,
    /// Events of sockets, oldest first.
    pub(crate) arrivals: Arrivals,
    /// What ports have been sent, oldest first.
    pub(crate) notices: Vec<Notice>,
    /// Asynchronous jobs whose wakers were called.
    pub(crate) woken_jobs: Vec<JobId>,
    /// Whether somebody asked the loop to end.
    pub(crate) shutdown: bool,
    /// Whether something has changed on which depends whether the program is over: the last active agent has become
    /// idle, or a worker that was terminated has ended.
    pub(crate) look_again: bool,
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
            && self.arrivals.is_empty()
            && self.notices.is_empty()
            && self.woken_jobs.is_empty()
            && !self.shutdown
            && !self.look_again
    }
}

/// The shared, locked box.
pub(crate) struct Mailbox {
    cluster: Arc<Cluster>,
    inner: Mutex<Inner>,
}

struct Inner {
    contents: Contents,
    /// The loop's waker while it waits; a loop that is awake looks by itself, so posting costs it nothing.
    waiting: Option<Waker>,
    presence: Presence,
    /// Whether the loop has gone: nobody will take anything out any more.
    is_closed: bool,
}

/// Whether an agent has something to do, as its [`Cluster`] counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Active,
    /// Nothing will happen in this agent unless something is posted to it.
    Idle,
    /// The agent has ended, or is ending: nothing will happen in it any more.
    Gone,
}

impl Mailbox {
    /// A mailbox for a new, active agent of the cluster.
    pub(super) fn new(cluster: Arc<Cluster>) -> Arc<Self> {
        cluster.enter();
        let mailbox = Arc::new(Self {
            cluster,
            inner: Mutex::new(Inner {
                contents: Contents::default(),
                waiting: None,
                presence: Presence::Active,
                is_closed: false,
            }),
        });
        mailbox.cluster.set_main(&mailbox);
        mailbox
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Puts something in and wakes the loop if it waits. What is posted to a loop that has gone is dropped.
    pub(crate) fn post(&self, put: impl FnOnce(&mut Contents)) {
        // Dropped after the lock is released: what is dropped may post in turn.
        let mut lost = Contents::default();
        let waiting = {
            let mut inner = self.lock();
            if inner.is_closed {
                put(&mut lost);
                None
            } else {
                put(&mut inner.contents);
                self.make_active(&mut inner);
                inner.waiting.take()
            }
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// The loop goes: drops what is there, and all that will be posted.
    pub(super) fn close(&self) {
        let lost = {
            let mut inner = self.lock();
            inner.is_closed = true;
            mem::take(&mut inner.contents)
        };
        drop(lost);
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

    /// The agent has something to do again, though nothing was posted to it.
    pub(super) fn become_active(&self) {
        let mut inner = self.lock();
        self.make_active(&mut inner);
    }

    /// The agent has nothing left to do, unless something has just arrived. Tells whether that is so of the whole
    /// cluster.
    pub(super) fn become_idle(&self) -> Last {
        let mut inner = self.lock();
        if inner.presence != Presence::Active || !inner.contents.is_empty() {
            return Last::No;
        }
        inner.presence = Presence::Idle;
        self.cluster.leave()
    }

    /// The agent has ended, or is made to: nobody need wait for it. What is posted to it from now on is lost.
    pub(super) fn retire(&self) {
        let last = {
            let mut inner = self.lock();
            match mem::replace(&mut inner.presence, Presence::Gone) {
                Presence::Active => self.cluster.leave(),
                Presence::Idle | Presence::Gone => Last::No,
            }
        };
        if last == Last::Yes {
            self.cluster.tell_main();
        }
    }

    fn make_active(&self, inner: &mut Inner) {
        if inner.presence == Presence::Idle {
            inner.presence = Presence::Active;
            self.cluster.enter();
        }
    }

    /// Nobody panics while holding the lock with the contents half changed, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
