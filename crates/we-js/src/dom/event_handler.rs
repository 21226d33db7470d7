//! Event handlers: attributes such as `onopen`.
//! <https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-attributes>
//!
//! A handler is a listener whose callback can be exchanged: it keeps the place in the order of listeners
//! that it got when it was first set, and loses it when it is set to null.

use std::cell::Cell;

use boa_engine::{Context, JsResult, JsString, JsValue, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    Event, EventTarget, EventTargetObject,
    event_target::{self, Callback, Listener},
    events::ErrorEvent,
};
use crate::{
    binding::{Definition, Interface, This},
    event_loop,
};

/// The [event handler map](https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-map) of a target.
#[derive(Default, Trace, Finalize)]
pub(crate) struct Handlers(GcRefCell<Vec<Handler>>);

#[derive(Trace, Finalize)]
struct Handler {
    kind: JsString,
    value: JsObject,
    listener: Gc<Listener>,
}

impl Handlers {
    fn value(&self, kind: &JsString) -> Option<JsObject> {
        self.0
            .borrow()
            .iter()
            .find(|handler| handler.kind == *kind)
            .map(|handler| handler.value.clone())
    }
}

/// Declares the [event handler IDL attribute][spec] `name`, `"on"` followed by the event's type.
///
/// [spec]: https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-idl-attributes
pub(crate) fn define<T: Interface<Root = EventTargetObject>>(
    idl: &mut Definition<'_, T>,
    name: &'static str,
) {
    define_with(idl, name, |_| {});
}

/// The same for an attribute whose setter does something besides.
pub(crate) fn define_with<T: Interface<Root = EventTargetObject>>(
    idl: &mut Definition<'_, T>,
    name: &'static str,
    and_then: impl Fn(&This<T>) + Copy + 'static,
) {
    let kind = name.strip_prefix("on").unwrap_or(name);
    idl.attribute(
        name,
        move |this: &This<T>, _| {
            let value = as_target(this)
                .and_then(|target| target.state().handlers.value(&JsString::from(kind)));
            Ok(value.map_or(JsValue::null(), JsValue::from))
        },
        move |this: &This<T>, value, _| {
            if let Some(target) = as_target(this) {
                // `[LegacyTreatNonObjectAsNull]`
                set(&target, JsString::from(kind), value.as_object());
                event_target::listener_added(target.object());
            }
            and_then(this);
            Ok(())
        },
    );
}

fn as_target<T: Interface>(this: &This<T>) -> Option<This<EventTarget>> {
    This::from_object(this.object().clone())
}

/// The [setter](https://html.spec.whatwg.org/multipage/webappapis.html#event-handler-idl-attributes) steps.
fn set(target: &This<EventTarget>, kind: JsString, value: Option<JsObject>) {
    let state = target.state();
    let mut handlers = state.handlers.0.borrow_mut();
    let position = handlers.iter().position(|handler| handler.kind == kind);
    match (position, value) {
        // Deactivate: https://html.spec.whatwg.org/multipage/webappapis.html#deactivate-an-event-handler
        (Some(position), None) => {
            let handler = handlers.swap_remove(position);
            state.remove(&handler.listener);
        }
        (Some(position), Some(value)) => {
            if let Some(handler) = handlers.get_mut(position) {
                handler.value = value;
            }
        }
        // Activate: https://html.spec.whatwg.org/multipage/webappapis.html#activate-an-event-handler
        (None, Some(value)) => {
            let listener = Listener {
                kind: kind.clone(),
                callback: Callback::Handler,
                capture: false,
                once: false,
                passive: false,
                removed: Cell::new(false),
            };
            if let Some(listener) = state.add(listener) {
                handlers.push(Handler {
                    kind,
                    value,
                    listener,
                });
            }
        }
        (None, None) => {}
    }
}

/// [The event handler processing algorithm][spec].
///
/// [spec]: https://html.spec.whatwg.org/multipage/webappapis.html#the-event-handler-processing-algorithm
pub(super) fn process(
    event: &This<Event>,
    target: &This<EventTarget>,
    context: &mut Context,
) -> JsResult<()> {
    // 1., 2.
    let kind = event.state().kind();
    let Some(callback) = target.state().handlers.value(&kind) else {
        return Ok(());
    };
    // An object that cannot be called is kept as the value and does nothing.
    // https://webidl.spec.whatwg.org/#invoke-a-callback-function step 4
    if !callback.is_callable() {
        return Ok(());
    }
    // 3. Special error event handling.
    let error = This::<ErrorEvent>::from_object(event.object().clone())
        .filter(|_| target.state().is_global() && kind == boa_engine::js_string!("error"));
    let this = JsValue::from(target.object().clone());
    // 4.
    let canceled = match error {
        Some(error) => {
            let args: [JsValue; 5] = {
                let error = error.state();
                [
                    error.message.clone().into(),
                    error.filename.clone().into(),
                    error.line.into(),
                    error.column.into(),
                    error.error.clone(),
                ]
            };
            event_loop::call(&callback, &this, &args, context)?.as_boolean() == Some(true)
        }
        None => {
            let event = [event.object().clone().into()];
            event_loop::call(&callback, &this, &event, context)?.as_boolean() == Some(false)
        }
    };
    // 5.
    if canceled {
        event.state().set_canceled();
    }
    Ok(())
}
