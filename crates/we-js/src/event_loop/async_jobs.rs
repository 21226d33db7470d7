//! Asynchronous jobs: natives written as Rust futures (module loading, dynamic import, `Atomics.waitAsync`,
//! [`NativeFunction::from_async_fn`](boa_engine::NativeFunction::from_async_fn)).
//!
//! Such a future borrows the cell that holds the context for the time of a run, so it lives in [`RunningJobs`] on the
//! stack of [`EventLoop::run`](super::EventLoop::run) and is polled between tasks, when nothing else borrows the cell.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};

use boa_engine::job::NativeAsyncJob;
use boa_engine::{Context, JsResult, JsValue};

use super::mailbox::Mailbox;

/// Whether the loop waits for a job to end, or for a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// The loop runs until the job has ended, or the timer has run.
    KeepsLoopAlive,
    /// The job may never end, and nobody waits for it: the clean-up of a finalization registry, reading ahead of a reader. Or a
    /// timer that is of no use when nothing else goes on.
    Background,
}

/// A job that has been queued but not begun.
pub(super) struct AsyncJob {
    pub(super) id: JobId,
    pub(super) job: NativeAsyncJob,
    pub(super) lifetime: Lifetime,
}

/// Names a job; never used twice in one loop, so that a waker that outlives its job wakes no other. It grows in the order
/// in which jobs are queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(u64);

/// Source of [`JobId`]s.
#[derive(Default)]
pub(super) struct JobIds(Cell<u64>);

impl JobIds {
    pub(super) fn next(&self) -> JobId {
        let id = self.peek();
        self.0.set(id.0 + 1);
        id
    }

    /// The id of the job that will be queued next.
    pub(super) fn peek(&self) -> JobId {
        JobId(self.0.get())
    }
}

struct RunningJob<'a> {
    future: Pin<Box<dyn Future<Output = JsResult<JsValue>> + 'a>>,
    waker: Waker,
    lifetime: Lifetime,
}

/// The futures of one run.
pub(super) struct RunningJobs<'a> {
    cell: &'a RefCell<&'a mut Context>,
    mailbox: &'a Arc<Mailbox>,
    jobs: HashMap<JobId, RunningJob<'a>>,
}

impl<'a> RunningJobs<'a> {
    pub(super) fn new(cell: &'a RefCell<&'a mut Context>, mailbox: &'a Arc<Mailbox>) -> Self {
        Self {
            cell,
            mailbox,
            jobs: HashMap::new(),
        }
    }

    /// Makes a job's future. It does nothing until it is [polled](Self::poll).
    pub(super) fn begin(&mut self, AsyncJob { id, job, lifetime }: AsyncJob) -> JobId {
        let waker = Waker::from(Arc::new(JobWaker {
            id,
            mailbox: self.mailbox.clone(),
        }));
        let job = RunningJob {
            future: Box::pin(job.call(self.cell)),
            waker,
            lifetime,
        };
        self.jobs.insert(id, job);
        id
    }

    /// Polls a job once. Returns its result if it has ended now; a job that had ended before is left in peace.
    pub(super) fn poll(&mut self, id: JobId) -> Option<JsResult<JsValue>> {
        let job = self.jobs.get_mut(&id)?;
        match job
            .future
            .as_mut()
            .poll(&mut TaskContext::from_waker(&job.waker))
        {
            Poll::Ready(result) => {
                self.jobs.remove(&id);
                Some(result)
            }
            Poll::Pending => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether a job runs that the loop has to wait for.
    pub(super) fn keep_loop_alive(&self) -> bool {
        self.jobs
            .values()
            .any(|job| job.lifetime == Lifetime::KeepsLoopAlive)
    }
}

/// Brings a job's id to the loop.
struct JobWaker {
    id: JobId,
    mailbox: Arc<Mailbox>,
}

impl Wake for JobWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox
            .post(|contents| contents.woken_jobs.push(self.id));
    }
}
