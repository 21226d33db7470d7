//! [`LoopState`]: what natives see of the event loop that runs them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use boa_engine::builtins::promise::{OperationType, Promise};
use boa_engine::context::HostHooks;
use boa_engine::context::intrinsics::Intrinsics;
use boa_engine::{Context, JsError, JsNativeError, JsObject, JsResult, JsValue};

use super::async_jobs::{AsyncJob, JobId, JobIds, Lifetime};
use super::clean_call::CleanCalls;
use super::external_bytes::ExternalBytes;
use super::handle::LoopHandle;
use super::host::LoopHost;
use super::jobs::MicrotaskQueue;
use super::mailbox::Mailbox;
use super::options::Options;
use super::provenance::Provenance;
use super::rejections::Rejections;
use super::tasks::{TaskQueue, TaskSource};
use super::timers::{TimerKey, Timers};
use crate::file::BlobUrls;
use crate::messaging::{Broadcasts, Notice, Ports};
use crate::network::{Arrivals, Network};
use crate::uncaught::UncaughtError;

/// How often garbage is collected at most for who waits for what it holds. Where there are 100,000 objects, a hundredth of
/// the time goes into this.
pub(crate) const COLLECTION_INTERVAL: Duration = Duration::from_millis(500);

/// The part of an event loop that lives beside a context: queues, timers, counters.
///
/// Natives get it from the context with [`LoopState::of`]. It belongs to the loop's thread.
pub struct LoopState {
    pub(super) host: Rc<dyn LoopHost>,
    pub(super) options: Options,
    pub(super) tasks: TaskQueue,
    pub(super) microtasks: MicrotaskQueue,
    pub(super) timers: Timers,
    pub(super) rejections: Rejections,
    pub(super) new_async_jobs: RefCell<Vec<AsyncJob>>,
    pub(super) job_ids: JobIds,
    /// The asynchronous job that is being polled.
    pub(super) running_job: Cell<Option<JobId>>,
    pub(super) handle: LoopHandle,
    /// Events of sockets that have been taken from the mailbox and wait for their turn.
    pub(super) arrivals: RefCell<Arrivals>,
    /// What ports have been sent, taken from the mailbox and waiting for its turn.
    pub(super) notices: RefCell<VecDeque<Notice>>,
    ports: Rc<Ports>,
    pub(super) broadcasts: Rc<Broadcasts>,
    network: Network,
    pub(super) blob_urls: BlobUrls,
    pub(super) provenance: Provenance,
    closing: Cell<bool>,
    pub(super) clean_calls: CleanCalls,
    turn: Cell<u64>,
    progress: Arc<AtomicU64>,
    callback_depth: Cell<usize>,
    holds: Rc<Cell<usize>>,
    external_bytes: ExternalBytes,
    keepalive_bytes: Rc<Cell<u64>>,
    last_collection: Cell<Option<Instant>>,
}

impl LoopState {
    pub(super) fn new(
        handle: LoopHandle,
        options: Options,
        host: Rc<dyn LoopHost>,
    ) -> io::Result<Self> {
        Ok(Self {
            host,
            tasks: TaskQueue::default(),
            microtasks: MicrotaskQueue::default(),
            timers: Timers::default(),
            rejections: Rejections::default(),
            new_async_jobs: RefCell::default(),
            job_ids: JobIds::default(),
            running_job: Cell::new(None),
            ports: Ports::new(handle.mailbox().clone()),
            broadcasts: Broadcasts::new(handle.mailbox().clone(), &options),
            network: Network::new(handle.network().clone())?,
            handle,
            blob_urls: BlobUrls::new(),
            provenance: Provenance::default(),
            closing: Cell::new(false),
            clean_calls: CleanCalls::default(),
            arrivals: RefCell::default(),
            notices: RefCell::default(),
            turn: Cell::new(0),
            progress: Arc::default(),
            callback_depth: Cell::new(0),
            holds: Rc::default(),
            external_bytes: ExternalBytes::default(),
            keepalive_bytes: Rc::default(),
            last_collection: Cell::new(None),
            options,
        })
    }

    /// The state of the loop that `context` was built for.
    ///
    /// # Errors
    /// A `TypeError` if the context was not built with [`EventLoop::context_builder`](super::EventLoop::context_builder).
    pub fn of(context: &Context) -> JsResult<Rc<Self>> {
        context.downcast_job_executor::<Self>().ok_or_else(|| {
            JsNativeError::typ()
                .with_message("this context does not belong to an event loop")
                .into()
        })
    }

    /// [Queues a task](https://html.spec.whatwg.org/#queue-a-task) that runs after those already queued.
    pub fn queue_task(&self, source: TaskSource, steps: impl FnOnce(&mut Context) + 'static) {
        self.tasks.push(source, Box::new(steps));
    }

    /// [Runs steps after a timeout](https://html.spec.whatwg.org/#run-steps-after-a-timeout), as a task.
    pub fn run_after(
        &self,
        delay: Duration,
        steps: impl FnOnce(&mut Context) + 'static,
    ) -> TimerKey {
        self.timers
            .set(delay, Lifetime::KeepsLoopAlive, Box::new(steps))
    }

    /// The same if the loop still runs then; it is not kept running for this.
    pub fn run_after_in_background(
        &self,
        delay: Duration,
        steps: impl FnOnce(&mut Context) + 'static,
    ) -> TimerKey {
        self.timers
            .set(delay, Lifetime::Background, Box::new(steps))
    }

    /// Forgets a timer of [`run_after`](Self::run_after). Nothing happens if it has already run.
    pub fn cancel(&self, timer: TimerKey) {
        self.timers.cancel(timer);
    }

    /// The number of the task that is running. What must be stable within a task can be cached with it.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.turn.get()
    }

    /// The time by the clock that timers follow.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The job that will be queued next, if there are jobs that have not begun.
    pub(crate) fn next_job(&self) -> Option<JobId> {
        (!self.new_async_jobs.borrow().is_empty()).then(|| self.job_ids.peek())
    }

    /// Jobs have begun: if none is left that has not, it no longer matters what was revoked since it was queued.
    pub(super) fn forget_revoked(&self) {
        if self.new_async_jobs.borrow().is_empty() {
            self.blob_urls.forget_revoked();
        }
    }

    /// Waits for a future, driving the network meanwhile, without going back to the event loop. `None` if the agent is
    /// terminated before that.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> Option<F::Output> {
        self.network
            .drive_until(future, self.handle.interrupt().terminated())
    }

    /// [Close a worker](https://html.spec.whatwg.org/multipage/workers.html#close-a-worker): no further task runs.
    pub(crate) fn close_agent(&self) {
        self.closing.set(true);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// The blob URLs that the agent's scripts have made.
    pub(crate) fn blob_urls(&self) -> &BlobUrls {
        &self.blob_urls
    }

    /// The agent's connections.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// The agent's message ports.
    pub(crate) fn ports(&self) -> &Rc<Ports> {
        &self.ports
    }

    /// The agent's broadcast channels.
    pub(crate) fn broadcasts(&self) -> &Rc<Broadcasts> {
        &self.broadcasts
    }

    /// The way by which other threads reach this loop.
    #[must_use]
    pub fn handle(&self) -> &LoopHandle {
        &self.handle
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        self.handle.mailbox()
    }

    /// Whether this agent was stopped and runs no more script.
    pub(crate) fn is_terminated(&self) -> bool {
        self.handle.is_terminated()
    }

    /// Whether this is the agent that the embedder made, not a worker.
    pub(super) fn is_main(&self) -> bool {
        let mailbox = self.mailbox();
        mailbox.cluster().is_main(mailbox)
    }

    /// The options that the loop was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Keeps the loop running, though it has nothing to do, until the guard is dropped.
    pub fn hold(&self) -> KeepAlive {
        self.holds.set(self.holds.get() + 1);
        KeepAlive {
            holds: self.holds.clone(),
        }
    }

    /// Counts bytes that objects made by the platform hold outside the collector's sight (a message's payload in an
    /// `ArrayBuffer`). After each [`Options::external_memory_step`] bytes the loop collects garbage between two tasks.
    pub fn account_external(&self, bytes: usize) {
        self.external_bytes.add(bytes);
    }

    /// Runs `callback`, which calls into script, and then
    /// [cleans up](https://html.spec.whatwg.org/#clean-up-after-running-script): with no script left on the stack, that
    /// is a microtask checkpoint. Natives that call a listener or another callback do so through this.
    pub fn run_callback<R>(
        self: &Rc<Self>,
        context: &mut Context,
        callback: impl FnOnce(&mut Context) -> R,
    ) -> R {
        self.callback_depth.set(self.callback_depth.get() + 1);
        let result = callback(context);
        let depth = self.callback_depth.get() - 1;
        self.callback_depth.set(depth);
        // An embedder may have called script directly, so the engine's own stack counts too.
        if depth == 0 && context.stack_trace().next().is_none() {
            self.perform_microtask_checkpoint(context);
        }
        result
    }

    /// [Invokes a callback function](https://webidl.spec.whatwg.org/#invoke-a-callback-function) with "report" as
    /// exception behavior.
    pub fn invoke(
        self: &Rc<Self>,
        callback: &JsObject,
        this: &JsValue,
        arguments: &[JsValue],
        context: &mut Context,
    ) {
        self.run_callback(context, |context| {
            if let Err(error) = self.call(callback, this, arguments, context) {
                self.report_exception(error, context);
            }
        });
    }

    /// [Reports an exception](https://html.spec.whatwg.org/#report-the-exception) that no script caught.
    pub fn report_exception(&self, error: JsError, context: &mut Context) {
        self.host.report_exception(error, context);
    }

    /// Hands an error to the embedder's [`Options::error_reporter`].
    pub(crate) fn report_to_embedder(&self, error: &UncaughtError) {
        self.options.error_reporter.report(error);
    }

    /// Runs a task: its steps, then a microtask checkpoint.
    pub(super) fn run_task(
        self: &Rc<Self>,
        source: TaskSource,
        steps: impl FnOnce(&mut Context),
        context: &mut Context,
    ) {
        self.begin_task(source);
        steps(context);
        self.end_task(context);
    }

    /// What comes before the steps of a task.
    pub(super) fn begin_task(&self, source: TaskSource) {
        self.turn.set(self.turn.get() + 1);
        self.progress
            .store(self.turn.get() * 2 - 1, Ordering::Relaxed);
        tracing::trace!(target: "we::js", turn = self.turn.get(), ?source, "task");
    }

    /// What comes after the steps of a task.
    pub(super) fn end_task(self: &Rc<Self>, context: &mut Context) {
        self.perform_microtask_checkpoint(context);
        self.timers.leave_task();
        self.collect_external();
        self.progress.store(self.turn.get() * 2, Ordering::Relaxed);
    }

    /// How far the loop has come, for other threads and for signal handlers: an odd number while a task runs, another one for
    /// each task.
    #[must_use]
    pub fn progress(&self) -> &Arc<AtomicU64> {
        &self.progress
    }

    /// Forces a collection if that is due for the sake of external bytes.
    fn collect_external(&self) {
        let step = self.options.external_memory_step;
        if self.external_bytes.may_be_due(step) {
            let start = Instant::now();
            if self.external_bytes.is_due(step, start) {
                boa_gc::force_collect();
                self.external_bytes.collected(start, Instant::now());
            }
        }
    }

    /// Collects garbage for somebody who waits for what garbage holds: not more often than twice a second, however many
    /// ask.
    pub(crate) fn collect_now_and_then(&self) {
        let now = Instant::now();
        let is_recent = |last: Instant| now.duration_since(last) < COLLECTION_INTERVAL;
        if self.last_collection.get().is_some_and(is_recent) {
            return;
        }
        boa_gc::force_collect();
        self.last_collection.set(Some(Instant::now()));
    }

    /// How many bytes the requests with `keepalive` have that are under way.
    pub(crate) fn keepalive_bytes(&self) -> &Rc<Cell<u64>> {
        &self.keepalive_bytes
    }

    /// Forgets everything that is queued.
    pub(super) fn clear(&self) {
        self.tasks.clear();
        self.microtasks.clear();
        self.clean_calls.clear();
        self.timers.clear();
        self.rejections.clear();
        self.new_async_jobs.take();
        self.arrivals.take();
        self.notices.take();
    }

    /// Whether another agent could bring this one, which has nothing to do, to run script again: there are workers, or
    /// something listens for messages.
    pub(super) fn can_be_reached(&self) -> bool {
        self.handle.has_workers() || self.ports.any_listening() || self.broadcasts.any_listening()
    }

    /// Whether anything in here is still to run or keeps the loop running.
    pub(super) fn has_pending(&self) -> bool {
        self.holds.get() > 0
            || self.network.has_live_sockets()
            || self.timers.keep_loop_alive()
            || self.has_ready()
    }

    /// Whether anything in here can run at once.
    pub(super) fn has_ready(&self) -> bool {
        !self.tasks.is_empty()
            || !self.arrivals.borrow().is_empty()
            || !self.notices.borrow().is_empty()
            || !self.microtasks.is_empty()
            || !self.new_async_jobs.borrow().is_empty()
    }
}

/// Keeps a loop running for as long as it lives. See [`LoopState::hold`].
#[must_use = "the loop is kept running only as long as the guard lives"]
pub struct KeepAlive {
    holds: Rc<Cell<usize>>,
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.holds.set(self.holds.get() - 1);
    }
}

/// The engine's calls to its host.
impl HostHooks for LoopState {
    fn promise_rejection_tracker(
        &self,
        promise: &JsObject<Promise>,
        operation: OperationType,
        context: &mut Context,
    ) {
        if let Ok(state) = Self::of(context) {
            state.track_rejection(promise.clone().upcast(), operation, context);
        }
    }

    fn max_buffer_size(&self, _context: &mut Context) -> u64 {
        self.options.max_buffer_size
    }

    fn create_global_object(&self, intrinsics: &Intrinsics) -> JsObject {
        self.host.create_global_object(intrinsics)
    }
}
