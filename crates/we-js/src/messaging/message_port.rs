//! `MessagePort`: <https://html.spec.whatwg.org/multipage/web-messaging.html#message-ports>

use std::{
    cell::{Cell, RefCell},
    ops::Deref,
    rc::Rc,
};

use boa_engine::{Context, JsData, JsResult, JsValue, js_string, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace};

use super::{
    end::{PortEnd, PortId, Side},
    implicit::Behavior,
    ports::{Attached, Link, Ports},
    post,
};
use crate::{
    binding::{self, Definition, Interface, This},
    dom::{EventTarget, EventTargetObject, dispatch, event_handler},
    event_loop::LoopState,
    structured_clone::{Transferable, Transferred, serialize},
};

/// The state of a `MessagePort`.
#[derive(Trace, Finalize, JsData)]
pub(crate) struct MessagePort {
    /// Its end of the channel, until it is transferred.
    #[unsafe_ignore_trace]
    attached: RefCell<Option<Attached>>,
    /// The `[[Detached]]` internal slot: transferred or closed.
    #[unsafe_ignore_trace]
    detached: Cell<bool>,
    link: Gc<Link>,
    /// The port at the other end, while this one keeps it alive. See [`Ports`](super::Ports).
    peer: GcRefCell<Option<JsObject>>,
    /// Who is told what arrives, in place of the event's listeners.
    listener: GcRefCell<Option<Listener>>,
}

/// Part of the platform that uses a port which no script sees.
pub(crate) trait PortListener: Trace + 'static {
    /// A message has arrived; an error if it cannot be made anew in this realm.
    fn message(&self, message: JsResult<JsValue>, context: &mut Context) -> JsResult<()>;
}

/// A listener that is shared with the call that is under way.
#[derive(Clone, Trace, Finalize)]
pub(super) struct Listener(Gc<Box<dyn PortListener>>);

impl Deref for Listener {
    type Target = dyn PortListener;

    fn deref(&self) -> &Self::Target {
        &**self.0
    }
}

impl Interface for MessagePort {
    const NAME: &'static str = "MessagePort";
    type Root = EventTargetObject;

    fn project(root: &EventTargetObject) -> Option<&Self> {
        root.kind()
    }

    fn define(idl: &mut Definition<'_, Self>) -> JsResult<()> {
        idl.inherits::<EventTarget>()?;
        idl.operation("postMessage", 1, |this, args, context| {
            let side = this.state().side();
            post::post_message(side.as_ref(), Some(this.object()), args, context)?;
            if let Some((ports, id)) = place(this) {
                ports.refresh_peer(id);
            }
            Ok(JsValue::undefined())
        });
        idl.operation("start", 0, |this, _, _| {
            start(this);
            Ok(JsValue::undefined())
        });
        idl.operation("close", 0, |this, _, _| {
            close(this);
            Ok(JsValue::undefined())
        });
        event_handler::define(idl, "onclose");
        // `MessageEventTarget`. Setting the handler starts the port.
        event_handler::define_with(idl, "onmessage", start);
        event_handler::define(idl, "onmessageerror");
        Ok(())
    }
}

impl Behavior {
    /// Of a port with an object.
    pub(super) const PORT: Self = Self {
        closed: |port, context| {
            let listener = This::<MessagePort>::from_object(port.object().clone())
                .and_then(|port| port.state().listener());
            match listener {
                Some(_) => Ok(()),
                None => dispatch::fire(port, js_string!("close"), context).map(drop),
            }
        },
    };
}

impl MessagePort {
    /// A port for this end of a channel.
    pub(crate) fn create(end: PortEnd, context: &mut Context) -> JsResult<This<Self>> {
        let ports = LoopState::of(context)?.ports().clone();
        let link = Gc::new(Link::default());
        let state = Self {
            attached: RefCell::new(None),
            detached: Cell::new(false),
            link: link.clone(),
            peer: GcRefCell::new(None),
            listener: GcRefCell::new(None),
        };
        let this: This<Self> = binding::create(EventTargetObject::new(state), context)?;
        this.state().link.set(this.object().clone());
        let attached = ports.attach(end, &link);
        let id = attached.id();
        *this.state().attached.borrow_mut() = Some(attached);
        ports.refresh_peer(id);
        Ok(this)
    }

    /// The port's end, if it has not been transferred.
    pub(super) fn side(&self) -> Option<Side> {
        self.attached.borrow().as_ref().map(Attached::side)
    }

    pub(super) fn listener(&self) -> Option<Listener> {
        self.listener.borrow().clone()
    }

    pub(super) fn set_peer(&self, peer: Option<JsObject>) {
        *self.peer.borrow_mut() = peer;
    }
}

/// For the platform.
impl This<MessagePort> {
    /// Has all that arrives told to `listener`, from now on. As long as it listens, the port is kept alive by the one at the
    /// other end.
    pub(crate) fn listen(&self, listener: impl PortListener) {
        let listener = Listener(Gc::new(Box::new(listener)));
        *self.state().listener.borrow_mut() = Some(listener);
        start(self);
    }

    /// Posts a message that transfers nothing. If the channel is closed, it goes nowhere.
    pub(crate) fn post(&self, message: &JsValue, context: &mut Context) -> JsResult<()> {
        let record = serialize(message, &[], context)?;
        if let Some(side) = self.state().side() {
            side.post(record);
        }
        if let Some((ports, id)) = place(self) {
            ports.refresh_peer(id);
        }
        Ok(())
    }

    /// Closes the channel, and listens no more.
    pub(crate) fn disentangle(&self) {
        self.state().listener.borrow_mut().take();
        close(self);
    }
}

/// <https://html.spec.whatwg.org/multipage/web-messaging.html#dom-messageport-start>
fn start(this: &This<MessagePort>) {
    if let Some(side) = this.state().side() {
        side.enable();
    }
    refresh(this);
}

/// <https://html.spec.whatwg.org/multipage/web-messaging.html#dom-messageport-close>
fn close(this: &This<MessagePort>) {
    // 1.
    this.state().detached.set(true);
    // 2. Messages that were sent before are delivered all the same.
    let Some(side) = this.state().side() else {
        return;
    };
    let peer = this.state().peer.borrow().clone();
    side.close();
    refresh(this);
    if let Some(peer) = peer.and_then(This::from_object) {
        // That it is closed is still to be told to it.
        refresh(&peer);
    }
}

/// To be called when anything has changed on which the life of a port depends: see [`Ports`](super::Ports).
fn refresh(this: &This<MessagePort>) {
    if let Some((ports, id)) = place(this) {
        ports.refresh(id);
    }
}

/// Where the port is known, until it is transferred.
fn place(this: &This<MessagePort>) -> Option<(Rc<Ports>, PortId)> {
    let state = this.state();
    let attached = state.attached.borrow();
    let attached = attached.as_ref()?;
    Some((attached.ports()?, attached.id()))
}

/// To be called when the listeners of `target` have changed.
pub(super) fn listeners_changed(target: &JsObject) {
    if let Some(port) = This::<MessagePort>::from_object(target.clone()) {
        refresh(&port);
    }
}

impl Transferable for MessagePort {
    fn is_detached(this: &This<Self>) -> bool {
        this.state().detached.get()
    }

    /// <https://html.spec.whatwg.org/multipage/web-messaging.html#message-ports:transfer-steps>
    fn transfer(this: &This<Self>, context: &mut Context) -> JsResult<Box<dyn Transferred>> {
        let state = this.state();
        state.detached.set(true);
        state.set_peer(None);
        let attached = state.attached.take();
        drop(state);
        match attached {
            Some(attached) => Ok(Box::new(attached.detach())),
            // A port that is not detached has its end.
            None => Err(crate::structured_clone::data_clone_error(
                "the port is detached",
                context,
            )),
        }
    }
}

impl Transferred for PortEnd {
    /// <https://html.spec.whatwg.org/multipage/web-messaging.html#message-ports:transfer-receiving-steps>
    fn receive(self: Box<Self>, context: &mut Context) -> JsResult<JsObject> {
        Ok(MessagePort::create(*self, context)?.object().clone())
    }
}
