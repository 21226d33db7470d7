//! The channel pair between a `WebSocket` object and its connection: commands out, events in.
//!
//! Commands go through a queue of each socket. Pushing one is cheap: it marks the socket as dirty, and whoever drives
//! the network next wakes its task. Events of all sockets go into the loop's mailbox, so that a turn of the loop takes
//! everything that has arrived at once.

use std::collections::VecDeque;
use std::error::Error;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};

use we_net::protocol::close::ABNORMAL_CLOSURE;
use we_net::protocol::{CloseFrame, Closure, Message};

/// Reading from a socket pauses when this many bytes have arrived that no script has been told of yet. A message that is
/// longer than this on its own is still delivered.
pub(crate) const RECEIVE_HIGH_WATER: usize = 4 << 20;

/// The same for a connection whose messages a script [pulls](Delivery::Pulled): it needs no more than keeps it busy until
/// the next have come.
pub(crate) const PULLED_HIGH_WATER: usize = 1 << 20;

/// What an event costs beside its payload, roughly, so that a flood of empty messages is bounded too.
const EVENT_OVERHEAD: usize = 64;

/// Names a socket; never used twice in one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketId(u64);

impl SocketId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// When a message counts as delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// With the task that tells the script of it.
    Pushed,
    /// When [`SocketHandle::taken`](super::SocketHandle::taken) says so: the script asks for messages one by one, and those
    /// that it has not asked for yet hold up the peer.
    Pulled,
}

impl Delivery {
    /// Reading pauses when this many bytes have not been delivered.
    fn high_water(self) -> usize {
        match self {
            Self::Pushed => RECEIVE_HIGH_WATER,
            Self::Pulled => PULLED_HIGH_WATER,
        }
    }
}

/// What JavaScript asks of a connection.
#[derive(Debug)]
pub(super) enum Command {
    Send(Message),
    Ping(Vec<u8>),
    /// Start the closing handshake.
    Close(Option<CloseFrame>),
    /// Fail the connection: nothing more is sent, and it ends at once. While connecting, give up.
    Fail,
    /// Tell with [`SocketEvent::Flushed`] when this many payload bytes have reached the network.
    TellWhenFlushed(u64),
}

/// What a connection tells JavaScript. [`Closed`](Self::Closed) comes exactly once, last.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// The [connection is established](https://websockets.spec.whatwg.org/#eventdef-websocket-open).
    Open {
        /// The subprotocol in use, or an empty string.
        protocol: String,
        /// The extensions in use, as the server wrote them.
        extensions: String,
    },
    /// A message arrived.
    Message(Message),
    /// As many bytes have reached the network as JavaScript wanted to be told of.
    Flushed,
    /// The closing handshake was started by the peer.
    Closing,
    /// The connection is closed, or could not be established.
    Closed(Closed),
}

/// How a connection ended, or why there is none.
#[derive(Debug)]
pub(crate) struct Closed {
    /// Whether both Close frames were exchanged.
    pub(crate) clean: bool,
    /// The peer's close code, 1005 or 1006.
    pub(crate) code: u16,
    /// The peer's reason, maybe empty.
    pub(crate) reason: String,
    /// What went wrong, for the operator. Scripts are not told.
    pub(crate) error: Option<Box<dyn Error + Send + Sync>>,
}

impl Closed {
    /// The end of a connection without the peer's Close frame, or of an attempt at one.
    pub(super) fn abnormally(error: Option<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            clean: false,
            code: ABNORMAL_CLOSURE,
            reason: String::new(),
            error,
        }
    }
}

impl From<Closure> for Closed {
    fn from(closure: Closure) -> Self {
        Self {
            clean: closure.clean,
            code: closure.code,
            reason: closure.reason,
            error: closure.error.map(Into::into),
        }
    }
}

impl SocketEvent {
    /// What the event counts towards the high-water mark.
    fn cost(&self) -> usize {
        match self {
            Self::Message(message) => cost(message),
            Self::Open { .. } | Self::Flushed | Self::Closing | Self::Closed(_) => 0,
        }
    }
}

/// What a message counts towards the high-water mark.
fn cost(message: &Message) -> usize {
    message.len() + EVENT_OVERHEAD
}

/// The events that one poll of a socket's task has brought, on the way to the loop: one envelope for all of them, so that
/// a message in a flood costs no reference to its socket and no atomic operation of its own.
pub(crate) struct Batch {
    channel: Arc<Channel>,
    /// Never empty.
    events: VecDeque<SocketEvent>,
    /// How many events there were at first.
    total: u64,
    /// The cost of events taken out that the task has not been told of.
    settled: usize,
}

/// Once so many bytes have been taken out of a batch, its task hears of it, and does not have to wait for the end.
const SETTLE_STEP: usize = 64 << 10;

/// An event that is taken out of its batch to be delivered.
pub(super) struct Taken {
    pub(super) id: SocketId,
    pub(super) event: SocketEvent,
    /// With the last event of a batch: its socket, and how many events there were.
    pub(super) whole: Option<(Arc<Channel>, u64)>,
    /// The socket whose connection waits to read on.
    pub(super) read_on: Option<Arc<Channel>>,
}

impl Batch {
    /// A batch of one.
    pub(super) fn single(channel: Arc<Channel>, event: SocketEvent) -> Self {
        channel.arrived(event.cost());
        Self::new(channel, VecDeque::from([event]))
    }

    /// Events whose cost the channel knows of.
    fn new(channel: Arc<Channel>, events: VecDeque<SocketEvent>) -> Self {
        let total = events.len() as u64;
        Self {
            channel,
            events,
            total,
            settled: 0,
        }
    }

    fn take(&mut self) -> Option<Taken> {
        let event = self.events.pop_front()?;
        let is_last = self.events.is_empty();
        if self.channel.delivery == Delivery::Pushed {
            self.settled += event.cost();
        }
        let mut read_on = ReadOn::No;
        if self.settled >= SETTLE_STEP || (is_last && self.settled > 0) {
            read_on = self.channel.delivered(mem::take(&mut self.settled));
        }
        Some(Taken {
            id: self.channel.id(),
            event,
            whole: is_last.then(|| (self.channel.clone(), self.total)),
            read_on: (read_on == ReadOn::Yes).then(|| self.channel.clone()),
        })
    }
}

/// Batches, in the order in which they came.
#[derive(Default)]
pub(crate) struct Arrivals(VecDeque<Batch>);

impl Arrivals {
    pub(crate) fn push(&mut self, batch: Batch) {
        self.0.push_back(batch);
    }

    pub(crate) fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out the oldest event.
    pub(super) fn take_first(&mut self) -> Option<Taken> {
        let taken = self.0.front_mut()?.take();
        if taken.as_ref().is_none_or(|taken| taken.whole.is_some()) {
            self.0.pop_front();
        }
        taken
    }
}

/// What a task gathers before it posts a [`Batch`].
#[derive(Default)]
pub(super) struct Gathering {
    events: VecDeque<SocketEvent>,
    /// What the events cost together. The channel learns of it when they are posted.
    cost: usize,
}

impl Gathering {
    pub(super) fn push(&mut self, event: SocketEvent) {
        self.cost += event.cost();
        self.events.push_back(event);
    }

    /// What the events gathered so far cost.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Takes all out, if there is anything.
    pub(super) fn take(&mut self, channel: &Arc<Channel>) -> Option<Batch> {
        if self.events.is_empty() {
            return None;
        }
        channel.arrived(mem::take(&mut self.cost));
        Some(Batch::new(channel.clone(), mem::take(&mut self.events)))
    }
}

/// Whether a connection that had paused may read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadOn {
    Yes,
    No,
}

/// The socket of an event that is being delivered.
#[must_use = "when the script has been told, `Network::has_told` wants to know"]
pub(crate) struct Delivering {
    pub(super) id: SocketId,
    /// With the last event of a batch: whom to tell, and of how many events.
    pub(super) whole: Option<(Arc<Channel>, u64)>,
}

impl Delivering {
    pub(crate) fn id(&self) -> SocketId {
        self.id
    }
}

/// The shared half of a socket.
pub(crate) struct Channel {
    id: SocketId,
    delivery: Delivery,
    commands: Mutex<Commands>,
    /// Whether this socket is in the list of those whose tasks have to be woken.
    dirty: AtomicBool,
    /// The cost of events that have arrived and have not been delivered.
    undelivered: AtomicUsize,
    /// Whether the task stopped reading and waits for deliveries.
    paused: AtomicBool,
    /// How many events the script has been told of, batch by batch. Only the loop's thread counts.
    told: AtomicU64,
    /// Whether the task waits for the script to be told.
    waits_for_script: AtomicBool,
    /// Payload bytes that have reached the network.
    flushed: AtomicU64,
}

#[derive(Default)]
struct Commands {
    queue: VecDeque<Command>,
    task: Option<Waker>,
}

impl Channel {
    pub(super) fn new(delivery: Delivery) -> Arc<Self> {
        Arc::new(Self {
            id: SocketId::next(),
            delivery,
            commands: Mutex::default(),
            dirty: AtomicBool::new(false),
            undelivered: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            told: AtomicU64::new(0),
            waits_for_script: AtomicBool::new(false),
            flushed: AtomicU64::new(0),
        })
    }

    pub(super) fn id(&self) -> SocketId {
        self.id
    }

    /// Queues a command. The task learns of it when it is [woken](Self::wake).
    pub(super) fn push(&self, command: Command) {
        self.lock().queue.push_back(command);
    }

    /// Marks the socket as dirty. Returns whether it was clean.
    pub(super) fn mark_dirty(&self) -> bool {
        !self.dirty.swap(true, Ordering::SeqCst)
    }

    /// Wakes the task and marks the socket as clean.
    pub(super) fn wake(&self) {
        self.dirty.store(false, Ordering::SeqCst);
        let task = self.lock().task.take();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Takes all queued commands, or, if there are none, has the task woken when there are.
    pub(super) fn poll_commands(&self, cx: &TaskContext<'_>) -> Poll<VecDeque<Command>> {
        let mut commands = self.lock();
        if commands.queue.is_empty() {
            match &commands.task {
                Some(task) if task.will_wake(cx.waker()) => {}
                _ => commands.task = Some(cx.waker().clone()),
            }
            Poll::Pending
        } else {
            Poll::Ready(mem::take(&mut commands.queue))
        }
    }

    /// Events have arrived that cost so much together.
    fn arrived(&self, cost: usize) {
        if cost > 0 {
            self.undelivered.fetch_add(cost, Ordering::SeqCst);
        }
    }

    /// Whether there is room for more, beside events of this cost that nobody knows of yet.
    pub(super) fn has_room(&self, gathered: usize) -> bool {
        self.undelivered.load(Ordering::SeqCst) + gathered < self.delivery.high_water()
    }

    /// Whether the task may read: true unless too much waits for delivery. If not, the task will be woken when it may.
    pub(super) fn may_read(&self) -> bool {
        if self.has_room(0) {
            return true;
        }
        self.paused.store(true, Ordering::SeqCst);
        // The loop may have delivered everything between the two lines above, and seen no pause.
        self.undelivered.load(Ordering::SeqCst) < self.delivery.high_water() / 2
            && self.paused.swap(false, Ordering::SeqCst)
    }

    /// The script has been given a message whose delivery it asked for. Returns whether the connection waits to read on.
    pub(super) fn taken(&self, message: &Message) -> ReadOn {
        self.delivered(cost(message))
    }

    fn delivered(&self, cost: usize) -> ReadOn {
        let undelivered = self.undelivered.fetch_sub(cost, Ordering::SeqCst) - cost;
        // Half-way down, so that reading does not stop and go with each message.
        let read_on = undelivered <= self.delivery.high_water() / 2
            && self.paused.load(Ordering::SeqCst)
            && self.paused.swap(false, Ordering::SeqCst);
        if read_on { ReadOn::Yes } else { ReadOn::No }
    }

    /// The script has been told of so many more events, and their listeners have run. Returns whether the task waits for
    /// that.
    pub(super) fn count_told(&self, events: u64) -> bool {
        let told = self.told.load(Ordering::Relaxed) + events;
        self.told.store(told, Ordering::SeqCst);
        self.waits_for_script.load(Ordering::SeqCst)
            && self.waits_for_script.swap(false, Ordering::SeqCst)
    }

    /// Whether the script has been told of the first so many events. If not, the task will be woken to ask again.
    pub(super) fn has_told(&self, events: u64) -> bool {
        let has_told = || self.told.load(Ordering::SeqCst) >= events;
        if has_told() {
            return true;
        }
        self.waits_for_script.store(true, Ordering::SeqCst);
        // The loop may have told of the last one between the two lines above, and seen nobody wait.
        has_told()
    }

    pub(super) fn set_flushed(&self, bytes: u64) {
        self.flushed.store(bytes, Ordering::Release);
    }

    pub(super) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn undelivered(&self) -> usize {
        self.undelivered.load(Ordering::SeqCst)
    }

    /// Nothing panics while the lock is held, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn batch_of(channel: &Arc<Channel>, lengths: &[usize]) -> Arrivals {
        let mut gathering = Gathering::default();
        for &len in lengths {
            gathering.push(SocketEvent::Message(Message::text("x".repeat(len))));
        }
        let mut arrivals = Arrivals::default();
        arrivals.push(gathering.take(channel).unwrap());
        assert!(gathering.take(channel).is_none());
        arrivals
    }

    /// What is undelivered after each event is taken out, and of how many events is told then.
    fn taken_apart(lengths: &[usize]) -> Vec<(usize, Option<u64>)> {
        let channel = Channel::new(Delivery::Pushed);
        let mut arrivals = batch_of(&channel, lengths);
        let mut steps = Vec::new();
        while let Some(taken) = arrivals.take_first() {
            let told = taken.whole.map(|(_, events)| events);
            steps.push((channel.undelivered(), told));
        }
        assert!(arrivals.is_empty());
        steps
    }

    #[test]
    fn a_long_batch_is_settled_in_steps_and_told_of_as_a_whole() {
        let each = SETTLE_STEP + EVENT_OVERHEAD;
        assert_eq!(
            taken_apart(&[SETTLE_STEP; 3]),
            [(2 * each, None), (each, None), (0, Some(3))]
        );
        let both = 2 * (1 + EVENT_OVERHEAD);
        assert_eq!(taken_apart(&[1; 2]), [(both, None), (0, Some(2))]);
    }
}
