//! Who listens to which broadcast channel: across the agents of the process, and within one.
//!
//! Agents hear one another if their [`Scope`]s are equal: the origin that scripts believe in stands for the standard's
//! storage key. Agents that have no origin hear those of their own program.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{Hash, Hasher},
    rc::{Rc, Weak},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use boa_engine::{JsString, object::JsObject};
use boa_gc::{Gc, WeakGc};
use url::{Origin, Url};

use super::{
    Notice,
    ports::{Link, MESSAGE, MESSAGE_ERROR, has_listener},
};
use crate::{
    event_loop::{Cluster, Mailbox, Options},
    structured_clone::Record,
};

/// Whose broadcasts an agent hears.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Scope {
    /// Those of all agents of the process with this origin.
    Origin(Origin),
    /// Those of the agents of its cluster that have no origin either.
    Program(Program),
}

/// A cluster, by its identity.
#[derive(Clone)]
struct Program(Arc<Cluster>);

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Program {}

impl Hash for Program {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Scope {
    fn new(mailbox: &Mailbox, options: &Options) -> Self {
        let of_base = || {
            let origin = options.base_url.as_ref().map(Url::origin);
            origin.filter(Origin::is_tuple)
        };
        match options.origin.clone().or_else(of_base) {
            Some(origin) => Self::Origin(origin),
            None => Self::Program(Program(mailbox.cluster().clone())),
        }
    }

    /// The [serialization of the origin](https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin).
    fn serialization(&self) -> String {
        match self {
            Self::Origin(origin) => origin.ascii_serialization(),
            Self::Program(_) => "null".to_owned(),
        }
    }
}

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

/// All open channels of the process, those of each name in the order of their creation.
type Registry = HashMap<Key, Vec<Listener>>;

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
    scope: RefCell<Scope>,
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
            let Some(listeners) = registry.get_mut(&self.key) else {
                return;
            };
            let position = listeners.iter().position(|listener| listener.id == self.id);
            let left = position.map(|position| listeners.remove(position));
            if listeners.is_empty() {
                registry.remove(&self.key);
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
        let scope = Scope::new(&mailbox, options);
        Rc::new(Self {
            mailbox,
            scope: RefCell::new(scope),
            entries: RefCell::default(),
            gone: RefCell::default(),
        })
    }

    /// The agent has got an origin, before it made any channel.
    pub(crate) fn set_origin(&self, origin: Origin) {
        self.scope.replace(Scope::Origin(origin));
    }

    /// Lets a new channel hear what is broadcast to `name`.
    pub(super) fn subscribe(self: &Rc<Self>, name: &JsString, link: &Gc<Link>) -> Subscription {
        // Made before anything is borrowed: it may collect garbage.
        let link = WeakGc::new(link);
        self.forget_the_gone();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = ChannelId(NEXT.fetch_add(1, Ordering::Relaxed));
        let key: Key = (self.scope.borrow().clone(), name.to_vec().into());
        self.entries
            .borrow_mut()
            .insert(id, Entry { link, root: None });
        let listener = Listener {
            mailbox: self.mailbox.clone(),
            id,
        };
        registry().entry(key.clone()).or_default().push(listener);
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
        let origin = self.scope.borrow().serialization();
        let broadcast = Arc::new(Broadcast { message, origin });
        // Under the lock, so that all who listen hear all messages in the same order.
        let registry = registry();
        for Listener { mailbox, id } in registry.get(&source.key).into_iter().flatten() {
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

    /// Whether a message could come that somebody here listens for.
    pub(crate) fn any_listening(&self) -> bool {
        // A channel that is listened to is a root.
        self.entries
            .borrow()
            .values()
            .any(|entry| entry.root.is_some())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.forget_the_gone();
        self.entries.borrow().len()
    }

    /// Closes all channels: the agent ends.
    pub(crate) fn close(&self) {
        self.entries.take();
        // (This mailbox outlives the lock: it may hold anything.)
        registry().retain(|_, listeners| {
            listeners.retain(|listener| !Arc::ptr_eq(&listener.mailbox, &self.mailbox));
            !listeners.is_empty()
        });
    }
}

impl Drop for Broadcasts {
    fn drop(&mut self) {
        self.close();
    }
}
