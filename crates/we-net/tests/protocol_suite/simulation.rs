//! Two endpoints and a network between them, with a clock of its own, with and without compression: latency, chunking, partial
//! writes, lost connections, callers that take events late and answer some, and calls in random
//! order. Whatever happens, the promises of the interface hold.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate};
use we_net::protocol::{
    CloseCode, Closure, Config, Connection, Event, FrameHeader, Message, OpCode, Role, State,
};

use crate::support::gather;

/// Repeatable random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }
}

enum Packet {
    Bytes(Vec<u8>),
    Fin,
}

/// Reads the bytes that an endpoint writes with eyes of its own: counts payload, and sees to it
/// that nothing follows a Close frame.
#[derive(Default)]
struct WireMeter {
    pending: Vec<u8>,
    payload_left: usize,
    counts: bool,
    payload: u64,
    pongs: usize,
    close_seen: bool,
}

impl WireMeter {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.payload_left > 0 {
                self.payload_left -= 1;
                self.payload += u64::from(self.counts);
                continue;
            }
            assert!(!self.close_seen, "a frame after the Close frame");
            self.pending.push(byte);
            let Some((header, _)) = FrameHeader::parse(&self.pending).unwrap() else {
                continue;
            };
            self.pending.clear();
            self.payload_left = header.payload_len as usize;
            self.counts = !header.opcode.is_control();
            self.pongs += usize::from(header.opcode == OpCode::Pong);
            self.close_seen = header.opcode == OpCode::Close;
        }
    }
}

struct End {
    connection: Connection,
    /// Packets on their way to this end, with their time of arrival.
    incoming: VecDeque<(Instant, Packet)>,
    accepted: Vec<Message>,
    accepted_bytes: u64,
    received: Vec<Message>,
    pings_received: usize,
    closure: Option<Closure>,
    /// Whether this end has begun to close.
    closing: bool,
    meter: WireMeter,
    compresses: bool,
    shut_down: bool,
    transport_gone: bool,
}

impl End {
    fn new(role: Role, config: Config, mut masks: Random) -> Self {
        let mask_source = move || (masks.next() as u32).to_be_bytes();
        Self {
            connection: Connection::new(role, config).with_mask_source(mask_source),
            incoming: VecDeque::new(),
            accepted: Vec::new(),
            accepted_bytes: 0,
            received: Vec::new(),
            pings_received: 0,
            closure: None,
            closing: false,
            meter: WireMeter::default(),
            compresses: false,
            shut_down: false,
            transport_gone: false,
        }
    }

    fn compress(&mut self, params: &DeflateParams) {
        let config = DeflateConfig {
            threshold: 5,
            ..DeflateConfig::default()
        };
        let deflate = PerMessageDeflate::new(self.connection.role(), &config, params);
        let connection = Connection::new(Role::Client, Config::default());
        let connection = std::mem::replace(&mut self.connection, connection);
        self.connection = connection.with_extension(Box::new(deflate));
        self.compresses = true;
    }

    /// Takes one event; answers a message if it is told to.
    fn take_event(&mut self, now: Instant, answer: Option<&Message>) -> Option<Event> {
        let event = self.connection.poll_event()?;
        assert!(self.closure.is_none(), "{event:?} after Closed");
        match &event {
            Event::Message(message) => {
                self.received.push(message.clone());
                // Whatever came behind it, a message can be answered.
                let open = !self.closing && !self.connection.is_terminated();
                assert_eq!(self.connection.state() == State::Open, open);
                if let Some(answer) = answer.filter(|_| open) {
                    self.connection.send(now, answer.clone()).unwrap();
                    self.accept(answer.clone());
                }
            }
            Event::Ping(_) => self.pings_received += 1,
            Event::Pong(_) => {}
            Event::CloseReceived(_) => assert_ne!(self.connection.state(), State::Open),
            Event::Closed(closure) => self.closure = Some(closure.clone()),
        }
        Some(event)
    }

    fn accept(&mut self, message: Message) {
        self.accepted_bytes += message.len() as u64;
        self.accepted.push(message);
    }

    fn drain_events(&mut self, now: Instant) {
        while self.take_event(now, None).is_some() {}
        assert_eq!(self.closure.is_some(), self.connection.is_terminated());
        self.check();
    }

    fn check(&self) {
        let over = self.connection.is_terminated();
        assert_eq!(over, self.connection.state() == State::Closed);
        assert!(over || self.closure.is_none());
        if over {
            assert!(!self.connection.wants_write());
            assert!(!self.connection.wants_shutdown());
            assert_eq!(self.connection.poll_timeout(), None);
        }
        let buffered = self.connection.buffered_amount();
        if self.compresses {
            assert!(buffered <= self.accepted_bytes);
        } else {
            assert_eq!(buffered, self.accepted_bytes - self.meter.payload);
        }
    }
}

struct Simulation {
    now: Instant,
    random: Random,
    ends: [End; 2],
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
        let mut config = || {
            let sizes = [None, Some(7), Some(1000), Some(5000)];
            Config {
                fragment_size: sizes[random.below(sizes.len())].and_then(NonZeroUsize::new),
                ..Config::default()
            }
        };
        let (client, server) = (config(), config());
        let mut masks = || Random(random.next() | 1);
        let mut ends = [
            End::new(Role::Client, client, masks()),
            End::new(Role::Server, server, masks()),
        ];
        if seed % 2 == 1 {
            let params = DeflateParams {
                server_no_context_takeover: seed.is_multiple_of(3),
                client_no_context_takeover: seed.is_multiple_of(5),
                ..DeflateParams::default()
            };
            ends.iter_mut().for_each(|end| end.compress(&params));
        }
        Self {
            now: Instant::now(),
            random,
            ends,
        }
    }

    /// One call of the application's or one step of the network's.
    fn step(&mut self) {
        let at = self.random.below(2);
        match self.random.below(100) {
            0..30 => self.send(at),
            30..60 => self.write(at),
            60..85 => self.deliver(at),
            85..92 => self.now += Duration::from_millis(self.random.below(50) as u64),
            92..97 => {
                let payload = vec![7; self.random.below(126)];
                let _ = self.ends[at].connection.ping(self.now, &payload);
            }
            _ => self.tick(),
        }
        (0..2).for_each(|at| self.take_events(at));
    }

    /// The application takes some of the events, or all, or none, and answers one message in four.
    fn take_events(&mut self, at: usize) {
        let most = [0, 1, 3, usize::MAX][self.random.below(4)];
        for _ in 0..most {
            let answer = (self.random.below(4) == 0).then(|| Message::text("answer"));
            let taken = self.ends[at].take_event(self.now, answer.as_ref());
            if taken.is_none() {
                break;
            }
        }
        self.ends[at].check();
    }

    fn send(&mut self, at: usize) {
        let lens = [0, 1, 5, 125, 126, 300, 5000, 70_000];
        let len = lens[self.random.below(lens.len())];
        let letter = b'a' + self.random.below(26) as u8;
        let message = if self.random.below(2) == 0 {
            Message::text(String::from_utf8(vec![letter; len]).unwrap())
        } else {
            Message::binary(vec![letter; len])
        };
        let end = &mut self.ends[at];
        let open = end.connection.state() == State::Open;
        let sent = end.connection.send(self.now, message.clone());
        assert_eq!(sent.is_ok(), open);
        match sent {
            Ok(()) => end.accept(message),
            Err(error) => assert_eq!(error.message, message),
        }
    }

    /// The transport takes some of the output, or all that is shown, or nothing.
    fn write(&mut self, at: usize) {
        let (now, other) = (self.now, 1 - at);
        let most = [0, 1, 3, 50, 4000, 100_000][self.random.below(6)];
        let latency = Duration::from_millis(self.random.below(30) as u64);
        let room = self.random.below(5);
        let end = &mut self.ends[at];
        if end.transport_gone {
            return;
        }
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = end.connection.output(&mut slices[..room]);
        let mut bytes = gather(&slices[..filled]);
        bytes.truncate(most);
        end.meter.write(&bytes);
        end.connection.output_written(now, bytes.len());
        if !bytes.is_empty() {
            self.post(other, latency, Packet::Bytes(bytes));
        }
        let end = &mut self.ends[at];
        if end.connection.wants_shutdown() && !end.shut_down {
            end.shut_down = true;
            self.post(other, latency, Packet::Fin);
        }
        self.drop_transport_if_over(at);
    }

    /// An end that is over drops its transport; the other end reads EOF.
    fn drop_transport_if_over(&mut self, at: usize) {
        let end = &mut self.ends[at];
        if end.connection.is_terminated() && !end.transport_gone {
            end.transport_gone = true;
            if !std::mem::replace(&mut end.shut_down, true) {
                self.post(1 - at, Duration::ZERO, Packet::Fin);
            }
        }
    }

    fn post(&mut self, to: usize, latency: Duration, packet: Packet) {
        let queue = &mut self.ends[to].incoming;
        let last = queue.back().map_or(self.now, |(time, _)| *time);
        queue.push_back((last.max(self.now + latency), packet));
    }

    /// Hands over some of what has arrived.
    fn deliver(&mut self, at: usize) {
        let most = [1, 2, 10, 1000, 100_000][self.random.below(5)];
        let now = self.now;
        let end = &mut self.ends[at];
        if end.incoming.front().is_none_or(|(time, _)| *time > now) {
            return;
        }
        match end.incoming.pop_front() {
            Some((time, Packet::Bytes(mut bytes))) => {
                if bytes.len() > most {
                    end.incoming
                        .push_front((time, Packet::Bytes(bytes.split_off(most))));
                }
                if !end.transport_gone {
                    end.connection.receive(now, &bytes);
                }
            }
            Some((_, Packet::Fin)) if !end.transport_gone => end.connection.receive_eof(now),
            _ => {}
        }
        self.take_events(at);
        self.drop_transport_if_over(at);
    }

    fn tick(&mut self) {
        for at in 0..2 {
            self.ends[at].connection.handle_timeout(self.now);
            self.take_events(at);
            self.drop_transport_if_over(at);
        }
    }

    fn close(&mut self, at: usize) {
        let code = CloseCode::new(3000 + at as u16).unwrap();
        self.ends[at].closing = true;
        self.ends[at].connection.close(self.now, Some(code.into()));
    }

    /// The network is gone: packets are lost, both ends find out.
    fn lose_connection(&mut self) {
        for at in 0..2 {
            let end = &mut self.ends[at];
            end.incoming.clear();
            end.transport_gone = true;
            end.connection
                .transport_failed(self.now, ErrorKind::ConnectionReset);
            end.drain_events(self.now);
        }
    }

    /// Lets the network work until both ends are closed.
    fn run_to_the_end(&mut self) {
        for _ in 0..2_000_000 {
            if self.ends.iter().all(|end| end.closure.is_some()) {
                return;
            }
            let at = self.random.below(2);
            match self.random.below(3) {
                0 => self.write(at),
                1 => self.deliver(at),
                _ => self.now += Duration::from_millis(1),
            }
            self.tick();
        }
        panic!(
            "no end: {:?} {:?}",
            self.ends[0].connection, self.ends[1].connection
        );
    }

    fn check_deliveries(&self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let (sender, receiver) = (&self.ends[from], &self.ends[to]);
            let delivered = receiver.received.len();
            assert!(delivered <= sender.accepted.len());
            assert!(
                receiver.received == sender.accepted[..delivered],
                "order or content"
            );
            // A clean end at the receiver means that it has got everything.
            if receiver
                .closure
                .as_ref()
                .is_some_and(|closure| closure.clean)
            {
                assert_eq!(delivered, sender.accepted.len());
            }
            assert!(sender.meter.pongs <= sender.pings_received);
        }
    }
}

fn for_seeds(count: u64, test: impl Fn(u64, &mut Simulation) + std::panic::RefUnwindSafe) {
    for seed in 0..count {
        let run = std::panic::catch_unwind(|| test(seed, &mut Simulation::new(seed)));
        assert!(run.is_ok(), "failed with seed {seed}");
    }
}

#[test]
fn every_accepted_message_arrives_once_and_in_order() {
    for_seeds(80, |seed, simulation| {
        for _ in 0..300 {
            simulation.step();
        }
        simulation.close(seed as usize % 2);
        if seed % 5 == 0 {
            simulation.close(1 - seed as usize % 2);
        }
        for _ in 0..seed % 50 {
            simulation.step();
        }
        simulation.run_to_the_end();
        simulation.check_deliveries();
        for end in &simulation.ends {
            let closure = end.closure.as_ref().unwrap();
            assert!(closure.clean, "{closure:?}");
            assert_eq!(end.connection.buffered_amount(), 0);
        }
        // Each end sees the code of the other's Close frame, which is an echo unless they crossed.
        let codes = simulation
            .ends
            .each_ref()
            .map(|end| end.closure.as_ref().unwrap().code);
        assert!(codes.iter().all(|code| (3000..=3001).contains(code)));
        if seed % 5 != 0 {
            assert_eq!(codes, [3000 + seed as u16 % 2; 2]);
        }
    });
}

#[test]
fn lost_connection_ends_both_sides_with_an_error_and_loses_only_the_last_messages() {
    for_seeds(80, |seed, simulation| {
        for _ in 0..seed * 3 {
            simulation.step();
        }
        if seed % 3 == 0 {
            simulation.close(0);
            for _ in 0..seed % 20 {
                simulation.step();
            }
        }
        simulation.lose_connection();
        simulation.check_deliveries();
        for end in &simulation.ends {
            let closure = end.closure.as_ref().unwrap();
            assert_eq!(closure.clean, closure.error.is_none());
            if seed % 3 != 0 {
                assert_eq!(closure.code, 1006);
            }
        }
    });
}

#[test]
fn silent_peer_is_ended_by_the_closing_timer() {
    for_seeds(50, |seed, simulation| {
        for _ in 0..seed {
            simulation.step();
        }
        simulation.close(0);
        // Nothing is delivered any more, yet the transport takes what is written.
        let mut steps = 0;
        while simulation.ends[0].closure.is_none() {
            simulation.write(0);
            simulation.now += Duration::from_millis(100);
            simulation.tick();
            steps += 1;
            assert!(steps < 5_000, "no end");
        }
        let closure = simulation.ends[0].closure.as_ref().unwrap();
        assert_eq!((closure.clean, closure.code), (false, 1006));
    });
}

#[test]
fn aborting_at_any_time_ends_both_sides() {
    for_seeds(100, |seed, simulation| {
        for _ in 0..seed * 2 {
            simulation.step();
        }
        let at = seed as usize % 2;
        simulation.ends[at].connection.abort();
        simulation.ends[at].drain_events(simulation.now);
        simulation.drop_transport_if_over(at);
        simulation.run_to_the_end();
        simulation.check_deliveries();
        assert!(
            simulation
                .ends
                .iter()
                .all(|end| !end.closure.as_ref().unwrap().clean)
        );
    });
}
