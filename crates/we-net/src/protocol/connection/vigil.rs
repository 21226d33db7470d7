//! The timers of an open connection on which nothing happens: is it idle, is the peer still there?
//!
//! Nothing is set again by each byte that arrives (but by the first one after a Ping). A timer runs
//! out where it was set; then it shows whether something has happened meanwhile, and it is set to
//! when nothing will have happened for long enough.

use std::time::{Duration, Instant};

use crate::protocol::config::{Config, KeepAlive};

/// What every Ping of ours begins with, so that its Pong is known for ours.
const PING: [u8; 8] = *b"we-alive";

/// Watches over an open connection.
#[derive(Debug)]
pub(super) struct Vigil {
    /// When something last arrived.
    heard: Instant,
    /// When a message, or a piece of one, last came or went.
    active: Instant,
    /// When to look at `active`.
    idle_at: Option<Instant>,
    /// When to look at `heard`.
    silent_at: Option<Instant>,
    /// Since when the peer could have answered the Ping that nothing has come after.
    pinged: Option<Instant>,
    pings: u32,
}

/// What a timer has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Nothing,
    /// No message came or went for too long.
    Idle,
    /// The peer is silent: send it this.
    Ping([u8; 12]),
    /// The peer has not answered.
    Gone,
}

impl Vigil {
    /// Whether `config` wants any timer.
    pub(super) fn is_wanted(config: &Config) -> bool {
        config.timeouts.idle.is_some() || config.keep_alive.is_some()
    }

    /// Starts the timers that `config` wants; `None` if it wants none.
    pub(super) fn start(now: Instant, config: &Config) -> Option<Box<Self>> {
        if !Self::is_wanted(config) {
            return None;
        }
        let (idle, keep) = (config.timeouts.idle, config.keep_alive);
        Some(Box::new(Self {
            heard: now,
            active: now,
            idle_at: idle.and_then(|idle| now.checked_add(idle)),
            silent_at: keep.and_then(|keep| now.checked_add(keep.interval)),
            pinged: None,
            pings: 0,
        }))
    }

    /// Something has arrived.
    pub(super) fn heard(&mut self, now: Instant, config: &Config) {
        if now <= self.heard {
            return;
        }
        self.heard = now;
        if let (Some(_), Some(keep)) = (self.pinged.take(), config.keep_alive) {
            self.silent_at = self.next_ping(keep);
        }
    }

    /// The transport has taken something before it had all of the last Ping, or the end of that: the
    /// peer's time to answer begins now at the earliest.
    pub(super) fn ping_moved(&mut self, now: Instant) {
        if let Some(pinged) = &mut self.pinged {
            *pinged = now;
        }
    }

    /// A message, or a piece of one, has come or gone.
    pub(super) fn active(&mut self, now: Instant) {
        self.active = self.active.max(now);
    }

    /// Whether `pong` answers a Ping of ours.
    pub(super) fn is_answer(&self, pong: &[u8]) -> bool {
        self.pings > 0 && pong.strip_prefix(&PING).is_some_and(|rest| rest.len() == 4)
    }

    /// When to look.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match (self.idle_at, self.silent_at) {
            (Some(idle), Some(silent)) => Some(idle.min(silent)),
            (one, other) => one.or(other),
        }
    }

    /// Looks. Once is enough: a second finding can wait until the caller asks again.
    pub(super) fn look(&mut self, now: Instant, config: &Config) -> Finding {
        if let (Some(at), Some(idle)) = (self.idle_at, config.timeouts.idle)
            && at <= now
        {
            // A time beyond the clock's range never comes.
            self.idle_at = self.active.checked_add(idle);
            if self.idle_at.is_some_and(|next| next <= now) {
                self.idle_at = None;
                return Finding::Idle;
            }
        }
        match (self.silent_at, config.keep_alive) {
            (Some(at), Some(keep)) if at <= now => self.look_for_life(now, keep),
            _ => Finding::Nothing,
        }
    }

    fn look_for_life(&mut self, now: Instant, keep: KeepAlive) -> Finding {
        if let Some(pinged) = self.pinged {
            self.silent_at = pinged.checked_add(keep.timeout);
            if self.silent_at.is_some_and(|end| end <= now) {
                self.silent_at = None;
                return Finding::Gone;
            }
            return Finding::Nothing;
        }
        self.silent_at = self.next_ping(keep);
        if self.silent_at.is_none_or(|next| next > now) {
            return Finding::Nothing;
        }
        self.pinged = Some(now);
        self.silent_at = now.checked_add(keep.timeout);
        self.pings = self.pings.wrapping_add(1).max(1);
        let mut payload = [0; 12];
        let (prefix, number) = payload.split_at_mut(PING.len());
        prefix.copy_from_slice(&PING);
        number.copy_from_slice(&self.pings.to_be_bytes());
        Finding::Ping(payload)
    }

    /// When the peer will have been silent for long enough.
    fn next_ping(&self, keep: KeepAlive) -> Option<Instant> {
        // Without any time between them the Pings would leave no time for anything else.
        let interval = keep.interval.max(Duration::from_millis(1));
        self.heard.checked_add(interval)
    }
}
