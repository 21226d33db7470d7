//! Readers: <https://streams.spec.whatwg.org/#default-reader-class>

use std::collections::VecDeque;

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsValue,
    builtins::iterable::create_iter_result_object,
    object::{JsObject, builtins::JsPromise},
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{ReadableStream, Status, locked};
use crate::binding::{
    self, Definition, Interface, NewTarget, PlatformObject, Promise, This, type_error,
};

/// What becomes of a read: <https://streams.spec.whatwg.org/#read-request>
pub(crate) trait ReadRequest: Trace {
    /// The chunk steps.
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()>;
    /// The close steps. The request of a BYOB reader may get its view back.
    fn close(&self, chunk: JsValue, context: &mut Context) -> JsResult<()>;
    /// The error steps.
    fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()>;
}

pub(crate) type Request = Box<dyn ReadRequest>;

/// The request of a script's `read()`: its promise.
#[derive(Trace, Finalize)]
pub(super) struct PromiseRequest(pub(super) Promise);

impl ReadRequest for PromiseRequest {
    fn chunk(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        let result = create_iter_result_object(chunk, false, context);
        self.0.resolve(result, context)
    }

    fn close(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        let result = create_iter_result_object(chunk, true, context);
        self.0.resolve(result, context)
    }

    fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        self.0.reject(error, context)
    }
}

/// A reader of either kind. Clones are the same one.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct Reader(Gc<GcRefCell<Slots>>);

/// The slots of <https://streams.spec.whatwg.org/#generic-reader-mixin> and the requests of its users.
#[derive(Trace, Finalize)]
struct Slots {
    stream: Option<ReadableStream>,
    closed: Promise,
    requests: VecDeque<Request>,
    is_byob: bool,
}

impl Reader {
    /// <https://streams.spec.whatwg.org/#acquire-readable-stream-reader>
    pub(crate) fn acquire(stream: &ReadableStream, context: &mut Context) -> JsResult<Self> {
        Self::acquire_kind(stream, false, context)
    }

    pub(super) fn acquire_kind(
        stream: &ReadableStream,
        is_byob: bool,
        context: &mut Context,
    ) -> JsResult<Self> {
        if stream.is_locked() {
            return Err(locked());
        }
        // https://streams.spec.whatwg.org/#readable-stream-reader-generic-initialize
        let closed = Promise::new();
        match stream.status() {
            Status::Readable => {}
            Status::Closed => closed.resolve(JsValue::undefined(), context)?,
            Status::Errored => {
                closed.mark_as_handled();
                closed.reject(stream.stored_error(), context)?;
            }
        }
        let reader = Self(Gc::new(GcRefCell::new(Slots {
            stream: Some(stream.clone()),
            closed,
            requests: VecDeque::new(),
            is_byob,
        })));
        stream.0.borrow_mut().reader = Some(reader.clone());
        Ok(reader)
    }

    /// Whether both are the same reader.
    pub(super) fn is(&self, other: &Self) -> bool {
        Gc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn stream(&self) -> Option<ReadableStream> {
        self.0.borrow().stream.clone()
    }

    pub(super) fn closed(&self) -> Promise {
        self.0.borrow().closed.clone()
    }

    pub(super) fn is_byob(&self) -> bool {
        self.0.borrow().is_byob
    }

    pub(super) fn pending_requests(&self) -> usize {
        self.0.borrow().requests.len()
    }

    pub(super) fn next_request(&self) -> Option<Request> {
        self.0.borrow_mut().requests.pop_front()
    }

    pub(super) fn take_requests(&self) -> VecDeque<Request> {
        std::mem::take(&mut self.0.borrow_mut().requests)
    }

    pub(super) fn add_request(&self, request: Request) {
        self.0.borrow_mut().requests.push_back(request);
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-readablestreamdefaultreadererrorreadrequests>
    pub(super) fn error_requests(&self, error: &JsValue, context: &mut Context) -> JsResult<()> {
        for request in self.take_requests() {
            request.error(error.clone(), context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-default-reader-read>
    pub(crate) fn read(&self, request: Request, context: &mut Context) -> JsResult<()> {
        let Some(stream) = self.stream() else {
            return Err(released());
        };
        stream.set_disturbed();
        match stream.status() {
            Status::Closed => request.close(JsValue::undefined(), context),
            Status::Errored => request.error(stream.stored_error(), context),
            Status::Readable => match stream.controller() {
                Some(controller) => controller.pull_steps(request, context),
                None => Ok(()),
            },
        }
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-reader-generic-cancel>
    pub(crate) fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        self.stream().ok_or_else(released)?.cancel(reason, context)
    }

    /// <https://streams.spec.whatwg.org/#abstract-opdef-readablestreamdefaultreaderrelease>, and the same for BYOB
    /// readers.
    pub(crate) fn release(&self, context: &mut Context) -> JsResult<()> {
        let Some(stream) = self.stream() else {
            return Ok(());
        };
        // https://streams.spec.whatwg.org/#readable-stream-reader-generic-release
        let error = type_error("the reader has been released", context);
        let mut closed = self.closed();
        if stream.status() != Status::Readable {
            closed = Promise::new();
            self.0.borrow_mut().closed = closed.clone();
        }
        closed.mark_as_handled();
        closed.reject(error, context)?;
        if let Some(controller) = stream.controller() {
            controller.release_steps();
        }
        stream.0.borrow_mut().reader = None;
        self.0.borrow_mut().stream = None;
        if self.pending_requests() > 0 {
            let error = type_error("the reader was released while it was reading", context);
            self.error_requests(&error, context)?;
        }
        stream.attend(context)
    }
}

pub(super) fn released() -> JsError {
    JsNativeError::typ()
        .with_message("the reader has been released")
        .into()
}

/// The members of `ReadableStreamGenericReader`.
pub(super) fn define_generic<T: Interface>(
    idl: &mut Definition<'_, T>,
    reader: fn(&This<T>) -> Reader,
) {
    idl.promise_attribute("closed", move |this, context| {
        let reader = reader(this);
        let closed = reader.closed().object(context)?;
        if let Some(stream) = reader.stream() {
            stream.attend(context)?;
        }
        Ok(closed)
    });
    idl.promise_operation("cancel", 0, move |this, args, context| {
        reader(this)
            .cancel(args.get_or_undefined(0).clone(), context)?
            .object(context)
    });
    idl.operation("releaseLock", 0, move |this, _, context| {
        reader(this).release(context)?;
        Ok(JsValue::undefined())
    });
}

/// <https://streams.spec.whatwg.org/#default-reader-class>
#[derive(Trace, Finalize, JsData)]
pub(super) struct ReadableStreamDefaultReader(Reader);

impl PlatformObject for ReadableStreamDefaultReader {}

impl Interface for ReadableStreamDefaultReader {
    const NAME: &'static str = "ReadableStreamDefaultReader";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, construct);
        idl.promise_operation("read", 0, |this, _, context| {
            let reader = this.state().0.clone();
            read(&reader, context)
        });
        define_generic(idl, |this| this.state().0.clone());
        Ok(())
    }
}

impl ReadableStreamDefaultReader {
    /// The object of a reader that has none yet.
    pub(super) fn object(reader: Reader, context: &mut Context) -> JsResult<JsObject> {
        let this = binding::create::<Self>(Self(reader), context)?;
        Ok(this.object().clone())
    }
}

/// <https://streams.spec.whatwg.org/#default-reader-constructor>
fn construct(
    new_target: &NewTarget<ReadableStreamDefaultReader>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let stream = stream_argument(args)?;
    let new_object = new_target.prepare(context)?;
    let reader = Reader::acquire(&stream, context)?;
    new_object.create(ReadableStreamDefaultReader(reader), context)
}

/// The first argument, which must be a `ReadableStream`.
pub(super) fn stream_argument(args: &[JsValue]) -> JsResult<ReadableStream> {
    This::<ReadableStream>::from_value(args.get_or_undefined(0))
        .map(|stream| stream.state().clone())
        .ok_or_else(|| {
            JsNativeError::typ()
                .with_message("argument 1 is not a ReadableStream")
                .into()
        })
}

/// <https://streams.spec.whatwg.org/#default-reader-read>
fn read(reader: &Reader, context: &mut Context) -> JsResult<JsPromise> {
    if reader.stream().is_none() {
        return Err(released());
    }
    let promise = Promise::new();
    // Before the read: the script's promise is the one that looks for a `then` in the result.
    let object = promise.object(context)?;
    reader.read(Box::new(PromiseRequest(promise)), context)?;
    Ok(object)
}
