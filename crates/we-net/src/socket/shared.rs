//! What the halves of a socket share: the driver, and the wakers of the tasks that wait for it.
//!
//! The mutex is never held across an await. The driver is always polled with the same waker, which
//! wakes both halves, so that neither can lose a wake-up to the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::protocol::{CloseFrame, Closure, Event, Message, Refusal, SendError, SlowPeer, State};
use crate::transport::Driver;

/// What both halves share.
pub(crate) struct Shared<S> {
    inner: Mutex<Inner<S>>,
    pub(super) wakers: Arc<Wakers>,
    /// The driver's one waker: `wakers` in another form.
    waker: Waker,
}

pub(super) struct Inner<S> {
    pub(super) driver: Driver<S>,
    pub(super) closure: Option<Closure>,
    pub(super) receiver: Receiver,
}

/// Whether anybody takes the events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver {
    Present,
    Gone,
}

#[derive(Clone, Copy)]
pub(super) enum Side {
    Sender,
    Receiver,
}

impl<S> Shared<S> {
    pub(super) fn new(driver: Driver<S>) -> Self {
        let wakers = Arc::new(Wakers::default());
        Self {
            inner: Mutex::new(Inner {
                driver,
                closure: None,
                receiver: Receiver::Present,
            }),
            waker: Waker::from(Arc::clone(&wakers)),
            wakers,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        // A panic elsewhere leaves the state machine as valid as it was.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls for one half, whose task is woken whenever the driver wants to be polled again.
    pub(super) fn poll<T>(
        &self,
        side: Side,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Inner<S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.wakers.forget_missed(side);
        let mut inner = self.lock();
        let result = poll(&mut inner, &mut Context::from_waker(&self.waker));
        let ended = inner.driver.connection().is_terminated();
        drop(inner);
        if result.is_pending() {
            self.wakers.register(side, cx.waker());
        }
        if ended {
            // Whichever half found out, the other one has something to learn.
            self.wakers.wake_side(side.other());
        }
        result
    }
}

/// For who has neither half. What is queued here is written by the receiving half, which is woken for that.
impl<S> Shared<S> {
    pub(crate) fn queue(&self, message: Message) -> Result<(), SendError> {
        let sent = self.lock().driver.send(message);
        self.wakers.wake_side(Side::Receiver);
        sent
    }

    pub(crate) fn ping(&self, payload: &[u8]) -> Result<(), Refusal> {
        let sent = self.lock().driver.ping(payload);
        self.wakers.wake_side(Side::Receiver);
        sent
    }

    /// Wakes both halves: one that waits for a slow peer has no more to wait for.
    pub(crate) fn queue_close(&self, frame: Option<CloseFrame>) {
        self.lock().driver.close(frame);
        self.wakers.wake_all();
    }

    /// Drops the connection without another word.
    pub(crate) fn let_go(&self) {
        self.lock().driver.let_go();
        self.wakers.wake_all();
    }

    pub(crate) fn buffered_amount(&self) -> u64 {
        self.lock().driver.connection().buffered_amount()
    }

    pub(crate) fn state(&self) -> State {
        self.lock().driver.connection().state()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Shared<S> {
    /// Starts the closing handshake from outside of both halves, which then go on with it.
    pub(crate) fn close(&self, frame: CloseFrame) {
        let mut inner = self.lock();
        inner.driver.close(Some(frame));
        let _ = inner
            .driver
            .poll_flush(&mut Context::from_waker(&self.waker));
        drop(inner);
        self.wakers.wake_all();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Inner<S> {
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let event = ready!(self.driver.poll_event(cx));
        if let Some(Event::Closed(closure)) = &event {
            self.closure = Some(closure.clone());
        }
        Poll::Ready(event)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.receiver == Receiver::Gone {
            // Nobody takes the events: they are dropped, so that pings are answered and the end is
            // noticed.
            while let Poll::Ready(Some(_)) = self.poll_event(cx) {}
        }
        self.driver.poll_flush(cx)
    }

    pub(super) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), SendError>> {
        if self.is_congested() && self.poll_flush(cx).is_pending() && self.is_congested() {
            match self.driver.connection().config().back_pressure.policy {
                SlowPeer::Wait => return Poll::Pending,
                SlowPeer::Drop => {
                    self.driver.connection_mut().drop_slow_peer();
                    // Lets go of the stream.
                    let _ = self.poll_flush(cx);
                }
            }
        }
        while let Some(next) = message.take() {
            match self.driver.send(next) {
                Err(SendError {
                    refusal: Refusal::Full,
                    message: refused,
                }) => {
                    *message = Some(refused);
                    // When nothing waits any more, a message of any size is accepted.
                    ready!(self.poll_flush(cx));
                }
                result => return Poll::Ready(result),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until no more waits than a peer may leave unread.
    pub(super) fn poll_relieve(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_congested() && self.poll_flush(cx).is_pending() && self.is_congested() {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Whether a message has to wait. One that will be refused has not.
    fn is_congested(&self) -> bool {
        let connection = self.driver.connection();
        let high_water = connection.config().back_pressure.high_water;
        connection.state() == State::Open && connection.buffered_amount() > high_water
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_flush(cx));
        match self.receiver {
            Receiver::Present => Poll::Ready(()),
            Receiver::Gone if self.driver.connection().is_terminated() => Poll::Ready(()),
            Receiver::Gone => Poll::Pending,
        }
    }
}

/// The wakers of both halves' tasks, as one.
///
/// A half registers its task only when it has to wait: mostly it has not. A wake-up while it polls is noted, and wakes it
/// when it registers. It cannot be lost: one that comes before `forget_missed` in the order of `missed` has its cause seen by
/// the poll that follows; of one that comes after, `register` sees the note or is early enough to be woken.
#[derive(Default)]
pub(super) struct Wakers {
    slots: Mutex<[Option<Waker>; 2]>,
    missed: [AtomicBool; 2],
}

impl Wakers {
    /// What was missed until now is seen by a poll that begins now.
    fn forget_missed(&self, side: Side) {
        side.of(&self.missed).swap(false, Ordering::AcqRel);
    }

    /// Has `waker` woken by the next wake-up, or now if there was one since [`forget_missed`](Self::forget_missed).
    fn register(&self, side: Side, waker: &Waker) {
        let mut slots = self.lock();
        match side.slot(&mut slots) {
            Some(present) => present.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
        drop(slots);
        if side.of(&self.missed).load(Ordering::Acquire) {
            self.wake_side(side);
        }
    }

    pub(super) fn wake_side(&self, side: Side) {
        let mut slots = self.lock();
        let waker = side.slot(&mut slots).take();
        // Also if there was one: it may be that of a task that has handed the socket on.
        side.of(&self.missed).store(true, Ordering::Release);
        drop(slots);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wake_all(&self) {
        self.wake_side(Side::Sender);
        self.wake_side(Side::Receiver);
    }

    fn lock(&self) -> MutexGuard<'_, [Option<Waker>; 2]> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }

    fn of<T>(self, [sender, receiver]: &[T; 2]) -> &T {
        match self {
            Self::Sender => sender,
            Self::Receiver => receiver,
        }
    }

    fn slot(self, slots: &mut [Option<Waker>; 2]) -> &mut Option<Waker> {
        let [sender, receiver] = slots;
        match self {
            Self::Sender => sender,
            Self::Receiver => receiver,
        }
    }
}
