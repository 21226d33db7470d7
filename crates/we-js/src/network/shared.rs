//! [`Shared`]: what the loop's thread, the standby thread and the connections' tasks have in common.
//!
//! Its atomics tell who drives the network. The loop's thread counts in `visits` each time it begins or ends its wait; an
//! odd number means that it is away, running scripts. All orderings are sequentially consistent: each hand-over is a
//! store on one side and a load on the other, in both directions, and one of the two must see the other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread::Thread;
use std::time::Instant;

use we_net::protocol::{CloseCode, CloseFrame};

use super::channel::{Channel, Command, SocketId};
use crate::event_loop::Mailbox;

/// A count of the loop thread's coming and going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Visits(u64);

impl Visits {
    /// Whether the loop's thread is away from its wait.
    pub(super) fn is_away(self) -> bool {
        self.0 % 2 == 1
    }
}

pub(crate) struct Shared {
    pub(super) mailbox: Arc<Mailbox>,
    /// Sockets whose tasks have to be woken.
    dirty: Mutex<Vec<Arc<Channel>>>,
    /// Sockets whose tasks run.
    open: Mutex<HashMap<SocketId, Arc<Channel>>>,
    open_count: AtomicUsize,
    /// Told when the last open socket has gone.
    all_closed: Condvar,
    going_away: AtomicBool,

    visits: AtomicU64,
    standby_drives: AtomicBool,
    standby_sleeps: AtomicBool,
    standby_ends: AtomicBool,
    standby: OnceLock<Thread>,
    /// Wakes the standby thread from driving.
    relief: Mutex<Option<Waker>>,
}

impl Shared {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Arc<Self> {
        Arc::new(Self {
            mailbox,
            dirty: Mutex::default(),
            open: Mutex::default(),
            open_count: AtomicUsize::new(0),
            all_closed: Condvar::new(),
            going_away: AtomicBool::new(false),
            // The loop is away until it first waits.
            visits: AtomicU64::new(1),
            standby_drives: AtomicBool::new(false),
            standby_sleeps: AtomicBool::new(false),
            standby_ends: AtomicBool::new(false),
            standby: OnceLock::new(),
            relief: Mutex::default(),
        })
    }

    // Commands.

    /// Queues a command for a socket's task.
    pub(super) fn push(&self, channel: &Arc<Channel>, command: Command) {
        channel.push(command);
        self.nudge(channel);
    }

    /// Has a socket's task woken: at once if the standby drives, else when the loop next drives. The loop then wakes the
    /// task from inside the runtime, which costs no system call.
    pub(super) fn nudge(&self, channel: &Arc<Channel>) {
        if channel.mark_dirty() {
            lock(&self.dirty).push(channel.clone());
        }
        if self.standby_drives.load(Ordering::SeqCst) {
            self.flush();
        }
    }

    /// Whether a socket's task has to be woken.
    pub(super) fn has_commands(&self) -> bool {
        !lock(&self.dirty).is_empty()
    }

    /// Wakes the tasks of all dirty sockets.
    pub(super) fn flush(&self) {
        for channel in lock(&self.dirty).drain(..) {
            channel.wake();
        }
    }

    // Open sockets.

    /// Adds a socket. Returns whether it may connect: not when the loop goes away.
    pub(super) fn add(&self, channel: &Arc<Channel>) -> bool {
        lock(&self.open).insert(channel.id(), channel.clone());
        self.open_count.fetch_add(1, Ordering::SeqCst);
        self.rouse_standby();
        !self.going_away.load(Ordering::SeqCst)
    }

    /// Removes a socket whose task ends.
    pub(super) fn remove(&self, id: SocketId) {
        let mut open = lock(&self.open);
        if open.remove(&id).is_some() {
            self.open_count.fetch_sub(1, Ordering::SeqCst);
            if open.is_empty() {
                self.all_closed.notify_all();
            }
        }
    }

    /// Waits, on another thread than those that drive, until no socket is open or the deadline has passed.
    pub(crate) fn wait_until_closed(&self, deadline: Instant) {
        let mut open = lock(&self.open);
        while !open.is_empty() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return;
            };
            open = match self.all_closed.wait_timeout(open, left) {
                Ok((open, _)) => open,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    pub(super) fn has_open_sockets(&self) -> bool {
        self.open_count.load(Ordering::SeqCst) > 0
    }

    /// Closes every connection with 1001 and refuses new ones. May be called from any thread.
    pub(crate) fn go_away(&self) {
        self.going_away.store(true, Ordering::SeqCst);
        let open: Vec<_> = lock(&self.open).values().cloned().collect();
        for channel in open {
            let frame = CloseFrame::from(CloseCode::GOING_AWAY);
            channel.push(Command::Close(Some(frame)));
            channel.wake();
        }
    }

    // The loop's thread.

    /// The loop's thread begins to wait and wants to drive.
    pub(super) fn loop_arrives(&self) {
        self.visits.fetch_add(1, Ordering::SeqCst);
        if self.standby_drives.load(Ordering::SeqCst) {
            self.relieve_standby();
        }
    }

    /// The loop's thread goes to run scripts.
    pub(super) fn loop_leaves(&self) {
        self.visits.fetch_add(1, Ordering::SeqCst);
        if self.has_open_sockets() {
            self.rouse_standby();
        }
    }

    /// The loop's thread has looked after the network without waiting, and is away again.
    pub(super) fn loop_passed_by(&self) {
        self.visits.fetch_add(2, Ordering::SeqCst);
    }

    pub(super) fn standby_drives(&self) -> bool {
        self.standby_drives.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(super) fn standby_sleeps(&self) -> bool {
        self.standby_sleeps.load(Ordering::SeqCst)
    }

    // The standby thread.

    pub(super) fn visits(&self) -> Visits {
        Visits(self.visits.load(Ordering::SeqCst))
    }

    pub(super) fn set_standby(&self, thread: Thread) {
        // There is only one; a second would be a mistake without consequences.
        let _ = self.standby.set(thread);
    }

    pub(super) fn standby_ends(&self) -> bool {
        self.standby_ends.load(Ordering::SeqCst)
    }

    /// Tells the standby thread to end.
    pub(super) fn end_standby(&self) {
        self.standby_ends.store(true, Ordering::SeqCst);
        self.relieve_standby();
        self.standby_sleeps.store(false, Ordering::SeqCst);
        if let Some(thread) = self.standby.get() {
            thread.unpark();
        }
    }

    /// Wakes the standby thread from its sleep, to watch again.
    fn rouse_standby(&self) {
        if self.standby_sleeps.load(Ordering::SeqCst)
            && self.standby_sleeps.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.standby.get()
        {
            thread.unpark();
        }
    }

    /// The standby thread sleeps until it is roused: there is nothing to watch.
    pub(super) fn sleep_standby(&self) {
        self.standby_sleeps.store(true, Ordering::SeqCst);
        // What the loop has done since the last look it did without knowing of this sleep.
        let needed = || self.visits().is_away() && self.has_open_sockets();
        while self.standby_sleeps.load(Ordering::SeqCst) && !needed() && !self.standby_ends() {
            std::thread::park();
        }
        self.standby_sleeps.store(false, Ordering::SeqCst);
    }

    pub(super) fn standby_takes_over(&self) {
        self.standby_drives.store(true, Ordering::SeqCst);
    }

    pub(super) fn standby_hands_back(&self) {
        self.standby_drives.store(false, Ordering::SeqCst);
    }

    /// Ready when the standby thread has to stop driving: the loop's thread is back, or the end has come.
    pub(super) fn poll_relief(&self, cx: &TaskContext<'_>) -> Poll<()> {
        *lock(&self.relief) = Some(cx.waker().clone());
        if self.standby_ends() || !self.visits().is_away() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn relieve_standby(&self) {
        let relief = lock(&self.relief).take();
        if let Some(waker) = relief {
            waker.wake();
        }
    }
}

/// Nothing panics while one of these locks is held, so a poisoned one is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
