//! A room, from both sides: [`Shared`] is where clients enter and leave, [`Room`] what its service is given.
//!
//! What happens in a room reaches its service in one mailbox. Room in it is given by bytes: a client whose message does not fit is
//! not read from until others have been taken out. Coming and going needs no room, so that nobody's end is ever lost.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use we_net::Message;
use we_net::protocol::CloseFrame;

use crate::client::Client;
use crate::name::RoomName;
use crate::queue::{Pushed, Queue, SlowClients};
use crate::service::{ClientId, Recipient};

/// So much may wait for a service, in bytes.
const MAILBOX: usize = 1 << 20;

/// What a message takes of it beside its payload.
const OVERHEAD: usize = 64;

/// What happens in a room, for its service.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client has come. It is told of before anything that it does.
    Connect(Client),
    /// A client has sent a message.
    Message(ClientId, Message),
    /// A client has gone. Nothing more is told of it.
    Disconnect(ClientId),
}

enum Mail {
    Connect(Client),
    Message(ClientId, Message, OwnedSemaphorePermit),
    Disconnect(ClientId),
    End,
}

/// Numbers of a room, or of all. They only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) skipped: AtomicU64,
    pub(crate) too_slow: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Relaxed);
    }
}

/// The side of a room that clients see.
pub(crate) struct Shared {
    name: RoomName,
    max_queue: usize,
    policy: SlowClients,
    members: Mutex<Members>,
    count: watch::Sender<usize>,
    mail: mpsc::UnboundedSender<Mail>,
    budget: Arc<Semaphore>,
    counters: Counters,
    all: Arc<Counters>,
}

#[derive(Default)]
struct Members {
    by_id: HashMap<ClientId, Member>,
    last_id: u64,
    /// Nobody can enter any more. Whoever could have, is told this.
    closed: Option<Option<CloseFrame>>,
}

struct Member {
    client: Client,
    queue: Arc<Queue>,
    /// Its service knows it, so it is one of everyone.
    is_admitted: bool,
}

impl Shared {
    pub(crate) fn new(
        name: RoomName,
        max_queue: usize,
        policy: SlowClients,
        all: Arc<Counters>,
    ) -> (Arc<Self>, Room) {
        let (mail, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Self {
            name,
            max_queue,
            policy,
            members: Mutex::default(),
            count: watch::Sender::new(0),
            mail,
            budget: Arc::new(Semaphore::new(MAILBOX)),
            counters: Counters::default(),
            all,
        });
        let room = Room {
            sender: RoomSender(shared.clone()),
            mail: receiver,
            known: HashSet::new(),
            again: VecDeque::new(),
        };
        (shared, room)
    }

    pub(crate) fn name(&self) -> &RoomName {
        &self.name
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn clients(&self) -> usize {
        *self.count.borrow()
    }

    /// Changes with the number of clients.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Gives a client a seat, and tells the service. `make` is told the client's name.
    pub(crate) fn enter(self: &Arc<Self>, make: impl FnOnce(ClientId) -> Client) -> Seat {
        let queue = Arc::new(Queue::new(self.max_queue, self.policy));
        let mut members = self.lock();
        members.last_id += 1;
        let id = ClientId(members.last_id);
        let client = make(id);
        if let Some(frame) = &members.closed {
            queue.close(frame.clone());
        } else {
            let member = Member {
                client: client.clone(),
                queue: queue.clone(),
                is_admitted: false,
            };
            members.by_id.insert(id, member);
            self.count.send_replace(members.by_id.len());
            // While nobody else can enter, so that clients are told of in the order of their names.
            let _ = self.mail.send(Mail::Connect(client));
        }
        drop(members);
        Seat {
            room: self.clone(),
            id,
            queue,
        }
    }

    /// Ends the room: its service is told of nothing more, its clients are closed, and nobody can enter.
    pub(crate) fn close(&self, frame: Option<CloseFrame>) {
        let mut members = self.lock();
        for member in members.by_id.values() {
            member.queue.close(frame.clone());
        }
        members.closed.get_or_insert(frame);
        drop(members);
        let _ = self.mail.send(Mail::End);
    }

    fn leave(&self, id: ClientId) {
        let mut members = self.lock();
        if members.by_id.remove(&id).is_some() {
            self.count.send_replace(members.by_id.len());
        }
        drop(members);
        let _ = self.mail.send(Mail::Disconnect(id));
    }

    fn note(&self, pushed: Pushed) {
        let count = |counter: fn(&Counters) -> &AtomicU64| {
            Counters::add(counter(&self.counters), 1);
            Counters::add(counter(&self.all), 1);
        };
        match pushed {
            Pushed::Queued => count(|counters| &counters.sent),
            Pushed::Skipped => count(|counters| &counters.skipped),
            Pushed::Overflowed => count(|counters| &counters.too_slow),
            Pushed::Ended => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place in a room. It is left when this is dropped.
pub(crate) struct Seat {
    room: Arc<Shared>,
    id: ClientId,
    queue: Arc<Queue>,
}

impl Seat {
    /// What waits for the client.
    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Gives a message to the service, as soon as there is room for it and unless the client has been closed. Cancel-safe: it is given as a whole or not at all.
    pub(crate) async fn say(&self, message: Message) {
        let room = &self.room;
        let bytes = (message.len() + OVERHEAD).min(MAILBOX);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(permit) = room.budget.clone().acquire_many_owned(bytes).await else {
            return;
        };
        // One that does not read what is before its Close is not heard meanwhile.
        if self.queue.has_ended() {
            return;
        }
        Counters::add(&room.counters.received, 1);
        Counters::add(&room.all.received, 1);
        let _ = room.mail.send(Mail::Message(self.id, message, permit));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.queue.abandon();
        self.room.leave(self.id);
    }
}

/// A room, as whoever runs its service sees it.
#[derive(Debug)]
pub struct Room {
    sender: RoomSender,
    mail: mpsc::UnboundedReceiver<Mail>,
    /// Of whom this service has been told.
    known: HashSet<ClientId>,
    /// Who was there before this service was, and has yet to be told of.
    again: VecDeque<Client>,
}

/// What can be done to the clients of a room, from anywhere. Cloned by pointer.
#[derive(Clone)]
pub struct RoomSender(Arc<Shared>);

impl Room {
    /// What happens next; `None` when the room has ended. Cancel-safe.
    ///
    /// Of each client there is first its coming, then its messages, then its going.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(client) = self.again.pop_front() {
                self.known.insert(client.id());
                return Some(Event::Connect(client));
            }
            match self.mail.recv().await? {
                Mail::Connect(client) => {
                    self.known.insert(client.id());
                    return Some(Event::Connect(client));
                }
                Mail::Message(client, message, _permit) => {
                    if self.known.contains(&client) {
                        return Some(Event::Message(client, message));
                    }
                }
                Mail::Disconnect(client) => {
                    if self.known.remove(&client) {
                        return Some(Event::Disconnect(client));
                    }
                }
                Mail::End => {
                    self.mail.close();
                    return None;
                }
            }
        }
    }

    /// What can be done to its clients by others, too.
    pub fn sender(&self) -> RoomSender {
        self.sender.clone()
    }

    /// Another service begins: the clients that the one before it has been told of are told of again.
    pub(crate) fn begin_again(&mut self) {
        let mut members = self.sender.0.lock();
        let mut clients = Vec::new();
        for (id, member) in &mut members.by_id {
            member.is_admitted = false;
            if self.known.contains(id) {
                clients.push(member.client.clone());
            }
        }
        drop(members);
        // Who stood here still has not been told of at all.
        clients.extend(self.again.drain(..));
        clients.sort_by_key(Client::id);
        self.again = clients.into();
        self.known.clear();
    }
}

impl Deref for Room {
    type Target = RoomSender;

    fn deref(&self) -> &RoomSender {
        &self.sender
    }
}

impl RoomSender {
    /// The room's name.
    pub fn name(&self) -> &RoomName {
        &self.0.name
    }

    /// Makes a client one of [`Recipient::Everyone`]: its service knows it from now on. What was sent to everyone before is not for it.
    pub fn admit(&self, client: ClientId) {
        if let Some(member) = self.0.lock().by_id.get_mut(&client) {
            member.is_admitted = true;
        }
    }

    /// Sends a message. It never waits: what a client does not take fast enough is subject to [`SlowClients`].
    pub fn send(&self, recipient: Recipient, message: Message) {
        let room = &self.0;
        let except = match recipient {
            Recipient::Client(client) => {
                let queue = room.lock().by_id.get(&client).map(|m| m.queue.clone());
                if let Some(queue) = queue {
                    room.note(queue.push(message));
                }
                return;
            }
            Recipient::Everyone => None,
            Recipient::EveryoneExcept(client) => Some(client),
        };
        let message = message.into_shared();
        let members = room.lock();
        for (id, member) in &members.by_id {
            if member.is_admitted && Some(*id) != except {
                room.note(member.queue.push(message.clone()));
            }
        }
    }

    /// Ends the connection of a client, behind what was sent to it. `None` sends no code. What it says from now on is for nobody;
    /// that it has gone its service is told when it has taken what waits for it, or has not for 30 s.
    pub fn close(&self, client: ClientId, frame: Option<CloseFrame>) {
        if let Some(member) = self.0.lock().by_id.get(&client) {
            member.queue.close(frame);
        }
    }
}

impl std::fmt::Debug for RoomSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RoomSender").field(&self.0.name).finish()
    }
}
