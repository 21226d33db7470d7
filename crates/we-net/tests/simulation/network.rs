//! The network between two endpoints: two pipes that behave as the two directions of a TCP
//! connection do, and the ways in which such a connection breaks.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// What reading finds.
pub enum Read {
    Nothing,
    Bytes(Vec<u8>),
    End,
    Broken,
}

/// One direction.
struct Pipe {
    /// Bytes that may be under way and unread: the two socket buffers.
    capacity: usize,
    /// What is under way, with its time of arrival.
    segments: VecDeque<(Instant, Vec<u8>)>,
    queued: usize,
    /// When the writer's FIN arrives.
    fin: Option<Instant>,
    /// Nothing arrives before.
    stalled_until: Option<Instant>,
    /// Nothing arrives ever.
    lost: bool,
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            segments: VecDeque::new(),
            queued: 0,
            fin: None,
            stalled_until: None,
            lost: false,
        }
    }

    /// When what is sent now arrives: never before what was sent earlier.
    fn arrival(&self, now: Instant, latency: Duration) -> Instant {
        let last = self.segments.back().map_or(now, |(time, _)| *time);
        last.max(now + latency)
    }

    fn has_arrived(&self, now: Instant) -> bool {
        let first = self.segments.front().map(|(time, _)| *time);
        !self.lost && first.is_some_and(|time| self.passes_at(time) <= now)
    }

    fn passes_at(&self, time: Instant) -> Instant {
        self.stalled_until.map_or(time, |stalled| stalled.max(time))
    }

    fn next_arrival(&self) -> Option<Instant> {
        let next = match self.segments.front() {
            Some((time, _)) => Some(*time),
            None => self.fin,
        };
        next.filter(|_| !self.lost).map(|time| self.passes_at(time))
    }
}

/// Which packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All packets to this endpoint.
    To(usize),
    All,
}

/// Both directions; `at` is an endpoint, 0 or 1.
pub struct Network {
    /// The pipe with an endpoint's index leads to it.
    pipes: [Pipe; 2],
    /// When an endpoint learns that the connection was reset.
    broken: [Option<Instant>; 2],
    dropped: [bool; 2],
}

impl Network {
    pub fn new(capacities: [usize; 2]) -> Self {
        Self {
            pipes: capacities.map(Pipe::new),
            broken: [None; 2],
            dropped: [false; 2],
        }
    }

    fn is_broken(&self, at: usize, now: Instant) -> bool {
        self.broken[at].is_some_and(|time| time <= now)
    }

    /// Sends as many of the bytes as there is room for; returns their number.
    pub fn write(
        &mut self,
        at: usize,
        now: Instant,
        latency: Duration,
        bytes: &[u8],
    ) -> Result<usize, ErrorKind> {
        assert!(!self.dropped[at], "written to a transport that was dropped");
        if self.is_broken(at, now) {
            return Err(ErrorKind::ConnectionReset);
        }
        let pipe = &mut self.pipes[1 - at];
        if pipe.fin.is_some() {
            return Err(ErrorKind::BrokenPipe);
        }
        let taken = bytes.len().min(pipe.capacity - pipe.queued);
        if taken > 0 {
            let arrival = pipe.arrival(now, latency);
            pipe.segments.push_back((arrival, bytes[..taken].to_vec()));
            pipe.queued += taken;
            if self.dropped[1 - at] && !pipe.lost {
                // There is nobody any more: what answers is a reset.
                self.break_at(at, arrival + latency);
            }
        }
        Ok(taken)
    }

    /// Reads up to `most` bytes, which may come from several writes.
    pub fn read(&mut self, at: usize, now: Instant, most: usize) -> Read {
        if self.is_broken(at, now) {
            return Read::Broken;
        }
        let pipe = &mut self.pipes[at];
        let mut bytes = Vec::new();
        while bytes.len() < most && pipe.has_arrived(now) {
            let Some((time, mut segment)) = pipe.segments.pop_front() else {
                break;
            };
            let room = most - bytes.len();
            if segment.len() > room {
                pipe.segments.push_front((time, segment.split_off(room)));
            }
            bytes.extend(segment);
        }
        pipe.queued -= bytes.len();
        if !bytes.is_empty() {
            return Read::Bytes(bytes);
        }
        let ended = pipe.segments.is_empty() && pipe.next_arrival().is_some_and(|at| at <= now);
        if ended { Read::End } else { Read::Nothing }
    }

    /// The endpoint shuts its write half down.
    pub fn shut_down(&mut self, at: usize, now: Instant, latency: Duration) {
        let pipe = &mut self.pipes[1 - at];
        if pipe.fin.is_none() {
            pipe.fin = Some(pipe.arrival(now, latency));
        }
    }

    /// The endpoint closes its socket: an orderly end, unless input was left unread.
    pub fn drop(&mut self, at: usize, now: Instant, latency: Duration) {
        if std::mem::replace(&mut self.dropped[at], true) {
            return;
        }
        if self.pipes[at].has_arrived(now) {
            if !self.pipes[1 - at].lost {
                self.break_at(1 - at, now + latency);
            }
        } else {
            self.shut_down(at, now, latency);
        }
    }

    /// The connection is reset; this endpoint learns of it at that time, and loses what it has not
    /// read by then.
    pub fn break_at(&mut self, at: usize, time: Instant) {
        self.broken[at] = Some(self.broken[at].map_or(time, |old| old.min(time)));
    }

    pub fn stall(&mut self, to: usize, until: Instant) {
        self.pipes[to].stalled_until = Some(until);
    }

    /// From now on packets are lost, those under way too.
    pub fn lose(&mut self, loss: Loss) {
        for (to, pipe) in self.pipes.iter_mut().enumerate() {
            pipe.lost |= loss == Loss::All || loss == Loss::To(to);
        }
    }

    /// When something next happens at this endpoint that it has not seen.
    pub fn next_event(&self, at: usize) -> Option<Instant> {
        let arrival = self.pipes[at].next_arrival();
        arrival.into_iter().chain(self.broken[at]).min()
    }
}
