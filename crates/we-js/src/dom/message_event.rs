//! `MessageEvent`: <https://html.spec.whatwg.org/multipage/comms.html#the-messageevent-interface>

use boa_engine::{
    Context, JsArgs, JsResult, JsString, JsValue, js_string,
    object::{IntegrityLevel, JsObject, builtins::JsArray},
};
use boa_gc::{Finalize, GcRefCell, Trace};

use super::{
    Event, EventDetail, EventObject, EventTarget,
    event::{self, construct_with},
    events::{or_null, type_error},
};
use crate::{
    binding::{Definition, Interface, This, from_utf8, sequence, usv_string},
    messaging::MessagePort,
};

/// The state of a `MessageEvent`.
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

    /// With the id of a server-sent event.
    pub(crate) fn with_last_event_id(self, id: JsString) -> Self {
        *self.last_event_id.borrow_mut() = id;
        self
    }

    /// With a frozen array of the ports that came with the message.
    pub(crate) fn with_ports(self, ports: JsObject) -> Self {
        *self.ports.borrow_mut() = Some(ports);
        self
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

/// `sequence<MessagePort>`
fn message_ports(value: &JsValue, context: &mut Context) -> JsResult<JsObject> {
    let ports = sequence(
        value,
        context,
        |port, _| match This::<MessagePort>::from_value(&port) {
            Some(_) => Ok(port),
            None => Err(type_error("ports: not a MessagePort")),
        },
    )?;
    let ports = ports.ok_or_else(|| type_error("ports: a sequence of MessagePort is required"))?;
    let ports: JsObject = JsArray::from_iter(ports, context).into();
    ports.set_integrity_level(IntegrityLevel::Frozen, context)?;
    Ok(ports)
}

/// `MessageEventSource?`: a window, a port or a service worker. The global object stands for the window.
fn message_event_source(value: &JsValue) -> JsResult<JsValue> {
    if value.is_null_or_undefined() {
        return Ok(JsValue::null());
    }
    let is_global =
        || This::<EventTarget>::from_value(value).is_some_and(|target| target.state().is_global());
    if This::<MessagePort>::from_value(value).is_some() || is_global() {
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
    let origin = match args.get_or_undefined(4) {
        value if value.is_undefined() => js_string!(),
        value => from_utf8(&usv_string(value, context)?),
    };
    let last_event_id = match args.get_or_undefined(5) {
        value if value.is_undefined() => js_string!(),
        value => value.to_string(context)?,
    };
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
