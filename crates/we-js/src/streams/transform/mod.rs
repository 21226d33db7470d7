//! `TransformStream` and the algorithms that work on it: <https://streams.spec.whatwg.org/#ts>
//!
//! There is one kind of controller, so its slots are among the stream's.

mod controller;
mod interface;
mod sides;
mod transformer;

use boa_engine::{Context, JsData, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use transformer::Algorithms;
pub(crate) use transformer::Transformer;

use super::{
    readable::{DefaultController, ReadableStream},
    strategy::Strategy,
    writable::WritableStream,
};
use crate::binding::{self, Promise, register};

pub(super) fn install(context: &mut Context) -> JsResult<()> {
    register::<TransformStream>(context)?;
    register::<controller::TransformStreamDefaultController>(context)
}

/// A transform stream. Clones are the same stream.
#[derive(Clone, Trace, Finalize, JsData)]
pub(crate) struct TransformStream(Gc<Slots>);

#[derive(Trace, Finalize)]
struct Slots {
    state: GcRefCell<State>,
    /// The two sides, once they have been made.
    sides: GcRefCell<Option<Sides>>,
}

/// The slots of a `TransformStream` and of its `TransformStreamDefaultController`.
#[derive(Trace, Finalize)]
struct State {
    backpressure: bool,
    backpressure_change: Promise,
    finish: Option<Promise>,
    /// The algorithms, until they are not needed any more.
    transformer: Option<Algorithms>,
    controller_object: Option<JsObject>,
    /// `[[Detached]]`: it was transferred.
    detached: bool,
}

#[derive(Clone, Trace, Finalize)]
struct Sides {
    readable: ReadableStream,
    readable_controller: DefaultController,
    writable: WritableStream,
}

impl TransformStream {
    /// Makes a transform stream around `transformer`.
    ///
    /// <https://streams.spec.whatwg.org/#transformstream-set-up>
    #[allow(dead_code, reason = "for standards that transform")]
    pub(crate) fn new(transformer: impl Transformer, context: &mut Context) -> JsResult<Self> {
        let start = Promise::fulfilled();
        let stream = Self::initialize(&start, Strategy::count(1.0), Strategy::count(0.0), context)?;
        stream.0.state.borrow_mut().transformer = Some(Algorithms::new(transformer));
        Ok(stream)
    }

    /// <https://streams.spec.whatwg.org/#initialize-transform-stream>
    fn initialize(
        start: &Promise,
        writable_strategy: Strategy,
        readable_strategy: Strategy,
        context: &mut Context,
    ) -> JsResult<Self> {
        let stream = Self::without_sides();
        // Each side starts when a promise that is resolved with this one is fulfilled, which is a little later.
        let follow = |context: &mut Context| {
            let promise = Promise::new();
            promise.resolve_with(start, context)?;
            JsResult::Ok(promise)
        };
        let sink = sides::TransformSink(stream.clone());
        let start = follow(context)?;
        let writable = WritableStream::new(sink, &start, writable_strategy, context)?;
        let source = sides::TransformSource(stream.clone());
        let start = follow(context)?;
        let (readable, readable_controller) =
            ReadableStream::new(source, &start, readable_strategy, context)?;
        *stream.0.sides.borrow_mut() = Some(Sides {
            readable,
            readable_controller,
            writable,
        });
        Ok(stream)
    }

    /// A transform stream that was transferred: two sides that know nothing of one another.
    pub(super) fn of_sides(readable: ReadableStream, writable: WritableStream) -> JsResult<Self> {
        let Some(readable_controller) = readable.default_controller() else {
            return Err(boa_engine::JsNativeError::typ()
                .with_message("the readable side is a byte stream")
                .into());
        };
        let stream = Self::without_sides();
        *stream.0.sides.borrow_mut() = Some(Sides {
            readable,
            readable_controller,
            writable,
        });
        Ok(stream)
    }

    fn without_sides() -> Self {
        Self(Gc::new(Slots {
            state: GcRefCell::new(State {
                backpressure: true,
                backpressure_change: Promise::new(),
                finish: None,
                transformer: None,
                controller_object: None,
                detached: false,
            }),
            sides: GcRefCell::new(None),
        }))
    }

    /// Whether it was transferred, which cannot be done twice.
    pub(super) fn is_detached(&self) -> bool {
        self.0.state.borrow().detached
    }

    pub(super) fn set_detached(&self) {
        self.0.state.borrow_mut().detached = true;
    }

    fn sides(&self) -> JsResult<Sides> {
        self.0.sides.borrow().clone().ok_or_else(|| {
            // Nothing can reach the stream before its sides have been made.
            boa_engine::JsNativeError::typ()
                .with_message("the transform stream is not set up")
                .into()
        })
    }

    /// The readable side.
    pub(crate) fn readable(&self) -> JsResult<ReadableStream> {
        Ok(self.sides()?.readable.clone())
    }

    /// The writable side.
    pub(crate) fn writable(&self) -> JsResult<WritableStream> {
        Ok(self.sides()?.writable.clone())
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-error>
    pub(crate) fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        let controller = self.sides()?.readable_controller.clone();
        controller.error(error.clone(), context)?;
        self.error_writable_and_unblock_write(error, context)
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-error-writable-and-unblock-write>
    fn error_writable_and_unblock_write(
        &self,
        error: JsValue,
        context: &mut Context,
    ) -> JsResult<()> {
        self.clear_algorithms();
        let writable = self.writable()?;
        writable.error_if_needed(error, context)?;
        self.unblock_write(context)
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-set-backpressure>
    fn set_backpressure(&self, backpressure: bool, context: &mut Context) -> JsResult<()> {
        let change = {
            let mut state = self.0.state.borrow_mut();
            state.backpressure = backpressure;
            std::mem::replace(&mut state.backpressure_change, Promise::new())
        };
        change.resolve(JsValue::undefined(), context)
    }

    /// <https://streams.spec.whatwg.org/#transformstreamunblockwrite>
    fn unblock_write(&self, context: &mut Context) -> JsResult<()> {
        if self.0.state.borrow().backpressure {
            self.set_backpressure(false, context)?;
        }
        Ok(())
    }

    /// <https://streams.spec.whatwg.org/#transform-stream-default-controller-clear-algorithms>
    fn clear_algorithms(&self) {
        let transformer = self.0.state.borrow_mut().transformer.take();
        drop(transformer);
    }

    fn transformer(&self) -> Option<Algorithms> {
        self.0.state.borrow().transformer.clone()
    }

    /// The controller's object, the same each time.
    fn controller_object(&self, context: &mut Context) -> JsResult<JsObject> {
        if let Some(object) = &self.0.state.borrow().controller_object {
            return Ok(object.clone());
        }
        let root = controller::TransformStreamDefaultController(self.clone());
        let object =
            binding::create::<controller::TransformStreamDefaultController>(root, context)?;
        self.0.state.borrow_mut().controller_object = Some(object.object().clone());
        Ok(object.object().clone())
    }
}
