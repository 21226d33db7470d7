//! What holds of an endpoint after every step, and what its clock may do to it.

use std::time::Instant;

use we_net::protocol::{Event, Role, State};

use super::{BLOCK, COMPRESSION, CutOff, Endpoint, FIXED, MAX_PONGS, SCRATCH};
use crate::parcel::Parcel;
use crate::watch::Due;
use crate::wire::KEEP_ALIVE;

impl Endpoint {
    /// What holds after every step.
    pub fn check(&mut self, now: Instant, peer: &[Parcel]) {
        let connection = self.connection();
        let over = connection.is_terminated();
        let buffered = connection.buffered_amount();
        assert_eq!(over, connection.state() == State::Closed);
        assert!(over || self.end.is_none());
        if over {
            assert!(!connection.wants_write(), "output after the end");
            assert!(!connection.wants_shutdown());
            assert_eq!(connection.poll_timeout(), None);
        } else {
            self.check_deadline(now, peer);
        }
        self.wants_write_since = match self.connection().wants_write() {
            true => self.wants_write_since.or(Some(now)),
            false => None,
        };
        if self.is_watched() && self.wants_write_since.is_none() && !self.fails {
            assert!(!self.watch.waits(), "a Ping is lost");
        }
        self.check_end_of_transport();

        let unwritten = self.accepted_bytes.saturating_sub(self.written.payload);
        if self.compressed {
            assert!(buffered <= self.accepted_bytes);
        } else {
            assert_eq!(buffered, unwritten, "the buffered amount");
        }

        let mut pings = self.read.pings.iter();
        let answers = |pong| pings.any(|ping| *ping == pong);
        assert!(self.written.pongs.iter().copied().all(answers));
        let pongs = self.written.pongs.len() - self.pongs_before;
        assert!(pongs <= MAX_PONGS, "{pongs} Pongs at once");
        self.check_memory(peer);
    }

    /// It is the server that ends the transport, and each end lets go of it as soon as it may.
    fn check_end_of_transport(&self) {
        let connection = self.connection();
        let closed = self.written.close.is_some() && self.read.close.is_some();
        if connection.wants_shutdown() {
            assert!(self.written.close.is_some() && !connection.wants_write());
        } else if closed && connection.role() == Role::Server {
            assert!(connection.is_terminated(), "does not end the transport");
        }
        if self.eof_read && closed {
            assert!(
                connection.is_terminated(),
                "waits for an end that was there"
            );
        }
        let fails = self.fails;
        if self.eof_read && self.read.close.is_none() && !fails {
            assert!(connection.is_terminated(), "outlives its transport");
        }
    }

    /// A connection that is ending always has a time at which it will have ended; and an open one
    /// one that is not after what will be due.
    fn check_deadline(&self, now: Instant, peer: &[Parcel]) {
        let connection = self.connection();
        let deadline = connection.poll_timeout();
        let timeouts = &self.config.timeouts;
        let closing = connection.state() == State::Closing || self.read.close.is_some();
        let longest = [timeouts.closing, timeouts.tcp_close, timeouts.failing];
        let ended = longest.into_iter().max().map(|longest| now + longest);
        let stalled = timeouts.stalled_write.filter(|_| connection.wants_write());
        let stalled = stalled.map(|stalled| now + stalled);
        let due = stalled.into_iter().chain(self.watch.next()).min();
        let latest = if closing {
            assert!(deadline.is_some(), "may hang");
            ended
        } else if self.may_be_doomed(peer) {
            ended.max(due)
        } else {
            assert_eq!(deadline.is_some(), due.is_some(), "may hang");
            due
        };
        assert!(deadline <= latest, "waits too long");
    }

    /// Memory follows what waits, not what a peer has declared, and not what is over.
    fn check_memory(&mut self, peer: &[Parcel]) {
        if !self.connection().wants_write() {
            self.at_rest = (self.accepted_wire, self.written.framed);
        }
        if self.shares_memory {
            return;
        }
        let over = self.is_over();
        let unwritten = if over {
            0
        } else {
            self.unwritten_wire() as usize
        };
        // A block is given back when all is written, the Close frame and Pongs too.
        let waits = usize::from(self.connection().wants_write());
        let out = self.out_high.note(unwritten.max(waits));
        // Five times: of a frame of seven bytes its place in the queue takes the most.
        let out = 5 * (out + out.min(BLOCK));

        let limit = self.max_message_size();
        let arrived = self.read.messages.min(peer.len());
        let whole: usize = peer[self.taken.min(arrived)..arrived]
            .iter()
            .map(|parcel| parcel.len().min(limit))
            .sum();
        let assembling = match peer.get(arrived) {
            Some(parcel) if !over => parcel.len().min(limit),
            _ => 0,
        };
        let incoming = 4 * self.in_high.note(whole + assembling);
        let events = (self.read.messages + self.read.controls - self.read.signs + 2)
            .saturating_sub(self.events_taken);
        let idle = self.end.is_some();
        let events = self.events_high.note(if idle { 0 } else { events });
        let events = 2 * events * (size_of::<Event>() + 64);

        let fixed = match (self.compressed, over) {
            (true, _) => FIXED + COMPRESSION + SCRATCH,
            (false, true) => FIXED / 8,
            (false, false) => FIXED,
        };
        let bound = fixed + out + incoming + events;
        let held = self.account.held();
        assert!(
            held <= bound,
            "holds {held} bytes: {fixed} fixed, {out} out, {incoming} in, {events} for events"
        );
    }

    /// What the clock has done to an open connection is what was due, no more and no less; unless it
    /// had failed already without telling.
    pub(super) fn check_what_was_due(
        &mut self,
        now: Instant,
        due: Due,
        stalled: bool,
        doomed: bool,
    ) {
        let (open, over) = (self.is_open(), self.is_over());
        let silent = due == Due::Gone;
        self.cut_off = CutOff { silent, stalled };
        self.idled = due == Due::Idle && !open && !over;
        let may_be_over = silent || stalled;
        assert!(!over || may_be_over || doomed, "no patience");
        let may_close = may_be_over || due == Due::Idle;
        assert!(open || may_close || doomed, "closes for no reason");
        match due {
            Due::Nothing => {}
            Due::Idle => assert!(!open || doomed, "idle for too long"),
            Due::Ping => self.watch.asked(now),
            Due::Gone => assert!(over || doomed, "talks to nobody"),
        }
    }

    /// What has arrived at an open connection was told, but for what its own Pings have led to.
    pub(super) fn check_all_is_told(&self) {
        assert_eq!(self.taken, self.read.messages);
        assert_eq!(self.pings_seen, self.read.pings.len());
        let mut untold = self.read.pongs[self.pongs_seen..].iter();
        assert!(untold.all(|pong| pong & KEEP_ALIVE != 0), "a Pong is lost");
    }
}
