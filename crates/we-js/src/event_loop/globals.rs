//! The operations of [`WindowOrWorkerGlobalScope`](https://html.spec.whatwg.org/#windoworworkerglobalscope-mixin)
//! that are the event loop's own: timers and `queueMicrotask`.

use boa_engine::native_function::NativeFunctionPointer;
use boa_engine::object::FunctionObjectBuilder;
use boa_engine::object::builtins::JsFunction;
use boa_engine::property::Attribute;
use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsResult, JsString, JsValue, NativeFunction, js_string,
};

use super::LoopState;
use super::timers::{Handler, Repeat, ScriptTimer};
use crate::binding::{mixin_target, property, require_global};

/// Defines the operations as WebIDL defines operations: writable, enumerable, configurable.
pub(super) fn install(context: &mut Context) -> JsResult<()> {
    let operations: [(JsString, usize, NativeFunctionPointer); 5] = [
        (js_string!("setTimeout"), 1, set_timeout),
        (js_string!("clearTimeout"), 0, clear_timer),
        (js_string!("setInterval"), 1, set_interval),
        (js_string!("clearInterval"), 0, clear_timer),
        (js_string!("queueMicrotask"), 1, queue_microtask),
    ];
    for (name, length, steps) in operations {
        let function =
            FunctionObjectBuilder::new(context.realm(), NativeFunction::from_fn_ptr(steps))
                .name(name.clone())
                .length(length)
                .constructor(false)
                .build();
        mixin_target(context).define_property_or_throw(
            name,
            property(function, Attribute::all()),
            context,
        )?;
    }
    Ok(())
}

/// <https://html.spec.whatwg.org/#dom-settimeout>
fn set_timeout(this: &JsValue, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    set_timer("setTimeout", Repeat::Once, this, args, context)
}

/// <https://html.spec.whatwg.org/#dom-setinterval>
fn set_interval(this: &JsValue, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    set_timer("setInterval", Repeat::UntilCleared, this, args, context)
}

fn set_timer(
    operation: &str,
    repeat: Repeat,
    this: &JsValue,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    require_global(this, context)?;
    let Some(handler) = args.first() else {
        return Err(type_error(format!(
            "{operation}: 1 argument required, but only 0 present"
        )));
    };
    let handler = match handler.as_callable().and_then(JsFunction::from_object) {
        Some(function) => Handler::Function(function),
        None => Handler::Source(handler.to_string(context)?),
    };
    let timeout = args.get_or_undefined(1).to_i32(context)?;
    let arguments = args.get(2..).unwrap_or_default().to_vec();

    let id = LoopState::of(context)?.initialise_timer(
        ScriptTimer {
            handler,
            arguments,
            timeout,
            repeat,
        },
        None,
    );
    Ok(id.into())
}

/// <https://html.spec.whatwg.org/#dom-cleartimeout>, <https://html.spec.whatwg.org/#dom-clearinterval>
fn clear_timer(this: &JsValue, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    require_global(this, context)?;
    let id = args.get_or_undefined(0).to_i32(context)?;
    LoopState::of(context)?.clear_timer(id);
    Ok(JsValue::undefined())
}

/// <https://html.spec.whatwg.org/#dom-queuemicrotask>
fn queue_microtask(this: &JsValue, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    require_global(this, context)?;
    let callback = args
        .get_or_undefined(0)
        .as_callable()
        .and_then(JsFunction::from_object)
        .ok_or_else(|| type_error("queueMicrotask: the callback is not a function".to_owned()))?;
    // The standard invokes the callback with "report" and no this value.
    LoopState::of(context)?.queue_microtask(move |context| {
        callback
            .call(&JsValue::undefined(), &[], context)
            .map(|_| ())
    });
    Ok(JsValue::undefined())
}

fn type_error(message: String) -> JsError {
    JsNativeError::typ().with_message(message).into()
}
