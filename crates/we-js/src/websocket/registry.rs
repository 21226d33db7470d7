//! Which `WebSocket` object belongs to which connection, and what keeps it alive.
//!
//! The standard lets an object be collected only when no event could reach a listener any more
//! (<https://websockets.spec.whatwg.org/#garbage-collection>). This platform is stricter: from its construction
//! until its close event has been dispatched, a socket is in this registry, and an object in here is a root of
//! the collector. So an object with a live connection is never collected, and
//! after its close event it is an object like any other.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use boa_engine::Context;

use super::WebSocket;
use crate::{binding::This, network::SocketId};

/// The sockets of a context that are not closed yet.
#[derive(Clone, Default)]
pub(crate) struct Sockets(Rc<RefCell<HashMap<SocketId, This<WebSocket>>>>);

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

    pub(super) fn insert(&self, id: SocketId, socket: This<WebSocket>) {
        self.0.borrow_mut().insert(id, socket);
    }

    pub(super) fn get(&self, id: SocketId) -> Option<This<WebSocket>> {
        self.0.borrow().get(&id).cloned()
    }

    pub(super) fn remove(&self, id: SocketId) {
        self.0.borrow_mut().remove(&id);
    }
}
