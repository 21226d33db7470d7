//! One endpoint: the library's connection and an application that notes what it did and saw, and
//! holds each call against what the interface promises.

use std::io::{ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate, WindowBits};
use we_net::protocol::{
    CloseCode, CloseFrame, Config, Connection, ConnectionError, Event, Refusal, Role, State,
};

use crate::memory::Account;
use crate::parcel::Parcel;
use crate::random::Random;
use crate::wire::Wire;

/// What one connection may hold besides what waits: small buffers that are kept, the Pongs that it
/// owes, a few Pings.
const FIXED: usize = 8 << 10;

/// The longest header. How much of one has been written is not seen until it is whole.
const MAX_HEADER: usize = 14;

/// Small frames are gathered in blocks of this size, given back when they are written.
const BLOCK: usize = 64 << 10;

/// Pongs that wait to be answered or written: of more Pings only the newest is answered.
const MAX_PONGS: usize = 2 * 16;

/// What a compressor and a decompressor hold, with windows of 15 bits.
const COMPRESSION: usize = 420 << 10;

/// What compression keeps for each thread.
const SCRATCH: usize = 32 << 10;

/// An event, without what it owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Message { is_expected: bool },
    Ping(u64),
    Pong(u64),
    CloseReceived(Option<u16>),
    Closed(End),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub clean: bool,
    pub code: u16,
    pub error: Option<Cause>,
}

/// Why it was not closed cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    TooBig,
    Aborted,
    Local,
    Eof,
    Transport,
    ClosingTimeout,
    NotReading,
    /// What no peer of these schedules does.
    Offence,
}

impl Cause {
    fn of(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::MessageTooBig { .. } => Self::TooBig,
            ConnectionError::Aborted => Self::Aborted,
            ConnectionError::Local(_) => Self::Local,
            ConnectionError::UnexpectedEof => Self::Eof,
            ConnectionError::Transport(_) => Self::Transport,
            ConnectionError::ClosingTimeout => Self::ClosingTimeout,
            ConnectionError::PeerNotReading => Self::NotReading,
            _ => Self::Offence,
        }
    }
}

/// How the application ends a connection, or has ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Close,
    Fail,
    Abort,
}

/// The most that has waited since nothing last did.
#[derive(Default)]
struct HighWater(usize);

impl HighWater {
    fn note(&mut self, waiting: usize) -> usize {
        self.0 = if waiting == 0 { 0 } else { self.0.max(waiting) };
        self.0
    }
}

/// permessage-deflate as the two ends have agreed on it.
#[derive(Clone, Copy, Debug)]
pub struct Compression {
    pub config: DeflateConfig,
    pub params: DeflateParams,
}

impl Compression {
    pub fn random(random: &mut Random) -> Self {
        let mut bits = || WindowBits::new(8 + random.below(8) as u8).unwrap();
        let params = DeflateParams {
            server_max_window_bits: bits(),
            client_max_window_bits: bits(),
            server_no_context_takeover: random.chance(30),
            client_no_context_takeover: random.chance(30),
        };
        let config = DeflateConfig {
            threshold: random.pick(&[0, 5, 256]),
            ..DeflateConfig::default()
        };
        Self { config, params }
    }

    /// What forgets its window is shared by the connections of a thread, and nobody's memory.
    fn shares_memory(&self) -> bool {
        self.params.server_no_context_takeover || self.params.client_no_context_takeover
    }
}

pub struct Endpoint {
    connection: Option<Connection>,
    account: Account,
    config: Config,
    compressed: bool,
    shares_memory: bool,
    /// What it has written and what it has read.
    pub written: Wire,
    pub read: Wire,
    accepted: Vec<Parcel>,
    accepted_bytes: u64,
    /// What its messages take on the wire, at most.
    accepted_wire: u64,
    /// That, and what it had written of data frames, when nothing last waited.
    at_rest: (u64, u64),
    /// Messages that it has taken.
    taken: usize,
    /// All events that it has taken.
    events_taken: usize,
    pings_sent: Vec<u64>,
    pings_seen: usize,
    pongs_seen: usize,
    /// Pongs that it had written when it last read.
    pongs_before: usize,
    close_seen: bool,
    ending: Option<Ending>,
    /// When the transport last took something.
    last_written: Option<Instant>,
    /// Whether a deadline has ended the wait for the application.
    timed_out: bool,
    pub end: Option<End>,
    pub eof_read: bool,
    /// Whether it may fail: by its application's wish, or because the peer has been given a message
    /// beyond the limit of this end.
    pub fails: bool,
    pub shut_down: bool,
    pub transport_gone: bool,
    out_high: HighWater,
    in_high: HighWater,
    events_high: HighWater,
}

impl Endpoint {
    pub fn new(
        role: Role,
        config: Config,
        compression: Option<&Compression>,
        mut masks: Random,
    ) -> Self {
        let mut account = Account::default();
        let mask_source = move || (masks.next() as u32).to_be_bytes();
        let connection = account.charge(|| {
            let connection = Connection::new(role, config.clone()).with_mask_source(mask_source);
            match compression {
                Some(Compression { config, params }) => {
                    let deflate = PerMessageDeflate::new(role, config, params);
                    connection.with_extension(Box::new(deflate))
                }
                None => connection,
            }
        });
        let peer = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let compressed = compression.is_some();
        let shares_memory = compression.is_some_and(Compression::shares_memory);
        Self {
            connection: Some(connection),
            account,
            config,
            compressed,
            shares_memory,
            written: Wire::from(role, compressed),
            read: Wire::from(peer, compressed),
            accepted: Vec::new(),
            accepted_bytes: 0,
            accepted_wire: 0,
            at_rest: (0, 0),
            taken: 0,
            events_taken: 0,
            pings_sent: Vec::new(),
            pings_seen: 0,
            pongs_seen: 0,
            pongs_before: 0,
            close_seen: false,
            ending: None,
            last_written: None,
            timed_out: false,
            end: None,
            eof_read: false,
            fails: false,
            shut_down: false,
            transport_gone: false,
            out_high: HighWater::default(),
            in_high: HighWater::default(),
            events_high: HighWater::default(),
        }
    }

    pub fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("not dropped")
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Connection) -> T) -> T {
        let connection = self.connection.as_mut().expect("not dropped");
        self.account.charge(|| call(connection))
    }

    pub fn is_open(&self) -> bool {
        self.connection().state() == State::Open
    }

    pub fn is_over(&self) -> bool {
        self.connection().is_terminated()
    }

    /// What its messages have taken, or will take, on the wire.
    pub fn accepted_wire(&self) -> u64 {
        self.accepted_wire
    }

    pub fn accepted(&self) -> &[Parcel] {
        &self.accepted
    }

    pub fn taken(&self) -> usize {
        self.taken
    }

    pub fn max_message_size(&self) -> usize {
        self.config.limits.max_message_size
    }

    /// Whether the peer's application would have to wait: so many messages wait to be taken here.
    pub fn waiting_messages(&self) -> usize {
        self.read.messages.saturating_sub(self.taken)
    }

    pub fn send(&mut self, now: Instant, parcel: Parcel, by_copy: bool) -> bool {
        let state = self.connection().state();
        let unwritten = self.unwritten_wire();
        let refusal = self.call(|connection| {
            if by_copy {
                return connection.send_ref(now, parcel.as_ref()).err();
            }
            let message = parcel.to_message();
            let error = connection.send(now, message).err()?;
            assert!(parcel.is(&error.message), "another message comes back");
            Some(error.refusal)
        });
        let limit = self.config.limits.max_pending_output;
        match refusal {
            None => {
                assert_eq!(state, State::Open, "accepted");
                let alone = unwritten == 0;
                let after = unwritten + self.wire_len(parcel.len());
                assert!(
                    self.compressed || alone || after <= limit.saturating_add(MAX_HEADER) as u64,
                    "beyond the limit"
                );
                self.accepted.push(parcel);
                self.accepted_bytes += parcel.len() as u64;
                self.accepted_wire += self.wire_len(parcel.len());
            }
            Some(Refusal::Full) => {
                assert_eq!(state, State::Open);
                let frames = self.frame_lens(parcel.len()).count();
                let most = unwritten as usize + parcel.len() + frames * MAX_HEADER;
                let full = most > limit;
                assert!(full, "refused with room for it");
            }
            Some(Refusal::Closing) => assert_eq!(state, State::Closing),
            Some(refusal) => assert_eq!((state, refusal), (State::Closed, Refusal::Closed)),
        }
        refusal.is_none()
    }

    /// The payloads of the frames in which a message of this length goes out.
    fn frame_lens(&self, len: usize) -> impl Iterator<Item = usize> + use<> {
        let size = self.config.fragment_size.map_or(usize::MAX, usize::from);
        let count = len.div_ceil(size).max(1);
        (0..count).map(move |at| size.min(len - at.saturating_mul(size)))
    }

    /// What a message of this length takes on the wire if it is not compressed.
    fn wire_len(&self, len: usize) -> u64 {
        let mask = match self.connection().role() {
            Role::Client => 4,
            Role::Server => 0,
        };
        let frame = |len: usize| match len {
            0..=125 => 2 + mask + len,
            126..=0xFFFF => 4 + mask + len,
            _ => 10 + mask + len,
        };
        self.frame_lens(len).map(frame).sum::<usize>() as u64
    }

    /// What of that may wait to be written.
    fn unwritten_wire(&self) -> u64 {
        let (accepted, framed) = self.at_rest;
        (self.accepted_wire - accepted).saturating_sub(self.written.framed - framed)
    }

    pub fn ping(&mut self, now: Instant, number: u64, padding: usize) {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(8 + padding, 0);
        let open = self.is_open();
        match self.call(|connection| connection.ping(now, &payload)) {
            Ok(()) => {
                assert!(open);
                self.pings_sent.push(number);
            }
            Err(Refusal::Full) => assert!(open && self.connection().wants_write()),
            Err(_) => assert!(!open),
        }
    }

    pub fn end_by(&mut self, now: Instant, ending: Ending, code: u16) {
        let code = CloseCode::new(code).unwrap();
        self.call(|connection| match ending {
            Ending::Close => connection.close(now, Some(code.into())),
            Ending::Fail => connection.fail(now, CloseFrame::from(code)),
            Ending::Abort => connection.abort(),
        });
        self.ending.get_or_insert(ending);
        self.fails |= ending == Ending::Fail;
        assert!(!self.is_open());
        assert!(ending != Ending::Abort || self.is_over());
    }

    /// The bytes to write next, as a transport with room for so many slices and bytes sees them.
    pub fn output(&mut self, slices: usize, most: usize) -> Vec<u8> {
        let connection = self.connection.as_mut().expect("not dropped");
        let wants_write = connection.wants_write();
        let mut shown = [IoSlice::new(&[]); 4];
        let slices = &mut shown[..slices];
        let filled = self.account.charge(move || connection.output(slices));
        assert!(filled == 0 || wants_write);
        let mut bytes = Vec::new();
        for slice in &shown[..filled] {
            assert!(!slice.is_empty());
            let room = most - bytes.len();
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        bytes
    }

    pub fn output_written(&mut self, now: Instant, bytes: &[u8]) {
        assert!(!self.is_over(), "written after the end");
        self.written.see(bytes);
        self.last_written = Some(now);
        self.call(|connection| connection.output_written(now, bytes.len()));
    }

    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        if self.read.close.is_none() {
            self.read.see(bytes);
        }
        self.pongs_before = self.written.pongs.len();
        self.call(|connection| connection.receive(now, bytes));
    }

    pub fn receive_eof(&mut self, now: Instant) {
        self.eof_read = true;
        self.call(|connection| connection.receive_eof(now));
    }

    pub fn transport_failed(&mut self, now: Instant, kind: ErrorKind) {
        self.call(|connection| connection.transport_failed(now, kind));
        assert!(self.is_over());
    }

    /// The clock has been looked at.
    pub fn tick(&mut self, now: Instant) {
        let (was_open, was_over) = (self.is_open(), self.is_over());
        self.call(|connection| connection.handle_timeout(now));
        self.timed_out |= was_open && !self.is_open();
        if self.is_over() && !was_over {
            // As long as output makes progress, nothing is wrong with the peer.
            let timeouts = &self.config.timeouts;
            let closed = self.written.close.is_some() && self.read.close.is_some();
            let failing = self.fails;
            let patience = if closed || failing {
                Duration::ZERO
            } else if was_open && self.read.close.is_none() {
                timeouts.stalled_write.expect("a time-out")
            } else {
                timeouts.closing
            };
            let waited = self.last_written.is_none_or(|time| now - time >= patience);
            assert!(waited, "no patience");
        }
        let next = self.connection().poll_timeout();
        assert!(next.is_none_or(|next| next > now), "a deadline passed by");
    }

    /// Takes one event; whether there was one.
    pub fn take_event(&mut self, peer: &[Parcel]) -> bool {
        let expected = peer.get(self.taken).copied();
        let event = self.call(|connection| {
            Some(match connection.poll_event()? {
                Event::Message(message) => Seen::Message {
                    is_expected: expected.is_some_and(|parcel| parcel.is(&message)),
                },
                Event::Ping(payload) => Seen::Ping(number(&payload)),
                Event::Pong(payload) => Seen::Pong(number(&payload)),
                Event::CloseReceived(frame) => {
                    Seen::CloseReceived(frame.map(|frame| frame.code.get()))
                }
                Event::Closed(closure) => Seen::Closed(End {
                    clean: closure.clean,
                    code: closure.code,
                    error: closure.error.as_ref().map(Cause::of),
                }),
            })
        });
        let Some(event) = event else {
            assert_eq!(self.end.is_some(), self.is_over());
            return false;
        };
        assert!(self.end.is_none(), "{event:?} after Closed");
        self.events_taken += 1;
        match event {
            Seen::Message { is_expected } => {
                assert!(!self.close_seen, "a message after the Close frame");
                assert!(is_expected, "message {} is another one", self.taken);
                self.taken += 1;
                assert!(self.taken <= self.read.messages);
                // Whatever came behind it, a message can be answered.
                let open = self.ending.is_none() && !self.timed_out && !self.is_over();
                assert_eq!(self.is_open(), open, "after a message");
            }
            Seen::Ping(number) => {
                assert_eq!(self.read.pings.get(self.pings_seen), Some(&number));
                self.pings_seen += 1;
            }
            Seen::Pong(number) => {
                assert_eq!(self.read.pongs.get(self.pongs_seen), Some(&number));
                self.pongs_seen += 1;
            }
            Seen::CloseReceived(code) => {
                assert!(!self.is_open());
                assert!(!std::mem::replace(&mut self.close_seen, true), "twice");
                assert_eq!(Some(code.unwrap_or(1005)), self.read.close_code());
            }
            Seen::Closed(end) => self.on_closed(end),
        }
        true
    }

    fn on_closed(&mut self, end: End) {
        self.end = Some(end);
        assert_eq!(end.clean, end.error.is_none(), "{end:?}");
        assert_ne!(end.error, Some(Cause::Offence), "nobody broke a rule");
        if end.clean {
            assert!(self.written.close.is_some() && self.close_seen);
            let is_server = self.connection().role() == Role::Server;
            assert!(
                is_server || !self.shut_down,
                "the client ends the transport"
            );
            assert_eq!(Some(end.code), self.read.close_code());
            assert_eq!(self.connection().buffered_amount(), 0, "never written");
        } else {
            let codes = [Some(1006), self.read.close_code()];
            assert!(codes.contains(&Some(end.code)), "{end:?}");
        }
        let expected = match self.ending {
            None => !matches!(end.error, Some(Cause::Local | Cause::Aborted)),
            Some(_) => true,
        };
        assert!(expected, "{end:?} after {:?}", self.ending);
    }

    /// What holds after every step.
    pub fn check(&mut self, now: Instant, peer: &[Parcel]) {
        let connection = self.connection();
        let over = connection.is_terminated();
        assert_eq!(over, connection.state() == State::Closed);
        assert!(over || self.end.is_none());
        if over {
            assert!(!connection.wants_write(), "output after the end");
            assert!(!connection.wants_shutdown());
            assert_eq!(connection.poll_timeout(), None);
        } else {
            self.check_deadline(now);
        }
        self.check_end_of_transport();

        let unwritten = self.accepted_bytes.saturating_sub(self.written.payload);
        let buffered = connection.buffered_amount();
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

    /// A connection that is ending always has a time at which it will have ended.
    fn check_deadline(&self, now: Instant) {
        let connection = self.connection();
        let deadline = connection.poll_timeout();
        let timeouts = &self.config.timeouts;
        let ending = connection.state() == State::Closing || self.read.close.is_some();
        let stalled = connection.wants_write() && timeouts.stalled_write.is_some();
        assert!(deadline.is_some() || !(ending || stalled), "may hang");
        let longest = [timeouts.closing, timeouts.tcp_close, timeouts.failing]
            .into_iter()
            .chain(timeouts.stalled_write)
            .max();
        let latest = longest.map(|longest| now + longest);
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
        let events =
            (self.read.messages + self.read.controls + 2).saturating_sub(self.events_taken);
        let idle = self.end.is_some();
        let events = self.events_high.note(if idle { 0 } else { events });
        let events = 2 * events * (size_of::<Event>() + 64);

        let fixed = match (self.compressed, over) {
            (true, _) => FIXED + COMPRESSION,
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

    /// Everything is given back.
    pub fn drop_connection(&mut self) {
        let connection = self.connection.take();
        self.account.charge(|| drop(connection));
        // The first connection of a thread that compresses leaves a buffer to the others.
        let scratch = if self.compressed { SCRATCH } else { 0 };
        assert!(
            self.shares_memory || self.account.held() <= scratch,
            "leaked"
        );
    }

    /// Whether it holds as little as an idle connection should.
    pub fn is_light(&self) -> bool {
        self.compressed || self.account.held() < FIXED
    }

    /// All of its Pings that were answered, and the newest that was not, and so on.
    pub fn newest_ping_is_answered(&self) -> bool {
        self.pings_sent.last() == self.read.pongs.last()
    }

    pub fn describe(&self) -> String {
        format!(
            "{:?}: {:?}, accepted {}, taken {}, ending {:?}, end {:?}",
            self.connection().role(),
            self.connection.as_ref(),
            self.accepted.len(),
            self.taken,
            self.ending,
            self.end
        )
    }
}

fn number(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload[..8].try_into().unwrap())
}
