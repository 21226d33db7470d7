//! The event loop of an agent: <https://html.spec.whatwg.org/#event-loops>.
//!
//! An agent is one thread with one Boa [`Context`]. Its loop runs tasks, due timers and the engine's jobs, each
//! followed by a microtask checkpoint, and then waits, in one place and for everything at once: the next timer,
//! other threads ([`LoopHandle`]) and the network. While it waits, its thread drives the network.
//!
//! An embedder makes an [`EventLoop`], builds a context with it and runs it:
//!
//! ```
//! use boa_engine::Source;
//! use we_js::{EventLoop, Options};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let event_loop = EventLoop::new(Options::default())?;
//! let mut context = event_loop.context_builder().build()?;
//! event_loop.install(&mut context)?;
//! context.eval(Source::from_bytes("setTimeout(() => { globalThis.done = true }, 1)"))?;
//! event_loop.run(&mut context)?;
//! assert_eq!(context.eval(Source::from_bytes("done"))?.as_boolean(), Some(true));
//! # Ok(())
//! # }
//! ```
//!
//! JavaScript values belong to their thread, and the engine frees them when it ends: keep neither a loop nor a context
//! in a `thread_local!`.

mod async_jobs;
mod clean_call;
mod cluster;
mod external_bytes;
mod globals;
mod handle;
mod host;
mod interrupt;
mod jobs;
mod mailbox;
mod modules;
mod options;
mod provenance;
mod rejections;
mod scripts;
mod state;
mod tasks;
mod timers;

#[cfg(test)]
pub(crate) mod tests;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use boa_engine::context::ContextBuilder;
use boa_engine::{Context, JsResult};

pub(crate) use self::async_jobs::JobId;
pub(crate) use self::clean_call::{TRAMPOLINE_SOURCE, call, call_cleanly};
pub(crate) use self::cluster::Cluster;
pub use self::handle::LoopHandle;
pub(crate) use self::host::{EventResult, LoopHost};
pub(crate) use self::mailbox::Mailbox;
pub(crate) use self::modules::file_url;
pub use self::options::{FileAccess, Options, WorkerSetup};
pub(crate) use self::scripts::syntax_error;
pub use self::scripts::{Evaluation, ScriptError, ScriptKind};
pub(crate) use self::state::COLLECTION_INTERVAL;
pub use self::state::{KeepAlive, LoopState};
pub use self::tasks::TaskSource;
pub use self::timers::TimerKey;

use self::async_jobs::RunningJobs;
use self::cluster::Last;

/// How many events of sockets, and how many messages of ports, are delivered before the loop looks at its timers and other
/// tasks again, so that a flood of messages does not starve them.
const ARRIVALS_PER_TURN: usize = 128;

/// After so many events of sockets what scripts have answered is sent, and not only at the end of the turn: the peer works
/// on the first answers while the loop makes the next ones.
const ARRIVALS_PER_WRITE: usize = 32;

/// How long a program that is over goes on for the sake of workers that were terminated and have not ended.
const GRACE_TIME: Duration = Duration::from_millis(200);

/// How long a loop that shuts down waits for its peers to answer the Close frames.
const SHUTDOWN_TIME: Duration = Duration::from_secs(2);

/// An agent's event loop. See the [module](self).
pub struct EventLoop {
    state: Rc<LoopState>,
}

/// Why [`EventLoop::run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Nothing was left to do or to wait for.
    Idle,
    /// [`LoopHandle::request_shutdown`] was called.
    ShutDown,
    /// [`LoopHandle::terminate`] was called. The context runs no more script.
    Terminated,
    /// The agent is a worker's that closed itself.
    Closed,
}

/// Why [`EventLoop::run`] could not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The context has other jobs, timers and hooks than this loop's.
    #[error("the context was not built with this event loop's context_builder()")]
    ForeignContext,
}

impl EventLoop {
    /// Makes a loop under an event layer. (Embedders call `EventLoop::new`, of the platform.)
    pub(crate) fn with_host(options: Options, host: Rc<dyn LoopHost>) -> io::Result<Self> {
        Self::with_handle(LoopHandle::new(None), options, host)
    }

    /// Makes the loop that `handle` has been made for.
    pub(crate) fn with_handle(
        handle: LoopHandle,
        options: Options,
        host: Rc<dyn LoopHost>,
    ) -> io::Result<Self> {
        Ok(Self {
            state: Rc::new(LoopState::new(handle, options, host)?),
        })
    }

    /// A builder for the loop's context, with the loop's job executor, host hooks and module loader in place. More may be
    /// set on it, and another module loader, but the first two must stay.
    #[must_use]
    pub fn context_builder(&self) -> ContextBuilder {
        ContextBuilder::new()
            .job_executor(self.state.clone())
            .host_hooks(self.state.clone())
            .module_loader(Self::module_loader())
    }

    /// Defines the functions that are the loop's own: timers and `queueMicrotask`.
    pub(crate) fn install_globals(context: &mut Context) -> JsResult<()> {
        globals::install(context)
    }

    /// A handle by which other threads reach this loop.
    #[must_use]
    pub fn handle(&self) -> LoopHandle {
        self.state.handle.clone()
    }

    /// Runs until nothing is left: no task, no timer, no asynchronous job, no open connection, no
    /// [`KeepAlive`] guard, here or in a worker.
    ///
    /// While it waits it drives the loop's tokio runtime, so it cannot be called from inside an `async` function that a tokio
    /// runtime runs: there it panics. Give the loop a thread of its own.
    ///
    /// After a shutdown the loop makes no further connections.
    ///
    /// Errors of scripts do not end it; they are reported to [`Options::error_reporter`].
    ///
    /// A finalization registry that a script made calls back during the run in which it was made and not in later
    /// ones.
    ///
    /// # Errors
    /// [`RunError::ForeignContext`] if the context was not built by this loop.
    pub fn run(&self, context: &mut Context) -> Result<Finished, RunError> {
        let state = &self.state;
        if !LoopState::of(context).is_ok_and(|own| Rc::ptr_eq(&own, state)) {
            return Err(RunError::ForeignContext);
        }
        Ok(state
            .handle
            .interrupt()
            .while_armed(context, |context| self.run_armed(context)))
    }

    fn run_armed(&self, context: &mut Context) -> Finished {
        let state = &self.state;
        state.mailbox().become_active();
        // Script that was evaluated before the loop ran may have left microtasks.
        state.perform_microtask_checkpoint(context);

        let mut grace = None;
        let context = RefCell::new(context);
        let mut jobs = RunningJobs::new(&context, state.mailbox());
        loop {
            let mail = state.mailbox().take();
            state.arrivals.borrow_mut().append(mail.arrivals);
            state.notices.borrow_mut().extend(mail.notices);
            if state.is_terminated() {
                self.shut_down();
                return Finished::Terminated;
            }
            if mail.shutdown {
                self.shut_down();
                return Finished::ShutDown;
            }
            if state.is_closing() {
                self.shut_down();
                return Finished::Closed;
            }
            for (source, steps) in mail.tasks {
                state.queue_task(source, steps);
            }

            self.run_tasks(&context);
            self.deliver_arrivals(&context);
            self.deliver_notices(&context);
            self.run_due_timers(&context);
            self.run_async_jobs(&mut jobs, mail.woken_jobs, &context);

            let network = state.network();
            let more_to_do = state.has_ready()
                || !state.mailbox().is_empty()
                || state.timers.any_due()
                || state.is_closing();
            if more_to_do {
                if network.has_open_sockets() || !jobs.is_empty() {
                    network.pass_by();
                }
            } else if state.has_pending() || jobs.keep_loop_alive() {
                network.wait(state.timers.next_due());
            } else {
                // The mailbox last: a worker leaves its last words there before it goes.
                if !state.is_main() && !state.can_be_reached() && state.mailbox().is_empty() {
                    return Finished::Idle;
                }
                match state.mailbox().become_idle() {
                    // Another agent may have something for this one.
                    Last::No => network.wait(state.timers.next_due()),
                    Last::Yes if state.is_main() => {
                        let now = Instant::now();
                        let grace = *grace.get_or_insert(now + GRACE_TIME);
                        if now >= grace || !state.handle.has_ending_workers() {
                            return Finished::Idle;
                        }
                        network.wait(Some(grace));
                        state.mailbox().become_active();
                    }
                    Last::Yes => state.mailbox().cluster().tell_main(),
                }
            }
        }
    }

    /// Closes the connections and waits until they are closed. Scripts are not told.
    fn shut_down(&self) {
        let network = self.state.network();
        network.shared().go_away();
        self.state.handle.terminate_workers();
        let deadline = Instant::now() + SHUTDOWN_TIME;
        network.drop_arrivals(self.state.arrivals.take());
        while network.has_open_sockets() && Instant::now() < deadline {
            network.wait(Some(deadline));
            // No script is told, but a connection that had paused has to read on, to the peer's Close frame.
            network.drop_arrivals(self.state.mailbox().take().arrivals);
        }
        self.state.handle.wait_for_workers(deadline);
        self.state.clear();
    }

    /// Whether no further task runs: this was found out since the turn began.
    fn is_over(&self) -> bool {
        self.state.is_terminated() || self.state.is_closing()
    }

    /// Runs the tasks that are queued now; those that they queue have to wait for the next turn.
    fn run_tasks(&self, context: &RefCell<&mut Context>) {
        for _ in 0..self.state.tasks.len() {
            let Some(task) = self.state.tasks.pop() else {
                return;
            };
            if self.is_over() {
                return;
            }
            self.state
                .run_task(task.source, task.steps, &mut context.borrow_mut());
        }
    }

    /// Delivers events of sockets: all that have arrived, but no more than [`ARRIVALS_PER_TURN`] at a time, and none while
    /// a timer is kept waiting.
    fn deliver_arrivals(&self, context: &RefCell<&mut Context>) {
        let state = &self.state;
        for delivered in 0..ARRIVALS_PER_TURN {
            if self.is_over() {
                return;
            }
            if delivered % ARRIVALS_PER_WRITE == 0 && delivered > 0 {
                state.network().pass_by_with_commands();
            }
            let next = state
                .network()
                .take_arrival(&mut state.arrivals.borrow_mut());
            let Some((delivering, event)) = next else {
                return;
            };
            let id = delivering.id();
            let steps = |context: &mut Context| state.host.deliver_socket_event(id, event, context);
            state.run_task(TaskSource::WebSocket, steps, &mut context.borrow_mut());
            state.network().has_told(delivering);
            if state.timers.any_due() {
                return;
            }
        }
    }

    /// Delivers what ports have been sent, within the same bounds.
    fn deliver_notices(&self, context: &RefCell<&mut Context>) {
        let state = &self.state;
        for _ in 0..ARRIVALS_PER_TURN {
            if self.is_over() {
                return;
            }
            let Some(notice) = state.notices.borrow_mut().pop_front() else {
                return;
            };
            let steps = |context: &mut Context| state.host.deliver_notice(notice, context);
            state.run_task(TaskSource::PostedMessage, steps, &mut context.borrow_mut());
            if state.timers.any_due() {
                return;
            }
        }
    }

    /// Runs the timers that are due now.
    fn run_due_timers(&self, context: &RefCell<&mut Context>) {
        if !self.state.timers.any_due() {
            return;
        }
        // It may have been one in the background that ended the wait of an idle agent.
        self.state.mailbox().become_active();
        let batch = self.state.timers.due_batch(Instant::now());
        while !self.is_over()
            && let Some(steps) = self.state.timers.pop_due(batch)
        {
            self.state
                .run_task(TaskSource::Timer, steps, &mut context.borrow_mut());
        }
    }

    /// Begins the asynchronous jobs that have been queued and goes on with those that were woken.
    fn run_async_jobs<'a>(
        &self,
        jobs: &mut RunningJobs<'a>,
        mut ready: Vec<JobId>,
        context: &'a RefCell<&'a mut Context>,
    ) {
        let new = std::mem::take(&mut *self.state.new_async_jobs.borrow_mut());
        ready.extend(new.into_iter().map(|job| jobs.begin(job)));
        if ready.is_empty() {
            return;
        }
        // A native's future may use tokio's sockets and timers.
        self.state
            .network()
            .within(|| self.poll_async_jobs(jobs, ready, context));
        self.state.forget_revoked();
    }

    fn poll_async_jobs<'a>(
        &self,
        jobs: &mut RunningJobs<'a>,
        ready: Vec<JobId>,
        context: &'a RefCell<&'a mut Context>,
    ) {
        for id in ready {
            if self.is_over() {
                return;
            }
            self.state.begin_task(TaskSource::JavaScriptEngine);
            // The job borrows the context as it pleases, so it must not be borrowed here.
            self.state.running_job.set(Some(id));
            let result = jobs.poll(id);
            self.state.running_job.set(None);
            let context = &mut context.borrow_mut();
            if let Some(Err(error)) = result {
                self.state.report_exception(error, context);
            }
            self.state.end_task(context);
        }
    }
}

/// Runs `callback`, which calls into script, as [`LoopState::run_callback`] does; in a context without a loop it just
/// runs.
pub(crate) fn run_callback<R>(
    context: &mut Context,
    callback: impl FnOnce(&mut Context) -> R,
) -> R {
    match LoopState::of(context) {
        Ok(state) => state.run_callback(context, callback),
        Err(_) => callback(context),
    }
}

/// [`LoopState::queue_task`] of the context's loop.
pub(crate) fn queue_task(
    source: TaskSource,
    steps: impl FnOnce(&mut Context) + 'static,
    context: &Context,
) -> JsResult<()> {
    LoopState::of(context)?.queue_task(source, steps);
    Ok(())
}

/// [`LoopState::account_external`] of the context's loop, if it has one.
pub(crate) fn account_external(bytes: usize, context: &Context) {
    if let Ok(state) = LoopState::of(context) {
        state.account_external(bytes);
    }
}

/// What is still queued may own the loop's state, and script objects with it: it goes with the loop. So do the
/// connections, the message ports, the broadcast channels and the blob URLs, though the context may live on.
impl Drop for EventLoop {
    fn drop(&mut self) {
        let handle = &self.state.handle;
        if handle.has_workers() {
            handle.terminate_workers();
            handle.wait_for_workers(Instant::now() + SHUTDOWN_TIME);
        }
        self.state.clear();
        self.state.ports().close();
        self.state.broadcasts().close();
        self.state.network().abandon();
        self.state.blob_urls().remove_all();
        handle.mailbox().close();
        // A worker goes on to count until all has been told of its end.
        if self.state.is_main() {
            handle.retire();
        }
    }
}
