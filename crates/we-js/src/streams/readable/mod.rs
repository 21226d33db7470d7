//! `ReadableStream` and the algorithms that work on it: <https://streams.spec.whatwg.org/#rs>
//!
//! [`ReadableStream`] is a handle of which any number may exist; the object that a script sees is made when one is
//! asked for. Readers that the platform acquires for itself (to pipe, to tee) never have an object.

mod async_iterator;
mod byob;
mod byte_controller;
mod byte_tee;
mod collect;
mod default_controller;
mod from;
mod interface;
mod pipe;
mod pull_into;
mod reader;
mod source;
mod tee;
mod view;

use boa_engine::{Context, JsData, JsError, JsNativeError, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace, WeakGc};

pub(crate) use byte_controller::ByteController;
pub(crate) use default_controller::DefaultController;
pub(super) use pipe::{PipeOptions, pipe_to};
use reader::Request;
pub(crate) use reader::{ReadRequest, Reader};
use source::Source;
pub(crate) use source::UnderlyingSource;

use super::{
    strategy::Strategy,
    transform::{TransformStream, Transformer},
};
use crate::binding::{self, Promise, register};

pub(super) fn install(context: &mut Context) -> JsResult<()> {
    register::<ReadableStream>(context)?;
    register::<reader::ReadableStreamDefaultReader>(context)?;
    register::<byob::ReadableStreamBYOBReader>(context)?;
    register::<DefaultController>(context)?;
    register::<ByteController>(context)?;
    register::<byob::ByobRequest>(context)?;
    async_iterator::install(context);
    Ok(())
}

/// A readable stream. Clones are the same stream.
#[derive(Clone, Trace, Finalize, JsData)]
pub(crate) struct ReadableStream(Gc<GcRefCell<State>>);

/// A readable stream that may be collected.
#[derive(Clone, Trace, Finalize)]
pub(crate) struct WeakReadableStream(WeakGc<GcRefCell<State>>);

impl WeakReadableStream {
    pub(crate) fn upgrade(&self) -> Option<ReadableStream> {
        self.0.upgrade().map(ReadableStream)
    }
}

/// `[[state]]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Readable,
    Closed,
    Errored,
}

/// The slots of a `ReadableStream`.
#[derive(Trace, Finalize)]
struct State {
    #[unsafe_ignore_trace]
    status: Status,
    stored_error: JsValue,
    disturbed: bool,
    /// `[[Detached]]`: it was transferred.
    detached: bool,
    reader: Option<Reader>,
    controller: Option<Controller>,
    /// The object that scripts see.
    object: Option<JsObject>,
}

/// What controls a stream.
#[derive(Clone, Trace, Finalize)]
#[boa_gc(unsafe_no_drop)]
enum Controller {
    Default(DefaultController),
    Byte(ByteController),
}

impl ReadableStream {
    /// <https://streams.spec.whatwg.org/#initialize-readable-stream>
    fn initialize() -> Self {
        Self(Gc::new(GcRefCell::new(State {
            status: Status::Readable,
            stored_error: JsValue::undefined(),
            disturbed: false,
            detached: false,
            reader: None,
            controller: None,
            object: None,
        })))
    }

    /// Makes a stream of chunks from `source`, which is pulled as soon as `start` is fulfilled.
    ///
    /// <https://streams.spec.whatwg.org/#create-readable-stream>
    pub(crate) fn new(
        source: impl UnderlyingSource,
        start: &Promise,
        strategy: Strategy,
        context: &mut Context,
    ) -> JsResult<(Self, DefaultController)> {
        let stream = Self::initialize();
        let controller = DefaultController::set_up(&stream, Source::new(source), strategy);
        controller.start(start, context)?;
        Ok((stream, controller))
    }

    /// Makes a byte stream from `source`, which is pulled as soon as `start` is fulfilled. A high-water mark of zero
    /// pulls only when somebody reads.
    ///
    /// <https://streams.spec.whatwg.org/#abstract-opdef-createreadablebytestream>
    pub(crate) fn new_bytes(
        source: impl UnderlyingSource,
        start: &Promise,
        high_water_mark: f64,
        context: &mut Context,
    ) -> JsResult<(Self, ByteController)> {
        let stream = Self::initialize();
        let controller = ByteController::set_up(&stream, high_water_mark, None);
        controller.set_source(Source::new(source));
        controller.start(start, context)?;
        Ok((stream, controller))
    }

    /// The controller of a stream of chunks.
    pub(crate) fn default_controller(&self) -> Option<DefaultController> {
        match self.controller() {
            Some(Controller::Default(controller)) => Some(controller),
            _ => None,
        }
    }

    /// The controller of a stream of bytes.
    pub(crate) fn byte_controller(&self) -> Option<ByteController> {
        match self.controller() {
            Some(Controller::Byte(controller)) => Some(controller),
            _ => None,
        }
    }

    /// The object that scripts see, the same each time.
    pub(crate) fn object(&self, context: &mut Context) -> JsResult<JsObject> {
        if let Some(object) = &self.0.borrow().object {
            return Ok(object.clone());
        }
        let object = binding::create::<Self>(self.clone(), context)?;
        self.set_object(object.object());
        Ok(object.object().clone())
    }

    fn set_object(&self, object: &JsObject) {
        self.0.borrow_mut().object = Some(object.clone());
    }

    pub(super) fn status(&self) -> Status {
        self.0.borrow().status
    }

    /// Whether there may be more to read.
    pub(crate) fn is_readable(&self) -> bool {
        self.status() == Status::Readable
    }

    /// Makes the stream [fail](https://streams.spec.whatwg.org/#readablestream-error), whatever it is made of.
    pub(crate) fn fail(&self, reason: JsValue, context: &mut Context) -> JsResult<()> {
        match self.controller() {
            Some(Controller::Default(controller)) => controller.error(reason, context),
            Some(Controller::Byte(controller)) => controller.error(reason, context),
            None => Ok(()),
        }
    }

    pub(super) fn stored_error(&self) -> JsValue {
        self.0.borrow().stored_error.clone()
    }

    /// <https://streams.spec.whatwg.org/#is-readable-stream-locked>
    pub(crate) fn is_locked(&self) -> bool {
        self.0.borrow().reader.is_some()
    }

    /// <https://streams.spec.whatwg.org/#is-readable-stream-disturbed>
    pub(crate) fn is_disturbed(&self) -> bool {
        self.0.borrow().disturbed
    }

    /// [Tee](https://streams.spec.whatwg.org/#readablestream-tee) for another standard: the second branch has copies of
    /// the chunks.
    pub(crate) fn tee_copying(&self, context: &mut Context) -> JsResult<[Self; 2]> {
        match self.byte_controller() {
            Some(_) => byte_tee::tee(self, context),
            None => tee::tee(self, true, context),
        }
    }

    /// [Create a proxy](https://streams.spec.whatwg.org/#readablestream-create-a-proxy): a stream that has the rest of
    /// this one, which is locked from now on.
    pub(crate) fn proxy(&self, context: &mut Context) -> JsResult<Self> {
        let identity = TransformStream::new(Identity, context)?;
        let (readable, writable) = (identity.readable()?, identity.writable()?);
        let promise = pipe_to(self, &writable, &PipeOptions::default(), context)?;
        promise.mark_as_handled();
        Ok(readable)
    }

    /// Whether it was transferred, which cannot be done twice.
    pub(super) fn is_detached(&self) -> bool {
        self.0.borrow().detached
    }

    pub(super) fn set_detached(&self) {
        self.0.borrow_mut().detached = true;
    }

    fn set_disturbed(&self) {
        self.0.borrow_mut().disturbed = true;
    }

    fn reader(&self) -> Option<Reader> {
        self.0.borrow().reader.clone()
    }

    fn controller(&self) -> Option<Controller> {
        self.0.borrow().controller.clone()
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-cancel>
    pub(crate) fn cancel(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        // 1.
        self.set_disturbed();
        match self.status() {
            // 2.
            Status::Closed => return Ok(Promise::fulfilled()),
            // 3.
            Status::Errored => return Ok(Promise::rejected(self.stored_error())),
            Status::Readable => {}
        }
        // 4.
        self.close(context)?;
        // 5., 6.
        if let Some(reader) = self.reader()
            && reader.is_byob()
        {
            for request in reader.take_requests() {
                request.close(JsValue::undefined(), context)?;
            }
        }
        // 7.
        let promise = match self.controller() {
            Some(controller) => controller.cancel_steps(reason, context)?,
            None => Promise::fulfilled(),
        };
        // 8.
        promise.then(
            (),
            |(), outcome, _| match outcome {
                Ok(_) => Ok(binding::Next::Value(JsValue::undefined())),
                Err(reason) => Err(JsError::from_opaque(reason)),
            },
            context,
        )
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-close>
    fn close(&self, context: &mut Context) -> JsResult<()> {
        self.0.borrow_mut().status = Status::Closed;
        let Some(reader) = self.reader() else {
            return Ok(());
        };
        reader.closed().resolve(JsValue::undefined(), context)?;
        if !reader.is_byob() {
            for request in reader.take_requests() {
                request.close(JsValue::undefined(), context)?;
            }
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-error>
    fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        {
            let mut state = self.0.borrow_mut();
            state.status = Status::Errored;
            state.stored_error = error.clone();
        }
        let Some(reader) = self.reader() else {
            return Ok(());
        };
        let closed = reader.closed();
        closed.mark_as_handled();
        closed.reject(error.clone(), context)?;
        reader.error_requests(&error, context)
    }

    pub(crate) fn downgrade(&self) -> WeakReadableStream {
        WeakReadableStream(WeakGc::new(&self.0))
    }

    /// Whether somebody is told when bytes come, or the end: a read waits, or a script has asked for the promise of the
    /// end. A source that nothing else refers to must keep such a stream alive.
    pub(crate) fn is_awaited(&self) -> bool {
        self.reader()
            .is_some_and(|reader| reader.pending_requests() > 0 || reader.closed().is_shown())
    }

    /// Tells the source that whether the stream is awaited may have changed.
    fn attend(&self, context: &Context) -> JsResult<()> {
        let source = match self.controller() {
            Some(Controller::Byte(controller)) => controller.source(),
            Some(Controller::Default(controller)) => controller.source(),
            None => None,
        };
        match source {
            Some(source) => source.attend(self, context),
            None => Ok(()),
        }
    }

    /// How many read requests wait.
    fn pending_requests(&self) -> usize {
        self.0
            .borrow()
            .reader
            .as_ref()
            .map_or(0, Reader::pending_requests)
    }

    /// The read request that has waited longest.
    fn next_request(&self) -> Option<Request> {
        self.reader().and_then(|reader| reader.next_request())
    }

    fn add_request(&self, request: Request) {
        if let Some(reader) = self.reader() {
            reader.add_request(request);
        }
    }
}

/// The internal methods of the controllers:
/// <https://streams.spec.whatwg.org/#rs-abstract-ops-used-by-controllers>
impl Controller {
    fn cancel_steps(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        match self {
            Self::Default(controller) => controller.cancel_steps(reason, context),
            Self::Byte(controller) => controller.cancel_steps(reason, context),
        }
    }

    fn pull_steps(&self, request: Request, context: &mut Context) -> JsResult<()> {
        match self {
            Self::Default(controller) => controller.pull_steps(request, context),
            Self::Byte(controller) => controller.pull_steps(request, context),
        }
    }

    fn release_steps(&self) {
        match self {
            Self::Default(_) => {}
            Self::Byte(controller) => controller.release_steps(),
        }
    }
}

/// An [identity transform](https://streams.spec.whatwg.org/#identity-transform-stream).
#[derive(Trace, Finalize)]
struct Identity;

impl Transformer for Identity {
    fn transform(
        &self,
        chunk: JsValue,
        stream: &TransformStream,
        context: &mut Context,
    ) -> JsResult<Promise> {
        stream.enqueue(chunk, context)?;
        Ok(Promise::fulfilled())
    }
}

/// The error for a stream that somebody else reads from.
fn locked() -> JsError {
    JsNativeError::typ()
        .with_message("the ReadableStream is locked to a reader")
        .into()
}
