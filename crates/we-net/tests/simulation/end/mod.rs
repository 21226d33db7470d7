//! One endpoint: the library's connection and an application that notes what it did and saw, and
//! holds each call against what the interface promises.

mod checks;

use std::io::{ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate, WindowBits};
use we_net::protocol::{
    CloseCode, CloseFrame, Config, Connection, ConnectionError, Event, Refusal, Role, State,
};

use crate::memory::Account;
use crate::parcel::Parcel;
use crate::random::Random;
use crate::watch::{Due, Watch};
use crate::wire::{KEEP_ALIVE, Wire, number};

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

/// What compression keeps for each thread, which its first connection pays.
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
    Silent,
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
            ConnectionError::PeerSilent => Self::Silent,
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

/// What the clock may have found.
#[derive(Clone, Copy, Debug, Default)]
struct CutOff {
    /// The peer does not answer.
    silent: bool,
    /// The peer does not read.
    stalled: bool,
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
    /// Since when it has had something to write.
    wants_write_since: Option<Instant>,
    /// What its timers promise while it is open.
    pub watch: Watch,
    /// For what the clock may have ended it while it was open.
    cut_off: CutOff,
    /// Whether it has closed because nothing happened.
    pub idled: bool,
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
        now: Instant,
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
            wants_write_since: None,
            watch: Watch::new(now, &config),
            cut_off: CutOff::default(),
            idled: false,
            timed_out: false,
            end: None,
            eof_read: false,
            fails: false,
            shut_down: false,
            transport_gone: false,
            out_high: HighWater::default(),
            in_high: HighWater::default(),
            events_high: HighWater::default(),
            config,
        }
    }

    /// The opening handshake has just ended.
    pub fn start(&mut self, now: Instant) {
        self.watch.told(now);
        self.call(|connection| connection.start(now));
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
        self.watch.told(now);
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
                self.watch.active(now);
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
        self.watch.told(now);
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
        self.watch.told(now);
        self.watch.progress(now);
        let (pieces, pings) = (self.written.pieces, self.written.pings.len());
        self.written.see(bytes);
        if self.written.pieces > pieces {
            self.watch.active(now);
        }
        for ping in &self.written.pings[pings..] {
            if ping & KEEP_ALIVE != 0 {
                self.watch.ping_written(*ping);
            }
        }
        self.last_written = Some(now);
        self.call(|connection| connection.output_written(now, bytes.len()));
    }

    pub fn receive(&mut self, now: Instant, bytes: &[u8]) {
        self.watch.told(now);
        if self.read.close.is_none() {
            let framed = self.read.framed;
            self.read.see(bytes);
            self.watch.heard(now);
            if self.read.framed > framed {
                self.watch.active(now);
            }
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

    /// Whether it may have found that a message from its peer is too long.
    fn may_be_doomed(&self, peer: &[Parcel]) -> bool {
        let limit = self.max_message_size();
        let mut arriving = peer.iter().take(self.read.messages + 1);
        self.fails && arriving.any(|parcel| parcel.len() > limit)
    }

    /// Whether the timers of an open connection run: until the peer's Close frame has come.
    fn is_watched(&self) -> bool {
        self.is_open() && self.read.close.is_none()
    }

    /// Whether output has waited too long for an open connection.
    fn is_stalled(&self, now: Instant) -> bool {
        let since = self.wants_write_since.max(self.last_written);
        match (
            self.wants_write_since.and(since),
            self.config.timeouts.stalled_write,
        ) {
            (Some(since), Some(patience)) => now - since >= patience,
            _ => false,
        }
    }

    /// The clock has been looked at.
    pub fn tick(&mut self, now: Instant, peer: &[Parcel]) {
        let (was_open, was_over) = (self.is_open(), self.is_over());
        self.watch.told(now);
        let watched = self.is_watched();
        let doomed = self.may_be_doomed(peer);
        let due = if watched {
            self.watch.due(now)
        } else {
            Due::Nothing
        };
        let stalled = self.is_stalled(now);
        self.call(|connection| connection.handle_timeout(now));
        self.timed_out |= was_open && !self.is_open();
        if watched {
            self.check_what_was_due(now, due, stalled, doomed);
        } else if self.is_over() && !was_over {
            // As long as output makes progress, nothing is wrong with the peer.
            let closed = self.written.close.is_some() && self.read.close.is_some();
            let patience = match closed || self.fails {
                true => Duration::ZERO,
                false => self.config.timeouts.closing,
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
            if self.is_watched() && !self.fails {
                self.check_all_is_told();
            }
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
                // The connection's own are not told.
                let mut told = self.read.pongs[self.pongs_seen..].iter();
                let at = told.position(|pong| pong & KEEP_ALIVE == 0);
                self.pongs_seen += at.expect("a Pong has come") + 1;
                assert_eq!(self.read.pongs[self.pongs_seen - 1], number);
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
        match end.error {
            Some(Cause::Silent) => assert!(self.cut_off.silent, "the peer was not silent"),
            Some(Cause::NotReading) => assert!(self.cut_off.stalled, "the peer was reading"),
            _ => {}
        }
        let said = self.written.close_code();
        let going_away = said == Some(CloseCode::GOING_AWAY.get());
        let is_echo = said == self.read.close_code();
        let failed = end.error == Some(Cause::TooBig);
        assert!(
            said.is_none() || is_echo || failed || going_away == self.idled,
            "closed with {said:?}"
        );
        let expected = match self.ending {
            None => !matches!(end.error, Some(Cause::Local | Cause::Aborted)),
            Some(_) => true,
        };
        assert!(expected, "{end:?} after {:?}", self.ending);
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

    /// Whether all of its Pings have been written, and the newest was answered: of a flood others
    /// need not be.
    pub fn newest_ping_is_answered(&self) -> bool {
        let own = |ping: &&u64| **ping & KEEP_ALIVE == 0;
        self.written.pings.iter().filter(own).eq(&self.pings_sent)
            && !self.watch.waits()
            && self.written.pings.last() == self.read.pongs.last()
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
