//! What the timers of an open connection promise ([`Timeouts::idle`] and [`KeepAlive`]), to the
//! moment. No timer runs here: what is due follows from when things happened.
//!
//! [`Timeouts::idle`]: we_net::protocol::Timeouts::idle

use std::time::{Duration, Instant};

use we_net::protocol::{Config, KeepAlive};

use crate::wire::KEEP_ALIVE;

/// What a connection has to do when it is told the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Nothing,
    /// To close: no message, nor a piece of one, came or went for too long.
    Idle,
    /// To ask the peer for a sign of life.
    Ping,
    /// To give the peer up.
    Gone,
}

pub struct Watch {
    idle: Option<Duration>,
    keep_alive: Option<KeepAlive>,
    /// Whether a call has told the time yet.
    started: bool,
    /// When something last arrived.
    heard: Instant,
    /// When a piece of a message last came or went, or a message was accepted.
    active: Instant,
    /// Since when the peer could have answered: when it was asked, or when the transport last took
    /// something before it had all of the Ping. `None` if it has said something since it was asked.
    asked: Option<Instant>,
    /// How often it was asked.
    pub asks: u64,
    /// The Pings that are to be written, by number; one at a time waits.
    pings: Vec<u64>,
    written: usize,
}

impl Watch {
    pub fn new(now: Instant, config: &Config) -> Self {
        Self {
            idle: config.timeouts.idle,
            keep_alive: config.keep_alive,
            started: false,
            heard: now,
            active: now,
            asked: None,
            asks: 0,
            pings: Vec::new(),
            written: 0,
        }
    }

    /// A call has told the time.
    pub fn told(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.started, true) {
            self.heard = now;
            self.active = now;
        }
    }

    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    pub fn active(&mut self, now: Instant) {
        self.active = now;
    }

    /// The connection has done what [`Due::Ping`] says. A Ping that still waits to be written asks
    /// once more.
    pub fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
        self.asks += 1;
        if !self.waits() {
            self.pings.push(KEEP_ALIVE | self.asks);
        }
    }

    /// Whether a Ping has not been written yet.
    pub fn waits(&self) -> bool {
        self.written < self.pings.len()
    }

    /// The transport has taken something.
    pub fn progress(&mut self, now: Instant) {
        if self.waits() && self.asked.is_some() {
            self.asked = Some(now);
        }
    }

    /// A Ping of keep-alive has been written.
    pub fn ping_written(&mut self, number: u64) {
        let expected = self.pings.get(self.written);
        assert_eq!(Some(&number), expected, "nobody asked for this Ping");
        self.written += 1;
    }

    fn idle_at(&self) -> Option<Instant> {
        let idle = self.idle.filter(|_| self.started)?;
        Some(self.active + idle)
    }

    /// When to ask, or to give up.
    fn silent_at(&self) -> Option<Instant> {
        let keep = self.keep_alive.filter(|_| self.started)?;
        Some(match self.asked {
            Some(asked) => asked + keep.timeout,
            None => self.heard + keep.interval,
        })
    }

    pub fn due(&self, now: Instant) -> Due {
        if self.idle_at().is_some_and(|at| at <= now) {
            return Due::Idle;
        }
        match (self.silent_at(), self.asked) {
            (Some(at), None) if at <= now => Due::Ping,
            (Some(at), Some(_)) if at <= now => Due::Gone,
            _ => Due::Nothing,
        }
    }

    /// When something will be due if nothing happens.
    pub fn next(&self) -> Option<Instant> {
        self.idle_at().into_iter().chain(self.silent_at()).min()
    }
}
