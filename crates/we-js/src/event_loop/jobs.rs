//! The engine's jobs: where the event loop meets `HostEnqueuePromiseJob` and its relatives
//! (<https://html.spec.whatwg.org/#integration-with-the-javascript-job-queue>), and the microtask checkpoint.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use boa_engine::job::{
    CancellationToken, IntervalJob, Job, JobExecutor, NativeAsyncJob, PromiseJob, TimeoutJob,
};
use boa_engine::{Context, JsResult, JsValue};

use super::LoopState;
use super::async_jobs::{AsyncJob, Lifetime};
use super::tasks::TaskSource;
use super::timers::TimerKey;

/// Steps of a microtask; an error is reported.
type MicrotaskSteps = Box<dyn FnOnce(&mut Context) -> JsResult<()>>;

/// <https://html.spec.whatwg.org/#microtask>
enum Microtask {
    /// A promise job of the engine. Kept as it is: this is the hot path of every `await`.
    Promise(PromiseJob),
    /// A microtask of the platform.
    Platform(MicrotaskSteps),
}

/// <https://html.spec.whatwg.org/#microtask-queue>
#[derive(Default)]
pub(super) struct MicrotaskQueue {
    queue: RefCell<VecDeque<Microtask>>,
    performing_checkpoint: Cell<bool>,
}

impl MicrotaskQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    pub(super) fn clear(&self) {
        self.queue.take();
    }

    fn push(&self, microtask: Microtask) {
        self.queue.borrow_mut().push_back(microtask);
    }

    fn pop(&self) -> Option<Microtask> {
        self.queue.borrow_mut().pop_front()
    }
}

impl LoopState {
    /// [Queues a microtask](https://html.spec.whatwg.org/#queue-a-microtask). An error that it returns is reported.
    pub fn queue_microtask(&self, steps: impl FnOnce(&mut Context) -> JsResult<()> + 'static) {
        self.microtasks.push(Microtask::Platform(Box::new(steps)));
    }

    /// [Performs a microtask checkpoint](https://html.spec.whatwg.org/#perform-a-microtask-checkpoint).
    pub fn perform_microtask_checkpoint(self: &Rc<Self>, context: &mut Context) {
        // Steps 1 and 2.
        if self.microtasks.performing_checkpoint.replace(true) {
            return;
        }
        // Step 3.
        while let Some(microtask) = self.microtasks.pop() {
            let result = match microtask {
                // What its reaction throws, a promise job keeps to itself.
                Microtask::Promise(job) => {
                    self.call_cleanly(move |context| job.call(context), context)
                }
                Microtask::Platform(steps) => self.call_cleanly(
                    move |context| steps(context).map(|()| JsValue::undefined()),
                    context,
                ),
            };
            if let Err(error) = result {
                self.report_exception(error, context);
            }
        }
        // Step 4.
        self.notify_about_rejected_promises();
        // Step 6.
        context.clear_kept_objects();
        // Step 7.
        self.microtasks.performing_checkpoint.set(false);
    }

    fn queue_async_job(&self, job: NativeAsyncJob, lifetime: Lifetime) {
        let id = self.job_ids.next();
        let job = AsyncJob { id, job, lifetime };
        self.new_async_jobs.borrow_mut().push(job);
    }

    /// Starts an asynchronous job that does not keep the loop running, and ends with the run of the loop.
    pub(crate) fn start_background_job(&self, job: NativeAsyncJob) {
        self.queue_async_job(job, Lifetime::Background);
    }

    /// `HostEnqueueTimeoutJob`: a native's timer. Canceling its token removes it, so that it no longer keeps the loop
    /// running.
    fn enqueue_timeout_job(self: &Rc<Self>, job: TimeoutJob) {
        let token = job.cancellation_token().clone();
        let state = self.clone();
        let key = self.run_after(job.timeout().into(), move |context| {
            if let Err(error) = job.call(context) {
                state.report_exception(error, context);
            }
        });
        self.cancel_with(&token, key);
    }

    /// An interval of a native: the next one is set when this one has run, as with `setInterval`.
    fn enqueue_interval_job(self: &Rc<Self>, job: IntervalJob) {
        let token = job.cancellation_token().clone();
        let state = self.clone();
        let key = self.run_after(job.interval().into(), move |context| {
            if let Err(error) = job.call(context) {
                state.report_exception(error, context);
            }
            if !job.cancelled() {
                state.enqueue_interval_job(job);
            }
        });
        self.cancel_with(&token, key);
    }

    fn cancel_with(self: &Rc<Self>, token: &CancellationToken, key: TimerKey) {
        // Weak: a token that somebody keeps must not keep the loop's state.
        let state = Rc::downgrade(self);
        token.push_callback(move |_| {
            if let Some(state) = state.upgrade() {
                state.cancel(key);
            }
        });
    }
}

impl JobExecutor for LoopState {
    fn enqueue_job(self: Rc<Self>, job: Job, _context: &mut Context) {
        match job {
            Job::PromiseJob(job) => self.microtasks.push(Microtask::Promise(job)),
            Job::GenericJob(job) => {
                let state = self.clone();
                self.queue_task(TaskSource::JavaScriptEngine, move |context| {
                    if let Err(error) = job.call(context) {
                        state.report_exception(error, context);
                    }
                });
            }
            Job::TimeoutJob(job) => self.enqueue_timeout_job(job),
            Job::IntervalJob(job) => self.enqueue_interval_job(job),
            Job::AsyncJob(job) => self.queue_async_job(job, Lifetime::KeepsLoopAlive),
            Job::FinalizationRegistryCleanupJob(job) => {
                self.queue_async_job(job, Lifetime::Background);
            }
            // The engine's list may grow; a job of a kind that this loop does not know cannot be run.
            other => tracing::error!(target: "we::js", job = ?other, "unknown kind of job dropped"),
        }
    }

    /// What a native or an embedder gets from [`Context::run_jobs`]: a microtask checkpoint. Everything else is the
    /// business of [`EventLoop::run`](super::EventLoop::run).
    fn run_jobs(self: Rc<Self>, context: &mut Context) -> JsResult<()> {
        self.perform_microtask_checkpoint(context);
        Ok(())
    }
}
