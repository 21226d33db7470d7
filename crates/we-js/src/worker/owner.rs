//! [`Owner`]: the way from a worker to the agent that started it.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use boa_engine::{Context, js_string};

use super::owned::Workers;
use crate::{
    ErrorReporter,
    binding::This,
    dom::{EventTarget, dispatch::fire, report},
    event_loop::{LoopHandle, LoopState, TaskSource},
    uncaught::{UncaughtError, UncaughtErrorKind},
};

/// Names a worker; never used twice in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WorkerId(u64);

impl WorkerId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The agent that started a worker, as the worker knows it. As long as it lives, the owner counts the worker among
/// its own.
pub(super) struct Owner {
    address: Address,
}

/// Where to reach the object of a worker.
#[derive(Clone)]
pub(super) struct Address {
    owner: LoopHandle,
    worker: LoopHandle,
    id: WorkerId,
}

impl Owner {
    pub(super) fn new(owner: LoopHandle, worker: LoopHandle, id: WorkerId) -> Self {
        owner.add_worker(worker.clone());
        Self {
            address: Address { owner, worker, id },
        }
    }

    /// The handle of the worker's loop.
    pub(super) fn worker(&self) -> &LoopHandle {
        &self.address.worker
    }

    /// See [`Address::failed`].
    pub(super) fn failed(&self, problem: impl Display) {
        self.address.failed(problem);
    }

    /// Where to reach the object of the worker.
    pub(super) fn address(&self) -> Address {
        self.address.clone()
    }

    /// What becomes of errors that nothing in the worker handles.
    pub(super) fn error_reporter(&self) -> ErrorReporter {
        let address = self.address.clone();
        ErrorReporter::new(move |error| {
            let error = error.clone();
            match error.kind {
                // https://html.spec.whatwg.org/multipage/webappapis.html#report-an-exception, step 7 for workers
                UncaughtErrorKind::Exception => address.queue(move |target, context| {
                    report::report_worker_error(target.as_ref(), &error, context);
                }),
                // These concern the global object where they happened, or the `Worker` object there, and then the person
                // who runs the program.
                UncaughtErrorKind::Rejection
                | UncaughtErrorKind::Limit
                | UncaughtErrorKind::Worker => {
                    address.queue(move |_, context| report::tell_embedder(&error, context));
                }
            }
        })
    }
}

impl Address {
    /// The script could not be run: [run a worker][spec], step "If script is null".
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/workers.html#run-a-worker
    pub(super) fn failed(&self, problem: impl Display) {
        let message = problem.to_string();
        self.queue(move |target, context| {
            let mut is_heard = false;
            if let Some(target) = target {
                is_heard = target.state().has_listener(&[js_string!("error")]);
                if let Err(error) = fire(&target, js_string!("error"), context) {
                    report::report_exception(error, context);
                }
            }
            // The event does not tell what went wrong. Where nobody listens to it, the embedder should know at least that.
            let error = UncaughtError {
                kind: UncaughtErrorKind::Worker,
                message,
                stack: String::new(),
                position: None,
            };
            if is_heard {
                tracing::info!(target: "we::js", "worker: {error}");
            } else {
                report::tell_embedder(&error, context);
            }
        });
    }

    /// Queues a task of the owner's, which gets the `Worker` object if that still has something to hear: not if the worker
    /// has ended long ago. What a worker says that was terminated meanwhile, nobody hears.
    fn queue(&self, steps: impl FnOnce(Option<This<EventTarget>>, &mut Context) + Send + 'static) {
        let id = self.id;
        let worker = self.worker.clone();
        self.owner
            .queue_task(TaskSource::DomManipulation, move |context| {
                if worker.is_terminated() {
                    return;
                }
                let worker = Workers::of(context).get(id);
                let target =
                    worker.and_then(|worker| This::from_object(worker.object.object().clone()));
                steps(target, context);
            });
    }
}

/// The worker has ended, whichever way.
impl Drop for Owner {
    fn drop(&mut self) {
        let Address { owner, worker, .. } = &self.address;
        worker.retire();
        owner.remove_worker(worker);
    }
}

/// Whether the agent of this context has been told to run no more script.
pub(super) fn is_terminated(context: &Context) -> bool {
    LoopState::of(context).is_ok_and(|state| state.is_terminated())
}
