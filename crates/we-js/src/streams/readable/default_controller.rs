//! `ReadableStreamDefaultController`: <https://streams.spec.whatwg.org/#rs-default-controller-class>

use boa_engine::{Context, JsArgs, JsData, JsNativeError, JsResult, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{Controller, ReadableStream, Request, Source, Status};
use crate::{
    binding::{self, Definition, Interface, PlatformObject, Promise, thrown},
    streams::{
        queue::Queue,
        strategy::{Strategy, nullable},
    },
};

/// What a source fills its stream with. Clones are the same controller.
#[derive(Clone, Trace, Finalize, JsData)]
pub(crate) struct DefaultController(Gc<GcRefCell<Slots>>);

#[derive(Trace, Finalize)]
struct Slots {
    stream: ReadableStream,
    /// The algorithms, until they are not needed any more.
    source: Option<Source>,
    strategy: Strategy,
    queue: Queue<JsValue>,
    started: bool,
    close_requested: bool,
    pull_again: bool,
    pulling: bool,
}

impl PlatformObject for DefaultController {}

impl Interface for DefaultController {
    const NAME: &'static str = "ReadableStreamDefaultController";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.readonly("desiredSize", |this, _| {
            Ok(nullable(this.state().desired_size()))
        });
        idl.operation("close", 0, |this, _, context| {
            let controller = this.state().clone();
            if !controller.can_close_or_enqueue() {
                return Err(JsNativeError::typ()
                    .with_message("the stream is not open to be closed")
                    .into());
            }
            controller.close(context)?;
            Ok(JsValue::undefined())
        });
        idl.operation("enqueue", 0, |this, args, context| {
            let controller = this.state().clone();
            if !controller.can_close_or_enqueue() {
                return Err(JsNativeError::typ()
                    .with_message("the stream is not open for chunks")
                    .into());
            }
            controller.enqueue(args.get_or_undefined(0).clone(), context)?;
            Ok(JsValue::undefined())
        });
        idl.operation("error", 0, |this, args, context| {
            let controller = this.state().clone();
            controller.error(args.get_or_undefined(0).clone(), context)?;
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#rs-default-controller-abstract-ops>
impl DefaultController {
    /// <https://streams.spec.whatwg.org/#set-up-readable-stream-default-controller> steps 1 to 8
    pub(super) fn set_up(stream: &ReadableStream, source: Source, strategy: Strategy) -> Self {
        let controller = Self::without_source(stream, strategy);
        controller.set_source(source);
        controller
    }

    /// The same, for a source that wants to know its controller.
    pub(super) fn without_source(stream: &ReadableStream, strategy: Strategy) -> Self {
        let controller = Self(Gc::new(GcRefCell::new(Slots {
            stream: stream.clone(),
            source: None,
            strategy,
            queue: Queue::default(),
            started: false,
            close_requested: false,
            pull_again: false,
            pulling: false,
        })));
        stream.0.borrow_mut().controller = Some(Controller::Default(controller.clone()));
        controller
    }

    pub(super) fn source(&self) -> Option<Source> {
        self.0.borrow().source.clone()
    }

    pub(super) fn set_source(&self, source: Source) {
        self.0.borrow_mut().source = Some(source);
    }

    /// The steps 9 to 12.
    pub(super) fn start(&self, promise: &Promise, context: &mut Context) -> JsResult<()> {
        promise.react(
            self.clone(),
            |controller, outcome, context| match outcome {
                Ok(_) => {
                    controller.0.borrow_mut().started = true;
                    controller.call_pull_if_needed(context)
                }
                Err(reason) => controller.error(reason, context),
            },
            context,
        )
    }

    /// The object of a controller that has none yet.
    pub(super) fn new_object(&self, context: &mut Context) -> JsResult<JsObject> {
        let object = binding::create::<Self>(self.clone(), context)?;
        Ok(object.object().clone())
    }

    fn stream(&self) -> ReadableStream {
        self.0.borrow().stream.clone()
    }

    /// `[[CancelSteps]]`: <https://streams.spec.whatwg.org/#rs-default-controller-private-cancel>
    pub(super) fn cancel_steps(&self, reason: JsValue, context: &mut Context) -> JsResult<Promise> {
        let source = {
            let mut slots = self.0.borrow_mut();
            slots.queue.reset();
            slots.source.clone()
        };
        let result = match source {
            Some(source) => source.cancel(reason, context),
            None => Ok(Promise::fulfilled()),
        };
        self.clear_algorithms();
        result
    }

    /// `[[PullSteps]]`: <https://streams.spec.whatwg.org/#rs-default-controller-private-pull>
    pub(super) fn pull_steps(&self, request: Request, context: &mut Context) -> JsResult<()> {
        let (chunk, closes) = {
            let mut slots = self.0.borrow_mut();
            let chunk = slots.queue.dequeue();
            (chunk, slots.close_requested && slots.queue.is_empty())
        };
        let Some(chunk) = chunk else {
            self.stream().add_request(request);
            return self.call_pull_if_needed(context);
        };
        if closes {
            self.clear_algorithms();
            self.stream().close(context)?;
        } else {
            self.call_pull_if_needed(context)?;
        }
        request.chunk(chunk, context)
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-call-pull-if-needed>
    fn call_pull_if_needed(&self, context: &mut Context) -> JsResult<()> {
        // 1., 2.
        if !self.should_call_pull() {
            return Ok(());
        }
        // 3. to 5.
        let (source, stream) = {
            let mut slots = self.0.borrow_mut();
            if slots.pulling {
                slots.pull_again = true;
                return Ok(());
            }
            slots.pulling = true;
            (slots.source.clone(), slots.stream.clone())
        };
        // 6.
        let promise = match source {
            Some(source) => source.pull(&stream, context)?,
            None => Promise::fulfilled(),
        };
        // 7., 8.
        promise.react(
            self.clone(),
            |controller, outcome, context| match outcome {
                Ok(_) => {
                    let again = {
                        let mut slots = controller.0.borrow_mut();
                        slots.pulling = false;
                        std::mem::take(&mut slots.pull_again)
                    };
                    if again {
                        controller.call_pull_if_needed(context)?;
                    }
                    Ok(())
                }
                Err(reason) => controller.error(reason, context),
            },
            context,
        )
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-should-call-pull>
    pub(in super::super) fn should_call_pull(&self) -> bool {
        if !self.can_close_or_enqueue() || !self.0.borrow().started {
            return false;
        }
        self.stream().pending_requests() > 0 || self.desired_size().is_some_and(|size| size > 0.0)
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-clear-algorithms>
    fn clear_algorithms(&self) {
        let source = self.0.borrow_mut().source.take();
        drop(source);
    }

    /// No more chunks will follow; those that wait can still be read.
    ///
    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-close>
    pub(crate) fn close(&self, context: &mut Context) -> JsResult<()> {
        if !self.can_close_or_enqueue() {
            return Ok(());
        }
        let is_empty = {
            let mut slots = self.0.borrow_mut();
            slots.close_requested = true;
            slots.queue.is_empty()
        };
        if is_empty {
            self.clear_algorithms();
            self.stream().close(context)?;
        }
        Ok(())
    }

    /// Adds a chunk, unless the stream is closed. Fails if the strategy's `size` does.
    ///
    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-enqueue>
    pub(crate) fn enqueue(&self, chunk: JsValue, context: &mut Context) -> JsResult<()> {
        // 1., 2.
        if !self.can_close_or_enqueue() {
            return Ok(());
        }
        // 3.
        if let Some(request) = self.stream().next_request() {
            request.chunk(chunk, context)?;
            return self.call_pull_if_needed(context);
        }
        // 4. Measuring runs script.
        let size = self.0.borrow().strategy.size.clone();
        let enqueued = size
            .measure(&chunk, context)
            .and_then(|size| self.0.borrow_mut().queue.enqueue(chunk, size));
        if let Err(error) = enqueued {
            let reason = thrown(error, context)?;
            self.error(reason.clone(), context)?;
            return Err(boa_engine::JsError::from_opaque(reason));
        }
        // 5.
        self.call_pull_if_needed(context)
    }

    /// Makes the stream fail. What waits in it is dropped.
    ///
    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-error>
    pub(crate) fn error(&self, error: JsValue, context: &mut Context) -> JsResult<()> {
        let stream = self.stream();
        if stream.status() != Status::Readable {
            return Ok(());
        }
        self.0.borrow_mut().queue.reset();
        self.clear_algorithms();
        stream.error(error, context)
    }

    /// How much more the queue wants; `None` if the stream is errored.
    ///
    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-get-desired-size>
    pub(crate) fn desired_size(&self) -> Option<f64> {
        let slots = self.0.borrow();
        match slots.stream.status() {
            Status::Errored => None,
            Status::Closed => Some(0.0),
            Status::Readable => Some(slots.strategy.high_water_mark - slots.queue.total_size()),
        }
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-default-controller-can-close-or-enqueue>
    pub(crate) fn can_close_or_enqueue(&self) -> bool {
        let slots = self.0.borrow();
        !slots.close_requested && slots.stream.status() == Status::Readable
    }
}
