//! How a connection ends ([RFC 6455 section 7]): the closing handshake, failure, and the timers
//! that see both through when the peer does not.
//!
//! ```text
//!            close()                     peer's Close
//!   Open ───────────────▶ AwaitingClose ─────────────┐
//!     │  peer's Close                                ▼          our Close written
//!     ├────────────────────────────────────────▶ Answering ───────────────────────▶ AwaitingEof
//!     │  the same behind        CloseReceived taken, ▲                                   │
//!     │  messages               close()              │                                   │
//!     ├─────────────────▶ Delivering ────────────────┘                                   │
//!     │                     │ fail()                                                     │
//!     │  offence, fail()    ▼        our Close written and EOF          EOF or timer     │
//!     ├─────────────────▶ Failing ─────────────────────────▶ Terminated ◀────────────────┘
//!     │  offence behind     ▲
//!     │  messages           │ events taken, timer, close(), fail()
//!     └─────────────────▶ Doomed
//! ```
//! Every state but `Terminated` also leads there at once when the transport breaks or (but for
//! `Doomed`) a timer ends; `Open`, `AwaitingClose` and `AwaitingEof` also when the peer ends the
//! transport.
//!
//! `Delivering` is there for the caller that answers messages: it has not taken those before the
//! Close frame yet, so to it the connection is open, and its answers go out before our Close frame.
//! ([Section 5.5.1] lets an endpoint finish what it is sending before it answers.) The closing
//! timer runs from the moment when the frame was read, so a caller that takes no events holds
//! nothing up.
//!
//! `Doomed` is the same for a broken rule behind messages.
//!
//! [Section 5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
//! [RFC 6455 section 7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

use std::time::{Duration, Instant};

use super::vigil::Finding;
use super::{Closure, Connection, Event, Role, State};
use crate::protocol::close::{ABNORMAL_CLOSURE, CloseCode, CloseFrame, CloseReason, NO_STATUS};
use crate::protocol::error::{ConnectionError, TransportError};

/// The body of the peer's Close frame.
pub(super) type PeerClose = Option<CloseFrame>;

/// Whether the peer has ended its side of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eof {
    NotYet,
    Seen,
}

/// Where a connection stands between its opening and its end.
#[derive(Debug)]
pub(super) enum Phase {
    /// No Close frame either way.
    Open,
    /// Our Close frame is queued or written; the peer's has not arrived.
    AwaitingClose,
    /// The peer's Close frame has arrived; messages before it wait to be taken, and to be answered
    /// before our Close frame is queued.
    Delivering { peer: PeerClose, eof: Eof },
    /// The peer's Close frame has arrived; ours is queued.
    Answering { peer: PeerClose, eof: Eof },
    /// Both Close frames are exchanged; the transport has to end.
    AwaitingEof { peer: PeerClose },
    /// The peer has broken a rule; messages before that wait to be taken, and to be answered before
    /// our Close frame is queued.
    Doomed { error: ConnectionError, eof: Eof },
    /// The connection has failed; our Close frame may be on its way, input is ignored.
    Failing {
        error: ConnectionError,
        /// The peer's Close frame, if it had arrived before.
        peer: Option<PeerClose>,
        eof: Eof,
    },
    /// [`Event::Closed`] has been emitted.
    Terminated,
}

impl Phase {
    pub(super) fn state(&self) -> State {
        match self {
            Self::Open | Self::Delivering { .. } | Self::Doomed { .. } => State::Open,
            Self::Terminated => State::Closed,
            _ => State::Closing,
        }
    }

    /// Whether frames from the peer still count: not after its Close frame
    /// ([section 1.4](https://www.rfc-editor.org/rfc/rfc6455#section-1.4)), not after a failure.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self, Self::Open | Self::AwaitingClose)
    }
}

impl Connection {
    /// Starts the closing handshake
    /// ([section 7.1.2](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2)): queues a Close
    /// frame after the messages that were accepted, and waits for the peer's. `None` sends a Close
    /// frame without a body.
    ///
    /// Does nothing unless [`state`](Self::state) is [`State::Open`]: once a Close frame was sent,
    /// [`Event::CloseReceived`] was taken, or the connection has failed.
    pub fn close(&mut self, now: Instant, frame: Option<CloseFrame>) {
        match &mut self.phase {
            Phase::Open => {
                self.writer.queue_close(frame.as_ref());
                self.phase = Phase::AwaitingClose;
            }
            // The peer's has come already: this one answers it.
            Phase::Delivering { peer, eof } => {
                let (peer, eof) = (peer.take(), *eof);
                self.answer(frame.as_ref(), peer, eof);
            }
            Phase::Doomed { .. } => return self.fail_if_doomed(),
            _ => return,
        }
        self.set_deadline(now, self.config.timeouts.closing);
    }

    /// For a caller that hands events on, to be dealt with elsewhere: from now on, what follows from the
    /// peer's Close frame or an offence waits for the caller also when no message does. Before each
    /// [`poll_event`](Self::poll_event) the caller asks [`ends_with_next_event`](Self::ends_with_next_event).
    pub fn answer_later(&mut self) {
        self.answers_later = true;
    }

    /// For a caller that has somebody else to ask first: from now on the peer's Close frame is answered by
    /// [`close`](Self::close) only, and until then messages can be sent. [`Timeouts::closing`](crate::protocol::Timeouts::closing)
    /// runs meanwhile.
    pub fn answer_by_close(&mut self) {
        self.answers_later = true;
        self.answers_by_close = true;
    }

    /// Whether [`answer_later`](Self::answer_later) was called.
    pub(crate) fn is_answering_later(&self) -> bool {
        self.answers_later
    }

    /// Whether the next [`poll_event`](Self::poll_event) makes us answer the peer's Close frame, or fail the connection for
    /// what the peer has done, so that nothing can be sent any more. The time for an answer to the messages before is
    /// limited: when it is over, this is `false` again.
    #[must_use]
    pub fn ends_with_next_event(&self) -> bool {
        match self.phase {
            Phase::Delivering { .. } => {
                matches!(self.events.front(), Some(Event::CloseReceived(_)))
            }
            Phase::Doomed { .. } => self.events.is_empty(),
            _ => false,
        }
    }

    /// Fails the connection ([section 7.1.7](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7))
    /// for a reason of the caller's: sends this Close frame (unless one was sent), ignores all
    /// further input, and ends as soon as the peer has been told or
    /// [`Timeouts::failing`](crate::protocol::Timeouts::failing) is over.
    ///
    /// Does nothing once [`Event::CloseReceived`] was taken or the connection has failed. If the
    /// peer has broken a rule meanwhile, the connection fails for that reason.
    pub fn fail(&mut self, now: Instant, frame: CloseFrame) {
        if self.state() == State::Open || self.phase.is_reading() {
            self.fail_with(now, ConnectionError::Local(frame));
        }
    }

    /// Ends the connection at once: drops all output, emits [`Event::Closed`], and leaves it to the
    /// caller to drop the transport.
    pub fn abort(&mut self) {
        self.terminate(Some(ConnectionError::Aborted));
    }

    /// The peer has ended its side of the transport (TCP FIN, TLS close_notify).
    pub fn receive_eof(&mut self, _now: Instant) {
        match &mut self.phase {
            Phase::Open | Phase::AwaitingClose => {
                self.terminate(Some(ConnectionError::UnexpectedEof));
            }
            // The peer may still read: it gets our Close frame.
            Phase::Delivering { eof, .. }
            | Phase::Doomed { eof, .. }
            | Phase::Answering { eof, .. } => *eof = Eof::Seen,
            Phase::AwaitingEof { .. } => self.terminate(None),
            Phase::Failing { eof, .. } => {
                *eof = Eof::Seen;
                if self.writer.is_close_written() {
                    self.terminate(None);
                }
            }
            Phase::Terminated => {}
        }
    }

    /// The transport is broken: nothing more can be read or written.
    pub fn transport_failed(&mut self, _now: Instant, error: impl Into<TransportError>) {
        match self.phase {
            // Both Close frames were exchanged: how the transport ends is of no account.
            Phase::AwaitingEof { .. } => self.terminate(None),
            _ => self.terminate(Some(error.into().into())),
        }
    }

    /// The time is `now`. To be called when [`poll_timeout`](Self::poll_timeout) says; harmless
    /// before.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.start(now);
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return self.keep_vigil(now);
        }
        self.deadline = None;
        match self.phase {
            Phase::Open => self.terminate(Some(ConnectionError::PeerNotReading)),
            Phase::AwaitingClose | Phase::Delivering { .. } | Phase::Answering { .. } => {
                self.terminate(Some(ConnectionError::ClosingTimeout));
            }
            Phase::Doomed { .. } => {
                self.fail_if_doomed();
                self.set_deadline(now, self.config.timeouts.failing);
            }
            Phase::AwaitingEof { .. } | Phase::Failing { .. } => self.terminate(None),
            Phase::Terminated => {}
        }
    }

    /// The timers of an open connection on which nothing happens.
    fn keep_vigil(&mut self, now: Instant) {
        let (Phase::Open, Some(vigil)) = (&self.phase, &mut self.vigil) else {
            return;
        };
        match vigil.look(now, &self.config) {
            Finding::Nothing => {}
            Finding::Idle => {
                let reason = CloseReason::truncated("idle");
                let code = CloseCode::GOING_AWAY;
                self.close(now, Some(CloseFrame { code, reason }));
            }
            Finding::Ping(payload) => {
                self.writer.queue_keep_alive(&payload);
                self.watch_output(now);
            }
            Finding::Gone => self.terminate(Some(ConnectionError::PeerSilent)),
        }
    }

    /// Drops a peer for which [`SlowPeer::Drop`](crate::protocol::SlowPeer::Drop) is meant.
    pub(crate) fn drop_slow_peer(&mut self) {
        let waiting = self.buffered_amount();
        self.terminate(Some(ConnectionError::PeerTooSlow { waiting }));
    }

    /// Whether the write half of the transport is to be shut down: our Close frame has been
    /// written, nothing will follow it, and it is on us to end the TCP connection: as the server
    /// ([section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)) or after a failure.
    ///
    /// Go on reading after that, until [`is_terminated`](Self::is_terminated): a socket closed with
    /// unread input is reset, and a reset can overtake our Close frame.
    #[must_use]
    pub fn wants_shutdown(&self) -> bool {
        match self.phase {
            Phase::AwaitingEof { .. } => self.role == Role::Server,
            Phase::Failing { .. } => self.writer.is_close_written(),
            _ => false,
        }
    }

    /// The peer's Close frame has arrived
    /// ([section 5.5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1)).
    pub(super) fn on_close_frame(&mut self, now: Instant, peer: PeerClose) {
        let eof = Eof::NotYet;
        self.reader.abandon();
        self.set_deadline(now, self.config.timeouts.closing);
        if self.writer.is_close_queued() {
            self.phase = Phase::Answering {
                peer: peer.clone(),
                eof,
            };
            if self.writer.is_close_written() {
                self.on_written_out(now);
            }
        } else {
            self.phase = Phase::Delivering {
                peer: peer.clone(),
                eof,
            };
            if !self.may_be_answered() {
                self.echo_close();
            }
        }
        self.push_event(Event::CloseReceived(peer));
    }

    /// Whether there are messages that the caller has not had the time to answer.
    fn may_be_answered(&self) -> bool {
        self.answers_later || self.has_messages_waiting()
    }

    /// The caller has taken everything up to the peer's Close frame.
    pub(super) fn echo_close(&mut self) {
        if let Phase::Delivering { peer, eof } = &mut self.phase {
            let (peer, eof) = (peer.take(), *eof);
            // Browsers echo the reason too, and their scripts rely on it.
            self.answer(peer.clone().as_ref(), peer, eof);
        }
    }

    /// Answers the peer's Close frame with `ours`.
    fn answer(&mut self, ours: Option<&CloseFrame>, peer: PeerClose, eof: Eof) {
        self.writer.queue_close(ours);
        self.phase = Phase::Answering { peer, eof };
    }

    /// The peer has broken a rule. What it said before that counts, and can be answered.
    pub(super) fn on_offence(&mut self, now: Instant, error: ConnectionError) {
        if self.writer.is_close_queued() || !self.may_be_answered() {
            return self.fail_with(now, error);
        }
        self.reader.abandon();
        let eof = Eof::NotYet;
        self.phase = Phase::Doomed { error, eof };
        self.set_deadline(now, self.config.timeouts.failing);
    }

    /// The caller has taken everything up to an offence, or the time for that is over.
    pub(super) fn fail_if_doomed(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Terminated) {
            Phase::Doomed { error, eof } => self.enter_failing(error, None, eof),
            phase => self.phase = phase,
        }
    }

    /// The connection fails by what the peer did or the caller wishes.
    fn fail_with(&mut self, now: Instant, error: ConnectionError) {
        self.reader.abandon();
        let (error, peer, eof) = match std::mem::replace(&mut self.phase, Phase::Terminated) {
            Phase::Delivering { peer, eof } => (error, Some(peer), eof),
            // The first reason counts.
            Phase::Doomed { error, eof } => (error, None, eof),
            _ => (error, None, Eof::NotYet),
        };
        self.enter_failing(error, peer, eof);
        self.set_deadline(now, self.config.timeouts.failing);
    }

    fn enter_failing(&mut self, error: ConnectionError, peer: Option<PeerClose>, eof: Eof) {
        if !self.writer.is_close_queued() {
            let frame = match &error {
                ConnectionError::Local(frame) => Some(frame.clone()),
                error => error.close_code().map(|code| CloseFrame {
                    code,
                    reason: CloseReason::truncated(&error.to_string()),
                }),
            };
            self.writer.queue_close(frame.as_ref());
        }
        self.phase = Phase::Failing { error, peer, eof };
    }

    /// The transport has taken some output.
    pub(super) fn on_progress(&mut self, now: Instant) {
        if self.writer.is_close_written() {
            return self.on_written_out(now);
        }
        match self.phase {
            Phase::Open => {
                self.deadline = None;
                self.watch_output(now);
            }
            Phase::AwaitingClose | Phase::Delivering { .. } | Phase::Answering { .. } => {
                self.set_deadline(now, self.config.timeouts.closing);
            }
            Phase::Doomed { .. }
            | Phase::AwaitingEof { .. }
            | Phase::Failing { .. }
            | Phase::Terminated => {}
        }
    }

    /// Everything up to our Close frame has been written.
    fn on_written_out(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::AwaitingClose => self.set_deadline(now, self.config.timeouts.closing),
            Phase::Answering { eof: Eof::Seen, .. } | Phase::Failing { eof: Eof::Seen, .. } => {
                self.terminate(None);
            }
            Phase::Answering { peer, .. } => {
                let peer = peer.take();
                self.phase = Phase::AwaitingEof { peer };
                self.set_deadline(now, self.config.timeouts.tcp_close);
            }
            // Our Close frame may have waited for the caller: the peer gets its time to read it.
            Phase::Failing { .. } => self.set_deadline(now, self.config.timeouts.failing),
            _ => {}
        }
    }

    /// While the connection is open, output may not wait for ever.
    pub(super) fn watch_output(&mut self, now: Instant) {
        if let (Phase::Open, None, Some(stalled)) = (
            &self.phase,
            self.deadline,
            self.config.timeouts.stalled_write,
        ) && self.writer.wants_write()
        {
            self.set_deadline(now, stalled);
        }
    }

    fn set_deadline(&mut self, now: Instant, after: Duration) {
        // A time beyond the clock's range never comes.
        self.deadline = now.checked_add(after);
    }

    /// The connection is over
    /// ([section 7.1.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4)). It was closed
    /// cleanly if the Close frames were exchanged, that is, if nothing stands in `cut_short`.
    fn terminate(&mut self, cut_short: Option<ConnectionError>) {
        let (peer, error) = match std::mem::replace(&mut self.phase, Phase::Terminated) {
            Phase::Terminated => return,
            Phase::Open | Phase::AwaitingClose => (None, cut_short),
            Phase::Delivering { peer, .. }
            | Phase::Answering { peer, .. }
            | Phase::AwaitingEof { peer } => (Some(peer), cut_short),
            Phase::Doomed { error, .. } => (None, Some(error)),
            Phase::Failing { error, peer, .. } => (peer, Some(error)),
        };
        // Section 7.1.5 and 7.1.6: code and reason are those of the peer's Close frame.
        let (code, reason) = match peer {
            Some(Some(frame)) => (frame.code.get(), frame.reason.into()),
            Some(None) => (NO_STATUS, String::new()),
            None => (ABNORMAL_CLOSURE, String::new()),
        };
        self.deadline = None;
        self.reader.abandon();
        self.writer.abandon();
        self.push_event(Event::Closed(Closure {
            clean: error.is_none(),
            code,
            reason,
            error,
        }));
    }
}
