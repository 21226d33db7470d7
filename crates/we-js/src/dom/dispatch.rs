//! Dispatching events: <https://dom.spec.whatwg.org/#concept-event-dispatch>
//!
//! No target here has a parent, so an event's path is its target alone, at which capturing listeners run
//! before the others.

use boa_engine::{
    Context, JsError, JsNativeError, JsResult, JsString, JsValue, js_string, object::JsObject,
};
use boa_gc::Gc;

use super::{
    Event, EventDetail, EventInit, EventObject, EventTarget,
    event::Origin,
    event_handler,
    event_target::{self, Callback, Listener},
    report::report_exception,
};
use crate::{
    binding::{self, This},
    event_loop,
};

/// [Fire an event](https://dom.spec.whatwg.org/#concept-event-fire) of a plain `Event`. False if it was canceled.
pub(crate) fn fire(
    target: &This<EventTarget>,
    kind: JsString,
    context: &mut Context,
) -> JsResult<bool> {
    fire_with::<Event>(
        target,
        kind,
        EventInit::default(),
        EventDetail::None,
        context,
    )
}

/// [Fire an event](https://dom.spec.whatwg.org/#concept-event-fire) of the interface `T`. False if it was canceled.
pub(crate) fn fire_with<T: binding::Interface<Root = EventObject>>(
    target: &This<EventTarget>,
    kind: JsString,
    init: EventInit,
    detail: EventDetail,
    context: &mut Context,
) -> JsResult<bool> {
    let event = Event::new(kind, init, Origin::UserAgent, context);
    let object = binding::create::<T>(EventObject { event, detail }, context)?;
    match This::<Event>::from_object(object.object().clone()) {
        Some(event) => dispatch(&event, target, context),
        None => Ok(true),
    }
}

/// [Dispatch](https://dom.spec.whatwg.org/#concept-event-dispatch) `event` to `target`. False if it was canceled.
///
/// Exceptions of listeners are reported, not returned; an error means that the engine itself gave up.
pub(crate) fn dispatch(
    event: &This<Event>,
    target: &This<EventTarget>,
    context: &mut Context,
) -> JsResult<bool> {
    // 1. to 5.11: the path has one item.
    event.state().begin_dispatch(target.object());
    // 5.13, 5.14: at the target, the capturing listeners first.
    invoke(event, target, Phase::Capturing, context);
    invoke(event, target, Phase::Bubbling, context);
    // 6. to 10.
    event.state().end_dispatch();
    // 13.
    Ok(!event.state().is_canceled())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Capturing,
    Bubbling,
}

/// [Invoke](https://dom.spec.whatwg.org/#concept-event-listener-invoke)
fn invoke(event: &This<Event>, target: &This<EventTarget>, phase: Phase, context: &mut Context) {
    let listeners = {
        let state = event.state();
        // 3.
        if state.propagation_stopped() {
            return;
        }
        // 5.
        let capturing = phase == Phase::Capturing;
        let listeners = target.state().listeners(&state.kind(), capturing);
        // Nobody will see what comes next.
        if listeners.is_empty() {
            return;
        }
        // 4.
        state.set_current_target(Some(target.object().clone()));
        listeners
    };
    // 6. [Inner invoke](https://dom.spec.whatwg.org/#concept-event-listener-inner-invoke)
    for listener in listeners {
        if listener.removed.get() {
            continue;
        }
        call_listener(event, target, &listener, context);
        // 2.13
        if event.state().immediate_propagation_stopped() {
            return;
        }
    }
}

/// Inner invoke, steps 2.5 to 2.12.
fn call_listener(
    event: &This<Event>,
    target: &This<EventTarget>,
    listener: &Gc<Listener>,
    context: &mut Context,
) {
    // 2.5
    if listener.once {
        event_target::remove_listener(target, listener);
    }
    // 2.9
    if listener.passive {
        event.state().set_in_passive_listener(true);
    }
    // 2.10, 2.11
    event_loop::run_callback(context, |context| {
        let result = match &listener.callback {
            Callback::Script(callback) => handle_event(callback, event, target, context),
            Callback::Handler => event_handler::process(event, target, context),
        };
        if let Err(error) = result {
            report_exception(error, context);
        }
    });
    // 2.12
    if listener.passive {
        event.state().set_in_passive_listener(false);
    }
}

/// [Call a user object's operation][spec] `handleEvent`, with the target as `this` where it is a function.
///
/// [spec]: https://webidl.spec.whatwg.org/#call-a-user-objects-operation
fn handle_event(
    callback: &JsObject,
    event: &This<Event>,
    target: &This<EventTarget>,
    context: &mut Context,
) -> Result<(), JsError> {
    let event = [JsValue::from(event.object().clone())];
    if callback.is_callable() {
        event_loop::call(callback, &target.object().clone().into(), &event, context)?;
        return Ok(());
    }
    // 10.1 to 10.4
    let method = callback.get(js_string!("handleEvent"), context)?;
    let method = method.as_callable().ok_or_else(|| {
        JsNativeError::typ().with_message("the listener's handleEvent is not a function")
    })?;
    event_loop::call(&method, &callback.clone().into(), &event, context)?;
    Ok(())
}
