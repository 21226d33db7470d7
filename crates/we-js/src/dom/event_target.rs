//! `EventTarget`: <https://dom.spec.whatwg.org/#interface-eventtarget>

use std::cell::Cell;

use boa_engine::{
    Context, JsArgs, JsData, JsNativeError, JsResult, JsString, JsValue,
    object::{JsObject, NativeObject},
};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};
use smallvec::SmallVec;

use super::{
    Event, dispatch,
    event_handler::Handlers,
    exception::{DomException, ErrorName},
    global_scope::GlobalScope,
};
use crate::{
    abort::{self, AbortSignal},
    binding::{Definition, Dictionary, Interface, NewTarget, PlatformObject, This},
    eventsource, messaging,
};

/// Native data of every event target: the listeners that all have, and the state of its kind.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct EventTargetObject {
    pub(crate) target: EventTarget,
    /// What the target is besides an `EventTarget`. Open, so that each kind lives in a module of its own.
    kind: Box<dyn NativeObject>,
}

impl PlatformObject for EventTargetObject {}

/// The kind of a target that is an `EventTarget` and nothing else.
#[derive(Trace, Finalize, JsData)]
struct Plain;

impl EventTargetObject {
    /// The native data of a target of this kind, without listeners.
    pub(crate) fn new<T: NativeObject>(kind: T) -> Self {
        let kind: Box<dyn NativeObject> = Box::new(kind);
        let target = EventTarget {
            listeners: GcRefCell::default(),
            handlers: Handlers::default(),
            is_global: kind.is::<GlobalScope>(),
        };
        Self { target, kind }
    }

    /// The state of the kind `T`, if the target is one.
    pub(crate) fn kind<T: NativeObject>(&self) -> Option<&T> {
        self.kind.downcast_ref()
    }
}

/// The state that all event targets share.
#[derive(Trace, Finalize)]
pub(crate) struct EventTarget {
    /// The [event listener list](https://dom.spec.whatwg.org/#eventtarget-event-listener-list).
    listeners: GcRefCell<Vec<Gc<Listener>>>,
    pub(super) handlers: Handlers,
    is_global: bool,
}

/// An [event listener](https://dom.spec.whatwg.org/#concept-event-listener).
#[derive(Trace, Finalize)]
pub(crate) struct Listener {
    pub(super) kind: JsString,
    pub(super) callback: Callback,
    pub(super) capture: bool,
    pub(super) once: bool,
    pub(super) passive: bool,
    /// Set when the listener leaves the list, for a dispatch that still holds a copy of the list.
    #[unsafe_ignore_trace]
    pub(super) removed: Cell<bool>,
}

/// Tells the kinds of targets that live longer when they have a listener.
pub(super) fn listener_added(target: &JsObject) {
    abort::keep_observed_signal(target);
    listeners_changed(target);
}

/// Tells those that live longer only as long as they have one.
fn listeners_changed(target: &JsObject) {
    messaging::listeners_changed(target);
    eventsource::listeners_changed(target);
}

/// [Remove an event listener](https://dom.spec.whatwg.org/#remove-an-event-listener) from its target.
pub(crate) fn remove_listener(target: &This<EventTarget>, listener: &Gc<Listener>) {
    target.state().remove(listener);
    listeners_changed(target.object());
}

/// What a listener calls.
#[derive(Trace, Finalize)]
pub(crate) enum Callback {
    /// An `EventListener`: a function, or an object with `handleEvent`.
    Script(JsObject),
    /// The event handler for this event type, whatever its value is by then.
    Handler,
}

impl EventTarget {
    /// Whether this is the global object.
    pub(crate) fn is_global(&self) -> bool {
        self.is_global
    }

    /// Whether there is a listener for anything.
    pub(crate) fn has_listeners(&self) -> bool {
        !self.listeners.borrow().is_empty()
    }

    /// Whether there is a listener for an event of one of these types.
    pub(crate) fn has_listener(&self, kinds: &[JsString]) -> bool {
        let listeners = self.listeners.borrow();
        listeners
            .iter()
            .any(|listener| kinds.contains(&listener.kind))
    }

    /// A copy of the listeners for one type and phase, as a dispatch works on. Mostly there is one.
    pub(super) fn listeners(&self, kind: &JsString, capture: bool) -> SmallVec<[Gc<Listener>; 2]> {
        let listeners = self.listeners.borrow();
        listeners
            .iter()
            .filter(|listener| listener.capture == capture && listener.kind == *kind)
            .cloned()
            .collect()
    }

    /// [Add an event listener][spec], step 4 on: unless it is there already.
    ///
    /// [spec]: https://dom.spec.whatwg.org/#add-an-event-listener
    pub(super) fn add(&self, listener: Listener) -> Option<Gc<Listener>> {
        let mut listeners = self.listeners.borrow_mut();
        if listeners.iter().any(|other| other.is_same(&listener)) {
            return None;
        }
        let listener = Gc::new(listener);
        listeners.push(listener.clone());
        Some(listener)
    }

    /// Takes a listener out of the list.
    pub(super) fn remove(&self, listener: &Gc<Listener>) {
        listener.removed.set(true);
        self.listeners
            .borrow_mut()
            .retain(|other| !Gc::ptr_eq(other, listener));
    }
}

impl Listener {
    /// "type is listener's type, callback is listener's callback, and capture is listener's capture".
    fn is_same(&self, other: &Self) -> bool {
        let same_callback = match (&self.callback, &other.callback) {
            (Callback::Script(one), Callback::Script(two)) => JsObject::equals(one, two),
            _ => false,
        };
        same_callback && self.capture == other.capture && self.kind == other.kind
    }
}

impl Interface for EventTarget {
    const NAME: &'static str = "EventTarget";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        Some(&root.target)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(0, |new_target: &NewTarget<Self>, _, context| {
            new_target.create(EventTargetObject::new(Plain), context)
        });
        idl.operation("addEventListener", 2, add_event_listener);
        idl.operation("removeEventListener", 2, remove_event_listener);
        idl.operation("dispatchEvent", 1, dispatch_event);
        Ok(())
    }
}

/// <https://dom.spec.whatwg.org/#dom-eventtarget-addeventlistener>
fn add_event_listener(
    this: &This<EventTarget>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let kind = args.get_or_undefined(0).to_string(context)?;
    let callback = event_listener(args.get_or_undefined(1))?;
    // 1. [Flatten more options](https://dom.spec.whatwg.org/#event-flatten-more).
    let (options, capture) = flatten(args.get_or_undefined(2), context)?;
    let once = options.boolean("once", false, context)?;
    // The default passive value is false for every target that is not a window or a part of a document.
    let passive = options.boolean("passive", false, context)?;
    let signal = match options.get("signal", context)? {
        Some(value) => Some(This::<AbortSignal>::from_value(&value).ok_or_else(|| {
            JsNativeError::typ()
                .with_message("addEventListener: options.signal is not an AbortSignal")
        })?),
        None => None,
    };
    // 2. [Add an event listener](https://dom.spec.whatwg.org/#add-an-event-listener), steps 2, 3.
    if signal
        .as_ref()
        .is_some_and(|signal| signal.state().is_aborted())
    {
        return Ok(JsValue::undefined());
    }
    let Some(callback) = callback else {
        return Ok(JsValue::undefined());
    };
    let callback = Callback::Script(callback);
    let listener = Listener {
        kind,
        callback,
        capture,
        once,
        passive,
        removed: Cell::new(false),
    };
    // Steps 5, 6
    let added = this.state().add(listener);
    if let Some(listener) = added {
        listener_added(this.object());
        if let Some(signal) = signal {
            abort::remove_listener_on_abort(&signal, this.object(), &listener, context)?;
        }
    }
    Ok(JsValue::undefined())
}

/// <https://dom.spec.whatwg.org/#dom-eventtarget-removeeventlistener>
fn remove_event_listener(
    this: &This<EventTarget>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsValue> {
    let kind = args.get_or_undefined(0).to_string(context)?;
    let callback = event_listener(args.get_or_undefined(1))?;
    let (_, capture) = flatten(args.get_or_undefined(2), context)?;
    let Some(callback) = callback else {
        return Ok(JsValue::undefined());
    };
    let state = this.state();
    let found = state
        .listeners
        .borrow()
        .iter()
        .find(|listener| {
            listener.capture == capture
                && listener.kind == kind
                && matches!(&listener.callback, Callback::Script(other) if JsObject::equals(other, &callback))
        })
        .cloned();
    drop(state);
    if let Some(listener) = found {
        remove_listener(this, &listener);
    }
    Ok(JsValue::undefined())
}

/// <https://dom.spec.whatwg.org/#dom-eventtarget-dispatchevent>
fn dispatch_event(
    this: &This<EventTarget>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<bool> {
    let event = This::<Event>::from_value(args.get_or_undefined(0)).ok_or_else(|| {
        JsNativeError::typ().with_message("EventTarget.dispatchEvent: argument 1 is not an Event")
    })?;
    // 1.
    if !event.state().can_be_dispatched() {
        let message = "the event is being dispatched already, or was never initialized";
        return Err(DomException::error(
            ErrorName::InvalidState,
            message,
            context,
        ));
    }
    // 2.
    event.state().set_untrusted();
    // 3.
    dispatch::dispatch(&event, this, context)
}

/// `EventListener?`: any object or null.
fn event_listener(value: &JsValue) -> JsResult<Option<JsObject>> {
    if value.is_null_or_undefined() {
        return Ok(None);
    }
    match value.as_object() {
        Some(object) => Ok(Some(object)),
        None => Err(JsNativeError::typ()
            .with_message("a listener must be a function, an object or null")
            .into()),
    }
}

/// [Flatten](https://dom.spec.whatwg.org/#concept-flatten-options): a dictionary, or a boolean for `capture`.
fn flatten(options: &JsValue, context: &mut Context) -> JsResult<(Dictionary, bool)> {
    if options.is_object() || options.is_null_or_undefined() {
        let options = Dictionary::new(options)?;
        let capture = options.boolean("capture", false, context)?;
        return Ok((options, capture));
    }
    Ok((
        Dictionary::new(&JsValue::undefined())?,
        options.to_boolean(),
    ))
}
