//! `WritableStreamDefaultWriter`: <https://streams.spec.whatwg.org/#default-writer-class>

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsValue, object::JsObject,
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{Status, WritableStream, locked};
use crate::{
    binding::{self, Definition, Interface, NewTarget, PlatformObject, Promise, This, type_error},
    streams::strategy::nullable,
};

/// A writer. Clones are the same one.
#[derive(Clone, Trace, Finalize, JsData)]
pub(in super::super) struct Writer(Gc<GcRefCell<Slots>>);

#[derive(Trace, Finalize)]
struct Slots {
    stream: Option<WritableStream>,
    ready: Promise,
    closed: Promise,
}

impl PlatformObject for Writer {}

impl Interface for Writer {
    const NAME: &'static str = "WritableStreamDefaultWriter";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, construct);
        idl.promise_attribute("closed", |this, context| {
            let writer = this.state().clone();
            writer.closed().object(context)
        });
        idl.readonly("desiredSize", |this, _| {
            let stream = this.state().stream().ok_or_else(released)?;
            Ok(nullable(stream.desired_size()))
        });
        idl.promise_attribute("ready", |this, context| {
            let writer = this.state().clone();
            writer.ready().object(context)
        });
        idl.promise_operation("abort", 0, |this, args, context| {
            let stream = this.state().stream().ok_or_else(released)?;
            stream
                .abort(args.get_or_undefined(0).clone(), context)?
                .object(context)
        });
        idl.promise_operation("close", 0, |this, _, context| {
            let stream = this.state().stream().ok_or_else(released)?;
            stream.close_unless_closing(context)?.object(context)
        });
        idl.operation("releaseLock", 0, |this, _, context| {
            let writer = this.state().clone();
            writer.release(context)?;
            Ok(JsValue::undefined())
        });
        idl.promise_operation("write", 0, |this, args, context| {
            let writer = this.state().clone();
            if writer.stream().is_none() {
                return Err(released());
            }
            writer
                .write(args.get_or_undefined(0).clone(), context)?
                .object(context)
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#default-writer-constructor>
fn construct(
    new_target: &NewTarget<Writer>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let stream = This::<WritableStream>::from_value(args.get_or_undefined(0)).ok_or_else(|| {
        JsNativeError::typ()
            .with_message("WritableStreamDefaultWriter: argument 1 is not a WritableStream")
    })?;
    let new_object = new_target.prepare(context)?;
    let stream = stream.state().clone();
    let writer = Writer::acquire(&stream, context)?;
    new_object.create(writer, context)
}

fn released() -> JsError {
    JsNativeError::typ()
        .with_message("the writer has been released")
        .into()
}

/// <https://streams.spec.whatwg.org/#ws-writer-abstract-ops>
impl Writer {
    /// <https://streams.spec.whatwg.org/#acquire-writable-stream-default-writer>
    pub(in super::super) fn acquire(
        stream: &WritableStream,
        context: &mut Context,
    ) -> JsResult<Self> {
        // https://streams.spec.whatwg.org/#set-up-writable-stream-default-writer
        if stream.is_locked() {
            return Err(locked());
        }
        let waits = {
            let state = stream.0.borrow();
            state.backpressure && state.close_request.is_none() && state.in_flight_close.is_none()
        };
        let (ready, closed) = (Promise::new(), Promise::new());
        let undefined = JsValue::undefined;
        match stream.status() {
            Status::Writable if waits => {}
            Status::Writable => ready.resolve(undefined(), context)?,
            Status::Erroring => reject_handled(&ready, stream.stored_error(), context)?,
            Status::Closed => {
                ready.resolve(undefined(), context)?;
                closed.resolve(undefined(), context)?;
            }
            Status::Errored => {
                reject_handled(&ready, stream.stored_error(), context)?;
                reject_handled(&closed, stream.stored_error(), context)?;
            }
        }
        let writer = Self(Gc::new(GcRefCell::new(Slots {
            stream: Some(stream.clone()),
            ready,
            closed,
        })));
        stream.0.borrow_mut().writer = Some(writer.clone());
        Ok(writer)
    }

    /// The object of a writer that has none yet.
    pub(super) fn into_object(self, context: &mut Context) -> JsResult<JsObject> {
        Ok(binding::create::<Self>(self, context)?.object().clone())
    }

    pub(super) fn stream(&self) -> Option<WritableStream> {
        self.0.borrow().stream.clone()
    }

    pub(in super::super) fn ready(&self) -> Promise {
        self.0.borrow().ready.clone()
    }

    pub(super) fn set_ready(&self, ready: Promise) {
        self.0.borrow_mut().ready = ready;
    }

    pub(in super::super) fn closed(&self) -> Promise {
        self.0.borrow().closed.clone()
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-writer-ensure-ready-promise-rejected>
    pub(super) fn ensure_ready_rejected(
        &self,
        error: JsValue,
        context: &mut Context,
    ) -> JsResult<()> {
        let mut ready = self.ready();
        if !ready.is_pending() {
            ready = Promise::new();
            self.set_ready(ready.clone());
        }
        reject_handled(&ready, error, context)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-writer-ensure-closed-promise-rejected>
    fn ensure_closed_rejected(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        let mut closed = self.closed();
        if !closed.is_pending() {
            closed = Promise::new();
            self.0.borrow_mut().closed = closed.clone();
        }
        reject_handled(&closed, error, context)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-writer-close-with-error-propagation>
    pub(in super::super) fn close_with_error_propagation(
        &self,
        context: &mut Context,
    ) -> JsResult<Promise> {
        let Some(stream) = self.stream() else {
            return Ok(Promise::fulfilled());
        };
        if stream.close_queued_or_in_flight() || stream.status() == Status::Closed {
            return Ok(Promise::fulfilled());
        }
        if stream.status() == Status::Errored {
            return Ok(Promise::rejected(stream.stored_error()));
        }
        stream.close(context)
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-writer-release>
    pub(in super::super) fn release(&self, context: &mut Context) -> JsResult<()> {
        let Some(stream) = self.stream() else {
            return Ok(());
        };
        let error = type_error("the writer has been released", context);
        self.ensure_ready_rejected(error.clone(), context)?;
        self.ensure_closed_rejected(error, context)?;
        stream.0.borrow_mut().writer = None;
        self.0.borrow_mut().stream = None;
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#writable-stream-default-writer-write>
    pub(in super::super) fn write(
        &self,
        chunk: JsValue,
        context: &mut Context,
    ) -> JsResult<Promise> {
        // 1. to 3.
        let Some(stream) = self.stream() else {
            return Err(released());
        };
        // 4. This runs script.
        let size = stream.chunk_size(&chunk, context)?;
        // 5.
        if !self.stream().is_some_and(|now| now.is(&stream)) {
            return Err(released());
        }
        // 6. to 10.
        let status = stream.status();
        if status == Status::Errored {
            return Ok(Promise::rejected(stream.stored_error()));
        }
        if stream.close_queued_or_in_flight() || status == Status::Closed {
            let reason = type_error("the stream is closing or closed", context);
            return Ok(Promise::rejected(reason));
        }
        if status == Status::Erroring {
            return Ok(Promise::rejected(stream.stored_error()));
        }
        // 11. to 13.
        let promise = stream.add_write_request();
        stream.controller_write(chunk, size, context)?;
        Ok(promise)
    }
}

impl WritableStream {
    /// <https://streams.spec.whatwg.org/#writable-stream-default-writer-get-desired-size>
    pub(in super::super) fn desired_size(&self) -> Option<f64> {
        match self.status() {
            Status::Erroring | Status::Errored => None,
            Status::Closed => Some(0.0),
            Status::Writable => Some(self.controller_desired_size()),
        }
    }
}

fn reject_handled(promise: &Promise, reason: JsValue, context: &mut Context) -> JsResult<()> {
    promise.mark_as_handled();
    promise.reject(reason, context)
}
