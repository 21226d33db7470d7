//! Reading into one's own buffers: `ReadableStreamBYOBReader` and `ReadableStreamBYOBRequest`.
//! <https://streams.spec.whatwg.org/#byob-reader-class>

use boa_engine::{
    Context, JsArgs, JsData, JsError, JsNativeError, JsResult, JsValue,
    object::{JsObject, builtins::JsPromise},
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    Controller, Status,
    byte_controller::ByteController,
    reader::{PromiseRequest, Reader, Request, define_generic, released, stream_argument},
    view::{View, is_detached},
};
use crate::binding::{
    self, Definition, Dictionary, IntegerConversion, Interface, NewTarget, PlatformObject, Promise,
    This, unsigned_integer,
};

/// <https://streams.spec.whatwg.org/#byob-reader-class>
#[derive(Trace, Finalize, JsData)]
pub(super) struct ReadableStreamBYOBReader(Reader);

impl PlatformObject for ReadableStreamBYOBReader {}

impl Interface for ReadableStreamBYOBReader {
    const NAME: &'static str = "ReadableStreamBYOBReader";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, construct);
        idl.promise_operation("read", 1, read);
        define_generic(idl, |this| this.state().0.clone());
        Ok(())
    }
}

impl ReadableStreamBYOBReader {
    /// The object of a reader that has none yet.
    pub(super) fn object(reader: Reader, context: &mut Context) -> JsResult<JsObject> {
        let this = binding::create::<Self>(Self(reader), context)?;
        Ok(this.object().clone())
    }
}

/// <https://streams.spec.whatwg.org/#byob-reader-constructor>
fn construct(
    new_target: &NewTarget<ReadableStreamBYOBReader>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let stream = stream_argument(args)?;
    let new_object = new_target.prepare(context)?;
    let reader = Reader::acquire_byob(&stream, context)?;
    new_object.create(ReadableStreamBYOBReader(reader), context)
}

/// <https://streams.spec.whatwg.org/#byob-reader-read>
fn read(
    this: &This<ReadableStreamBYOBReader>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsPromise> {
    let view = View::from_value(args.get_or_undefined(0), context)?;
    let options = Dictionary::new(args.get_or_undefined(1))?;
    let min = match options.get("min", context)? {
        Some(min) => unsigned_integer(&min, 64, IntegerConversion::EnforceRange, context)?,
        None => 1,
    };
    // 1. to 3. A detached buffer has no bytes. The options may have detached it just now.
    if view.length == 0 || view.buffer.byte_length() == 0 {
        return Err(type_error("the view has no bytes to read into"));
    }
    // 4.
    if min == 0 {
        return Err(type_error("min is 0"));
    }
    // 5., 6.
    if min > (view.length / view.kind.element_size()) as u64 {
        return Err(JsNativeError::range()
            .with_message("min is more than the view can take")
            .into());
    }
    // 7.
    let reader = this.state().0.clone();
    if reader.stream().is_none() {
        return Err(released());
    }
    // 8. to 11.
    let promise = Promise::new();
    let object = promise.object(context)?;
    let request = Box::new(PromiseRequest(promise));
    reader.read_into(view, min as usize, request, context)?;
    Ok(object)
}

fn type_error(message: &'static str) -> JsError {
    JsNativeError::typ().with_message(message).into()
}

impl Reader {
    /// <https://streams.spec.whatwg.org/#acquire-readable-stream-byob-reader>
    pub(super) fn acquire_byob(
        stream: &super::ReadableStream,
        context: &mut Context,
    ) -> JsResult<Self> {
        if stream.is_locked() {
            return Err(super::locked());
        }
        if !matches!(stream.controller(), Some(Controller::Byte(_))) {
            return Err(type_error("the stream is not a readable byte stream"));
        }
        Self::acquire_kind(stream, true, context)
    }

    /// <https://streams.spec.whatwg.org/#readable-stream-byob-reader-read>
    pub(super) fn read_into(
        &self,
        view: View,
        min: usize,
        request: Request,
        context: &mut Context,
    ) -> JsResult<()> {
        let stream = self.stream().ok_or_else(released)?;
        stream.set_disturbed();
        if stream.status() == Status::Errored {
            return request.error(stream.stored_error(), context);
        }
        match stream.controller() {
            Some(Controller::Byte(controller)) => controller.pull_into(view, min, request, context),
            _ => Ok(()),
        }
    }
}

/// A request to fill a buffer, until it has been answered. Clones are the same one.
#[derive(Clone, Trace, Finalize, JsData)]
pub(crate) struct ByobRequest(Gc<GcRefCell<Slots>>);

#[derive(Trace, Finalize)]
struct Slots {
    controller: Option<ByteController>,
    view: Option<JsObject>,
    /// The object that scripts see.
    object: Option<JsObject>,
}

impl PlatformObject for ByobRequest {}

impl Interface for ByobRequest {
    const NAME: &'static str = "ReadableStreamBYOBRequest";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.readonly("view", |this, _| {
            let view = this.state().view();
            Ok(view.map_or_else(JsValue::null, JsValue::from))
        });
        idl.operation("respond", 1, |this, args, context| {
            let written = unsigned_integer(
                args.get_or_undefined(0),
                64,
                IntegerConversion::EnforceRange,
                context,
            )?;
            let request = this.state().clone();
            let (controller, view) = request.parts()?;
            let view = View::from_value(&view.into(), context)?;
            if is_detached(&view.buffer) {
                return Err(type_error("the buffer of the view is detached"));
            }
            controller.respond(written, context)?;
            Ok(JsValue::undefined())
        });
        idl.operation("respondWithNewView", 1, |this, args, context| {
            let view = View::from_value(args.get_or_undefined(0), context)?;
            let request = this.state().clone();
            let (controller, _) = request.parts()?;
            if is_detached(&view.buffer) {
                return Err(type_error("the buffer of the view is detached"));
            }
            controller.respond_with_new_view(&view, context)?;
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

impl ByobRequest {
    pub(super) fn new(controller: ByteController, view: JsObject) -> Self {
        Self(Gc::new(GcRefCell::new(Slots {
            controller: Some(controller),
            view: Some(view),
            object: None,
        })))
    }

    /// What is to be filled.
    pub(super) fn view(&self) -> Option<JsObject> {
        self.0.borrow().view.clone()
    }

    fn parts(&self) -> JsResult<(ByteController, JsObject)> {
        let slots = self.0.borrow();
        match (&slots.controller, &slots.view) {
            (Some(controller), Some(view)) => Ok((controller.clone(), view.clone())),
            _ => Err(type_error("the request has been answered")),
        }
    }

    /// <https://streams.spec.whatwg.org/#readable-byte-stream-controller-invalidate-byob-request>
    pub(super) fn invalidate(&self) {
        let mut slots = self.0.borrow_mut();
        slots.controller = None;
        slots.view = None;
    }

    /// The object that scripts see, the same each time.
    pub(super) fn object(&self, context: &mut Context) -> JsResult<JsObject> {
        if let Some(object) = &self.0.borrow().object {
            return Ok(object.clone());
        }
        let object = binding::create::<Self>(self.clone(), context)?;
        self.0.borrow_mut().object = Some(object.object().clone());
        Ok(object.object().clone())
    }
}
