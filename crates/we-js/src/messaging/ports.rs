//! [`Ports`]: the ports of one agent, and what keeps them alive.
//!
//! A `MessagePort` object is [kept alive][gc] as if the port that it is entangled with referred to it, from the moment that
//! it has a listener. Where both ends are objects of one agent that is what happens: the object of one end refers to the
//! other ([`MessagePort::set_peer`]), so that the collector finds a channel that nobody can reach any more. Where the
//! other end is elsewhere, and while something is to be delivered, a listening port is a root.
//!
//! [gc]: https://html.spec.whatwg.org/multipage/web-messaging.html#ports-and-garbage-collection

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
};

use boa_engine::{JsString, js_string, object::JsObject};
use boa_gc::{Finalize, Gc, GcRefCell, Trace, WeakGc};

use super::{
    MessagePort,
    end::{Owner, Peer, PortEnd, PortId, Side},
    implicit::Behavior,
};
use crate::{binding::This, dom::EventTarget, event_loop::Mailbox};

/// The ports of an agent.
pub(crate) struct Ports {
    mailbox: Arc<Mailbox>,
    entries: RefCell<HashMap<PortId, Entry>>,
    /// Ports that have gone. The collector drops them, at a moment when it cannot drop their entries.
    gone: RefCell<Vec<PortId>>,
}

struct Entry {
    side: Side,
    target: Target,
}

/// To whom the messages of an end go.
enum Target {
    /// To its `MessagePort`.
    Port {
        link: WeakGc<Link>,
        /// The object, while it is a root.
        root: Option<JsObject>,
    },
    /// To another object, for which the port is implicit.
    Implicit {
        target: This<EventTarget>,
        behavior: Behavior,
    },
}

/// What leads weakly from an agent to the object of a port: it belongs to the object and refers to it.
#[derive(Default, Trace, Finalize)]
pub(super) struct Link(GcRefCell<Option<JsObject>>);

impl Link {
    pub(super) fn set(&self, object: JsObject) {
        *self.0.borrow_mut() = Some(object);
    }

    pub(super) fn get(&self) -> Option<JsObject> {
        self.0.borrow().clone()
    }
}

/// An end and its place in an agent. Dropped, it closes the channel.
pub(super) struct Attached {
    end: PortEnd,
    registration: Registration,
}

/// A place among an agent's ports.
struct Registration {
    id: PortId,
    ports: Weak<Ports>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(ports) = self.ports.upgrade() {
            ports.gone.borrow_mut().push(self.id);
        }
    }
}

impl Attached {
    pub(super) fn side(&self) -> Side {
        self.end.side().clone()
    }

    pub(super) fn id(&self) -> PortId {
        self.registration.id
    }

    pub(super) fn ports(&self) -> Option<Rc<Ports>> {
        self.registration.ports.upgrade()
    }

    /// Takes the end from the agent.
    pub(super) fn detach(self) -> PortEnd {
        let Self { end, registration } = self;
        let ports = registration.ports.upgrade();
        let peer = ports
            .as_ref()
            .map(|ports| end.side().status(&ports.mailbox).peer);
        end.side().detach();
        drop(registration);
        if let Some(ports) = ports {
            ports.forget_the_gone();
            // The end is elsewhere now.
            if let Some(Peer::Here(peer)) = peer {
                ports.set_peer_of(peer, None);
                ports.refresh(peer);
            }
        }
        end
    }
}

impl Ports {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Rc<Self> {
        Rc::new(Self {
            mailbox,
            entries: RefCell::default(),
            gone: RefCell::default(),
        })
    }

    /// Takes the end of a new `MessagePort`.
    pub(super) fn attach(self: &Rc<Self>, end: PortEnd, link: &Gc<Link>) -> Attached {
        // Made before anything is borrowed: it may collect garbage.
        let link = WeakGc::new(link);
        self.insert(end, Target::Port { link, root: None })
    }

    /// Takes an end whose messages go to `target`.
    pub(super) fn adopt(
        self: &Rc<Self>,
        end: PortEnd,
        target: This<EventTarget>,
        behavior: Behavior,
    ) -> Attached {
        self.insert(end, Target::Implicit { target, behavior })
    }

    fn insert(self: &Rc<Self>, end: PortEnd, target: Target) -> Attached {
        self.forget_the_gone();
        let id = PortId::new();
        let side = end.side().clone();
        self.entries.borrow_mut().insert(
            id,
            Entry {
                side: side.clone(),
                target,
            },
        );
        side.attach(Owner {
            mailbox: self.mailbox.clone(),
            port: id,
        });
        Attached {
            end,
            registration: Registration {
                id,
                ports: Rc::downgrade(self),
            },
        }
    }

    fn forget_the_gone(&self) {
        let gone = self.gone.take();
        let mut entries = self.entries.borrow_mut();
        for id in gone {
            entries.remove(&id);
        }
    }

    /// Who gets the messages of a port, if it is still there.
    pub(super) fn target(&self, id: PortId) -> Option<(Side, This<EventTarget>, Behavior)> {
        let entries = self.entries.borrow();
        let entry = entries.get(&id)?;
        let side = entry.side.clone();
        match &entry.target {
            Target::Port { .. } => {
                let target = This::from_object(entry.object()?)?;
                Some((side, target, Behavior::PORT))
            }
            Target::Implicit { target, behavior } => Some((side, target.clone(), *behavior)),
        }
    }

    /// Forgets to whom the messages of an implicit port go: there will be no more of them.
    pub(super) fn let_go(&self, id: PortId) {
        let mut entries = self.entries.borrow_mut();
        if let Some(Entry {
            target: Target::Implicit { .. },
            ..
        }) = entries.get(&id)
        {
            entries.remove(&id);
        }
    }

    /// To be called when anything has changed on which depends what keeps a port alive: its listeners, whether it is
    /// started, what waits for it, where its other end is.
    pub(super) fn refresh(&self, id: PortId) {
        let (object, status) = {
            let entries = self.entries.borrow();
            let Some(entry) = entries.get(&id) else {
                return;
            };
            let Some(object) = entry.object() else {
                return;
            };
            (object, entry.side.status(&self.mailbox))
        };
        let is_heard = is_heard(&object);
        let is_root = match status.peer {
            _ if status.is_closing || status.enabled && status.has_messages => true,
            Peer::Elsewhere => is_heard,
            Peer::Here(_) | Peer::Gone => false,
        };
        if let Some(Entry {
            target: Target::Port { root, .. },
            ..
        }) = self.entries.borrow_mut().get_mut(&id)
        {
            *root = is_root.then(|| object.clone());
        }
        match status.peer {
            Peer::Here(peer) => self.set_peer_of(peer, is_heard.then_some(object)),
            Peer::Gone => self.set_peer_of(id, None),
            Peer::Elsewhere => {}
        }
    }

    /// The same for the other end of a port, if that is here too.
    pub(super) fn refresh_peer(&self, id: PortId) {
        let peer = {
            let entries = self.entries.borrow();
            entries
                .get(&id)
                .map(|entry| entry.side.status(&self.mailbox).peer)
        };
        if let Some(Peer::Here(peer)) = peer {
            self.refresh(peer);
        }
    }

    /// Lets the object of a port refer to `peer`.
    fn set_peer_of(&self, id: PortId, peer: Option<JsObject>) {
        let port = {
            let entries = self.entries.borrow();
            entries
                .get(&id)
                .and_then(Entry::object)
                .and_then(This::<MessagePort>::from_object)
        };
        if let Some(port) = port {
            port.state().set_peer(peer);
        }
    }

    /// Whether a message could come that somebody here listens for.
    pub(crate) fn any_listening(&self) -> bool {
        let entries = self.entries.borrow();
        entries.values().any(|entry| {
            let target = match &entry.target {
                Target::Implicit { target, .. } => target.object(),
                // A listening port whose other end is elsewhere is a root.
                Target::Port {
                    root: Some(object), ..
                } => object,
                Target::Port { root: None, .. } => return false,
            };
            is_heard(target)
        })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.forget_the_gone();
        self.entries.borrow().len()
    }

    /// Closes all channels: the agent ends.
    pub(crate) fn close(&self) {
        let entries = self.entries.take();
        for entry in entries.values() {
            entry.side.close();
            entry.side.detach();
        }
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        self.close();
    }
}

pub(super) const MESSAGE: JsString = js_string!("message");
pub(super) const MESSAGE_ERROR: JsString = js_string!("messageerror");
const CLOSE: JsString = js_string!("close");

pub(super) fn has_listener(target: &JsObject, kinds: &[JsString]) -> bool {
    This::<EventTarget>::from_object(target.clone())
        .is_some_and(|target| target.state().has_listener(kinds))
}

/// Whether anybody would be told what arrives at a port.
fn is_heard(target: &JsObject) -> bool {
    let is_native = || {
        This::<MessagePort>::from_object(target.clone())
            .is_some_and(|port| port.state().listener().is_some())
    };
    has_listener(target, &[MESSAGE, MESSAGE_ERROR, CLOSE]) || is_native()
}

impl Entry {
    /// The object of a `MessagePort`, if it has not been collected.
    fn object(&self) -> Option<JsObject> {
        match &self.target {
            Target::Port {
                root: Some(object), ..
            } => Some(object.clone()),
            Target::Port { link, root: None } => link.upgrade()?.get(),
            Target::Implicit { .. } => None,
        }
    }
}
