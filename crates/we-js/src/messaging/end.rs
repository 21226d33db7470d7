//! [`PortEnd`]: one end of a channel, the half of a port that belongs to no thread.
//!
//! The two ends of a channel share one lock and each has its queue. Who owns an end changes; the queue stays where it
//! is. So a port that is transferred takes with it what it has been sent, and what is sent while it is on its way lies
//! in the same queue, in order.
//!
//! For each message that a started end is sent, its owner's event loop gets one notice in its mailbox, so the messages
//! of all the ports of an agent are delivered in the order in which they were posted. A notice whose port has been
//! transferred meanwhile finds no port and means nothing: the new owner was told of all that is in the queue.

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::Notice;
use crate::{event_loop::Mailbox, structured_clone::Record};

/// One end of a channel. It can be sent to another thread. Dropping it closes the channel: the other end's owner is
/// told, once it has taken the messages that were sent before.
pub(crate) struct PortEnd(Side);

/// Names a port of an agent: an end, for as long as one object owns it. Never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PortId(u64);

impl PortId {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Refers to an end without owning it.
#[derive(Clone)]
pub(super) struct Side {
    channel: Arc<Mutex<Channel>>,
    which: Which,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    First,
    Second,
}

struct Channel {
    first: End,
    second: End,
    /// Until either end is closed.
    entangled: bool,
}

#[derive(Default)]
struct End {
    /// The [port message queue](https://html.spec.whatwg.org/multipage/web-messaging.html#port-message-queue).
    queue: VecDeque<Record>,
    /// Whether the queue is enabled.
    enabled: bool,
    /// Who is told what arrives. Nobody while the end is on its way.
    owner: Option<Owner>,
    /// Whether the owner has heard that the channel is closed, or closed it.
    knows_of_close: bool,
}

/// The agent that owns an end, and under which name.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) port: PortId,
}

/// Where the other end of a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// The channel is closed.
    Gone,
    /// With the same agent.
    Here(PortId),
    /// With another agent, or on its way.
    Elsewhere,
}

/// What an agent has to know of an end that it owns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status {
    pub(super) enabled: bool,
    /// Whether messages wait in the queue.
    pub(super) has_messages: bool,
    /// Whether a notice is to come that the channel is closed.
    pub(super) is_closing: bool,
    pub(super) peer: Peer,
}

impl Channel {
    /// The end of a side, and the other one.
    fn ends(&mut self, which: Which) -> (&mut End, &mut End) {
        match which {
            Which::First => (&mut self.first, &mut self.second),
            Which::Second => (&mut self.second, &mut self.first),
        }
    }
}

impl End {
    fn notify(&self, notice: impl FnOnce(PortId) -> Notice) {
        if let Some(owner) = &self.owner {
            let notice = notice(owner.port);
            owner.mailbox.post(|contents| contents.notices.push(notice));
        }
    }
}

impl PortEnd {
    /// The ends of a new channel, [entangled](https://html.spec.whatwg.org/multipage/web-messaging.html#entangle).
    pub(crate) fn pair() -> (Self, Self) {
        let channel = Arc::new(Mutex::new(Channel {
            first: End::default(),
            second: End::default(),
            entangled: true,
        }));
        let side = |which| {
            Self(Side {
                channel: channel.clone(),
                which,
            })
        };
        (side(Which::First), side(Which::Second))
    }

    pub(super) fn side(&self) -> &Side {
        &self.0
    }
}

impl Side {
    /// Puts a message into the other end's queue. After the channel was closed it goes nowhere.
    pub(super) fn post(&self, message: Record) {
        let undeliverable = {
            let mut channel = self.lock();
            if channel.entangled {
                let (_, other) = channel.ends(self.which);
                other.queue.push_back(message);
                if other.enabled {
                    other.notify(Notice::Message);
                }
                None
            } else {
                Some(message)
            }
        };
        bury(undeliverable);
    }

    /// Whether this and `other` are the two ends of one channel.
    pub(super) fn is_opposite(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel) && self.which != other.which
    }

    /// Gives the end an owner. Its queue is disabled.
    pub(super) fn attach(&self, owner: Owner) {
        let mut channel = self.lock();
        let entangled = channel.entangled;
        let (own, _) = channel.ends(self.which);
        own.owner = Some(owner);
        own.enabled = false;
        if !entangled && !own.knows_of_close {
            own.notify(Notice::Closed);
        }
    }

    /// Takes the end from its owner.
    pub(super) fn detach(&self) {
        let owner = {
            let mut channel = self.lock();
            let (own, _) = channel.ends(self.which);
            own.enabled = false;
            own.owner.take()
        };
        // Not under the lock: a mailbox may hold ends, too.
        drop(owner);
    }

    /// [Enables](https://html.spec.whatwg.org/multipage/web-messaging.html#dom-messageport-start) the queue.
    pub(super) fn enable(&self) {
        let mut channel = self.lock();
        let (own, _) = channel.ends(self.which);
        if !own.enabled {
            own.enabled = true;
            for _ in 0..own.queue.len() {
                own.notify(Notice::Message);
            }
        }
    }

    /// The next message, for a notice that one is there.
    pub(super) fn take_message(&self) -> Option<Record> {
        let mut channel = self.lock();
        let (own, _) = channel.ends(self.which);
        if own.enabled {
            own.queue.pop_front()
        } else {
            None
        }
    }

    /// For a notice that the channel is closed: whether the owner is to hear of it now. If messages that were sent
    /// before are still to be delivered, the notice goes to the end of the line.
    pub(super) fn take_close(&self) -> bool {
        let mut channel = self.lock();
        let entangled = channel.entangled;
        let (own, _) = channel.ends(self.which);
        if entangled || own.knows_of_close {
            return false;
        }
        if own.enabled && !own.queue.is_empty() {
            own.notify(Notice::Closed);
            return false;
        }
        own.knows_of_close = true;
        true
    }

    /// [Disentangles](https://html.spec.whatwg.org/multipage/web-messaging.html#disentangle) the ends at this one's wish.
    /// Messages that it has been sent already stay deliverable.
    pub(super) fn close(&self) {
        let mut channel = self.lock();
        if !channel.entangled {
            return;
        }
        channel.entangled = false;
        let (own, other) = channel.ends(self.which);
        own.knows_of_close = true;
        other.notify(Notice::Closed);
    }

    /// The end as an agent with this mailbox sees it.
    pub(super) fn status(&self, mailbox: &Arc<Mailbox>) -> Status {
        let mut channel = self.lock();
        let entangled = channel.entangled;
        let (own, other) = channel.ends(self.which);
        let peer = match &other.owner {
            _ if !entangled => Peer::Gone,
            Some(owner) if Arc::ptr_eq(&owner.mailbox, mailbox) => Peer::Here(owner.port),
            _ => Peer::Elsewhere,
        };
        Status {
            enabled: own.enabled,
            has_messages: !own.queue.is_empty(),
            is_closing: !entangled && !own.knows_of_close,
            peer,
        }
    }

    /// Nothing panics with the channel half changed, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PortEnd {
    fn drop(&mut self) {
        self.0.close();
        self.0.detach();
        let queue = {
            let mut channel = self.0.lock();
            std::mem::take(&mut channel.ends(self.0.which).0.queue)
        };
        bury(queue);
    }
}

impl fmt::Debug for PortEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortEnd").finish_non_exhaustive()
    }
}

thread_local! {
    /// Messages about to be dropped, while some are being dropped.
    static GRAVE: RefCell<Option<Vec<Record>>> = const { RefCell::new(None) };
}

/// Drops messages that nobody will get. They may hold ends whose queues hold messages that hold ends, as deep as a
/// script likes, so not by recursion.
fn bury(messages: impl IntoIterator<Item = Record>) {
    let mut messages = messages.into_iter().peekable();
    if messages.peek().is_none() {
        return;
    }
    let mut messages = Some(messages);
    let is_outermost = GRAVE.try_with(|grave| {
        let mut grave = grave.borrow_mut();
        let is_outermost = grave.is_none();
        grave
            .get_or_insert_default()
            .extend(messages.take().into_iter().flatten());
        is_outermost
    });
    // (An error means that the thread is at its end: then what is left in `messages` is dropped as it is.)
    if is_outermost != Ok(true) {
        return;
    }
    while let Ok(Some(message)) = GRAVE.try_with(|grave| {
        let mut grave = grave.borrow_mut();
        let next = grave.as_mut().and_then(Vec::pop);
        if next.is_none() {
            *grave = None;
        }
        next
    }) {
        drop(message);
    }
}
