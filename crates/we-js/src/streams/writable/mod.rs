//! `WritableStream` and the algorithms that work on it: <https://streams.spec.whatwg.org/#ws>
//!
//! There is one kind of controller, so its slots are among the stream's. [`WritableStream`] is a handle of which any
//! number may exist; the object that a script sees is made when one is asked for.

mod controller;
mod interface;
mod sink;
mod writer;

use std::collections::VecDeque;

use boa_engine::{Context, JsData, JsError, JsNativeError, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use sink::Sink;
pub(crate) use sink::UnderlyingSink;
pub(super) use writer::Writer;

use super::{queue::Queue, strategy::Strategy};
use crate::binding::{self, Promise, register, type_error};

pub(super) fn install(context: &mut Context) -> JsResult<()> {
    register::<WritableStream>(context)?;
    register::<writer::Writer>(context)?;
    register::<controller::WritableStreamDefaultController>(context)
}

/// A writable stream. Clones are the same stream.
#[derive(Clone, Trace, Finalize, JsData)]
pub(crate) struct WritableStream(Gc<GcRefCell<State>>);

/// `[[state]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Writable,
    Closed,
    Erroring,
    Errored,
}

/// The slots of a `WritableStream` and of its `WritableStreamDefaultController`.
#[derive(Trace, Finalize)]
struct State {
    /// `[[Detached]]`: it was transferred.
    detached: bool,
    #[unsafe_ignore_trace]
    status: Status,
    stored_error: JsValue,
    writer: Option<Writer>,
    write_requests: VecDeque<Promise>,
    in_flight_write: Option<Promise>,
    close_request: Option<Promise>,
    in_flight_close: Option<Promise>,
    pending_abort: Option<AbortRequest>,
    backpressure: bool,
    // The controller's slots.
    started: bool,
    queue: Queue<Entry>,
    strategy: Strategy,
    /// The algorithms, until they are not needed any more.
    sink: Option<Sink>,
    /// The signal of `[[abortController]]`, made when a script asks for it.
    signal: Option<JsObject>,
    /// What the signal was aborted with, or is to be aborted with when it is made.
    aborted_with: Option<JsValue>,
    // The objects that scripts see.
    object: Option<JsObject>,
    controller_object: Option<JsObject>,
}

/// What waits in the queue: a chunk, or the close sentinel.
#[derive(Clone, Trace, Finalize)]
#[boa_gc(unsafe_no_drop)]
enum Entry {
    Chunk(JsValue),
    Close,
}

/// A [pending abort request](https://streams.spec.whatwg.org/#pending-abort-request)
#[derive(Clone, Trace, Finalize)]
struct AbortRequest {
    promise: Promise,
    reason: JsValue,
    was_already_erroring: bool,
}

impl WritableStream {
    /// A stream whose sink is not set up yet. <https://streams.spec.whatwg.org/#initialize-writable-stream>
    fn initialize(strategy: Strategy) -> Self {
        Self(Gc::new(GcRefCell::new(State {
            status: Status::Writable,
            stored_error: JsValue::undefined(),
            writer: None,
            write_requests: VecDeque::new(),
            in_flight_write: None,
            close_request: None,
            in_flight_close: None,
            pending_abort: None,
            backpressure: false,
            started: false,
            queue: Queue::default(),
            strategy,
            sink: None,
            signal: None,
            aborted_with: None,
            detached: false,
            object: None,
            controller_object: None,
        })))
    }

    /// Makes a stream that writes to `sink`, which takes chunks as soon as `start` is fulfilled.
    ///
    /// <https://streams.spec.whatwg.org/#create-writable-stream>
    pub(crate) fn new(
        sink: impl UnderlyingSink,
        start: &Promise,
        strategy: Strategy,
        context: &mut Context,
    ) -> JsResult<Self> {
        let stream = Self::initialize(strategy);
        stream.set_up(Sink::new(sink))?;
        stream.start(start, context)?;
        Ok(stream)
    }

    /// The object that scripts see, the same each time.
    pub(crate) fn object(&self, context: &mut Context) -> JsResult<JsObject> {
        if let Some(object) = &self.0.borrow().object {
            return Ok(object.clone());
        }
        let object = binding::create::<Self>(self.clone(), context)?;
        self.0.borrow_mut().object = Some(object.object().clone());
        Ok(object.object().clone())
    }

    /// Whether both are the same stream.
    fn is(&self, other: &Self) -> bool {
        Gc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn status(&self) -> Status {
        self.0.borrow().status
    }

    pub(super) fn stored_error(&self) -> JsValue {
        self.0.borrow().stored_error.clone()
    }

    /// Whether it was transferred, which cannot be done twice.
    pub(super) fn is_detached(&self) -> bool {
        self.0.borrow().detached
    }

    pub(super) fn set_detached(&self) {
        self.0.borrow_mut().detached = true;
    }

    /// <https://streams.spec.whatwg.org/#is-writable-stream-locked>
    pub(crate) fn is_locked(&self) -> bool {
        self.0.borrow().writer.is_some()
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-abort>
    pub(super) fn abort(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        // 1.
        if matches!(self.status(), Status::Closed | Status::Errored) {
            return Ok(Promise::fulfilled());
        }
        // 2. This runs script.
        self.signal_abort(&reason, context)?;
        // 3. to 9.
        let (promise, was_already_erroring) = {
            let mut state = self.0.borrow_mut();
            if matches!(state.status, Status::Closed | Status::Errored) {
                return Ok(Promise::fulfilled());
            }
            if let Some(pending) = &state.pending_abort {
                return Ok(pending.promise.clone());
            }
            let was_already_erroring = state.status == Status::Erroring;
            let promise = Promise::new();
            state.pending_abort = Some(AbortRequest {
                promise: promise.clone(),
                reason: if was_already_erroring {
                    JsValue::undefined()
                } else {
                    reason.clone()
                },
                was_already_erroring,
            });
            (promise, was_already_erroring)
        };
        // 10.
        if !was_already_erroring {
            self.start_erroring(reason, context)?;
        }
        // 11.
        Ok(promise)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-close>
    pub(super) fn close(&self, context: &mut Context) -> JsResult<Promise> {
        // 1., 2.
        let status = self.status();
        if matches!(status, Status::Closed | Status::Errored) {
            let reason = type_error("the stream is closed or errored", context);
            return Ok(Promise::rejected(reason));
        }
        // 5., 6.
        let promise = Promise::new();
        let ready = {
            let mut state = self.0.borrow_mut();
            state.close_request = Some(promise.clone());
            let applies = state.backpressure && status == Status::Writable;
            state.writer.as_ref().filter(|_| applies).map(Writer::ready)
        };
        // 7., 8.
        if let Some(ready) = ready {
            ready.resolve(JsValue::undefined(), context)?;
        }
        // 9.
        self.controller_close(context)?;
        // 10.
        Ok(promise)
    }

    /// The `close()` of scripts and writers, which a stream that is closing refuses.
    fn close_unless_closing(&self, context: &mut Context) -> JsResult<Promise> {
        if self.close_queued_or_in_flight() {
            let reason = type_error("the stream is already being closed", context);
            return Ok(Promise::rejected(reason));
        }
        self.close(context)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-add-write-request>
    fn add_write_request(&self) -> Promise {
        let promise = Promise::new();
        self.0
            .borrow_mut()
            .write_requests
            .push_back(promise.clone());
        promise
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-close-queued-or-in-flight>
    pub(super) fn close_queued_or_in_flight(&self) -> bool {
        let state = self.0.borrow();
        state.close_request.is_some() || state.in_flight_close.is_some()
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-deal-with-rejection>
    fn deal_with_rejection(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        if self.status() == Status::Writable {
            return self.start_erroring(error, context);
        }
        self.finish_erroring(context)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-start-erroring>
    fn start_erroring(&self, reason: JsValue, context: &mut Context) -> JsResult<()> {
        // 1. to 7.
        let writer = {
            let mut state = self.0.borrow_mut();
            state.status = Status::Erroring;
            state.stored_error = reason.clone();
            state.writer.clone()
        };
        // 8.
        if let Some(writer) = writer {
            writer.ensure_ready_rejected(reason, context)?;
        }
        // 9.
        let finishes = {
            let state = self.0.borrow();
            state.in_flight_write.is_none() && state.in_flight_close.is_none() && state.started
        };
        if finishes {
            self.finish_erroring(context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-finish-erroring>
    fn finish_erroring(&self, context: &mut Context) -> JsResult<()> {
        // 1. to 7., with the controller's [[ErrorSteps]]
        let (stored_error, requests, abort) = {
            let mut state = self.0.borrow_mut();
            state.status = Status::Errored;
            state.queue.reset();
            (
                state.stored_error.clone(),
                std::mem::take(&mut state.write_requests),
                state.pending_abort.take(),
            )
        };
        for request in requests {
            request.reject(stored_error.clone(), context)?;
        }
        // 8.
        let Some(abort) = abort else {
            return self.reject_close_and_closed_if_needed(context);
        };
        // 9. to 11.
        if abort.was_already_erroring {
            abort.promise.reject(stored_error, context)?;
            return self.reject_close_and_closed_if_needed(context);
        }
        // 12.
        let promise = self.abort_steps(abort.reason.clone(), context)?;
        // 13., 14.
        promise.react(
            (self.clone(), abort.promise.clone()),
            |(stream, request), outcome, context| {
                match outcome {
                    Ok(_) => request.resolve(JsValue::undefined(), context)?,
                    Err(reason) => request.reject(reason, context)?,
                }
                stream.reject_close_and_closed_if_needed(context)
            },
            context,
        )
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-finish-in-flight-close>
    fn finish_in_flight_close(&self, context: &mut Context) -> JsResult<()> {
        let (request, abort, writer) = {
            let mut state = self.0.borrow_mut();
            let request = state.in_flight_close.take();
            let mut abort = None;
            if state.status == Status::Erroring {
                state.stored_error = JsValue::undefined();
                abort = state.pending_abort.take();
            }
            state.status = Status::Closed;
            (request, abort, state.writer.clone())
        };
        let promises = [
            request,
            abort.map(|abort| abort.promise.clone()),
            writer.map(|writer| writer.closed()),
        ];
        for promise in promises.into_iter().flatten() {
            promise.resolve(JsValue::undefined(), context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-finish-in-flight-close-with-error>
    fn finish_in_flight_close_with_error(
        &self,
        error: JsValue,
        context: &mut Context,
    ) -> JsResult<()> {
        let (request, abort) = {
            let mut state = self.0.borrow_mut();
            (state.in_flight_close.take(), state.pending_abort.take())
        };
        let promises = [request, abort.map(|abort| abort.promise.clone())];
        for promise in promises.into_iter().flatten() {
            promise.reject(error.clone(), context)?;
        }
        self.deal_with_rejection(error, context)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-reject-close-and-closed-promise-if-needed>
    fn reject_close_and_closed_if_needed(&self, context: &mut Context) -> JsResult<()> {
        let (request, writer, stored_error) = {
            let mut state = self.0.borrow_mut();
            (
                state.close_request.take(),
                state.writer.clone(),
                state.stored_error.clone(),
            )
        };
        if let Some(request) = request {
            request.reject(stored_error.clone(), context)?;
        }
        if let Some(writer) = writer {
            let closed = writer.closed();
            closed.mark_as_handled();
            closed.reject(stored_error, context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-update-backpressure>
    fn update_backpressure(&self, backpressure: bool, context: &mut Context) -> JsResult<()> {
        let (before, writer) = {
            let mut state = self.0.borrow_mut();
            (
                std::mem::replace(&mut state.backpressure, backpressure),
                state.writer.clone(),
            )
        };
        match writer {
            Some(writer) if backpressure && !before => writer.set_ready(Promise::new()),
            Some(writer) if before && !backpressure => {
                writer.ready().resolve(JsValue::undefined(), context)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// The error for a stream that somebody else writes to.
fn locked() -> JsError {
    JsNativeError::typ()
        .with_message("the WritableStream is locked to a writer")
        .into()
}
