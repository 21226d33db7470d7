//! `WritableStreamDefaultController`: <https://streams.spec.whatwg.org/#ws-default-controller-class>

use boa_engine::{Context, JsArgs, JsData, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Trace};

use super::{Entry, Sink, Status, WritableStream};
use crate::{
    abort::{AbortSignal, signal_abort},
    binding::{self, Definition, Interface, PlatformObject, Promise, This, thrown},
};

/// The object that an underlying sink is given: the stream's controller, whose slots are the stream's.
#[derive(Trace, Finalize, JsData)]
pub(super) struct WritableStreamDefaultController {
    stream: WritableStream,
}

impl PlatformObject for WritableStreamDefaultController {}

impl Interface for WritableStreamDefaultController {
    const NAME: &'static str = "WritableStreamDefaultController";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.readonly("signal", |this, context| {
            let stream = this.state().stream.clone();
            stream.signal(context)
        });
        idl.operation("error", 0, |this, args, context| {
            let stream = this.state().stream.clone();
            stream.error_if_needed(args.get_or_undefined(0).clone(), context)?;
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#ws-default-controller-abstract-ops>
impl WritableStream {
    /// The controller's object, the same each time.
    pub(super) fn controller_object(&self, context: &mut Context) -> JsResult<JsObject> {
        if let Some(object) = &self.0.borrow().controller_object {
            return Ok(object.clone());
        }
        let root = WritableStreamDefaultController {
            stream: self.clone(),
        };
        let object = binding::create::<WritableStreamDefaultController>(root, context)?;
        self.0.borrow_mut().controller_object = Some(object.object().clone());
        Ok(object.object().clone())
    }

    /// The signal of `[[abortController]]`.
    fn signal(&self, context: &mut Context) -> JsResult<JsObject> {
        if let Some(signal) = &self.0.borrow().signal {
            return Ok(signal.clone());
        }
        let signal = AbortSignal::create(context)?;
        let aborted_with = {
            let mut state = self.0.borrow_mut();
            state.signal = Some(signal.object().clone());
            state.aborted_with.clone()
        };
        if let Some(reason) = aborted_with {
            signal_abort(&signal, &reason, context)?;
        }
        Ok(signal.object().clone())
    }

    /// "Signal abort on controller.[[abortController]] with reason."
    pub(super) fn signal_abort(&self, reason: &JsValue, context: &mut Context) -> JsResult<()> {
        let (signal, sink) = {
            let mut state = self.0.borrow_mut();
            if state.aborted_with.is_none() {
                state.aborted_with = Some(reason.clone());
            }
            (state.signal.clone(), state.sink.clone())
        };
        if let Some(sink) = sink {
            sink.signal_abort(reason, context)?;
        }
        match signal.and_then(This::<AbortSignal>::from_object) {
            Some(signal) => signal_abort(&signal, reason, context),
            None => Ok(()),
        }
    }

    /// <https://streams.spec.whatwg.org/#set-up-writable-stream-default-controller> steps 1 to 14
    pub(super) fn set_up(&self, sink: Sink) -> JsResult<()> {
        let mut state = self.0.borrow_mut();
        state.sink = Some(sink);
        state.backpressure = state.strategy.high_water_mark - state.queue.total_size() <= 0.0;
        Ok(())
    }

    /// The steps 15 to 18.
    pub(super) fn start(&self, promise: &Promise, context: &mut Context) -> JsResult<()> {
        promise.react(
            self.clone(),
            |stream, outcome, context| {
                stream.0.borrow_mut().started = true;
                match outcome {
                    Ok(_) => stream.advance_queue_if_needed(context),
                    Err(reason) => stream.deal_with_rejection(reason, context),
                }
            },
            context,
        )
    }

    /// `[[AbortSteps]]`: <https://streams.spec.whatwg.org/#ws-default-controller-private-abort>
    pub(super) fn abort_steps(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let sink = self.0.borrow().sink.clone();
        let result = match sink {
            Some(sink) => sink.abort(reason, self, context),
            None => Ok(Promise::fulfilled()),
        };
        self.clear_algorithms();
        result
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-clear-algorithms>
    fn clear_algorithms(&self) {
        let sink = self.0.borrow_mut().sink.take();
        drop(sink);
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-close>
    pub(super) fn controller_close(&self, context: &mut Context) -> JsResult<()> {
        self.0.borrow_mut().queue.enqueue(Entry::Close, 0.0)?;
        self.advance_queue_if_needed(context)
    }

    /// Makes the stream fail, unless it is closed or has failed.
    ///
    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-error-if-needed>
    pub(crate) fn error_if_needed(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        if self.status() != Status::Writable {
            return Ok(());
        }
        // https://streams.spec.whatwg.org/#writable-stream-default-controller-error
        self.clear_algorithms();
        self.start_erroring(error, context)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-get-desired-size>
    pub(super) fn controller_desired_size(&self) -> f64 {
        let state = self.0.borrow();
        state.strategy.high_water_mark - state.queue.total_size()
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-get-chunk-size>
    pub(super) fn chunk_size(&self, chunk: &JsValue, context: &mut Context) -> JsResult<f64> {
        // 1.
        let size = {
            let state = self.0.borrow();
            match state.sink {
                Some(_) => state.strategy.size.clone(),
                None => return Ok(1.0),
            }
        };
        // 2. to 4.
        match size.measure(chunk, context) {
            Ok(size) => Ok(size),
            Err(error) => {
                let error = thrown(error, context)?;
                self.error_if_needed(error, context)?;
                Ok(1.0)
            }
        }
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-write>
    pub(super) fn controller_write(
        &self,
        chunk: JsValue,
        size: f64,
        context: &mut Context,
    ) -> JsResult<()> {
        // 1., 2.
        let enqueued = self.0.borrow_mut().queue.enqueue(Entry::Chunk(chunk), size);
        if let Err(error) = enqueued {
            let error = thrown(error, context)?;
            return self.error_if_needed(error, context);
        }
        // 3., 4.
        self.update_backpressure_if_open(context)?;
        // 5.
        self.advance_queue_if_needed(context)
    }

    fn update_backpressure_if_open(&self, context: &mut Context) -> JsResult<()> {
        if !self.close_queued_or_in_flight() && self.status() == Status::Writable {
            let backpressure = self.controller_desired_size() <= 0.0;
            self.update_backpressure(backpressure, context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-advance-queue-if-needed>
    fn advance_queue_if_needed(&self, context: &mut Context) -> JsResult<()> {
        // 1. to 8.
        let entry = {
            let state = self.0.borrow();
            if !state.started || state.in_flight_write.is_some() {
                return Ok(());
            }
            match state.status {
                Status::Erroring => None,
                Status::Closed | Status::Errored => return Ok(()),
                Status::Writable => match state.queue.peek() {
                    Some(entry) => Some(entry.clone()),
                    None => return Ok(()),
                },
            }
        };
        match entry {
            // 6.
            None => self.finish_erroring(context),
            // 9., 10.
            Some(Entry::Close) => self.process_close(context),
            Some(Entry::Chunk(chunk)) => self.process_write(chunk, context),
        }
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-process-close>
    fn process_close(&self, context: &mut Context) -> JsResult<()> {
        // 1. to 4.
        let sink = {
            let mut state = self.0.borrow_mut();
            state.in_flight_close = state.close_request.take();
            state.queue.dequeue();
            state.sink.clone()
        };
        // 5.
        let promise = match sink {
            Some(sink) => sink.close(self, context)?,
            None => Promise::fulfilled(),
        };
        // 6.
        self.clear_algorithms();
        // 7., 8.
        promise.react(
            self.clone(),
            |stream, outcome, context| match outcome {
                Ok(_) => stream.finish_in_flight_close(context),
                Err(reason) => stream.finish_in_flight_close_with_error(reason, context),
            },
            context,
        )
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-controller-process-write>
    fn process_write(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        // 1., 2.
        let sink = {
            let mut state = self.0.borrow_mut();
            state.in_flight_write = state.write_requests.pop_front();
            state.sink.clone()
        };
        // 3.
        let promise = match sink {
            Some(sink) => sink.write(chunk, self, context)?,
            None => Promise::fulfilled(),
        };
        // 4., 5.
        promise.react(
            self.clone(),
            |stream, outcome, context| match outcome {
                Ok(_) => stream.write_succeeded(context),
                Err(reason) => stream.write_failed(reason, context),
            },
            context,
        )
    }

    fn write_succeeded(&self, context: &mut Context) -> JsResult<()> {
        // https://streams.spec.whatwg.org/#writable-stream-finish-in-flight-write
        let request = self.0.borrow_mut().in_flight_write.take();
        if let Some(request) = request {
            request.resolve(JsValue::undefined(), context)?;
        }
        self.0.borrow_mut().queue.dequeue();
        self.update_backpressure_if_open(context)?;
        self.advance_queue_if_needed(context)
    }

    fn write_failed(&self, reason: JsValue, context: &mut Context) -> JsResult<()> {
        if self.status() == Status::Writable {
            self.clear_algorithms();
        }
        // https://streams.spec.whatwg.org/#writable-stream-finish-in-flight-write-with-error
        let request = self.0.borrow_mut().in_flight_write.take();
        if let Some(request) = request {
            request.reject(reason.clone(), context)?;
        }
        self.deal_with_rejection(reason, context)
    }
}
