//! The interface `TransformStream`: <https://streams.spec.whatwg.org/#ts-class>

use boa_engine::{Context, JsArgs, JsResult, JsValue, object::JsObject};

use super::{
    TransformStream,
    transformer::{Algorithms, ScriptTransformer},
};
use crate::{
    binding::{Definition, Interface, NewTarget, PlatformObject, Promise},
    event_loop,
    streams::{optional_object, strategy::QueuingStrategy},
};

impl PlatformObject for TransformStream {}

impl Interface for TransformStream {
    const NAME: &'static str = "TransformStream";
    type Root = Self;

    fn project(root: &Self) -> Option<&Self> {
        Some(root)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, construct);
        idl.readonly("readable", |this, context| {
            let stream = this.state().clone();
            stream.readable()?.object(context)
        });
        idl.readonly("writable", |this, context| {
            let stream = this.state().clone();
            stream.writable()?.object(context)
        });
        Ok(())
    }
}

/// <https://streams.spec.whatwg.org/#ts-constructor>
fn construct(
    new_target: &NewTarget<TransformStream>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let transformer = optional_object(args.get_or_undefined(0))?;
    let writable_strategy = QueuingStrategy::from_value(args.get_or_undefined(1), context)?;
    let readable_strategy = QueuingStrategy::from_value(args.get_or_undefined(2), context)?;
    let new_object = new_target.prepare(context)?;
    // 1. to 4.
    let (algorithms, start) = ScriptTransformer::from_value(&transformer, context)?;
    // 5. to 8.
    let readable_strategy = readable_strategy.strategy(0.0)?;
    let writable_strategy = writable_strategy.strategy(1.0)?;
    // 9., 10.
    let start_promise = Promise::new();
    let stream = TransformStream::initialize(
        &start_promise,
        writable_strategy,
        readable_strategy,
        context,
    )?;
    // 11.
    stream.0.state.borrow_mut().transformer = Some(Algorithms::new(algorithms));
    let object = new_object.create(stream.clone(), context)?;
    // 12., 13.
    let started = match start {
        Some(start) => {
            let controller = stream.controller_object(context)?;
            event_loop::call(&start, &transformer, &[controller.into()], context)?
        }
        None => JsValue::undefined(),
    };
    start_promise.resolve(started, context)?;
    Ok(object)
}
