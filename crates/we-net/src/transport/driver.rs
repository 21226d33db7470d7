//! The [`Driver`]: moves bytes and time between a stream and the protocol's [`Connection`].
//!
//! It is a set of poll functions and nothing more: no task, no queue, no lock. Whoever owns it
//! decides where it runs (a task of its own, a thread's event loop) and how commands get to it. It
//! keeps to the one rule of a `Connection` (mutate, then drain), so its owner cannot get that
//! wrong.
//!
//! - Reading: into a buffer that all connections of a thread share, so an idle connection holds
//!   none. Frames are taken out of it as events are, so one of its messages is in memory at a time (two,
//!   if the owner [answers later](Connection::answer_later)); until it is empty the connection keeps it, or what is
//!   left of a short read in a block of its own length. It keeps it too while the beginning of a long message waits
//!   in it for the rest. What follows of one that does not fit is read to where it belongs. Nothing is read while an
//!   event waits to be taken: a slow owner slows the peer down.
//! - Writing: once no event is left to take, everything that has been queued meanwhile goes out in
//!   one gathered write.
//! - Time: one timer, which exists only while the connection has a deadline.
//! - Ending: the write half is shut down when the `Connection` asks for it, reading goes on until
//!   the peer has ended its half too (a socket closed with unread input resets the connection, and
//!   the reset can overtake our Close frame), then the stream is dropped.
//! - Fairness: one poll does a bounded amount of work and then wakes itself; events count against
//!   tokio's budget.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::observe::Monitor;
use crate::protocol::{CloseFrame, Connection, Event, Message, ReadBuffer, Refusal, SendError};

/// Bytes of the buffers that the connections of a thread read into: the place for some long messages.
const SCRATCH: usize = 64 * 1024;

/// Reads, and writes, in one poll before other tasks get their turn.
const TURNS: usize = 16;

/// Pieces of output handed over in one gathered write.
const SLICES: usize = 64;

/// Mostly there are fewer than so many, and a list for them is made in less time.
const FEW_SLICES: usize = 4;

thread_local! {
    /// Taken out while in use: a connection that reads while another has not come to the end of what it has read gets a
    /// buffer of its own.
    #[allow(clippy::vec_box)]
    static BUFFERS: RefCell<Vec<Box<Unread>>> = const { RefCell::new(Vec::new()) };
}

/// How many buffers a thread keeps for the next that reads.
const KEPT_BUFFERS: usize = 4;

/// Boxed for the sake of those that hold none.
fn take_buffer(now: std::time::Instant) -> Box<Unread> {
    // The thread's are gone only while it ends.
    let kept = BUFFERS.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        // One of which no message is in use; if all are, the oldest is given up.
        match kept.iter_mut().rposition(|kept| kept.buffer.reclaim()) {
            Some(at) => Some(kept.swap_remove(at)),
            None if kept.len() == KEPT_BUFFERS => Some(kept.remove(0)),
            None => None,
        }
    });
    kept.ok().flatten().unwrap_or_else(|| {
        Box::new(Unread {
            buffer: ReadBuffer::with_capacity(SCRATCH),
            at: now,
            is_short: true,
        })
    })
}

fn give_back(unread: Box<Unread>) {
    if unread.buffer.capacity() != SCRATCH {
        return;
    }
    let _ = BUFFERS.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT_BUFFERS {
            kept.push(unread);
        }
    });
}

/// What has been read and not been looked at yet.
struct Unread {
    buffer: ReadBuffer,
    /// When it was read.
    at: std::time::Instant,
    /// Whether it came to less than the buffer is worth being kept for.
    is_short: bool,
}

/// A WebSocket connection on a stream.
///
/// All functions with a [`Context`] must be polled by the owner's one task (or with one waker that
/// wakes all that care). Dropping a future that polls a driver loses nothing: the state is in the
/// driver. Dropping the driver drops the stream without a closing handshake.
///
/// ```
/// use we_net::protocol::{Config, Connection, Event, Message, Role};
/// use we_net::transport::Driver;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (near, far) = tokio::io::duplex(1024);
/// let mut client = Driver::new(near, Connection::new(Role::Client, Config::default()));
/// let mut server = Driver::new(far, Connection::new(Role::Server, Config::server()));
/// client.send(Message::text("hello"))?;
/// client.flush().await;
/// assert_eq!(server.next_event().await, Some(Event::Message(Message::text("hello"))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Driver<S> {
    /// `None` once the connection is over.
    stream: Option<S>,
    connection: Connection,
    /// What has been written to the stream may still be in a buffer of its own (TLS).
    flush: Flush,
    shutdown: Shutdown,
    input: Input,
    unread: Option<Box<Unread>>,
    /// A time, for where none is looked at.
    opened: std::time::Instant,
    /// Present while there is a deadline.
    timer: Option<Timer>,
    /// Looks on.
    monitor: Option<Box<Monitor>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    Needed,
    Done,
}

/// Of the write half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    NotYet,
    Done,
}

/// The read half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
}

struct Timer {
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl<S> Driver<S> {
    /// Drives `connection` on `stream`, on which the opening handshake is over.
    pub fn new(stream: S, mut connection: Connection) -> Self {
        let opened = now();
        connection.start(opened);
        Self {
            opened,
            stream: Some(stream),
            connection,
            flush: Flush::Done,
            shutdown: Shutdown::NotYet,
            input: Input::Open,
            unread: None,
            timer: None,
            monitor: None,
        }
    }

    /// Has `monitor` look on.
    pub(crate) fn with_monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = Some(Box::new(monitor));
        self
    }

    /// Hands over bytes that were read from the stream before: what followed the opening handshake.
    #[must_use]
    pub fn with_leftover(mut self, leftover: &[u8]) -> Self {
        if !leftover.is_empty() {
            if let Some(monitor) = &mut self.monitor {
                monitor.read(leftover);
            }
            self.connection.receive(now(), leftover);
        }
        self
    }

    /// The state machine.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The state machine, for changing it. Then call one of the poll functions, which do what
    /// follows from the change. Use [`now`] where it wants the time.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The stream; `None` once the connection is over.
    pub fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Queues a message. See [`Connection::send`]; it goes out with the next poll.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        let len = message.len();
        let now = if self.connection.send_needs_time() {
            now()
        } else {
            self.opened
        };
        self.connection.send(now, message)?;
        if let Some(monitor) = &self.monitor {
            monitor.sent(len);
        }
        Ok(())
    }

    /// Lets go of the stream as soon as the connection is over, though events may still wait to be
    /// taken.
    fn drop_if_over(&mut self) {
        if self.connection.is_terminated() {
            self.stream = None;
            self.timer = None;
            self.unread = None;
        }
    }

    /// Drops the stream, as an end that nobody was told of.
    pub(crate) fn let_go(&mut self) {
        self.connection.abort();
        self.drop_if_over();
    }

    /// The next event that is ready, without any I/O. Call a poll function soon after: events have
    /// consequences.
    pub fn take_event(&mut self) -> Option<Event> {
        let event = match &mut self.unread {
            None => self.connection.poll_event(),
            Some(unread) => {
                let event = if self.connection.is_answering_later() {
                    // What comes behind a message decides whether the connection ends with the next event, and must be
                    // seen before the message is taken.
                    self.connection.look_ahead(unread.at, &mut unread.buffer, 2);
                    self.connection.poll_event()
                } else {
                    self.connection.next_event(unread.at, &mut unread.buffer)
                };
                self.mind_buffer();
                event
            }
        }?;
        if let Some(monitor) = &mut self.monitor {
            monitor.event(&event);
        }
        Some(event)
    }

    /// Looks at what has been read, as far as so many events that wait to be taken: the owner may take his time for that,
    /// or for an answer to the event before, but what has come is known.
    fn look_ahead(&mut self, events: usize) {
        if let Some(unread) = &mut self.unread {
            self.connection
                .look_ahead(unread.at, &mut unread.buffer, events);
            self.mind_buffer();
        }
    }

    /// Keeps no buffer that is not needed, or that is out of proportion to what the peer has sent: nobody can have a
    /// connection of a slow owner keep one for next to nothing.
    fn mind_buffer(&mut self) {
        let Some(unread) = &mut self.unread else {
            return;
        };
        if unread.buffer.is_empty() {
            if let Some(unread) = self.unread.take() {
                give_back(unread);
            }
        } else if unread.is_short {
            let rest = Unread {
                buffer: ReadBuffer::from(unread.buffer.unread()),
                at: unread.at,
                is_short: false,
            };
            give_back(std::mem::replace(unread, Box::new(rest)));
        }
    }

    /// Queues a Ping. See [`Connection::ping`]; it goes out with the next poll.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        self.connection.ping(now(), payload)
    }

    /// Starts the closing handshake. See [`Connection::close`]; the Close frame goes out with the
    /// next poll.
    pub fn close(&mut self, frame: Option<CloseFrame>) {
        self.connection.close(now(), frame);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// The next event; `None` after [`Event::Closed`]. Writes what is queued and minds the
    /// deadlines while it waits, so this is the one function that must be polled again whenever it
    /// wakes.
    ///
    /// While events are ready nothing is written: an owner that answers each event has its answers
    /// gathered into one write. Polls after `None` return `None`.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let budget = ready!(coop::poll_proceed(cx));
        for _ in 0..TURNS {
            self.drop_if_over();
            if let Some(event) = self.take_event() {
                budget.made_progress();
                return Poll::Ready(Some(event));
            }
            if self.stream.is_none() {
                return Poll::Ready(None);
            }
            // Blocked output does not keep us from reading: the peer may be waiting for us to read
            // first.
            let _ = self.poll_output_and_time(cx);
            if self.stream.is_some() && self.poll_read(cx).is_pending() {
                return Poll::Pending;
            }
        }
        // The peer sends much that makes no event (fragments, input after a failure): let others
        // have their turn.
        budget.made_progress();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is queued; ready when nothing is left, or the connection is over (then the
    /// events tell why). Minds the deadlines too.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.look_ahead(2);
        self.poll_output_and_time(cx)
    }

    fn poll_output_and_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut written = self.poll_write(cx);
        self.poll_timer(cx);
        // A deadline may have something said: a Ping, a Close frame.
        if written.is_ready() && self.stream.is_some() && self.connection.wants_write() {
            written = self.poll_write(cx);
        }
        self.drop_if_over();
        if self.stream.is_none() {
            Poll::Ready(())
        } else {
            written
        }
    }

    /// Writes what is queued, and tells the connection if that fails.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_output(cx).map(|result| {
            if let Err(error) = result {
                self.drain_input(cx);
                self.connection.transport_failed(now(), error);
            }
        })
    }

    /// [`poll_event`](Self::poll_event) as a future. Cancel-safe.
    pub async fn next_event(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// [`poll_flush`](Self::poll_flush) as a future. Cancel-safe.
    pub async fn flush(&mut self) {
        poll_fn(|cx| self.poll_flush(cx)).await;
    }

    /// Writes and flushes all output, then shuts the write half down if the connection asks for it.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Ok(()));
        };
        let mut turns = 0;
        while self.connection.wants_write() {
            if turns == TURNS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            turns += 1;
            let mut few = [IoSlice::new(&[]); FEW_SLICES];
            let mut many;
            let slices = match self.connection.output(&mut few) {
                FEW_SLICES => {
                    many = [IoSlice::new(&[]); SLICES];
                    let filled = self.connection.output(&mut many);
                    many.get(..filled)
                }
                filled => few.get(..filled),
            }
            .unwrap_or_default();
            let stream = Pin::new(&mut *stream);
            // Mostly there is one, and the system takes a single buffer with less ado than a list of one.
            let result = match slices {
                [only] => stream.poll_write(cx, only),
                _ => stream.poll_write_vectored(cx, slices),
            };
            let written = ready!(result)?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            if let Some(monitor) = &mut self.monitor {
                monitor.written(slices, written);
            }
            let now = if self.connection.written_needs_time(written) {
                now()
            } else {
                self.opened
            };
            self.connection.output_written(now, written);
            self.flush = Flush::Needed;
        }
        if self.flush == Flush::Needed {
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            self.flush = Flush::Done;
        }
        if self.shutdown == Shutdown::NotYet && self.connection.wants_shutdown() {
            ready!(Pin::new(stream).poll_shutdown(cx))?;
            self.shutdown = Shutdown::Done;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and hands over what came. Ready if something did, be it the end or an error.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.look_ahead(usize::MAX);
        if self.input == Input::Ended {
            return Poll::Pending;
        }
        let Some(stream) = &mut self.stream else {
            return Poll::Pending;
        };
        let mut result = Poll::Pending;
        let mut end = 0;
        let mut monitor = self.monitor.as_mut();
        let mut read = |read: &mut ReadBuf<'_>| {
            result = Pin::new(&mut *stream).poll_read(cx, read);
            end = read.filled().len();
            if let (Some(monitor), true) = (&mut monitor, end > 0) {
                monitor.read(read.filled());
            }
        };
        if !self.connection.read_payload(now, &mut read) {
            // Perhaps the beginning of a message is in one.
            let mut unread = match self.unread.take() {
                Some(unread) => unread,
                None => take_buffer(self.opened),
            };
            let limit = self.connection.read_size(&unread.buffer);
            unread.buffer.read_with(limit, |room| {
                let mut room = ReadBuf::new(room);
                read(&mut room);
                room.filled().len()
            });
            if end > 0 {
                // It is looked at before anything else is done.
                unread.at = now();
                unread.is_short = unread.buffer.is_too_large();
            }
            self.unread = Some(unread);
            if end == 0 {
                self.mind_buffer();
            }
        }
        match ready!(result) {
            Ok(()) if end > 0 => {}
            Ok(()) => self.end_input(),
            // TLS without its closing alert. A connection cut short shows by the Close frame that
            // is missing.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.end_input(),
            Err(error) if self.input == Input::Open => {
                self.input = Input::Ended;
                self.connection.transport_failed(now(), error);
            }
            Err(_) => {}
        }
        Poll::Ready(())
    }

    /// Output has failed: what the peer sent before it left (its Close frame, say) still counts.
    fn drain_input(&mut self, cx: &mut Context<'_>) {
        for _ in 0..TURNS {
            if self.poll_read(cx).is_pending() {
                break;
            }
        }
        self.look_ahead(usize::MAX);
    }

    fn end_input(&mut self) {
        self.input = Input::Ended;
        self.connection.receive_eof(now());
    }

    /// Tells the connection when its deadline has come. Leaves a timer behind that wakes at the
    /// next one.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        while let Some(deadline) = self.connection.poll_timeout() {
            let deadline = Instant::from_std(deadline);
            let timer = self.timer.get_or_insert_with(|| Timer {
                deadline,
                sleep: Box::pin(sleep_until(deadline)),
            });
            if timer.deadline != deadline {
                timer.deadline = deadline;
                timer.sleep.as_mut().reset(deadline);
            }
            if timer.sleep.as_mut().poll(cx).is_pending() {
                return;
            }
            // An owner that was busy may not have read for a while: what has arrived in time counts.
            let _ = self.poll_read(cx);
            self.look_ahead(usize::MAX);
            self.connection
                .handle_timeout(deadline.max(Instant::now()).into_std());
        }
        self.timer = None;
    }
}

/// The time as a [`Connection`] wants it: that of the timers (which tests may pause).
pub fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl<S> fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
