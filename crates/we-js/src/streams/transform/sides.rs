//! The two sides of a transform stream, as sink and source:
//! <https://streams.spec.whatwg.org/#ts-default-sink-abstract-ops>

use boa_engine::{Context, JsError, JsResult, JsValue};
use boa_gc::{Finalize, Trace};

use super::{Sides, TransformStream};
use crate::{
    binding::{Next, Outcome, Promise},
    streams::{
        readable::{self, ReadableStream, UnderlyingSource},
        writable::{self, UnderlyingSink, WritableStream},
    },
};

/// The sink of the writable side.
#[derive(Trace, Finalize)]
pub(super) struct TransformSink(pub(super) TransformStream);

/// The source of the readable side.
#[derive(Trace, Finalize)]
pub(super) struct TransformSource(pub(super) TransformStream);

impl UnderlyingSink for TransformSink {
    /// <https://streams.spec.whatwg.org/#transform-stream-default-sink-write-algorithm>
    fn write(
        &self,
        chunk: JsValue,
        _: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let waits_for = {
            let state = self.0.0.state.borrow();
            state
                .backpressure
                .then(|| state.backpressure_change.clone())
        };
        let Some(change) = waits_for else {
            return self.0.perform_transform(chunk, context);
        };
        change.then(
            (self.0.clone(), chunk),
            |(stream, chunk), outcome, context| {
                outcome.map_err(JsError::from_opaque)?;
                let writable = stream.writable()?;
                if writable.status() == writable::Status::Erroring {
                    return Err(JsError::from_opaque(writable.stored_error()));
                }
                stream
                    .perform_transform(chunk.clone(), context)
                    .map(Next::Promise)
            },
            context,
        )
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-default-sink-close-algorithm>
    fn close(&self, _: &WritableStream, context: &mut Context) -> JsResult<Promise> {
        self.0.finish(
            |stream, context| match stream.transformer() {
                Some(transformer) => transformer.flush(stream, context),
                None => Ok(Promise::fulfilled()),
            },
            JsValue::undefined(),
            |stream, sides, _, context| {
                sides.readable_controller.close(context)?;
                stream.finished(Ok(JsValue::undefined()), context)
            },
            context,
        )
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-default-sink-abort-algorithm>
    fn abort(
        &self,
        reason: JsValue,
        _: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        self.0.finish_by_canceling(
            reason,
            |stream, sides, reason, context| {
                sides.readable_controller.error(reason, context)?;
                stream.finished(Ok(JsValue::undefined()), context)
            },
            context,
        )
    }
}

impl UnderlyingSource for TransformSource {
    /// <https://streams.spec.whatwg.org/#transform-stream-default-source-pull-algorithm>
    fn pull(&self, _: &ReadableStream, context: &mut Context) -> JsResult<Promise> {
        self.0.set_backpressure(false, context)?;
        Ok(self.0.0.state.borrow().backpressure_change.clone())
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-default-source-cancel>
    fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let stream = &self.0;
        if let Some(finish) = stream.0.state.borrow().finish.clone() {
            return Ok(finish);
        }
        let finish = Promise::new();
        stream.0.state.borrow_mut().finish = Some(finish.clone());
        let canceled = stream.cancel_transformer(reason.clone(), context)?;
        stream.clear_algorithms();
        canceled.react(
            (stream.clone(), reason),
            |(stream, reason), outcome, context| {
                let writable = stream.writable()?;
                let result = match outcome {
                    Ok(_) if writable.status() == writable::Status::Errored => {
                        Err(writable.stored_error())
                    }
                    outcome => {
                        let error = outcome.as_ref().err().unwrap_or(reason).clone();
                        writable.error_if_needed(error, context)?;
                        stream.unblock_write(context)?;
                        outcome
                    }
                };
                stream.finished(result, context)
            },
            context,
        )?;
        Ok(finish)
    }
}

/// What follows when a transformer has been flushed or canceled, unless the readable side is errored.
type Finish = fn(&TransformStream, &Sides, JsValue, &mut Context) -> JsResult<()>;

impl TransformStream {
    /// <https://streams.spec.whatwg.org/#transform-stream-default-controller-perform-transform>
    fn perform_transform(&self, chunk: JsValue, context: &mut Context) -> JsResult<Promise> {
        let promise = match self.transformer() {
            Some(transformer) => transformer.transform(chunk, self, context)?,
            None => Promise::fulfilled(),
        };
        promise.then(
            self.clone(),
            |stream, outcome, context| match outcome {
                Ok(_) => Ok(Next::Value(JsValue::undefined())),
                Err(reason) => {
                    stream.error(reason.clone(), context)?;
                    Err(JsError::from_opaque(reason))
                }
            },
            context,
        )
    }

    fn cancel_transformer(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        match self.transformer() {
            Some(transformer) => transformer.cancel(reason, context),
            None => Ok(Promise::fulfilled()),
        }
    }

    fn finish_by_canceling(
        &self,
        reason: JsValue,
        then: Finish,
        context: &mut Context,
    ) -> JsResult<Promise> {
        if let Some(finish) = self.0.state.borrow().finish.clone() {
            return Ok(finish);
        }
        let finish = Promise::new();
        self.0.state.borrow_mut().finish = Some(finish.clone());
        let promise = self.cancel_transformer(reason.clone(), context)?;
        self.await_finish(&promise, reason, then, context)?;
        Ok(finish)
    }

    fn finish(
        &self,
        algorithm: fn(&Self, &mut Context) -> JsResult<Promise>,
        reason: JsValue,
        then: Finish,
        context: &mut Context,
    ) -> JsResult<Promise> {
        if let Some(finish) = self.0.state.borrow().finish.clone() {
            return Ok(finish);
        }
        let finish = Promise::new();
        self.0.state.borrow_mut().finish = Some(finish.clone());
        let promise = algorithm(self, context)?;
        self.await_finish(&promise, reason, then, context)?;
        Ok(finish)
    }

    /// What the two algorithms of the sink have in common: the readable side hears of the outcome.
    fn await_finish(
        &self,
        promise: &Promise,
        reason: JsValue,
        then: Finish,
        context: &mut Context,
    ) -> JsResult<()> {
        self.clear_algorithms();
        promise.react(
            Finishing {
                stream: self.clone(),
                reason,
                then,
            },
            |it, outcome, context| {
                let sides = it.stream.sides()?;
                match outcome {
                    Ok(_) if sides.readable.status() == readable::Status::Errored => {
                        let error = sides.readable.stored_error();
                        it.stream.finished(Err(error), context)
                    }
                    Ok(_) => (it.then)(&it.stream, &sides, it.reason.clone(), context),
                    Err(error) => {
                        sides.readable_controller.error(error.clone(), context)?;
                        it.stream.finished(Err(error), context)
                    }
                }
            },
            context,
        )
    }

    /// Settles `[[finishPromise]]`.
    fn finished(&self, outcome: Outcome, context: &mut Context) -> JsResult<()> {
        let finish = self.0.state.borrow().finish.clone();
        match (finish, outcome) {
            (Some(finish), Ok(_)) => finish.resolve(JsValue::undefined(), context),
            (Some(finish), Err(reason)) => finish.reject(reason, context),
            (None, _) => Ok(()),
        }
    }
}

#[derive(Trace, Finalize)]
struct Finishing {
    stream: TransformStream,
    reason: JsValue,
    #[unsafe_ignore_trace]
    then: Finish,
}
