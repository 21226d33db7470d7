//! A connection of either role under any sequence of calls, and with any bytes from the peer, whole
//! or in pieces.

use std::io::{ErrorKind, IoSlice};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use we_net::protocol::deflate::{DeflateConfig, DeflateParams, PerMessageDeflate, WindowBits};
use we_net::protocol::{
    CloseCode, Config, Connection, ConnectionError, Event, FrameHeader, KeepAlive, Limits, Message,
    OpCode, ReadBuffer, Role, State, Timeouts,
};

const MAX_MESSAGE: usize = 1000;

/// The option by which permessage-deflate is in use.
const COMPRESSED: u8 = 2;

/// The option by which the timers run that watch for silence.
const WATCHFUL: u8 = 128;

pub fn run(data: &[u8]) {
    let Some((options, data)) = super::choice(data) else {
        return;
    };
    read_in_any_cut(options, data);
    call_in_any_order(options, data);
}

fn connection(options: u8) -> Connection {
    let role = if options & 1 == 0 {
        Role::Client
    } else {
        Role::Server
    };
    let config = Config {
        limits: Limits {
            max_message_size: MAX_MESSAGE,
            max_small_fragments: 20,
            max_pending_output: 10_000,
        },
        fragment_size: NonZeroUsize::new(usize::from(options >> 4)),
        keep_alive: (options & WATCHFUL != 0).then(KeepAlive::default),
        timeouts: Timeouts {
            idle: (options & WATCHFUL != 0).then_some(Duration::from_secs(60)),
            ..Config::server().timeouts
        },
        ..Config::server()
    };
    let connection = Connection::new(role, config).with_mask_source(|| *b"mask");
    if options & COMPRESSED == 0 {
        return connection;
    }
    let config = DeflateConfig {
        threshold: 5,
        ..DeflateConfig::shared()
    };
    // With `shared` it is our end that forgets; what the peer does is the other bit's.
    let forgets = options & 4 != 0;
    let window = WindowBits::new(8 + (options >> 3) % 8).expect("8 to 15");
    let params = DeflateParams {
        server_max_window_bits: window,
        client_max_window_bits: window,
        server_no_context_takeover: forgets,
        client_no_context_takeover: forgets,
    };
    connection.with_extension(Box::new(PerMessageDeflate::new(role, &config, &params)))
}

/// How a peer cuts its bytes makes no difference.
fn read_in_any_cut(options: u8, data: &[u8]) {
    let now = Instant::now();
    let mut whole = connection(options);
    whole.receive(now, data);
    let mut in_pieces = connection(options);
    let mut events = Vec::new();
    for piece in super::pieces(data) {
        in_pieces.receive(now, piece);
        events.extend(std::iter::from_fn(|| in_pieces.poll_event()));
    }
    let at_once: Vec<_> = std::iter::from_fn(|| whole.poll_event()).collect();
    assert_eq!(at_once, events);
    let mut owned = connection(options);
    let mut buffer = ReadBuffer::with_capacity(7);
    let mut events = Vec::new();
    for piece in super::pieces(data) {
        buffer.read_with(owned.read_size(&buffer), |room| {
            room[..piece.len()].copy_from_slice(piece);
            piece.len()
        });
        events.extend(std::iter::from_fn(|| owned.next_event(now, &mut buffer)));
    }
    assert_eq!(at_once, events);
    for event in &at_once {
        if let Event::Message(message) = event {
            assert!(message.len() <= MAX_MESSAGE);
        }
    }
    whole.receive_eof(now);
    in_pieces.receive_eof(now);
    owned.receive_eof(now);
    let mut ends = [&mut whole, &mut in_pieces, &mut owned].map(|end| finish(end, now));
    if options & COMPRESSED != 0 {
        // Compressed text can be wrong in two ways at once. Which of them is found first depends on
        // how much is decompressed at once.
        for event in ends.iter_mut().flatten() {
            if let Event::Closed(closure) = event {
                closure.error = closure.error.take().map(|_| ConnectionError::Aborted);
            }
        }
    }
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0], ends[2]);
}

/// Takes all events and output until the connection is over; returns the last events.
fn finish(connection: &mut Connection, mut now: Instant) -> Vec<Event> {
    let mut writer = Writer::default();
    let mut events = Vec::new();
    for _ in 0..20 {
        events.extend(std::iter::from_fn(|| connection.poll_event()));
        writer.write(connection, now, usize::MAX);
        if connection.is_terminated() {
            events.extend(std::iter::from_fn(|| connection.poll_event()));
            let closures = events.iter().filter(|e| matches!(e, Event::Closed(_)));
            assert_eq!(closures.count(), 1);
            assert!(matches!(events.last(), Some(Event::Closed(_))));
            assert!(!connection.wants_write() && connection.poll_timeout().is_none());
            return events;
        }
        if let Some(deadline) = connection.poll_timeout() {
            now = now.max(deadline);
            connection.handle_timeout(now);
        }
    }
    panic!("no end: {connection:?}");
}

/// Reads what the connection writes: frames by the rules, and none after a Close frame.
#[derive(Default)]
struct Writer {
    pending: Vec<u8>,
    closed: bool,
}

impl Writer {
    fn write(&mut self, connection: &mut Connection, now: Instant, mut most: usize) {
        let role = connection.role();
        while most > 0 && connection.wants_write() {
            let mut slices = [IoSlice::new(&[]); 3];
            let filled = connection.output(&mut slices);
            assert!(filled > 0, "wants to write and shows nothing");
            let shown: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).collect();
            let taken = shown.len().min(most);
            most -= taken;
            self.pending.extend_from_slice(&shown[..taken]);
            connection.output_written(now, taken);
        }
        while let Some((header, len)) = FrameHeader::parse(&self.pending).expect("by the rules") {
            assert!(!self.closed, "a frame after the Close frame");
            assert_eq!(header.mask.is_some(), role == Role::Client);
            let end = len + header.payload_len as usize;
            if self.pending.len() < end {
                break;
            }
            self.closed = header.opcode == OpCode::Close;
            self.pending.drain(..end);
        }
        assert!(!self.closed || self.pending.is_empty());
    }
}

/// The data as a program: a byte says what to do, the next ones with what.
fn call_in_any_order(options: u8, mut data: &[u8]) {
    let mut now = Instant::now();
    let mut connection = connection(options);
    let mut writer = Writer::default();
    let mut closed = false;
    while let [what, rest @ ..] = data {
        let (len, rest) = rest.split_first().map_or((0, rest), |(l, r)| (*l, r));
        let argument = &rest[..rest.len().min(usize::from(len))];
        data = rest;
        let open = connection.state() == State::Open;
        match what % 12 {
            // What the peer says is taken off; anything else may be read as a program again.
            0..=3 => {
                connection.receive(now, argument);
                data = &rest[argument.len()..];
            }
            4 => {
                let sent = connection.send(now, Message::binary(argument));
                assert!(open || sent.is_err());
            }
            5 => {
                let text = Message::text("ä€😀".repeat(usize::from(len)));
                assert!(open || connection.send(now, text).is_err());
            }
            6 => assert!(open || connection.ping(now, argument).is_err()),
            7 => writer.write(&mut connection, now, usize::from(len)),
            8 => {
                while let Some(event) = connection.poll_event() {
                    assert!(!closed, "{event:?} after Closed");
                    closed = matches!(event, Event::Closed(_));
                    if len & 1 != 0 {
                        break;
                    }
                }
            }
            9 => {
                now += Duration::from_secs(u64::from(len));
                connection.handle_timeout(now);
            }
            10 if len & 1 == 0 => connection.close(now, CloseCode::new(3000).map(Into::into)),
            10 => connection.fail(now, CloseCode::POLICY.into()),
            _ => match len % 8 {
                0 => connection.receive_eof(now),
                1 => connection.transport_failed(now, ErrorKind::ConnectionReset),
                2 => connection.abort(),
                _ => writer.write(&mut connection, now, usize::MAX),
            },
        }
        assert_eq!(
            connection.is_terminated(),
            connection.state() == State::Closed
        );
        assert!(connection.state() != State::Closing || connection.poll_timeout().is_some());
        if connection.is_terminated() {
            assert!(!connection.wants_write() && !connection.wants_shutdown());
        }
    }
    connection.abort();
    while let Some(event) = connection.poll_event() {
        assert!(!closed, "{event:?} after Closed");
        closed = matches!(event, Event::Closed(_));
    }
    assert!(closed);
}
