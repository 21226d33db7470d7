//! `Event`: <https://dom.spec.whatwg.org/#interface-event>

use std::cell::Cell;

use boa_engine::{
    Context, JsArgs, JsData, JsResult, JsString, JsValue, js_string,
    object::{
        JsObject,
        builtins::{JsArray, JsFunction},
    },
    property::PropertyDescriptor,
};
use boa_gc::{Finalize, GcRefCell, Trace};

use super::{
    ProgressEvent,
    events::{CloseEvent, CustomEvent, ErrorEvent, PromiseRejectionEvent},
    message_event::MessageEvent,
};
use crate::{
    agent::Agent,
    binding::{Definition, Dictionary, Interface, NewTarget, PlatformObject, This},
};

/// Native data of every event: what all events have, and the detail of its kind.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct EventObject {
    pub(crate) event: Event,
    pub(crate) detail: EventDetail,
}

impl PlatformObject for EventObject {
    /// `isTrusted`
    fn initialize(object: &JsObject, context: &mut Context) -> JsResult<()> {
        let getter = context
            .realm()
            .host_defined()
            .get::<IsTrusted>()
            .map(|getter| getter.0.clone());
        if let Some(getter) = getter {
            let descriptor = PropertyDescriptor::builder()
                .get(getter)
                .enumerable(true)
                .configurable(false);
            object.insert_property(js_string!("isTrusted"), descriptor);
        }
        Ok(())
    }
}

/// What an event of a derived interface carries.
#[derive(Trace, Finalize)]
pub(crate) enum EventDetail {
    /// A plain `Event`.
    None,
    Close(CloseEvent),
    Custom(CustomEvent),
    Error(ErrorEvent),
    Message(MessageEvent),
    Progress(ProgressEvent),
    Rejection(PromiseRejectionEvent),
}

/// The state that all events share.
#[derive(Trace, Finalize)]
pub(crate) struct Event {
    kind: GcRefCell<JsString>,
    target: GcRefCell<Option<JsObject>>,
    current_target: GcRefCell<Option<JsObject>>,
    #[unsafe_ignore_trace]
    flags: Cell<Flags>,
    time_stamp: f64,
}

/// The flags of <https://dom.spec.whatwg.org/#stop-propagation-flag> and the attributes that are as small.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    stop_propagation: bool,
    stop_immediate_propagation: bool,
    canceled: bool,
    in_passive_listener: bool,
    composed: bool,
    initialized: bool,
    dispatch: bool,
    bubbles: bool,
    cancelable: bool,
    trusted: bool,
}

/// `EventInit`: <https://dom.spec.whatwg.org/#dictdef-eventinit>
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventInit {
    pub(crate) bubbles: bool,
    pub(crate) cancelable: bool,
    pub(crate) composed: bool,
}

impl EventInit {
    /// An event whose default action can be prevented.
    pub(crate) const CANCELABLE: Self = Self {
        bubbles: false,
        cancelable: true,
        composed: false,
    };

    pub(crate) fn from_dictionary(init: &Dictionary, context: &mut Context) -> JsResult<Self> {
        Ok(Self {
            bubbles: init.boolean("bubbles", false, context)?,
            cancelable: init.boolean("cancelable", false, context)?,
            composed: init.boolean("composed", false, context)?,
        })
    }
}

/// Who made an event: `isTrusted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The platform.
    UserAgent,
    /// A script, with `new`.
    Script,
}

impl Event {
    /// [Inner event creation steps][spec].
    ///
    /// [spec]: https://dom.spec.whatwg.org/#inner-event-creation-steps
    pub(crate) fn new(kind: JsString, init: EventInit, origin: Origin, context: &Context) -> Self {
        let flags = Flags {
            initialized: true,
            bubbles: init.bubbles,
            cancelable: init.cancelable,
            composed: init.composed,
            trusted: origin == Origin::UserAgent,
            ..Flags::default()
        };
        Self {
            kind: GcRefCell::new(kind),
            target: GcRefCell::new(None),
            current_target: GcRefCell::new(None),
            flags: Cell::new(flags),
            time_stamp: Agent::of(context).now(),
        }
    }

    /// The event's `type`.
    pub(crate) fn kind(&self) -> JsString {
        self.kind.borrow().clone()
    }

    /// The target that is being called back.
    pub(crate) fn current_target(&self) -> Option<JsObject> {
        self.current_target.borrow().clone()
    }

    pub(crate) fn is_canceled(&self) -> bool {
        self.flags.get().canceled
    }

    /// [Set the canceled flag][spec], if the event is cancelable and no passive listener is running.
    ///
    /// [spec]: https://dom.spec.whatwg.org/#set-the-canceled-flag
    pub(crate) fn set_canceled(&self) {
        let flags = self.flags.get();
        if flags.cancelable && !flags.in_passive_listener {
            self.flags.set(Flags {
                canceled: true,
                ..flags
            });
        }
    }

    pub(super) fn propagation_stopped(&self) -> bool {
        self.flags.get().stop_propagation
    }

    pub(super) fn immediate_propagation_stopped(&self) -> bool {
        self.flags.get().stop_immediate_propagation
    }

    pub(super) fn set_in_passive_listener(&self, passive: bool) {
        self.flags.set(Flags {
            in_passive_listener: passive,
            ..self.flags.get()
        });
    }

    /// Whether `dispatchEvent` may take the event: initialized and not being dispatched.
    pub(super) fn can_be_dispatched(&self) -> bool {
        let flags = self.flags.get();
        flags.initialized && !flags.dispatch
    }

    pub(super) fn set_untrusted(&self) {
        self.flags.set(Flags {
            trusted: false,
            ..self.flags.get()
        });
    }

    /// [Dispatch](https://dom.spec.whatwg.org/#concept-event-dispatch) step 1, and the target of the path.
    pub(super) fn begin_dispatch(&self, target: &JsObject) {
        self.flags.set(Flags {
            dispatch: true,
            ..self.flags.get()
        });
        *self.target.borrow_mut() = Some(target.clone());
    }

    pub(super) fn set_current_target(&self, target: Option<JsObject>) {
        *self.current_target.borrow_mut() = target;
    }

    /// [Dispatch](https://dom.spec.whatwg.org/#concept-event-dispatch) steps 6 to 10.
    pub(super) fn end_dispatch(&self) {
        *self.current_target.borrow_mut() = None;
        self.flags.set(Flags {
            dispatch: false,
            stop_propagation: false,
            stop_immediate_propagation: false,
            ..self.flags.get()
        });
    }
}

/// Reads `(type, init)`, the arguments of every event constructor, base members first.
fn constructor_arguments(
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<(JsString, Dictionary, EventInit)> {
    let kind = args.get_or_undefined(0).to_string(context)?;
    let dictionary = Dictionary::new(args.get_or_undefined(1))?;
    let init = EventInit::from_dictionary(&dictionary, context)?;
    Ok((kind, dictionary, init))
}

/// Builds an event object on a script's behalf.
pub(super) fn construct_with<T: Interface<Root = EventObject>>(
    new_target: &NewTarget<T>,
    args: &[JsValue],
    context: &mut Context,
    detail: impl FnOnce(&Dictionary, &mut Context) -> JsResult<EventDetail>,
) -> JsResult<JsObject> {
    let (kind, dictionary, init) = constructor_arguments(args, context)?;
    let detail = detail(&dictionary, context)?;
    let event = Event::new(kind, init, Origin::Script, context);
    new_target.create(EventObject { event, detail }, context)
}

fn construct(
    new_target: &NewTarget<Event>,
    args: &[JsValue],
    context: &mut Context,
) -> JsResult<JsObject> {
    let (kind, _, init) = constructor_arguments(args, context)?;
    let event = Event::new(kind, init, Origin::Script, context);
    new_target.create(
        EventObject {
            event,
            detail: EventDetail::None,
        },
        context,
    )
}

impl Interface for Event {
    const NAME: &'static str = "Event";
    type Root = EventObject;

    fn project(root: &EventObject) -> Option<&Self> {
        Some(&root.event)
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.constructor(1, construct);

        idl.readonly("type", |this, _| Ok(this.state().kind()));
        idl.readonly("target", |this, _| Ok(nullable(&this.state().target)));
        idl.readonly("srcElement", |this, _| Ok(nullable(&this.state().target)));
        idl.readonly("currentTarget", |this, _| {
            Ok(nullable(&this.state().current_target))
        });
        // A target has no parent here: the path is the target, while there is a dispatch.
        idl.operation("composedPath", 0, |this, _, context| {
            let path = this.state().current_target();
            Ok(JsArray::from_iter(path.map(JsValue::from), context))
        });

        idl.constant("NONE", 0);
        idl.constant("CAPTURING_PHASE", 1);
        idl.constant("AT_TARGET", 2);
        idl.constant("BUBBLING_PHASE", 3);
        idl.readonly("eventPhase", |this, _| {
            Ok(if this.state().current_target().is_some() {
                2
            } else {
                0
            })
        });

        idl.operation("stopPropagation", 0, |this, _, _| {
            stop_propagation(this);
            Ok(JsValue::undefined())
        });
        idl.attribute(
            "cancelBubble",
            |this, _| Ok(this.state().propagation_stopped()),
            |this, value, _| {
                if value.to_boolean() {
                    stop_propagation(this);
                }
                Ok(())
            },
        );
        idl.operation("stopImmediatePropagation", 0, |this, _, _| {
            let state = this.state();
            state.flags.set(Flags {
                stop_propagation: true,
                stop_immediate_propagation: true,
                ..state.flags.get()
            });
            Ok(JsValue::undefined())
        });

        idl.readonly("bubbles", |this, _| Ok(this.state().flags.get().bubbles));
        idl.readonly("cancelable", |this, _| {
            Ok(this.state().flags.get().cancelable)
        });
        idl.attribute(
            "returnValue",
            |this, _| Ok(!this.state().is_canceled()),
            |this, value, _| {
                if !value.to_boolean() {
                    this.state().set_canceled();
                }
                Ok(())
            },
        );
        idl.operation("preventDefault", 0, |this, _, _| {
            this.state().set_canceled();
            Ok(JsValue::undefined())
        });
        idl.readonly("defaultPrevented", |this, _| Ok(this.state().is_canceled()));
        idl.readonly("composed", |this, _| Ok(this.state().flags.get().composed));

        let is_trusted =
            idl.unforgeable("isTrusted", |this, _| Ok(this.state().flags.get().trusted));
        idl.keep(IsTrusted(is_trusted));
        idl.readonly("timeStamp", |this, _| Ok(this.state().time_stamp));

        idl.operation("initEvent", 1, init_event);
        Ok(())
    }
}

/// The getter of `isTrusted`, one function for all events of a realm.
#[derive(Trace, Finalize, JsData)]
struct IsTrusted(JsFunction);

fn stop_propagation(this: &This<Event>) {
    let state = this.state();
    state.flags.set(Flags {
        stop_propagation: true,
        ..state.flags.get()
    });
}

/// <https://dom.spec.whatwg.org/#dom-event-initevent>
fn init_event(this: &This<Event>, args: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let kind = args.get_or_undefined(0).to_string(context)?;
    let bubbles = args.get_or_undefined(1).to_boolean();
    let cancelable = args.get_or_undefined(2).to_boolean();
    initialize(this, kind, bubbles, cancelable);
    Ok(JsValue::undefined())
}

/// [Initialize an event](https://dom.spec.whatwg.org/#concept-event-initialize), unless it is being dispatched.
pub(super) fn initialize(
    this: &This<Event>,
    kind: JsString,
    bubbles: bool,
    cancelable: bool,
) -> bool {
    let state = this.state();
    let flags = state.flags.get();
    if flags.dispatch {
        return false;
    }
    state.flags.set(Flags {
        initialized: true,
        bubbles,
        cancelable,
        composed: flags.composed,
        ..Flags::default()
    });
    *state.target.borrow_mut() = None;
    *state.kind.borrow_mut() = kind;
    true
}

fn nullable(object: &GcRefCell<Option<JsObject>>) -> JsValue {
    object
        .borrow()
        .clone()
        .map_or(JsValue::null(), JsValue::from)
}
