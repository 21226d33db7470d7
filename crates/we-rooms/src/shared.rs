//! [`Shared`]: a room, from the side where clients enter and leave, and the mailbox through which its service hears of it.
//!
//! Room in the mailbox is given by bytes: a client whose message does not fit is not read from until others have been taken out, and one
//! that does not fit with what is known of it does not come in. Going needs no room, so that nobody's end is ever lost.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use we_net::Message;
use we_net::protocol::CloseFrame;

use crate::client::Client;
use crate::elsewhere::{Elsewhere, Permit, Reach};
use crate::name::RoomName;
use crate::queue::{Pushed, Queue, SlowClients};
use crate::room::Room;
use crate::service::ClientId;

/// So much may wait for a service, in bytes.
const MAILBOX: usize = 1 << 20;

/// So much may wait for it of what is known of clients that have come.
const ARRIVALS: usize = 4 << 20;

/// What a message takes of it beside its payload.
const OVERHEAD: usize = 64;

pub(crate) enum Mail {
    Connect(Client, OwnedSemaphorePermit),
    Message(ClientId, Message, Permit),
    Disconnect(ClientId),
    End,
    /// A client of another machine, unless it has been cut off meanwhile.
    #[cfg(feature = "cluster")]
    ConnectFar(Client, crate::elsewhere::Lost, Permit),
    /// The service is to end although the room does not, if it still is the one with this number.
    #[cfg(feature = "cluster")]
    Pause(u64),
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
    /// How many clients there are, those elsewhere included.
    pub(crate) count: watch::Sender<usize>,
    pub(crate) mail: mpsc::UnboundedSender<Mail>,
    budget: Arc<Semaphore>,
    arrivals: Arc<Semaphore>,
    /// Whether it has ended.
    over: watch::Sender<bool>,
    pub(crate) counters: Counters,
    pub(crate) all: Arc<Counters>,
}

#[derive(Default)]
pub(crate) struct Members {
    pub(crate) by_id: HashMap<ClientId, Member>,
    pub(crate) last_id: u64,
    /// Nobody can enter any more. Whoever could have, is told this.
    pub(crate) closed: Option<Option<CloseFrame>>,
    /// The clients that are connected to other machines.
    pub(crate) elsewhere: Option<Arc<dyn Elsewhere>>,
    /// How many they are.
    pub(crate) far: usize,
    /// Since when there has been nobody, once there was somebody.
    empty_since: Option<Instant>,
}

pub(crate) struct Member {
    pub(crate) client: Client,
    pub(crate) queue: Arc<Queue>,
    /// Its service knows it, so it is one of everyone.
    pub(crate) is_admitted: bool,
}

impl Members {
    pub(crate) fn count(&self) -> usize {
        self.by_id.len() + self.far
    }
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
            arrivals: Arc::new(Semaphore::new(ARRIVALS)),
            over: watch::Sender::new(false),
            counters: Counters::default(),
            all,
        });
        let room = Room::new(shared.clone(), receiver);
        (shared, room)
    }

    pub(crate) fn name(&self) -> &RoomName {
        &self.name
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many clients are connected here.
    pub(crate) fn clients(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Whether nobody is in it, here or elsewhere.
    pub(crate) fn is_empty(&self) -> bool {
        *self.count.borrow() == 0
    }

    /// Changes with the number of clients, here and elsewhere.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// When nobody has been in it the last time; `None` if somebody is.
    pub(crate) fn empty_since(&self) -> Option<Instant> {
        self.lock().empty_since
    }

    /// Waits until the room has ended.
    pub(crate) async fn ended(&self) {
        let mut over = self.over.subscribe();
        // The sender is in what we have.
        let _ = over.wait_for(|over| *over).await;
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.over.borrow()
    }

    /// What a client that comes takes of the mailbox; if it does not fit it has to [wait](Self::wait_to_arrive).
    pub(crate) fn arrive(&self, cost: u32) -> Option<Arrival> {
        let permit = self.arrivals.clone().try_acquire_many_owned(cost).ok()?;
        Some(Arrival(permit))
    }

    /// The same, when there is room; `None` if the room ends before.
    pub(crate) async fn wait_to_arrive(&self, cost: u32) -> Option<Arrival> {
        let permit = self.arrivals.clone().acquire_many_owned(cost).await.ok()?;
        Some(Arrival(permit))
    }

    /// Gives a client a seat, and tells the service. `make` is told the client's name.
    pub(crate) fn enter(
        self: &Arc<Self>,
        Arrival(permit): Arrival,
        make: impl FnOnce(ClientId) -> Client,
    ) -> Seat {
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
            self.recount(&mut members);
            // While nobody else can enter, so that clients are told of in the order of their names.
            let _ = self.mail.send(Mail::Connect(client, permit));
        }
        drop(members);
        Seat {
            room: self.clone(),
            id,
            queue,
        }
    }

    /// Ends the room: its service is told of nothing more, its clients are closed, and nobody can enter.
    pub(crate) fn close(&self, frame: Option<CloseFrame>, reach: Reach) {
        let mut members = self.lock();
        for member in members.by_id.values() {
            member.queue.close(frame.clone());
        }
        if let Some(elsewhere) = members.elsewhere.take() {
            elsewhere.end((reach == Reach::Everywhere).then_some(&frame));
        }
        members.closed.get_or_insert(frame);
        drop(members);
        self.arrivals.close();
        let _ = self.mail.send(Mail::End);
        self.over.send_replace(true);
    }

    /// Closes all clients that are here. The room goes on.
    pub(crate) fn close_clients(&self, frame: Option<&CloseFrame>) {
        for member in self.lock().by_id.values() {
            member.queue.close(frame.cloned());
        }
    }

    /// To be called when somebody has come or gone.
    pub(crate) fn recount(&self, members: &mut Members) {
        let count = members.count();
        members.empty_since = (count == 0).then(Instant::now);
        self.count.send_replace(count);
    }

    fn leave(&self, id: ClientId) {
        let mut members = self.lock();
        if members.by_id.remove(&id).is_some() {
            self.recount(&mut members);
        }
        drop(members);
        let _ = self.mail.send(Mail::Disconnect(id));
    }

    pub(crate) fn note(&self, pushed: Pushed) {
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room in a mailbox for a client that comes.
pub(crate) struct Arrival(OwnedSemaphorePermit);

impl Arrival {
    /// What a client takes, of which so many bytes are known.
    pub(crate) fn cost(bytes: usize) -> u32 {
        u32::try_from(bytes.min(ARRIVALS)).unwrap_or(u32::MAX)
    }
}

/// What a message takes of a mailbox.
pub(crate) fn cost(message: &Message) -> u32 {
    let bytes = (message.len() + OVERHEAD).min(MAILBOX);
    u32::try_from(bytes).unwrap_or(u32::MAX)
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
        let bytes = cost(&message);
        let Ok(permit) = room.budget.clone().acquire_many_owned(bytes).await else {
            return;
        };
        // One that does not read what is before its Close is not heard meanwhile.
        if self.queue.has_ended() {
            return;
        }
        Counters::add(&room.counters.received, 1);
        Counters::add(&room.all.received, 1);
        let permit = Permit::Here(permit);
        let _ = room.mail.send(Mail::Message(self.id, message, permit));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.queue.abandon();
        self.room.leave(self.id);
    }
}
