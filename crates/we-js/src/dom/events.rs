//! The events that other standards derive from `Event`, as far as this platform fires them.
//!
//! Each is its IDL: a dictionary read by the constructor, and read-only attributes.

use boa_engine::object::IntegrityLevel;
use boa_engine::{
    Context, JsArgs, JsResult, JsString, JsValue, js_string,
    object::{JsObject, builtins::JsArray},
};
use boa_gc::{Finalize, GcRefCell, Trace};

use super::{
    Event, EventDetail, EventObject, EventTarget,
    event::{self, construct_with},
};
use crate::binding::{Definition, IntegerConversion, Interface, This, sequence, unsigned_integer};

/// `CloseEvent`: <https://websockets.spec.whatwg.org/#the-closeevent-interface>
#[derive(Trace, Finalize)]
pub(crate) struct CloseEvent {
    pub(crate) was_clean: bool,
    pub(crate) code: u16,
    pub(crate) reason: JsString,
}

impl Interface for CloseEvent {
    const NAME: &'static str = "CloseEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Close(close) = &root.detail {
            Some(close)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let code = match init.get("code", context)? {
                    Some(value) => {
                        unsigned_integer(&value, 16, IntegerConversion::Wrap, context)? as u16
                    }
                    None => 0,
                };
                let reason = init.usv_string("reason", context)?.unwrap_or_default();
                let was_clean = init.boolean("wasClean", false, context)?;
                Ok(EventDetail::Close(Self {
                    was_clean,
                    code,
                    reason,
                }))
            })
        });
        idl.readonly("wasClean", |this, _| Ok(this.state().was_clean));
        idl.readonly("code", |this, _| Ok(this.state().code));
        idl.readonly("reason", |this, _| Ok(this.state().reason.clone()));
        Ok(())
    }
}

/// `MessageEvent`: <https://html.spec.whatwg.org/multipage/comms.html#the-messageevent-interface>
#[derive(Trace, Finalize)]
pub(crate) struct MessageEvent {
    data: GcRefCell<JsValue>,
    origin: GcRefCell<JsString>,
    last_event_id: GcRefCell<JsString>,
    source: GcRefCell<JsValue>,
    ports: GcRefCell<Option<JsObject>>,
}

impl MessageEvent {
    /// A message that came from a connection: only `data` and `origin` say something.
    pub(crate) fn new(data: JsValue, origin: JsString) -> Self {
        Self {
            data: GcRefCell::new(data),
            origin: GcRefCell::new(origin),
            last_event_id: GcRefCell::new(js_string!()),
            source: GcRefCell::new(JsValue::null()),
            ports: GcRefCell::new(None),
        }
    }
}

impl Interface for MessageEvent {
    const NAME: &'static str = "MessageEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Message(message) = &root.detail {
            Some(message)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let data = init.get("data", context)?.unwrap_or(JsValue::null());
                let last_event_id = init.string("lastEventId", context)?.unwrap_or_default();
                let origin = init.usv_string("origin", context)?.unwrap_or_default();
                let ports = init.get("ports", context)?;
                let ports = ports
                    .map(|ports| message_ports(&ports, context))
                    .transpose()?;
                let source = init.get("source", context)?;
                let source =
                    source.map_or(Ok(JsValue::null()), |source| message_event_source(&source))?;
                Ok(EventDetail::Message(Self {
                    data: GcRefCell::new(data),
                    origin: GcRefCell::new(origin),
                    last_event_id: GcRefCell::new(last_event_id),
                    source: GcRefCell::new(source),
                    ports: GcRefCell::new(ports),
                }))
            })
        });
        idl.readonly("data", |this, _| Ok(this.state().data.borrow().clone()));
        idl.readonly("origin", |this, _| Ok(this.state().origin.borrow().clone()));
        idl.readonly("lastEventId", |this, _| {
            Ok(this.state().last_event_id.borrow().clone())
        });
        idl.readonly("source", |this, _| Ok(this.state().source.borrow().clone()));
        idl.readonly("ports", ports);
        idl.operation("initMessageEvent", 1, init_message_event);
        Ok(())
    }
}

/// A `FrozenArray<MessagePort>`: the same array each time, made when first asked for.
fn ports(this: &This<MessageEvent>, context: &mut Context) -> JsResult<JsValue> {
    if let Some(ports) = this.state().ports.borrow().clone() {
        return Ok(ports.into());
    }
    let ports: JsObject = JsArray::new(context)?.into();
    ports.set_integrity_level(IntegrityLevel::Frozen, context)?;
    *this.state().ports.borrow_mut() = Some(ports.clone());
    Ok(ports.into())
}

/// `sequence<MessagePort>`. There are no message ports yet, so only an empty sequence converts.
fn message_ports(value: &JsValue, context: &mut Context) -> JsResult<JsObject> {
    let ports = sequence(value, context, |_, _| -> JsResult<JsValue> {
        Err(type_error("ports: not a MessagePort"))
    })?;
    let ports = ports.ok_or_else(|| type_error("ports: a sequence of MessagePort is required"))?;
    let ports: JsObject = JsArray::from_iter(ports, context).into();
    ports.set_integrity_level(IntegrityLevel::Frozen, context)?;
    Ok(ports)
}

/// `MessageEventSource?`: a window, a port or a service worker. None of them exists here but the global object.
fn message_event_source(value: &JsValue) -> JsResult<JsValue> {
    if value.is_null_or_undefined() {
        return Ok(JsValue::null());
    }
    if This::<EventTarget>::from_value(value).is_some_and(|target| target.state().is_global()) {
        return Ok(value.clone());
    }
    Err(type_error("source: not a MessageEventSource"))
}

/// <https://html.spec.whatwg.org/multipage/comms.html#dom-messageevent-initmessageevent>
fn init_message_event(
    this: &This<MessageEvent>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let kind = args.get_or_undefined(0).to_string(context)?;
    let bubbles = args.get_or_undefined(1).to_boolean();
    let cancelable = args.get_or_undefined(2).to_boolean();
    let data = or_null(args.get(3));
    let mut string = |index: usize| match args.get(index) {
        Some(value) if !value.is_undefined() => value.to_string(context),
        _ => Ok(js_string!()),
    };
    let origin = string(4)?;
    let last_event_id = string(5)?;
    let source = message_event_source(args.get(6).unwrap_or(&JsValue::null()))?;
    let ports = match args.get(7) {
        Some(value) if !value.is_undefined() => Some(message_ports(value, context)?),
        _ => None,
    };
    let Some(event) = This::<Event>::from_object(this.object().clone()) else {
        return Ok(JsValue::undefined());
    };
    if event::initialize(&event, kind, bubbles, cancelable) {
        let state = this.state();
        *state.data.borrow_mut() = data;
        *state.origin.borrow_mut() = origin;
        *state.last_event_id.borrow_mut() = last_event_id;
        *state.source.borrow_mut() = source;
        *state.ports.borrow_mut() = ports;
    }
    Ok(JsValue::undefined())
}

/// `ErrorEvent`: <https://html.spec.whatwg.org/multipage/webappapis.html#errorevent>
#[derive(Trace, Finalize)]
pub(crate) struct ErrorEvent {
    pub(crate) message: JsString,
    pub(crate) filename: JsString,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) error: JsValue,
}

impl Interface for ErrorEvent {
    const NAME: &'static str = "ErrorEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Error(error) = &root.detail {
            Some(error)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let position = |name, context: &mut Context| match init.get(name, context)? {
                    Some(value) => {
                        Ok(unsigned_integer(&value, 32, IntegerConversion::Wrap, context)? as u32)
                    }
                    None => JsResult::Ok(0),
                };
                let column = position("colno", context)?;
                let error = init.get("error", context)?.unwrap_or_default();
                let filename = init.usv_string("filename", context)?.unwrap_or_default();
                let line = position("lineno", context)?;
                let message = init.string("message", context)?.unwrap_or_default();
                Ok(EventDetail::Error(Self {
                    message,
                    filename,
                    line,
                    column,
                    error,
                }))
            })
        });
        idl.readonly("message", |this, _| Ok(this.state().message.clone()));
        idl.readonly("filename", |this, _| Ok(this.state().filename.clone()));
        idl.readonly("lineno", |this, _| Ok(this.state().line));
        idl.readonly("colno", |this, _| Ok(this.state().column));
        idl.readonly("error", |this, _| Ok(this.state().error.clone()));
        Ok(())
    }
}

/// `PromiseRejectionEvent`: <https://html.spec.whatwg.org/multipage/webappapis.html#promiserejectionevent>
#[derive(Trace, Finalize)]
pub(crate) struct PromiseRejectionEvent {
    pub(crate) promise: JsObject,
    pub(crate) reason: JsValue,
}

impl Interface for PromiseRejectionEvent {
    const NAME: &'static str = "PromiseRejectionEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Rejection(rejection) = &root.detail {
            Some(rejection)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(2, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let promise = init
                    .get("promise", context)?
                    .and_then(|promise| promise.as_object());
                let promise = promise
                    .ok_or_else(|| type_error("init.promise is required and must be an object"))?;
                let reason = init.get("reason", context)?.unwrap_or_default();
                Ok(EventDetail::Rejection(Self { promise, reason }))
            })
        });
        idl.readonly("promise", |this, _| Ok(this.state().promise.clone()));
        idl.readonly("reason", |this, _| Ok(this.state().reason.clone()));
        Ok(())
    }
}

/// `CustomEvent`: <https://dom.spec.whatwg.org/#interface-customevent>
#[derive(Trace, Finalize)]
pub(crate) struct CustomEvent {
    detail: GcRefCell<JsValue>,
}

impl Interface for CustomEvent {
    const NAME: &'static str = "CustomEvent";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        if let EventDetail::Custom(custom) = &root.detail {
            Some(custom)
        } else {
            None
        }
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<Event>()?;
        idl.constructor(1, |new_target, args, context| {
            construct_with(new_target, args, context, |init, context| {
                let detail = init.get("detail", context)?.unwrap_or(JsValue::null());
                Ok(EventDetail::Custom(Self {
                    detail: GcRefCell::new(detail),
                }))
            })
        });
        idl.readonly("detail", |this, _| Ok(this.state().detail.borrow().clone()));
        idl.operation("initCustomEvent", 1, |this, args, context| {
            let kind = args.get_or_undefined(0).to_string(context)?;
            let bubbles = args.get_or_undefined(1).to_boolean();
            let cancelable = args.get_or_undefined(2).to_boolean();
            let detail = or_null(args.get(3));
            if let Some(event) = This::<Event>::from_object(this.object().clone())
                && event::initialize(&event, kind, bubbles, cancelable)
            {
                *this.state().detail.borrow_mut() = detail;
            }
            Ok(JsValue::undefined())
        });
        Ok(())
    }
}

/// An optional argument whose default is null: `undefined` stands for it too.
fn or_null(value: Option<&JsValue>) -> JsValue {
    match value {
        Some(value) if !value.is_undefined() => value.clone(),
        _ => JsValue::null(),
    }
}

fn type_error(message: &'static str) -> boa_engine::JsError {
    boa_engine::JsNativeError::typ()
        .with_message(message)
        .into()
}
