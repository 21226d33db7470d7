//! The connection state machine: [`Connection`], what goes in and what comes out.
//!
//! It is cut by direction and by phase: `read` turns bytes into messages, `write` messages into
//! bytes, `closing` knows how a connection ends. This file is what the caller sees.

mod assembly;
mod closing;
mod outbox;
mod read;
mod vigil;
mod write;

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::ReadBuf;

use self::closing::Phase;
use self::read::{Incoming, Reader, Rules, Whole};
use self::vigil::Vigil;
use self::write::Writer;
use super::close::CloseFrame;
use super::config::Config;
use super::error::{ConnectionError, Refusal, SendError};
use super::extension::Extension;
use super::frame::FrameHeader;
use super::mask::MaskSource;
use super::message::{Message, MessageRef};
use super::payload::Payload;
use super::read_buffer::{READ, ReadBuffer, Source};

/// How many events an emptied queue keeps room for; more is given back.
const KEPT_EVENTS: usize = 8;

/// Of a payload that is arriving, so much (in bytes) or more is read to where it belongs, instead of being copied there.
const LONG_REST: usize = 16 << 10;

/// How many bytes at a time: few enough to be in the second-level cache still when they are unmasked and checked.
const MAX_DIRECT: usize = 256 << 10;

/// After a message of so many bytes the next is expected to be as long.
const EXPECTED: usize = 4 << 10;

/// Messages of so many bytes are not worth a place in the buffer of a read.
const LONG_MESSAGE: usize = 64 << 10;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that began the opening handshake. It masks what it sends.
    Client,
    /// The end that accepted it.
    Server,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Messages can be sent.
    Open,
    /// A Close frame was sent, or the connection has received one or failed; an end that the peer
    /// has brought about counts when no message from before it waits to be taken.
    Closing,
    /// The connection is over: [`Event::Closed`] has been emitted.
    Closed,
}

/// What a connection has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message arrived. It may come after [`Connection::close`], until the peer's Close frame
    /// does.
    Message(Message),
    /// A Ping arrived. The connection answers it; this is for the caller to know.
    Ping(Payload),
    /// A Pong arrived, answering a Ping or by itself.
    Pong(Payload),
    /// The peer's Close frame arrived, starting the closing handshake or answering ours. No message
    /// follows. The connection answers it when this event is taken, so that answers to the messages
    /// before it go first; at once, if no message waits to be taken.
    CloseReceived(Option<CloseFrame>),
    /// The connection is over. Emitted exactly once, as the last event.
    Closed(Closure),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// Whether both Close frames were exchanged
    /// ([section 7.1.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4)).
    pub clean: bool,
    /// The code of the peer's Close frame, 1005 if it had none, 1006 if no Close frame counted
    /// ([section 7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
    pub code: u16,
    /// The reason in the peer's Close frame, maybe empty
    /// ([section 7.1.6](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6)).
    pub reason: String,
    /// Why the connection was not closed cleanly, for people and logs; `None` if it was.
    pub error: Option<ConnectionError>,
}

/// One WebSocket connection after its opening handshake, without I/O
/// ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)).
///
/// The caller moves bytes and tells the time. It keeps to one rule: after any call that takes the
/// time, drain what comes out.
///
/// 1. [`poll_event`](Self::poll_event) until `None`. (A caller that cannot handle more events stops
///    reading from the transport, not from here: that is the back-pressure.)
/// 2. While [`wants_write`](Self::wants_write): write what [`output`](Self::output) shows, report
///    it by [`output_written`](Self::output_written).
/// 3. If [`wants_shutdown`](Self::wants_shutdown): shut down the write half of the transport, once.
/// 4. If [`is_terminated`](Self::is_terminated): drop the transport.
/// 5. Wait for input, room to write, or [`poll_timeout`](Self::poll_timeout).
///
/// ```
/// use std::io::{IoSlice, Write};
/// use std::time::Instant;
/// use we_net::protocol::{Config, Connection, Event, Message, Role};
///
/// let now = Instant::now();
/// let mut client = Connection::new(Role::Client, Config::default());
/// let mut server = Connection::new(Role::Server, Config::server());
/// client.send(now, Message::text("hello"))?;
///
/// let mut wire = Vec::new();
/// while client.wants_write() {
///     let mut slices = [IoSlice::new(&[]); 8];
///     let filled = client.output(&mut slices);
///     let written = wire.write_vectored(&slices[..filled])?;
///     client.output_written(now, written);
/// }
/// server.receive(now, &wire);
/// assert_eq!(server.poll_event(), Some(Event::Message(Message::text("hello"))));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Connection {
    role: Role,
    config: Arc<Config>,
    extension: Option<Box<dyn Extension>>,
    reader: Reader,
    writer: Writer,
    phase: Phase,
    /// See [`answer_later`](Self::answer_later).
    answers_later: bool,
    /// See [`answer_by_close`](Self::answer_by_close).
    answers_by_close: bool,
    /// The timer of the phase, which says what for.
    deadline: Option<Instant>,
    /// The timers that run while nothing happens, if there are any.
    vigil: Option<Box<Vigil>>,
    /// Whether there will be.
    is_watched: bool,
    events: VecDeque<Event>,
}

impl Connection {
    /// A connection whose opening handshake has just succeeded. Takes a [`Config`], or an `Arc` of
    /// one to share it.
    #[must_use]
    pub fn new(role: Role, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        Self {
            role,
            extension: None,
            reader: Reader::new(),
            writer: Writer::new(role, config.fragment_size),
            phase: Phase::Open,
            answers_later: false,
            answers_by_close: false,
            deadline: None,
            vigil: None,
            is_watched: Vigil::is_wanted(&config),
            events: VecDeque::new(),
            config,
        }
    }

    /// Tells that the opening handshake has just ended: [`Timeouts::idle`] and [`KeepAlive`] count from
    /// now. Without this they count from the first call that takes the time.
    ///
    /// [`Timeouts::idle`]: super::Timeouts::idle
    /// [`KeepAlive`]: super::KeepAlive
    #[inline]
    pub fn start(&mut self, now: Instant) {
        if self.is_watched && self.vigil.is_none() {
            self.vigil = Vigil::start(now, &self.config);
        }
    }

    /// A message, or a piece of one, has come or gone.
    fn note_activity(&mut self, now: Instant) {
        self.start(now);
        if let Some(vigil) = &mut self.vigil {
            vigil.active(now);
        }
    }

    /// Draws masking keys from `source` instead of the thread's CSPRNG. For tests that must repeat;
    /// see [`MaskSource`]. A server has no use for it.
    #[must_use]
    pub fn with_mask_source(mut self, source: impl MaskSource + 'static) -> Self {
        self.writer.set_mask_source(Box::new(source));
        self
    }

    /// Uses an extension that the opening handshake has negotiated.
    #[must_use]
    pub fn with_extension(mut self, extension: Box<dyn Extension>) -> Self {
        self.extension = Some(extension);
        self
    }

    /// Which end of the connection this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// How the connection behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the connection stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// Takes bytes from the transport: all of them, whatever they are.
    ///
    /// The events that they lead to are queued, so a caller reads no more from the transport than
    /// it is ready to handle.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        let mut input = bytes;
        self.hear(now, !bytes.is_empty());
        self.read(now, &mut input, usize::MAX);
    }

    /// Takes bytes from the front of `bytes` until so many events wait, and leaves the rest there: for
    /// a caller that keeps what it has read, takes events, and comes back with the rest. However
    /// many messages a read holds, only so many are in memory at a time then, in the blocks that
    /// those before them have just left.
    ///
    /// `now` is when the bytes arrived.
    pub fn receive_up_to(&mut self, now: Instant, bytes: &mut &[u8], events: usize) {
        self.hear(now, !bytes.is_empty());
        self.read(now, bytes, events);
        if !self.phase.is_reading() {
            *bytes = &[];
        }
    }

    /// The next event: of those that wait, else of what is unread in `input`, of which this consumes no more than the
    /// event takes. At `None` all of `input` is consumed, but perhaps for the beginning of a long message: read on into
    /// the same buffer. For callers that own what they read into; long messages are
    /// then handed out without a copy.
    ///
    /// `now` is when the bytes arrived. What stands at [`poll_event`](Self::poll_event) about our Close frame holds here.
    ///
    /// ```
    /// use std::io::Read;
    /// use std::time::Instant;
    /// use we_net::protocol::{Config, Connection, Event, Message, ReadBuffer, Role};
    ///
    /// let mut transport = &b"\x81\x05hello\x82\x00"[..];
    /// let mut client = Connection::new(Role::Client, Config::default());
    /// let mut input = ReadBuffer::with_capacity(128 << 10);
    /// input.read_with(usize::MAX, |room| transport.read(room).unwrap_or_default());
    /// let now = Instant::now();
    /// let message = |message| Some(Event::Message(message));
    /// assert_eq!(client.next_event(now, &mut input), message(Message::text("hello")));
    /// assert_eq!(client.next_event(now, &mut input), message(Message::binary(b"")));
    /// assert_eq!(client.next_event(now, &mut input), None);
    /// ```
    #[inline]
    pub fn next_event(&mut self, now: Instant, input: &mut ReadBuffer) -> Option<Event> {
        if self.events.is_empty() && self.extension.is_none() && self.phase.is_reading() {
            let limits = &self.config.limits;
            match self.reader.next_whole(input, self.role, limits) {
                Ok(Whole::Message(message)) => {
                    self.hear(now, true);
                    self.note_activity(now);
                    return Some(Event::Message(message));
                }
                Ok(Whole::Waits | Whole::Other) => {}
                Err(error) => self.on_offence(now, error.into()),
            }
        }
        self.read_up_to(now, input, 1);
        self.poll_event()
    }

    /// Looks at `input` until so many events wait, for a caller that may still be at the event before.
    pub(crate) fn look_ahead(&mut self, now: Instant, input: &mut ReadBuffer, events: usize) {
        let answers_later = std::mem::replace(&mut self.answers_later, true);
        self.read_up_to(now, input, events);
        self.answers_later = answers_later;
    }

    fn read_up_to(&mut self, now: Instant, input: &mut ReadBuffer, events: usize) {
        self.hear(now, !input.is_empty());
        self.read(now, input, events);
        if !self.phase.is_reading() {
            let rest = input.unread().len();
            input.skip(rest);
        }
    }

    fn hear(&mut self, now: Instant, something: bool) {
        self.start(now);
        if let (Some(vigil), true) = (&mut self.vigil, something) {
            vigil.heard(now, &self.config);
        }
    }

    /// Reads on in `input` until so many events wait.
    fn read(&mut self, now: Instant, input: &mut impl Source, enough: usize) {
        while self.phase.is_reading() && self.events.len() < enough {
            match self.read_next(input) {
                Ok(None) => break,
                Ok(Some(Incoming::Message(message))) => self.push_event(Event::Message(message)),
                Ok(Some(Incoming::Ping(payload))) => {
                    self.writer.owe_pong(payload.clone());
                    self.push_event(Event::Ping(payload));
                }
                // Nobody but this connection knows of its own Pings.
                Ok(Some(Incoming::Pong(payload))) if self.is_own(&payload) => {}
                Ok(Some(Incoming::Pong(payload))) => self.push_event(Event::Pong(payload)),
                Ok(Some(Incoming::Close(frame))) => self.on_close_frame(now, frame),
                Err(error) => self.on_offence(now, error),
            }
        }
        self.after_reading(now);
    }

    fn read_next(&mut self, input: &mut impl Source) -> Result<Option<Incoming>, ConnectionError> {
        let limits = &self.config.limits;
        if self.extension.is_none() {
            match self.reader.next_whole(input, self.role, limits)? {
                Whole::Message(message) => return Ok(Some(Incoming::Message(message))),
                Whole::Waits => return Ok(None),
                Whole::Other => {}
            }
        }
        let mut rules = Rules {
            role: self.role,
            limits,
            extension: self.extension.as_deref_mut(),
        };
        let mut rest = input.unread();
        let next = self.reader.next(&mut rest, &mut rules);
        let consumed = input.unread().len() - rest.len();
        input.skip(consumed);
        next
    }

    fn after_reading(&mut self, now: Instant) {
        if self.reader.take_progress() {
            self.note_activity(now);
        }
        self.watch_output(now);
    }

    /// If much is to come of a message whose beginning has arrived: has `read` put the next of it, as the transport's
    /// next bytes, where it belongs, so that it need not be copied there, and returns `true`. Else it is `false`, and
    /// [`next_event`](Self::next_event) is the way.
    ///
    /// `now` is called after `read`, if something has come.
    pub fn read_payload(
        &mut self,
        now: impl FnOnce() -> Instant,
        read: &mut dyn FnMut(&mut ReadBuf<'_>),
    ) -> bool {
        // Of nothing that has arrived nothing is made room for.
        let is_long = self.reader.has_begun() && self.reader.room() >= LONG_REST;
        if !self.phase.is_reading() || !is_long {
            return false;
        }
        let rules = Rules {
            role: self.role,
            limits: &self.config.limits,
            extension: None,
        };
        let mut has_come = false;
        let filled = self.reader.fill(MAX_DIRECT, &rules, &mut |room| {
            read(room);
            has_come = !room.filled().is_empty();
        });
        if !has_come {
            return true;
        }
        let now = now();
        self.hear(now, true);
        match filled {
            Ok(None) => {}
            Ok(Some(message)) => self.push_event(Event::Message(message)),
            Err(error) => self.on_offence(now, error),
        }
        self.after_reading(now);
        true
    }

    /// The memory of a binary message that is arriving.
    #[cfg(test)]
    pub(crate) fn held_by_message(&self) -> usize {
        self.reader.held_by_message()
    }

    /// How many bytes to read next, as far as what came before tells, which is a guess: to the end of a message where
    /// another one as long as the last is expected, so that none is cut in two; few, if it is so long that
    /// [`read_payload`](Self::read_payload) is for what follows.
    #[must_use]
    pub fn read_size(&self, input: &ReadBuffer) -> usize {
        let last = self.reader.last_len();
        if last < EXPECTED || self.extension.is_some() {
            return usize::MAX;
        }
        if last >= LONG_MESSAGE {
            return LONG_REST / 2;
        }
        let frame = last + FrameHeader::len_for(last, self.role == Role::Server);
        let there = input.unread().len();
        let ends = (there + READ) / frame * frame;
        ends.checked_sub(there)
            .filter(|size| *size > 0)
            .unwrap_or(READ)
    }

    /// Queues a message for sending. A large payload is taken over without a copy.
    ///
    /// # Errors
    /// Gives the message back with the [`Refusal`]: closing, closed, or too much output waiting.
    pub fn send(&mut self, now: Instant, message: Message) -> Result<(), SendError> {
        if let Err(refusal) = self.ensure_room(message.len()) {
            return Err(SendError { refusal, message });
        }
        self.writer.queue(message, self.extension.as_deref_mut());
        self.note_activity(now);
        self.watch_output(now);
        Ok(())
    }

    /// Whether [`send`](Self::send) would look at the time that it is given: a caller that has none at hand need not look
    /// at a clock for each message.
    pub(crate) fn send_needs_time(&self) -> bool {
        let may_stall = self.config.timeouts.stalled_write.is_some();
        self.is_watched || (may_stall && self.deadline.is_none())
    }

    /// The same of [`output_written`](Self::output_written).
    pub(crate) fn written_needs_time(&self, n: usize) -> bool {
        let may_stall = self.config.timeouts.stalled_write.is_some();
        self.is_watched
            || !matches!(self.phase, Phase::Open)
            || (may_stall && !self.writer.is_all_output(n))
    }

    /// Queues a message for sending by copying it: for small ones, and bytes that lie somewhere
    /// else.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_ref(&mut self, now: Instant, message: MessageRef<'_>) -> Result<(), Refusal> {
        self.ensure_room(message.as_bytes().len())?;
        self.writer
            .queue_copy(message, self.extension.as_deref_mut());
        self.note_activity(now);
        self.watch_output(now);
        Ok(())
    }

    /// Sends a Ping of at most 125 bytes, ahead of the messages that wait
    /// ([section 5.5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2)). The answer is an
    /// [`Event::Pong`] with the same payload.
    ///
    /// # Errors
    /// [`Refusal`]: closing, closed, too long, or too many Pings waiting.
    pub fn ping(&mut self, now: Instant, payload: &[u8]) -> Result<(), Refusal> {
        self.start(now);
        self.ensure_open()?;
        self.writer.queue_ping(payload)?;
        self.watch_output(now);
        Ok(())
    }

    fn ensure_open(&self) -> Result<(), Refusal> {
        match self.state() {
            State::Open => Ok(()),
            State::Closing => Err(Refusal::Closing),
            State::Closed => Err(Refusal::Closed),
        }
    }

    fn ensure_room(&self, len: usize) -> Result<(), Refusal> {
        self.ensure_open()?;
        let limit = self.config.limits.max_pending_output;
        if !self.writer.has_room_for(len, limit) {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    /// The next event. With [`Event::CloseReceived`] (unless [told otherwise](Self::answer_by_close)), and with `None` after an offence of the
    /// peer's, our Close frame is queued: there may be output to write.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        match event {
            Some(Event::CloseReceived(_)) if !self.answers_by_close => self.echo_close(),
            None => self.fail_if_doomed(),
            _ => {}
        }
        if self.events.is_empty() && self.events.capacity() > KEPT_EVENTS {
            self.events = VecDeque::new();
        }
        event
    }

    /// Whether a Pong answers a Ping that this connection has sent by itself.
    fn is_own(&self, pong: &[u8]) -> bool {
        let vigil = self.vigil.as_ref();
        vigil.is_some_and(|vigil| vigil.is_answer(pong))
    }

    fn has_messages_waiting(&self) -> bool {
        let is_message = |event: &Event| matches!(event, Event::Message(_));
        self.events.iter().any(is_message)
    }

    fn push_event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Fills `slices` with the bytes to write next, in order, for a vectored write; returns how
    /// many slices it filled, none if there is nothing to write.
    ///
    /// Report what was written by [`output_written`](Self::output_written), before showing output
    /// again. Until then, bytes shown stay first in line.
    pub fn output<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.writer.output(slices)
    }

    /// The transport has taken the first `n` of the bytes that [`output`](Self::output) showed.
    pub fn output_written(&mut self, now: Instant, n: usize) {
        if n > 0 && !self.is_terminated() {
            let written = self.writer.written(n);
            if written.message {
                self.note_activity(now);
            }
            if let (Some(vigil), true) = (&mut self.vigil, written.keep_alive) {
                vigil.ping_moved(now);
            }
            self.on_progress(now);
        }
    }

    /// Whether [`output`](Self::output) has bytes to show.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.writer.wants_write()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing happens before. It may
    /// change with every other call.
    ///
    /// Look for input before: what has arrived in time may still be in the transport.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let vigil = match self.phase {
            Phase::Open => self.vigil.as_ref().and_then(|vigil| vigil.deadline()),
            _ => None,
        };
        match (self.deadline, vigil) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Whether the connection is over: [`Event::Closed`] has been queued, nothing is left to be
    /// written, and the transport is to be dropped.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        matches!(self.phase, Phase::Terminated)
    }

    /// Payload bytes accepted by [`send`](Self::send) that the transport has not taken: exact
    /// within frames, without framing. When the connection ends it stays at what was never written.
    #[must_use]
    pub fn buffered_amount(&self) -> u64 {
        self.writer.buffered_amount()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("buffered_amount", &self.buffered_amount())
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}
