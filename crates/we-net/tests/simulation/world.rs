//! A schedule: two endpoints, a network and a clock, and what happens to them, all drawn from one
//! seed.

use std::fmt::Arguments;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use we_net::protocol::{Config, KeepAlive, Limits, Role, Timeouts};

use crate::end::{Cause, Compression, Ending, Endpoint};
use crate::network::{Loss, Network, Read};
use crate::parcel::Parcel;
use crate::random::Random;

/// Steps after which a schedule that is to end hangs.
const PATIENCE: usize = 1_000_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection is reset; the endpoints learn of it one after the other.
    Reset,
    /// The endpoint's side of the transport ends, though it has not said so.
    HalfClose(usize),
    Loss(Loss),
    /// Nothing arrives at this endpoint for so long.
    Stall(usize, Duration),
    /// This endpoint's application takes no events until the other end is over.
    Sleep(usize),
    /// What an application can do to its own connection.
    Ending(usize, Ending),
}

/// How a schedule went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub steps: usize,
    pub delivered: usize,
    pub lost: usize,
    /// Whether both ends were closed cleanly.
    pub clean: bool,
    /// How often an endpoint has asked a silent peer.
    pub asks: u64,
    /// Whether one has given its peer up.
    pub silent: bool,
    /// Whether one has closed because nothing happened.
    pub idle: bool,
}

pub struct World {
    random: Random,
    start: Instant,
    now: Instant,
    ends: [Endpoint; 2],
    network: Network,
    /// In milliseconds, at most.
    latency: usize,
    /// The smaller one of the pipes' capacities.
    slowest: usize,
    lens: &'static [usize],
    /// By step.
    faults: Vec<(usize, Fault)>,
    asleep: [bool; 2],
    /// Whether all must go well.
    healthy: bool,
    next_ping: u64,
    steps: usize,
    verbose: bool,
}

impl World {
    pub fn new(seed: u64, verbose: bool) -> Self {
        let mut random = Random::new(seed);
        let configs = [config(&mut random), config(&mut random)];
        let compression = match random.chance(30) {
            true => Some(Compression::random(&mut random)),
            false => None,
        };
        let start = Instant::now();
        let mut end = |role, config: &Config| {
            let masks = Random::new(random.next());
            let mut end = Endpoint::new(role, start, config.clone(), compression.as_ref(), masks);
            if random.chance(50) {
                end.start(start);
            }
            end
        };
        let ends = [
            end(Role::Client, &configs[0]),
            end(Role::Server, &configs[1]),
        ];
        let (lens, least): (&[usize], usize) = match random.below(10) {
            0..5 => (&[0, 1, 5, 20, 125, 126, 300], 20),
            5..9 => (&[0, 1, 5, 125, 126, 300, 1000, 5000], 300),
            _ => (&[1, 300, 5000, 66_000], 5000),
        };
        let capacities = [(); 2].map(|()| least * random.pick(&[1, 10, 100]));
        let world = Self {
            start,
            now: start,
            network: Network::new(capacities),
            latency: random.pick(&[1, 5, 30, 100]),
            lens,
            slowest: capacities[0].min(capacities[1]),
            faults: Vec::new(),
            asleep: [false; 2],
            healthy: configs.iter().all(is_patient),
            next_ping: 0,
            steps: 0,
            verbose,
            ends,
            random,
        };
        world.note(format_args!("{configs:#?} {compression:?}"));
        world
    }

    fn note(&self, what: Arguments<'_>) {
        if self.verbose {
            eprintln!("{:>8.3?} {what}", self.now - self.start);
        }
    }

    /// Runs the schedule to its end.
    pub fn run(mut self) -> Outcome {
        let busy = self.random.pick(&[0, 10, 50, 150, 400]);
        self.plan(busy);
        for at in 0..busy {
            while let Some(&(step, fault)) = self.faults.last()
                && step <= at
            {
                self.faults.pop();
                self.strike(fault);
            }
            self.step();
        }
        for (_, fault) in std::mem::take(&mut self.faults) {
            self.strike(fault);
        }
        if self.random.chance(20) {
            self.rest();
        }
        if self.healthy && self.random.chance(30) {
            self.settle();
        }
        let closing = 1 + self.random.below(3);
        for at in 0..2 {
            if closing & (1 << at) != 0 {
                self.end(at, Ending::Close);
            }
        }
        self.finish();
        self.healthy &= self.is_swift();
        self.judge()
    }

    /// Up to two faults, at times of their own.
    fn plan(&mut self, busy: usize) {
        let count = self.random.pick(&[0, 0, 1, 1, 2]);
        for _ in 0..count {
            let at = self.random.below(2);
            let fault = match self.random.below(14) {
                0 | 1 => Fault::Reset,
                2 | 3 => Fault::HalfClose(at),
                4 => Fault::Loss(Loss::To(at)),
                5 => Fault::Loss(Loss::All),
                6 => Fault::Stall(at, self.random.millis(500)),
                7 => Fault::Stall(at, self.random.millis(60_000)),
                8 | 9 => Fault::Sleep(at),
                10 => Fault::Ending(at, Ending::Fail),
                11 => Fault::Ending(at, Ending::Abort),
                _ => Fault::Ending(at, Ending::Close),
            };
            self.faults.push((self.random.below(busy + 1), fault));
        }
        self.faults
            .sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    }

    fn strike(&mut self, fault: Fault) {
        self.note(format_args!("{fault:?}"));
        match fault {
            Fault::Reset => {
                for at in 0..2 {
                    let time = self.now + self.random.millis(50);
                    self.network.break_at(at, time);
                }
            }
            Fault::HalfClose(at) => {
                let latency = self.latency();
                self.network.shut_down(at, self.now, latency);
            }
            Fault::Loss(loss) => self.network.lose(loss),
            Fault::Stall(at, time) => {
                self.network.stall(at, self.now + time);
                self.healthy &= time < Duration::from_millis(500);
                return;
            }
            Fault::Sleep(at) => self.asleep[at] = true,
            Fault::Ending(at, ending) => {
                self.end(at, ending);
                self.healthy &= ending == Ending::Close;
                return;
            }
        }
        self.healthy = false;
    }

    fn latency(&mut self) -> Duration {
        self.random.millis(self.latency)
    }

    fn end(&mut self, at: usize, ending: Ending) {
        self.note(format_args!("{at} ends by {ending:?}"));
        self.ends[at].end_by(self.now, ending, 3000 + at as u16);
        self.after(at);
    }

    /// One call of an application's, or one step of the network's or the clock's.
    fn step(&mut self) {
        let at = self.random.below(2);
        match self.random.below(100) {
            0..30 => self.send(at),
            30..55 => drop(self.write(at)),
            55..80 => drop(self.read(at)),
            80..87 => self.advance_by(50),
            87..92 => drop(self.take_events(at)),
            92..97 => self.ping(at),
            _ => self.tick(),
        }
    }

    /// What follows from any change of an endpoint's: the transport is dropped when it is over, and
    /// the promises hold.
    fn after(&mut self, at: usize) {
        self.steps += 1;
        let latency = self.latency();
        let [first, second] = &mut self.ends;
        let (end, peer) = if at == 0 {
            (first, second)
        } else {
            (second, first)
        };
        if end.is_over() && !end.transport_gone {
            end.transport_gone = true;
            self.network.drop(at, self.now, latency);
        }
        end.check(self.now, peer.accepted());
    }

    fn send(&mut self, at: usize) {
        let len = self.random.pick(self.lens);
        let parcel = Parcel::random(&mut self.random, len);
        let by_copy = self.random.chance(50);
        let accepted = self.ends[at].send(self.now, parcel, by_copy);
        self.note(format_args!("{at} sends {parcel:?}: {accepted}"));
        if accepted && parcel.len() > self.ends[1 - at].max_message_size() {
            self.ends[1 - at].fails = true;
            self.healthy = false;
        }
        self.after(at);
    }

    /// A Ping, or now and then a flood of them.
    fn ping(&mut self, at: usize) {
        let count = self.random.pick(&[1, 1, 1, 1, 60]);
        let padding = match count {
            1 => self.random.pick(&[0, 0, 1, 100, 117]),
            _ => 0,
        };
        for _ in 0..count {
            self.next_ping += 1;
            self.ends[at].ping(self.now, self.next_ping, padding);
        }
        self.after(at);
    }

    /// The transport takes some of the output, or all that is shown, or nothing.
    fn write(&mut self, at: usize) -> bool {
        if self.ends[at].transport_gone {
            return false;
        }
        let most = self.random.pick(&[1, 3, 50, 4000, 100_000]);
        let slices = 1 + self.random.below(4);
        let latency = self.latency();
        let bytes = self.ends[at].output(slices, most);
        let mut progress = false;
        if !bytes.is_empty() {
            match self.network.write(at, self.now, latency, &bytes) {
                Ok(0) => {}
                Ok(taken) => {
                    progress = true;
                    self.note(format_args!("{at} writes {taken} of {}", bytes.len()));
                    // Between a write and its completion other things can be queued.
                    if self.random.chance(5) {
                        self.next_ping += 1;
                        self.ends[at].ping(self.now, self.next_ping, 0);
                    }
                    self.ends[at].output_written(self.now, &bytes[..taken]);
                }
                Err(kind) => {
                    progress = true;
                    self.break_off(at, kind);
                }
            }
        }
        let end = &mut self.ends[at];
        if end.connection().wants_shutdown() && !end.shut_down {
            end.shut_down = true;
            progress = true;
            self.note(format_args!("{at} shuts down"));
            self.network.shut_down(at, self.now, latency);
        }
        self.after(at);
        progress
    }

    /// Writing has failed: what the peer sent before it left still counts.
    fn break_off(&mut self, at: usize, kind: ErrorKind) {
        self.note(format_args!("{at} cannot write: {kind}"));
        self.healthy = false;
        if let Read::Bytes(bytes) = self.network.read(at, self.now, usize::MAX)
            && !self.ends[at].eof_read
        {
            self.ends[at].receive(self.now, &bytes);
        }
        self.ends[at].transport_failed(self.now, kind);
    }

    /// Hands over some of what has arrived, and lets the application take events.
    fn read(&mut self, at: usize) -> bool {
        // An application that takes no events does not read on.
        let full = self.asleep[at] && self.ends[at].waiting_messages() > 2;
        !full && self.look_for_input(at)
    }

    fn look_for_input(&mut self, at: usize) -> bool {
        let end = &mut self.ends[at];
        if end.transport_gone || end.eof_read {
            return false;
        }
        let most = self.random.pick(&[1, 2, 10, 1000, 100_000]);
        match self.network.read(at, self.now, most) {
            Read::Nothing => return false,
            Read::Bytes(bytes) => {
                end.receive(self.now, &bytes);
                self.note(format_args!("{at} reads {}", bytes.len()));
            }
            Read::End => {
                end.receive_eof(self.now);
                self.note(format_args!("{at} reads the end"));
            }
            Read::Broken => {
                end.transport_failed(self.now, ErrorKind::ConnectionReset);
                self.note(format_args!("{at} is reset"));
            }
        }
        self.after(at);
        self.take_events(at);
        true
    }

    /// The application takes some events, or all, or none.
    fn take_events(&mut self, at: usize) -> bool {
        let most = self.random.pick(&[0, 1, 3, usize::MAX, usize::MAX]);
        let mut taken = 0;
        while taken < most && self.take_event(at) {
            taken += 1;
        }
        taken > 0
    }

    /// The application takes one event, and answers one message in four.
    fn take_event(&mut self, at: usize) -> bool {
        if self.asleep[at] {
            return false;
        }
        let [first, second] = &mut self.ends;
        let (end, peer) = if at == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let taken_before = end.taken();
        let any = end.take_event(peer.accepted());
        let is_message = end.taken() > taken_before;
        // If there was none, that may have begun the connection's failure.
        self.after(at);
        if is_message && self.random.chance(25) {
            self.send(at);
        }
        any
    }

    /// Both ends look at the clock; first into the transport, as they have to, if a deadline has come.
    fn tick(&mut self) {
        for at in 0..2 {
            let deadline = self.ends[at].connection().poll_timeout();
            if deadline.is_some_and(|deadline| deadline <= self.now) {
                self.look_for_input(at);
            }
            let [first, second] = &mut self.ends;
            let (end, peer) = if at == 0 {
                (first, second)
            } else {
                (second, first)
            };
            end.tick(self.now, peer.accepted());
            self.after(at);
            self.take_events(at);
        }
    }

    fn advance_by(&mut self, millis: usize) {
        self.now += self.random.millis(millis);
        self.tick();
    }

    /// One of the things that can be done without the clock's going on; whether there was anything
    /// to do.
    fn work(&mut self, what: usize) -> bool {
        let at = what % 2;
        match what / 2 {
            0 => self.write(at),
            1 => self.read(at),
            _ => self.take_event(at),
        }
    }

    /// Does all of them in a random order until nothing is left.
    fn work_all(&mut self) {
        let mut progress = true;
        while progress {
            for _ in 0..12 {
                let what = self.random.below(6);
                self.work(what);
            }
            progress = (0..6).any(|what| self.work(what));
            assert!(self.steps < PATIENCE, "no end: {}", self.describe());
        }
    }

    /// The next time at which something happens, if ever.
    fn next_time(&self, with_deadlines: bool) -> Option<Instant> {
        let of = |at: usize| {
            let end = &self.ends[at];
            let reads = !end.transport_gone && !end.eof_read && !self.asleep[at];
            let network = self.network.next_event(at).filter(|_| reads);
            let deadline = end.connection().poll_timeout().filter(|_| with_deadlines);
            network.into_iter().chain(deadline)
        };
        (0..2).flat_map(of).filter(|time| *time > self.now).min()
    }

    /// The applications do nothing for a while.
    fn rest(&mut self) {
        let until = self.now + self.random.millis(1000);
        self.work_all();
        while let Some(time) = self.next_time(true).filter(|time| *time <= until) {
            self.now = time;
            self.tick();
            self.work_all();
        }
    }

    /// Lets the network work until all is quiet: then everything has been delivered, the newest
    /// Ping is answered, and next to nothing is held.
    fn settle(&mut self) {
        loop {
            self.work_all();
            match self.next_time(false) {
                Some(time) => self.now = time,
                None => break,
            }
        }
        for at in 0..2 {
            let (end, peer) = (&self.ends[at], &self.ends[1 - at]);
            if !(self.healthy && end.is_open() && peer.is_open()) {
                return;
            }
            assert_eq!(end.taken(), peer.accepted().len(), "{}", self.describe());
            assert!(end.newest_ping_is_answered(), "{}", self.describe());
            assert!(end.is_light(), "{}", self.describe());
        }
    }

    /// Lets the network and the clock work until both ends are over.
    fn finish(&mut self) {
        loop {
            self.work_all();
            for at in 0..2 {
                if self.ends[1 - at].end.is_some() && self.asleep[at] {
                    self.asleep[at] = false;
                    self.work_all();
                }
            }
            if self.ends.iter().all(|end| end.end.is_some()) {
                return;
            }
            match self.next_time(true) {
                Some(time) => {
                    self.now = time;
                    self.tick();
                }
                None => self.give_up(),
            }
            assert!(self.steps < PATIENCE, "no end: {}", self.describe());
        }
    }

    /// Nothing will ever happen again. That is right only if the network has lost something, or an
    /// application sleeps: then it is up to an application to close.
    fn give_up(&mut self) {
        assert!(!self.healthy, "hangs: {}", self.describe());
        let asleep = std::mem::take(&mut self.asleep);
        let open = (0..2).find(|at| self.ends[*at].is_open());
        match open {
            Some(at) => self.end(at, Ending::Close),
            None => assert_ne!(asleep, [false; 2], "hangs: {}", self.describe()),
        }
    }

    /// Whether the network is so fast that no time-out for the peer's Close frame cuts off the
    /// messages before it.
    fn is_swift(&self) -> bool {
        let bytes = self.ends.iter().map(Endpoint::accepted_wire).max();
        let trips = bytes.unwrap_or(0) / self.slowest as u64 + 4;
        trips * (self.latency as u64) < 10_000
    }

    /// What holds when all is over.
    fn judge(mut self) -> Outcome {
        self.note(format_args!("{}", self.describe()));
        let mut outcome = Outcome {
            steps: self.steps,
            delivered: 0,
            lost: 0,
            clean: true,
            asks: self.ends.iter().map(|end| end.watch.asks).sum(),
            silent: false,
            idle: self.ends.iter().any(|end| end.idled),
        };
        for (from, to) in [(0, 1), (1, 0)] {
            let (sender, receiver) = (&self.ends[from], &self.ends[to]);
            let (accepted, delivered) = (sender.accepted().len(), receiver.taken());
            outcome.delivered += delivered;
            outcome.lost += accepted - delivered;
            let end = receiver.end.expect("closed");
            outcome.clean &= end.clean;
            outcome.silent |= end.error == Some(Cause::Silent);
            // A clean end at the receiver means that it has got everything. One at the sender means
            // that the transport has taken everything, which `Endpoint` has seen to.
            assert!(!end.clean || delivered == accepted, "{}", self.describe());
            assert!(!self.healthy || end.clean, "{}", self.describe());
        }
        for end in &mut self.ends {
            end.drop_connection();
        }
        outcome
    }

    fn describe(&self) -> String {
        let [first, second] = &self.ends;
        format!("\n{}\n{}", first.describe(), second.describe())
    }
}

/// Whether no time-out and no limit of this configuration comes into play when all goes well.
fn is_patient(config: &Config) -> bool {
    let keep_alive = config.keep_alive.map(|keep| keep.timeout);
    let waits = keep_alive.into_iter().chain([config.timeouts.closing]);
    waits.min() >= Some(Duration::from_secs(10))
}

fn config(random: &mut Random) -> Config {
    let mut config = match random.below(2) {
        0 => Config::default(),
        _ => Config::server(),
    };
    config.fragment_size = random
        .pick(&[None, None, Some(7), Some(1000), Some(5000)])
        .and_then(NonZeroUsize::new);
    if random.chance(30) {
        config.limits = Limits {
            max_message_size: random.pick(&[100, 1000, 70_000]),
            max_pending_output: random.pick(&[0, 10, 1000, 70_000]),
            ..config.limits
        };
    }
    if random.chance(25) {
        let mut brief = || Duration::from_millis(1 + random.below(150) as u64);
        config.timeouts = Timeouts {
            closing: brief(),
            tcp_close: brief(),
            failing: brief(),
            stalled_write: Some(brief()),
            idle: None,
        };
    }
    if random.chance(20) {
        let most = random.pick(&[20, 200, 2000]);
        config.timeouts.idle = Some(Duration::from_millis(1 + random.below(most) as u64));
    }
    if random.chance(30) {
        let most = random.pick(&[15, 150]);
        let mut up_to = |most| Duration::from_millis(1 + random.below(most) as u64);
        let interval = up_to(most);
        let timeout = match up_to(3).as_millis() {
            1 => up_to(20),
            2 => up_to(500),
            // Longer than a peer can take that lives.
            _ => Duration::from_secs(15),
        };
        config.keep_alive = Some(KeepAlive { interval, timeout });
    }
    config
}
