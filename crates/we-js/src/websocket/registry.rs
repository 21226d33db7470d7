//! Which `WebSocket` or `WebSocketStream` belongs to which connection, and what keeps it alive.
//!
//! The standard lets an object be collected only when no event could reach a listener any more
//! (<https://websockets.spec.whatwg.org/#garbage-collection>). This platform is stricter: from its construction
//! until its close event has been dispatched, a socket is in this registry, and an object in here is a root of
//! the collector. So an object with a live connection is never collected, and
//! after its close event it is an object like any other. The same holds for a stream until its connection is closed.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use boa_engine::Context;

use super::{WebSocket, stream::Session};
use crate::{binding::This, network::SocketId, serve};

/// Whom the events of a connection are for.
#[derive(Clone)]
pub(crate) enum Owner {
    Socket(This<WebSocket>),
    Stream(Session),
    Served(serve::Session),
}

/// The sockets of a context that are not closed yet. It is asked for each event: a tree of numbers beats a hash that is
/// proof against collisions, which nobody can bring about here.
#[derive(Clone, Default)]
pub(crate) struct Sockets(Rc<RefCell<BTreeMap<SocketId, Owner>>>);

impl Sockets {
    /// The registry of a context.
    pub(crate) fn of(context: &mut Context) -> Self {
        if let Some(sockets) = context.get_data::<Self>() {
            return sockets.clone();
        }
        let sockets = Self::default();
        context.insert_data(sockets.clone());
        sockets
    }

    pub(crate) fn insert(&self, id: SocketId, owner: Owner) {
        self.0.borrow_mut().insert(id, owner);
    }

    pub(super) fn get(&self, id: SocketId) -> Option<Owner> {
        self.0.borrow().get(&id).cloned()
    }

    pub(super) fn remove(&self, id: SocketId) {
        self.0.borrow_mut().remove(&id);
    }
}
