//! The interface `ReadableStream`: <https://streams.spec.whatwg.org/#rs-class>

use boa_engine::{
    Context, JsArgs, JsNativeError, JsResult, JsSymbol, JsValue, js_string,
    object::{
        JsObject,
        builtins::{JsArray, JsPromise},
    },
    property::Attribute,
};

use super::{
    ReadableStream, async_iterator,
    byob::ReadableStreamBYOBReader,
    byte_controller::ByteController,
    byte_tee,
    default_controller::DefaultController,
    from, locked,
    pipe::{PipeOptions, pipe_to},
    reader::{ReadableStreamDefaultReader, Reader},
    source::SourceDictionary,
    tee,
};
use crate::{
    binding::{Definition, Dictionary, Interface, NewTarget, PlatformObject, This},
    streams::{optional_object, strategy::QueuingStrategy, writable::WritableStream},
};

impl PlatformObject for ReadableStream {}

impl Interface for ReadableStream {
    const NAME: &'static str = "ReadableStream";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.static_operation("from", 1, |args, context| {
            from::from(args.get_or_undefined(0), context)?.object(context)
        });
        idl.readonly("locked", |this, _| Ok(this.state().is_locked()));
        idl.promise_operation("cancel", 0, |this, args, context| {
            let stream = this.state().clone();
            if stream.is_locked() {
                return Err(locked());
            }
            stream
                .cancel(args.get_or_undefined(0).clone(), context)?
                .object(context)
        });
        idl.operation("getReader", 0, get_reader);
        idl.operation("pipeThrough", 1, pipe_through);
        idl.promise_operation("pipeTo", 1, pipe_to_destination);
        idl.operation("tee", 0, |this, _, context| {
            let stream = this.state().clone();
            let branches = match stream.byte_controller() {
                Some(_) => byte_tee::tee(&stream, context)?,
                None => tee::tee(&stream, false, context)?,
            };
            let objects = branches.map(|branch| branch.object(context));
            let objects: JsResult<Vec<_>> = objects.into_iter().collect();
            let objects = objects?.into_iter().map(JsValue::from);
            Ok(JsArray::from_iter(objects, context))
        });
        // async iterable<any>
        let values = idl.method_function("values", 0, |this, args, context| {
            let options = Dictionary::new(args.get_or_undefined(0))?;
            let prevent_cancel = options.boolean("preventCancel", false, context)?;
            let stream = this.state().clone();
            let reader = Reader::acquire(&stream, context)?;
            async_iterator::create(reader, prevent_cancel, context)
        });
        idl.property(js_string!("values"), values.clone(), Attribute::all());
        let hidden = Attribute::WRITABLE | Attribute::CONFIGURABLE;
        idl.property(JsSymbol::async_iterator(), values, hidden);
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#rs-constructor>
fn construct(
    new_target: &NewTarget<ReadableStream>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let underlying_source = optional_object(args.get_or_undefined(0))?;
    let strategy = QueuingStrategy::from_value(args.get_or_undefined(1), context)?;
    let new_object = new_target.prepare(context)?;
    // 1., 2.
    let source = SourceDictionary::from_value(&underlying_source, context)?;
    // 3.
    let stream = ReadableStream::initialize();
    // 4.
    if source.is_bytes {
        if strategy.has_size() {
            return Err(JsNativeError::range()
                .with_message("the strategy of a byte stream has no 'size'")
                .into());
        }
        let high_water_mark = strategy.high_water_mark(0.0)?;
        let object = new_object.create(stream.clone(), context)?;
        stream.set_object(&object);
        // https://streams.spec.whatwg.org/#set-up-readable-byte-stream-controller-from-underlying-source
        if source.auto_allocate_chunk_size == Some(0) {
            return Err(JsNativeError::typ()
                .with_message("autoAllocateChunkSize is 0")
                .into());
        }
        let chunk_size = source.auto_allocate_chunk_size;
        let controller = ByteController::set_up(&stream, high_water_mark, chunk_size);
        let controller_object = controller.new_object(context)?;
        controller.set_source(source.source(&controller_object));
        let start = source.start(&controller_object, context)?;
        controller.start(&start, context)?;
        return Ok(object);
    }
    // 5.
    let controller = DefaultController::without_source(&stream, strategy.strategy(1.0)?);
    let object = new_object.create(stream.clone(), context)?;
    stream.set_object(&object);
    let controller_object = controller.new_object(context)?;
    controller.set_source(source.source(&controller_object));
    let start = source.start(&controller_object, context)?;
    controller.start(&start, context)?;
    Ok(object)
}

/// <https://streams.spec.whatwg.org/#rs-get-reader>
fn get_reader(
    this: &This<ReadableStream>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let options = Dictionary::new(args.get_or_undefined(0))?;
    let is_byob = match options.string("mode", context)? {
        None => false,
        Some(mode) if mode == js_string!("byob") => true,
        Some(_) => {
            return Err(JsNativeError::typ()
                .with_message("the mode of a reader is not 'byob'")
                .into());
        }
    };
    let stream = this.state().clone();
    if is_byob {
        let reader = Reader::acquire_byob(&stream, context)?;
        return ReadableStreamBYOBReader::object(reader, context);
    }
    let reader = Reader::acquire(&stream, context)?;
    ReadableStreamDefaultReader::object(reader, context)
}

/// <https://streams.spec.whatwg.org/#rs-pipe-through>
fn pipe_through(
    this: &This<ReadableStream>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    // The dictionary `ReadableWritablePair`, whose members are required.
    let transform = Dictionary::new(args.get_or_undefined(0))?;
    let readable = transform.get("readable", context)?;
    let readable = readable
        .and_then(|value| This::<ReadableStream>::from_value(&value))
        .ok_or_else(|| JsNativeError::typ().with_message("'readable' is not a ReadableStream"))?;
    let writable = transform.get("writable", context)?;
    let writable = writable
        .and_then(|value| This::<WritableStream>::from_value(&value))
        .ok_or_else(|| JsNativeError::typ().with_message("'writable' is not a WritableStream"))?;
    let options = PipeOptions::from_value(args.get_or_undefined(1), context)?;
    let writable = writable.state().clone();
    let promise = pipe(this, &writable, &options, context)?;
    promise.mark_as_handled();
    Ok(readable.object().clone())
}

/// <https://streams.spec.whatwg.org/#rs-pipe-to>
fn pipe_to_destination(
    this: &This<ReadableStream>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsPromise> {
    let destination = This::<WritableStream>::from_value(args.get_or_undefined(0))
        .ok_or_else(|| JsNativeError::typ().with_message("argument 1 is not a WritableStream"))?;
    let options = PipeOptions::from_value(args.get_or_undefined(1), context)?;
    let destination = destination.state().clone();
    pipe(this, &destination, &options, context)?.object(context)
}

fn pipe(
    this: &This<ReadableStream>,
    destination: &WritableStream,
    options: &PipeOptions,
    context: &mut Context,
) -> JsResult<crate::binding::Promise> {
    let stream = this.state().clone();
    if stream.is_locked() {
        return Err(locked());
    }
    if destination.is_locked() {
        return Err(JsNativeError::typ()
            .with_message("the destination is locked to a writer")
            .into());
    }
    pipe_to(&stream, destination, options, context)
}
