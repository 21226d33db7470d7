//! The task of one connection: dials, then carries commands from the channel to the connection, and events back. It
//! never touches JavaScript.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use we_net::protocol::{Closure, Event, Refusal};
use we_net::transport::Driver;

use super::channel::{Batch, Channel, Closed, Command, Gathering, SocketEvent};
use super::dial::{Dial, Opened};
use super::shared::Shared;

/// The whole life of a connection.
pub(super) async fn run<D: Dial>(dial: D, channel: Arc<Channel>, shared: Arc<Shared>) {
    // However the task ends, also if it is dropped, it is no longer open.
    let _open = OpenGuard {
        channel: &channel,
        shared: &shared,
    };
    let target = dial.target();
    let closed = match connect(dial, &channel).await {
        Ok(opened) => {
            let mut pump = Pump::new(opened, channel.clone(), shared.clone());
            pump.max_unwritten = D::MAX_UNWRITTEN;
            pump.await
        }
        Err(error) => Closed::abnormally(Some(error)),
    };
    match &closed.error {
        // The script's own wish is nothing to warn of.
        Some(error) if error.is::<GivenUp>() => {
            tracing::debug!(target: "we::net", "{target}: {error}");
        }
        Some(error) if D::IS_TOLD_OF => tracing::warn!(target: "we::net", "{target}: {error}"),
        Some(error) => tracing::debug!(target: "we::net", "{target}: {error}"),
        None => tracing::debug!(target: "we::net", "{target}: closed with {}", closed.code),
    }
    shared.remove(channel.id());
    let last = Batch::single(channel.clone(), SocketEvent::Closed(closed));
    shared.mailbox.post(|contents| contents.arrivals.push(last));
}

struct OpenGuard<'a> {
    channel: &'a Channel,
    shared: &'a Shared,
}

impl Drop for OpenGuard<'_> {
    fn drop(&mut self) {
        self.shared.remove(self.channel.id());
    }
}

/// A connection attempt that JavaScript gave up.
#[derive(Debug, thiserror::Error)]
#[error("closed before the connection was established")]
struct GivenUp;

/// Dials until that succeeds or fails, or JavaScript closes the socket.
async fn connect<D: Dial>(
    dial: D,
    channel: &Channel,
) -> Result<Opened<D::Stream>, Box<dyn Error + Send + Sync>> {
    // In a box, which goes when the connection is there: what dialling needs is many times what the connection needs, and a
    // task is as large as the largest of its states.
    let mut dialing = Box::pin(dial.dial());
    poll_fn(|cx| {
        // A socket that is connecting can only be closed: send() throws.
        if channel.poll_commands(cx).is_ready() {
            return Poll::Ready(Err(GivenUp.into()));
        }
        dialing.as_mut().poll(cx).map_err(Into::into)
    })
    .await
}

/// An established connection. As a future it ends when the connection is closed.
struct Pump<S> {
    driver: Driver<S>,
    channel: Arc<Channel>,
    shared: Arc<Shared>,
    /// Events that have not been posted.
    gathering: Gathering,
    /// See [`Dial::MAX_UNWRITTEN`].
    max_unwritten: u64,
    /// How many events there have been so far.
    arrived: u64,
    /// Payload bytes that the connection has accepted for sending.
    accepted: u64,
    /// How many of them have to be written for JavaScript to be told.
    awaited: Option<u64>,
    /// Whether the peer's Close frame has arrived and JavaScript is still to hear of it. What is written from then on may never
    /// be read: JavaScript hears of the end first, and not that a write was done.
    is_ending: bool,
    closure: Option<Closure>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    fn new(opened: Opened<S>, channel: Arc<Channel>, shared: Arc<Shared>) -> Self {
        let mut pump = Self {
            driver: opened.driver,
            channel,
            shared,
            gathering: Gathering::default(),
            max_unwritten: u64::MAX,
            arrived: 0,
            accepted: 0,
            awaited: None,
            is_ending: false,
            closure: None,
        };
        pump.driver.connection_mut().answer_later();
        pump.tell(SocketEvent::Open {
            protocol: opened.protocol,
            extensions: opened.extensions,
        });
        pump
    }

    fn tell(&mut self, event: SocketEvent) {
        self.arrived += 1;
        self.gathering.push(event);
    }

    fn take_commands(&mut self, cx: &TaskContext<'_>) {
        while let Poll::Ready(commands) = self.channel.poll_commands(cx) {
            for command in commands {
                match command {
                    Command::Send(message) => {
                        let len = message.len() as u64;
                        match self.driver.send(message) {
                            Ok(()) => self.accepted += len,
                            // "Flag the WebSocket as full and then close the WebSocket connection."
                            // https://websockets.spec.whatwg.org/#dom-websocket-send
                            Err(error) if error.refusal == Refusal::Full => {
                                tracing::warn!(
                                    target: "we::net",
                                    "more waits to be sent than the limit allows; the connection is given up"
                                );
                                self.driver.connection_mut().abort();
                            }
                            // It is closing: the bytes stay in bufferedAmount for good.
                            Err(_) => {}
                        }
                    }
                    Command::Ping(payload) => {
                        if let Err(refusal) = self.driver.ping(&payload) {
                            tracing::debug!(target: "we::net", "no Ping: {refusal}");
                        }
                    }
                    Command::Close(frame) => self.driver.close(frame),
                    Command::Fail => self.driver.connection_mut().abort(),
                    Command::TellWhenFlushed(bytes) => self.awaited = Some(bytes),
                }
            }
        }
    }

    fn may_read(&mut self) -> bool {
        if self.is_full() {
            return false;
        }
        if self.channel.has_room(self.gathering.cost()) {
            return true;
        }
        // The loop has to know of them before this task waits for their delivery.
        self.post_gathered();
        self.channel.may_read()
    }

    /// Whether the connection is about to end, and the script may still want to answer what came before that.
    fn waits_for_script(&self) -> bool {
        self.driver.connection().ends_with_next_event() && !self.channel.has_told(self.arrived)
    }

    /// Moves bytes until nothing moves any more, or something waits for the script: too much, or the end.
    fn drive(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        loop {
            while self.may_read() && !self.waits_for_script() {
                match self.driver.poll_event(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Ready(Some(event)) => self.take_event(event),
                }
            }
            let was_full = self.is_full();
            // Writing and time go on while reading is paused.
            let _ = self.driver.poll_flush(cx);
            while !self.waits_for_script()
                && let Some(event) = self.driver.take_event()
            {
                self.take_event(event);
            }
            // If the script has taken too long, the connection has something to say.
            let _ = self.driver.poll_flush(cx);
            if self.driver.connection().is_terminated() {
                return Poll::Ready(());
            }
            // What was written at once wakes nobody: reading goes on here.
            if !was_full || self.is_full() {
                return Poll::Pending;
            }
        }
    }

    /// Whether so much waits to be written that nothing more is read.
    fn is_full(&self) -> bool {
        self.driver.connection().buffered_amount() > self.max_unwritten
    }

    fn take_event(&mut self, event: Event) {
        let event = match event {
            Event::Message(message) => SocketEvent::Message(message),
            Event::CloseReceived(_) => {
                // What was written before the frame arrived is done; perhaps the peer closes because it has it all.
                self.note_flushed();
                SocketEvent::Closing
            }
            Event::Ping(_) | Event::Pong(_) => return,
            Event::Closed(closure) => {
                self.closure = Some(closure);
                return;
            }
        };
        self.tell(event);
    }

    /// How many bytes of payload have been written. Tells that what JavaScript waits for is among them, unless it is to hear of
    /// the end first.
    fn note_flushed(&mut self) {
        let unwritten = self.driver.connection().buffered_amount();
        let flushed = self.accepted.saturating_sub(unwritten);
        self.channel.set_flushed(flushed);
        if !self.is_ending && self.awaited.is_some_and(|bytes| flushed >= bytes) {
            self.awaited = None;
            self.tell(SocketEvent::Flushed);
        }
    }

    /// Tells the loop what has happened, all at once.
    fn post(&mut self) {
        self.is_ending = self.driver.connection().ends_with_next_event();
        self.note_flushed();
        self.post_gathered();
    }

    fn post_gathered(&mut self) {
        if let Some(batch) = self.gathering.take(&self.channel) {
            self.shared
                .mailbox
                .post(|contents| contents.arrivals.push(batch));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Pump<S> {
    type Output = Closed;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Closed> {
        let this = self.get_mut();
        this.take_commands(cx);
        let over = this.drive(cx);
        this.post();
        over.map(|()| match this.closure.take() {
            Some(closure) => Closed::from(closure),
            None => Closed::abnormally(None),
        })
    }
}
