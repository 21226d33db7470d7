//! Who listens to which broadcast channel: across the agents of the process, and within one.
//!
//! Agents hear one another if their [`Scope`]s are equal: the origin that scripts believe in stands for the standard's
//! storage key. Agents that have no origin are of one program and share a scope; an embedder that wants to keep two of
//! them apart gives them origins, opaque ones if need be.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use boa_engine::{JsString, object::JsObject};
use boa_gc::{Gc, WeakGc};
use url::Origin;

use super::{
    Notice,
    ports::{Link, MESSAGE, MESSAGE_ERROR, has_listener},
};
use crate::{
    event_loop::{Mailbox, Options},
    structured_clone::Record,
};

/// Whose broadcasts an agent hears; `None` for agents without an origin.
type Scope = Option<Origin>;

/// A scope and a channel's name.
type Key = (Scope, Box<[u16]>);

/// Names a `BroadcastChannel` object. Grows with time, and is never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChannelId(u64);

/// A message on its way to all who listen.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub(super) message: Record,
    /// The serialized origin of the sender.
    pub(super) origin: String,
}

/// All agents and channels of the process.
#[derive(Default)]
struct Registry {
    agents: HashMap<Scope, Vec<Arc<Mailbox>>>,
    /// Those of each name in the order of their creation.
    channels: HashMap<Key, Vec<Listener>>,
}

struct Listener {
    mailbox: Arc<Mailbox>,
    id: ChannelId,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

/// Nothing panics with the registry half changed, so a poisoned lock is still good.
fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The broadcast channels of an agent.
pub(crate) struct Broadcasts {
    mailbox: Arc<Mailbox>,
    scope: Scope,
    entries: RefCell<HashMap<ChannelId, Entry>>,
    /// Channels that have gone. The collector drops them, at a moment when it cannot drop their entries.
    gone: RefCell<Vec<ChannelId>>,
}

struct Entry {
    link: WeakGc<Link>,
    /// The object, while it is a root: it is open and has a listener.
    root: Option<JsObject>,
}

/// An open channel's place in the registry.
pub(super) struct Subscription {
    id: ChannelId,
    key: Key,
    agent: Weak<Broadcasts>,
}

impl Subscription {
    pub(super) fn id(&self) -> ChannelId {
        self.id
    }

    /// The agent that the channel belongs to, if it has not ended.
    pub(super) fn agent(&self) -> Option<Rc<Broadcasts>> {
        self.agent.upgrade()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let left = {
            let mut registry = registry();
            let Some(listeners) = registry.channels.get_mut(&self.key) else {
                return;
            };
            let position = listeners.iter().position(|listener| listener.id == self.id);
            let left = position.map(|position| listeners.remove(position));
            if listeners.is_empty() {
                registry.channels.remove(&self.key);
            }
            left
        };
        // Not under the lock: a mailbox may hold anything.
        drop(left);
        if let Some(agent) = self.agent.upgrade() {
            agent.gone.borrow_mut().push(self.id);
        }
    }
}

impl Broadcasts {
    /// The broadcast channels of a new agent.
    pub(crate) fn new(mailbox: Arc<Mailbox>, options: &Options) -> Rc<Self> {
        let of_base = || {
            let origin = options.base_url.as_ref().map(url::Url::origin);
            origin.filter(Origin::is_tuple)
        };
        let scope = options.origin.clone().or_else(of_base);
        let mut registry = registry();
        let agents = registry.agents.entry(scope.clone()).or_default();
        agents.push(mailbox.clone());
        Rc::new(Self {
            mailbox,
            scope,
            entries: RefCell::default(),
            gone: RefCell::default(),
        })
    }

    /// Lets a new channel hear what is broadcast to `name`.
    pub(super) fn subscribe(self: &Rc<Self>, name: &JsString, link: &Gc<Link>) -> Subscription {
        // Made before anything is borrowed: it may collect garbage.
        let link = WeakGc::new(link);
        self.forget_the_gone();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ChannelId(NEXT.fetch_add(1, Ordering::Relaxed));
        let key: Key = (self.scope.clone(), name.to_vec().into());
        self.entries
            .borrow_mut()
            .insert(id, Entry { link, root: None });
        let listener = Listener {
            mailbox: self.mailbox.clone(),
            id,
        };
        registry()
            .channels
            .entry(key.clone())
            .or_default()
            .push(listener);
        Subscription {
            id,
            key,
            agent: Rc::downgrade(self),
        }
    }

    /// [`postMessage()`][spec], steps 6 to 9: a task for each other channel of the name.
    ///
    /// [spec]: https://html.spec.whatwg.org/multipage/web-messaging.html#dom-broadcastchannel-postmessage
    pub(super) fn post(&self, source: &Subscription, message: Record) {
        let origin = self
            .scope
            .as_ref()
            .map_or_else(|| "null".to_owned(), Origin::ascii_serialization);
        let broadcast = Arc::new(Broadcast { message, origin });
        // Under the lock, so that all who listen hear all messages in the same order.
        let registry = registry();
        for Listener { mailbox, id } in registry.channels.get(&source.key).into_iter().flatten() {
            if *id != source.id {
                let notice = Notice::Broadcast(*id, broadcast.clone());
                mailbox.post(|contents| contents.notices.push(notice));
            }
        }
    }

    /// The object of a channel, if it has not been collected.
    pub(super) fn object(&self, id: ChannelId) -> Option<JsObject> {
        let entries = self.entries.borrow();
        let entry = entries.get(&id)?;
        match &entry.root {
            Some(object) => Some(object.clone()),
            None => entry.link.upgrade()?.get(),
        }
    }

    /// To be called when a channel may have a listener, or none any more: with one it is a root.
    pub(super) fn refresh(&self, id: ChannelId) {
        let Some(object) = self.object(id) else {
            return;
        };
        let is_heard = has_listener(&object, &[MESSAGE, MESSAGE_ERROR]);
        if let Some(entry) = self.entries.borrow_mut().get_mut(&id) {
            entry.root = is_heard.then_some(object);
        }
    }

    pub(super) fn forget_the_gone(&self) {
        let gone = self.gone.take();
        let mut entries = self.entries.borrow_mut();
        for id in gone {
            entries.remove(&id);
        }
    }

    /// Whether the loop has to wait for a broadcast: an open channel has a listener, and there is another agent to
    /// broadcast something.
    pub(crate) fn keep_loop_alive(&self) -> bool {
        self.forget_the_gone();
        let roots: Vec<ChannelId> = {
            let entries = self.entries.borrow();
            let roots = entries.iter().filter(|(_, entry)| entry.root.is_some());
            roots.map(|(id, _)| *id).collect()
        };
        // Listeners may have been removed, of which nobody is told.
        roots.iter().for_each(|id| self.refresh(*id));
        let is_heard = self
            .entries
            .borrow()
            .values()
            .any(|entry| entry.root.is_some());
        is_heard
            && registry()
                .agents
                .get(&self.scope)
                .is_some_and(|agents| agents.len() > 1)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.forget_the_gone();
        self.entries.borrow().len()
    }

    /// Closes all channels: the agent ends.
    pub(crate) fn close(&self) {
        self.entries.take();
        let left = {
            let mut registry = registry();
            let Some(agents) = registry.agents.get_mut(&self.scope) else {
                return;
            };
            let position = agents
                .iter()
                .position(|agent| Arc::ptr_eq(agent, &self.mailbox));
            let left = position.map(|position| agents.remove(position));
            if let [last] = agents.as_slice() {
                // It may wait for a broadcast that nobody is left to send.
                last.post(|contents| contents.notices.push(Notice::LastAgent));
            }
            if agents.is_empty() {
                registry.agents.remove(&self.scope);
            }
            for listeners in registry.channels.values_mut() {
                listeners.retain(|listener| !Arc::ptr_eq(&listener.mailbox, &self.mailbox));
            }
            registry
                .channels
                .retain(|_, listeners| !listeners.is_empty());
            left
        };
        drop(left);
    }
}

impl Drop for Broadcasts {
    fn drop(&mut self) {
        self.close();
    }
}
