//! The interface `WritableStream`: <https://streams.spec.whatwg.org/#ws-class>

use boa_engine::{Context, JsArgs, JsResult, JsValue, object::JsObject};

use super::{
    WritableStream, Writer, locked,
    sink::{ScriptSink, Sink},
};
use crate::{
    binding::{Definition, Interface, NewTarget, PlatformObject, Promise},
    event_loop,
    streams::{optional_object, strategy::QueuingStrategy},
};

impl PlatformObject for WritableStream {}

impl Interface for WritableStream {
    const NAME: &'static str = "WritableStream";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.readonly("locked", |this, _| Ok(this.state().is_locked()));
        idl.promise_operation("abort", 0, |this, args, context| {
            let stream = this.state().clone();
            if stream.is_locked() {
                return Err(locked());
            }
            stream
                .abort(args.get_or_undefined(0).clone(), context)?
                .object(context)
        });
        idl.promise_operation("close", 0, |this, _, context| {
            let stream = this.state().clone();
            if stream.is_locked() {
                return Err(locked());
            }
            stream.close_unless_closing(context)?.object(context)
        });
        idl.operation("getWriter", 0, |this, _, context| {
            let stream = this.state().clone();
            Writer::acquire(&stream, context)?.into_object(context)
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#ws-constructor>
fn construct(
    new_target: &NewTarget<WritableStream>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let underlying_sink = optional_object(args.get_or_undefined(0))?;
    let strategy = QueuingStrategy::from_value(args.get_or_undefined(1), context)?;
    let new_object = new_target.prepare(context)?;
    // 1. to 3.
    let (sink, start) = ScriptSink::from_value(&underlying_sink, context)?;
    // 4. to 6.
    let stream = WritableStream::initialize(strategy.strategy(1.0)?);
    let object = new_object.create(stream.clone(), context)?;
    stream.0.borrow_mut().object = Some(object.clone());
    // 7.
    stream.set_up(Sink::new(sink))?;
    let started = match start {
        Some(start) => {
            let controller = stream.controller_object(context)?;
            let result = event_loop::call(&start, &underlying_sink, &[controller.into()], context)?;
            Promise::resolved_with(result, context)?
        }
        None => Promise::fulfilled(),
    };
    stream.start(&started, context)?;
    Ok(object)
}
